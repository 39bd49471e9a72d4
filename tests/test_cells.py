"""Our cells in IPython: empty bodies, code that cannot be parsed, errors as in a plain cell, and names."""

import re

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from s2s_magic.errors import UsageError

SETUP = """
from tensorflow import keras
from tensorflow.keras import layers
class Held(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(2)
    def call(self, v):
        return self.inner(v)
"""


@pytest.fixture(scope="module")
def one_shell():
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(colors="nocolor")
    shell.run_cell(SETUP)
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(one_shell):
    one_shell.run_line_magic("load_ext", "s2s_magic")
    yield one_shell
    one_shell.run_line_magic("unload_ext", "s2s_magic")


def shown(shell, cell):
    """Run a cell; return what it printed and what it raised."""
    with capture_output() as captured:
        result = shell.run_cell(cell, store_history=True)
    return captured.stdout + captured.stderr, result.error_before_exec or result.error_in_exec


@pytest.mark.parametrize("verb", ["build", "trace", "fit"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n   \n"])
def test_an_empty_body_is_told_what_goes_into_it_and_help_is_given_without_one(shell, verb, end):
    text, error = shown(shell, f"%%seq2seq {verb} m{end}")
    assert isinstance(error, UsageError)
    body = {"build": "the spec: vocab, embed", "trace": "functional Keras code", "fit": "source and target"}[verb]
    assert f"below %%seq2seq {verb} goes {'the ' if verb == 'trace' else ''}" in text
    assert body in text
    assert f"%%seq2seq {verb} --help" in text
    text, error = shown(shell, f"%%seq2seq {verb} --help{end}")
    assert error is None
    assert f"usage: %%seq2seq {verb}" in text
    text, error = shown(shell, f"%seq2seq {verb} m")
    assert isinstance(error, UsageError)
    assert body in text


def test_the_overview_is_shown_by_the_bare_cell_magic_and_by_a_question_mark(shell):
    for cell in ("%%seq2seq", "%%seq2seq\n", "%%seq2seq --help"):
        text, error = shown(shell, cell)
        assert error is None
        assert "%%seq2seq build" in text
    assert "%%seq2seq build" in shown(shell, "%%seq2seq?")[0]


def test_no_other_cell_is_changed_and_a_terminal_still_waits_for_the_body(shell):
    before = shell.transform_cell("%%time\n1\n"), shell.transform_cell("%%capture"), shell.transform_cell("a = %pwd")
    ours = shell.input_transformers_cleanup[-1]
    for lines in (["%%time\n"], ["%%seq2seqs\n"], ["x = '''\n", "%%seq2seq build m\n"], [], ["%%seq2seq?\n"]):
        assert ours(lines) is lines
    assert shell.input_transformer_manager.check_complete("%%seq2seq build m")[0] == "incomplete"
    shell.run_line_magic("unload_ext", "s2s_magic")
    assert ours not in shell.input_transformers_cleanup
    assert before == (
        shell.transform_cell("%%time\n1\n"),
        shell.transform_cell("%%capture"),
        shell.transform_cell("a = %pwd"),
    )
    shell.run_line_magic("load_ext", "s2s_magic")


def told(text):
    """Return an error's display without the numbers that differ from cell to cell."""
    text = text[text.index("-" * 70) :] if "-" * 70 in text else text
    text = re.sub(r"In\[\d+\]|0x[0-9a-f]+|input-\d+-[0-9a-f]+|_\d+\b|CPU times.*|Wall time.*", "", text)
    # shown for a SyntaxError of a plain cell that runs
    text = re.sub(r" *File .* in run_code\n.*\n(?: *[~^]+\n)?", "", text)
    return [line for line in text.splitlines() if line.strip() not in ("1 #", "1", "")]


FAULTS = [
    "x = 1\ny = = 2\n",
    "x = 1\n  y = 2\n",
    "def f():\nreturn 1\n",
    "f(1, (2\n",
    "x = 'open\n",
    "return 3\n",
    "x = 1\nawait = 3\n",
    "1 = x\n",
    "\n\nlambda: (yield)\nbreak\n",
    "%time x = = 1\ny = = 2\n",
    "exec('a = = 1')\n",
    "def f():\n    exec('  a')\nf()\n",
    "1 / 0\n",
    "def f():\n    raise KeyError('gone') from ValueError('first')\nf()\n",
    "try:\n    1 / 0\nexcept ZeroDivisionError:\n    {}['x']\n",
    "raise KeyboardInterrupt\n",
    "raise SystemExit(2)\n",
    "%nosuch 1\n",
    "%run /no/such/file.py\n",
    "%time 1 / 0\n",
    "!exit 3\n1 / 0\n",
    "await nothing\n",
    "layers.Dense(2)(keras.Input([]))\n",
    "layers.Dense('two')\n",
    "layers.Dense(2)(3, 4, 5)\n",
    "keras.Sequential([layers.Dense(1), 3])\n",
    "Held()(keras.Input([]))\n",
    "class Mine(Exception):\n    def _render_traceback_(self):\n        return ['mine']\nraise Mine\n",
    "class Odd(Exception):\n    def __str__(self):\n        raise TypeError\nraise Odd\n",
    "class Shut(Exception):\n    def __setattr__(self, name, value):\n        raise AttributeError\nraise Shut\n",
    "gröss = '😀' + 1\n",
]


@pytest.mark.parametrize("code", FAULTS)
def test_an_error_in_a_traced_cell_shows_as_in_a_plain_one(shell, code):
    plain, plain_error = shown(shell, f"#\n{code}")
    traced, error = shown(shell, f"%%seq2seq trace faulty\n{code}")
    assert type(error).__name__ == type(plain_error).__name__
    assert isinstance(error, type(plain_error)) or "class" in code
    if error is None:  # the magic showed its own error, and the cell continued
        traced = traced.replace("faulty stays as it was: this cell made and called no layer.", "")
    assert told(traced) == told(plain)
    assert "s2s_magic" not in traced
    assert "run_cell_magic" not in traced


def test_code_that_cannot_be_read_runs_nothing_and_binds_nothing(shell):
    for code in ("ran = 1\nx = = 1", "ran = 1\nreturn 2"):
        _, error = shown(shell, f"%%seq2seq trace unread\n{code}")
        assert isinstance(error, SyntaxError)
        assert (error.lineno, {"unread", "ran"} & set(shell.user_ns)) == (3, set())


def test_a_cell_that_stops_in_a_call_says_so_and_calls_nothing_never_called(shell):
    text, error = shown(
        shell,
        "%%seq2seq trace stopped\nfirst = layers.Dense(2)\nlater = layers.Dense(3)\nx = keras.Input([2])\n"
        "y = first(keras.Input([]))\nz = later(y)",
    )
    assert isinstance(error, ValueError)
    text = " ".join(text.split())
    assert "ended: The cell ended in this very call, first(keras.Input([])) (line 5), with ValueError: Input 0" in text
    assert "never called" not in text
    ended = shell.user_ns["stopped"].ledger.cells[0].ended
    assert (ended.line, ended.column, ended.source) == (5, 4, "first(keras.Input([]))")
    assert ended.object == next(key for key, x in shell.user_ns["stopped"].ledger.layers.items() if x.name == "first")
    text, _ = shown(shell, "%%seq2seq trace elsewhere\nfirst = layers.Dense(2)\n{}['gone']\n")
    assert "The cell ended at {}['gone'] (line 3), with KeyError: 'gone'." in " ".join(text.split())
    text, _ = shown(
        shell, "%%seq2seq trace caught\nd = layers.Dense(2)\ntry:\n    d(keras.Input([]))\nexcept ValueError:\n    pass"
    )
    assert "ended" not in text
    assert "never called" in text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("keras", "module"),
        ("Held", "class"),
        ("function", "function"),
        ("print", "Python's own"),
        ("In", "IPython's own"),
    ],
)
@pytest.mark.parametrize("verb", ["build", "trace"])
def test_a_name_that_code_needs_is_not_taken(shell, name, kind, verb):
    shown(shell, "def function(): pass")
    before = dict(shell.user_ns)
    _, error = shown(shell, f"%%seq2seq {verb} {name}\nran = 1")
    assert isinstance(error, UsageError)
    assert kind in str(error)
    assert shell.user_ns.get(name) is before.get(name)
    assert "ran" not in shell.user_ns


def test_names_with_an_underscore_in_front_are_refused_since_ipython_keeps_them(shell):
    assert "begins with an underscore" in shown(shell, "%%seq2seq trace _m\nx = 1")[0]


def test_what_a_name_meant_before_is_said_and_can_be_had_back(shell):
    shell.push({"data": (data := np.zeros(3))})
    text, _ = shown(shell, "%%seq2seq trace data\nd = layers.Dense(2)")
    assert "data was bound to ndarray" in text
    assert shell.user_ns["data"].replaced is data
    text, _ = shown(shell, "%%seq2seq trace data\nd = layers.Dense(2)")
    assert "was bound to" not in text
    text, _ = shown(shell, "%%seq2seq trace both\nx = keras.Input([2])\nboth = keras.Model(x, layers.Dense(2)(x))")
    assert "both was bound to Functional" in text
    assert shell.user_ns["both"].replaced is shell.user_ns["both"].model


def test_a_cell_without_layers_does_not_replace_a_model(shell):
    shown(shell, "%%seq2seq trace kept\nx = keras.Input([2])\nm = keras.Model(x, layers.Dense(2)(x))")
    kept = shell.user_ns["kept"]
    text, error = shown(shell, "%%seq2seq trace kept\nnumber = 3")
    assert error is None
    assert "kept stays as it was" in text
    assert shell.user_ns["kept"] is kept
    assert shell.user_ns["number"] == 3


def test_going_on_with_a_fitted_model_keeps_what_fitting_left(shell):
    shown(shell, "%%seq2seq trace fitted\nx = keras.Input([2])\nm = keras.Model(x, layers.Dense(2)(x))")
    before = shell.user_ns["fitted"]
    before.fitted = marked = object()
    shown(shell, "%%seq2seq trace fitted --continue\ny = layers.Dense(2)(x)")
    assert shell.user_ns["fitted"] is not before
    assert shell.user_ns["fitted"].fitted is marked


def test_a_traced_cell_has_the_number_that_the_front_end_shows(shell):
    text, _ = shown(shell, "%%seq2seq trace numbered\n1 / 0")
    number = shell.execution_count - 1
    assert f"Cell In[{number}], line 2" in text or re.search(
        rf"<ipython-input-{number}-\w+> in .*\n.*\n-+> 2 1 / 0", text
    )


def test_a_trace_that_is_refused_within_another_binds_nothing(shell):
    text, error = shown(
        shell,
        "%%seq2seq trace outside\nd = layers.Dense(2)\n"
        "get_ipython().run_cell_magic('seq2seq', 'trace within', 'e = layers.Dense(2)')",
    )
    assert isinstance(error, UsageError)
    assert "already" in text
    assert "within" not in shell.user_ns
    assert [event.layer for event in shell.user_ns["outside"].ledger.events] == ["d"]


def test_a_cell_magic_within_a_traced_cell_is_shown_as_it_was_written(shell):
    _, error = shown(shell, "%%seq2seq trace timed\n%%time\nd = layers.Dense(2)")
    assert error is None
    (event,) = shell.user_ns["timed"].ledger.events
    assert (event.line, event.source) == (2, "%%time")
