"""Progress is one display: it is updated rarely, final at the end, and erases nothing else."""

import os
import signal

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from s2s_magic import api
from s2s_magic.display import terminal_line
from s2s_magic.training.progress import Progress, throttled


def at(step, state="running", seconds=10.0):
    return Progress("dates", 1, 2, step, 10, {"loss": 0.5}, seconds, state)


def test_the_line_says_how_far_it_is_and_how_long_it_will_take():
    assert str(at(5)) == "dates: epoch 1/2 · step 5/10 · loss 0.5 · 0:30 left"
    assert str(at(0)) == "dates: epoch 1/2 · step 0/10 · loss 0.5"
    assert str(at(10, "done", 75.0)) == "dates: epoch 1/2 · loss 0.5 · 1:15, done"


def test_running_states_are_passed_on_seldom_and_the_final_one_always(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    shown = []
    show = throttled(shown.append)
    for step in range(100):
        now = step * 0.01
        show(at(step))
    show(at(100, "done"))
    assert [state.step for state in shown] == [0, 50, 100]


def test_a_terminal_gets_one_line_that_is_written_over(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    show = terminal_line()
    show(at(10))
    show(at(5))
    show(at(10, "done"))
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert written.rstrip().endswith("done")
    assert len({len(line) for line in written.split("\r")[1:3]}) == 1, "a shorter line wipes a longer"


def test_what_is_no_terminal_gets_the_final_state_alone(capsys):
    show = terminal_line()
    show(at(5))
    show(at(10, "done"))
    assert capsys.readouterr().err == "dates: epoch 1/2 · loss 0.5 · 0:10, done\n"


TAGGER = """
from tensorflow import keras
x = keras.Input([3], dtype="int32")
hidden = keras.layers.GRU(4, return_sequences=True)(keras.layers.Embedding(9, 2)(x))
model = keras.Model(x, keras.layers.Dense(9, "softmax")(hidden))
model.compile("adam", "sparse_categorical_crossentropy")
"""
CELL = f"""\
import numpy as np
from s2s_magic import api
model = api.trace({TAGGER!r})
print("kept")
X = np.ones((64, 3), int)
api.fit(model, "source: X\\ntarget: X\\nepochs: 3\\nbatch: 2", globals())
print("kept too")
"""


@pytest.mark.slow
def test_an_executed_notebook_keeps_one_final_display_between_its_other_outputs():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    displays = [output for output in outputs if output.output_type == "display_data"]
    assert len(displays) == 1
    assert "done" in displays[0].data["text/plain"]
    assert "<progress" not in displays[0].data["text/html"]
    text = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert text == "kept\nkept too\n"


INTERRUPTED = f"""\
import os, signal, threading
import numpy as np
from s2s_magic import api
model = api.trace({TAGGER!r})
X = np.ones((20000, 3), int)
seen = []
def show(progress):
    seen.append(progress)
    if len(seen) == 2:
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
try:
    api.fit(model, "source: X\\ntarget: X\\nepochs: 50\\nbatch: 2", {{"X": X}}, progress=show)
except KeyboardInterrupt:
    run = model.evidence.runs[-1]
    print(run.interrupted, run.epochs == len(model.history["loss"]), seen[-1].state, run.steps > 0)
"""


@pytest.mark.slow
def test_a_real_interrupt_of_a_real_kernel_keeps_what_was_learned():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(INTERRUPTED)])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    text = "".join(o.text for o in notebook.cells[0].outputs if o.output_type == "stream" and o.name == "stdout")
    assert text == "True True interrupted True\n"


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_ends_a_fit_after_its_step_and_a_second_one_at_once(times):
    model = api.trace(TAGGER)
    handler, seen = signal.getsignal(signal.SIGINT), []

    def show(progress):
        if not seen:
            seen.append("interrupted")
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
            seen.append("went on")

    with pytest.raises(KeyboardInterrupt, match="the fit of model was interrupted"):
        api.fit(model, "source: X\ntarget: X\nepochs: 100000", {"X": np.ones((64, 3), int)}, progress=show)
    assert ("went on" in seen) == (times == 1)
    assert bool(model.evidence) == (times == 1)  # else before the first step
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interrupt_that_comes_in_the_last_step_stops_a_run_of_all_cells():
    model = api.trace(TAGGER)

    def show(progress):
        if progress.step == progress.steps:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="all its epochs were done"):
        api.fit(model, "source: X\ntarget: X", {"X": np.ones((64, 3), int)}, progress=show)


def test_an_interrupt_that_comes_after_the_last_step_is_not_lost():
    model = api.trace(TAGGER)

    def stop(seq2seq):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        api.fit(model, "source: X\ntarget: X", {"X": np.ones((64, 3), int)}, progress=lambda p: None, watch=stop)
    assert model.evidence.runs[-1].steps == 2
