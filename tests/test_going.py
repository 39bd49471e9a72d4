"""A running fit is drawn as its epochs come: the loss, and what it does to each owner."""

import io
import re
import time
from contextlib import redirect_stderr

import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient

from s2s_magic import api
from s2s_magic.display import terminal_line
from s2s_magic.ledger.curves import Curves, OwnerCurve
from s2s_magic.training.progress import Progress
from s2s_magic.view.bundles import progress_bundle
from s2s_magic.view.going import MOST, going_html, going_text

SPEC = "vocab: 20\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\nfreeze: [embeddings]\n"
DATA = {"X": np.arange(160).reshape(40, 4) % 19 + 1, "Y": np.arange(160).reshape(40, 4) % 17 + 1}


@pytest.fixture(scope="module")
def fitted():
    model = api.build(SPEC, name="small")
    seen = []
    api.fit(model, "source: X\ntarget: Y\nepochs: 3\nbatch: 8\nvalidation: 0.2\nseed: 1", DATA, progress=seen.append)
    return model, seen[-1]


def test_the_curves_of_an_owner_are_those_of_its_variables_together(fitted):
    model, last = fitted
    owned = {}
    for key, variable in model.ledger.variables.items():
        owned.setdefault(variable.owner, []).append(model.evidence.variables[key])
    assert set(last.curves.owners) == owned.keys() - {"embeddings"}
    for owner, curve in last.curves.owners.items():
        variables = owned[owner]
        gradients = np.array([each.gradient_norm for each in variables])
        updates = np.array([each.update_norm for each in variables])
        weights = np.array([each.norm for each in variables])
        np.testing.assert_allclose(curve.gradient, np.sqrt((gradients**2).sum(0)), rtol=1e-6)
        ratios = np.sqrt((updates**2).sum(0)) / np.sqrt((weights**2).sum(0))
        np.testing.assert_allclose(curve.update, ratios, rtol=1e-6)


def test_what_the_fit_does_not_train_is_named(fitted):
    _, last = fitted
    assert last.curves.untouched == ("embeddings",)
    assert list(going_text(last.curves, "small"))[-1] == "Not trained by this fit: embeddings."
    assert "Not trained by this fit: embeddings." in going_html("done", None, last.curves, "small")


def test_the_values_are_those_of_the_history(fitted):
    model, last = fitted
    assert {name: tuple(values) for name, values in last.curves.values.items()} == {
        name: tuple(values) for name, values in model.history.items()
    }


def test_statistics_that_no_gradient_reaches_are_no_owner_of_their_own():
    model = api.trace(
        "from tensorflow import keras\n"
        "x = keras.Input([4])\n"
        "y = keras.layers.BatchNormalization(center=False, scale=False)(keras.layers.Dense(3)(x))\n"
        "model = keras.Model(x, y)\n"
        "model.compile('sgd', 'mse')\n",
    )
    seen = []
    rows = {"X": np.ones([8, 4], "float32"), "Y": np.ones([8, 3], "float32")}
    api.fit(model, "inputs: [X]\ntarget: Y\n", rows, progress=seen.append)
    assert len(seen[-1].curves.owners) == 1
    assert seen[-1].curves.untouched == ()


def test_an_interrupted_epoch_is_drawn_as_well():
    model = api.build(SPEC, name="small")
    seen = []

    def show(progress):
        seen.append(progress)
        if progress.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.fit(model, "source: X\ntarget: Y\nepochs: 100000\nbatch: 8", DATA, progress=show)
    assert seen[-1].state == "interrupted"
    assert seen[-1].curves.epochs == len(model.history["loss"]) >= 1


def test_a_second_fit_is_drawn_from_its_own_beginning(fitted):
    model, _ = fitted
    seen = []
    api.fit(model, "source: X\ntarget: Y\nepochs: 2\nbatch: 8", DATA, progress=seen.append)
    assert seen[-1].curves.epochs == 2
    assert [*seen[-1].curves.values] == ["loss"]


CELL = f"""\
import time
import numpy as np
from s2s_magic import api
model = api.build({SPEC!r}, name="small")
X = np.arange(4000).reshape(1000, 4) % 19 + 1
began = time.monotonic()
api.fit(model, "source: X\\ntarget: X\\nepochs: 40\\nbatch: 8", globals())
print("seconds", time.monotonic() - began)
"""


@pytest.mark.slow
def test_a_kernel_is_sent_at_most_two_drawings_a_second_and_the_last_one_stays():
    messages = []

    class Client(NotebookClient):
        def process_message(self, msg, cell, cell_index):
            messages.append((msg["msg_type"], time.monotonic()))
            return super().process_message(msg, cell, cell_index)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    Client(notebook, timeout=300, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    [shown] = [output for output in outputs if output.output_type == "display_data"]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    seconds = float(re.search(r"seconds (\S+)", text).group(1))
    sent = [name for name, _ in messages if name in ("display_data", "update_display_data")]
    assert 3 <= len(sent) <= 2 * seconds + 2
    assert "<progress" not in shown.data["text/html"]
    assert shown.data["text/html"].count("<svg") == 1 + 2 * 3
    assert "encoder.cell" in shown.data["text/plain"] or "encoder" in shown.data["text/plain"]


def test_a_terminal_gets_the_drawing_once_at_the_end_and_in_its_width(monkeypatch, fitted):
    _, last = fitted
    monkeypatch.setenv("COLUMNS", "100")
    said = io.StringIO()
    show = terminal_line()
    with redirect_stderr(said):
        show(Progress("small", 1, 3, 2, 4, curves=last.curves))
        show(last)
    first, *drawn = said.getvalue().splitlines()
    assert first == str(last)
    assert [line.split()[0] for line in drawn[:2]] == ["loss", "val_loss"]
    assert max(map(len, drawn)) <= 100


@pytest.mark.parametrize("epochs", [1, 7, 20_000])
def test_a_drawing_is_small_however_many_epochs_and_owners_there_are(epochs):
    curve = [2.0 ** -(place % 40) for place in range(epochs)]
    owners = {f"layer_{number}": OwnerCurve(curve, curve) for number in range(200)}
    curves = Curves({"loss": curve, "accuracy": curve}, owners, [f"other_{number}" for number in range(300)])
    bundle = progress_bundle("done", None, curves, "big")
    assert len(bundle["text/html"]) < 60_000
    assert len(bundle["text/plain"]) < 4_000
    assert f"{200 - MOST} more owners: %seq2seq inspect big --training" in bundle["text/plain"]


numbers = st.none() | st.floats()


@settings(max_examples=200, deadline=None)
@given(
    values=st.dictionaries(st.text(min_size=1), st.lists(numbers, min_size=1, max_size=9), min_size=1, max_size=4),
    owners=st.dictionaries(st.text(min_size=1), st.lists(st.floats(), min_size=1, max_size=9), max_size=4),
    part=st.none() | st.floats(0, 1),
)
def test_any_numbers_and_names_can_be_drawn(values, owners, part):
    curves = Curves(values, {name: OwnerCurve(curve, curve) for name, curve in owners.items()}, list(owners))
    bundle = progress_bundle("<said>", part, curves, "name")
    assert "<said>" not in bundle["text/html"]
    drawn = len(owners) if part is None else 0
    assert bundle["text/plain"].count("\n") >= drawn


def test_a_flat_curve_and_one_of_zeros_are_drawn():
    curves = Curves({"loss": [1.0, 1.0]}, {"a": OwnerCurve([0.0, 0.0], [0.0, 0.0])})
    lines = list(going_text(curves, "m"))
    assert lines == ["loss  ▅▅  1 → 1", "a     gradient ·· 0 → 0  update / weight ·· 0 → 0"]
