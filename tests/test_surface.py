"""The magics on real models in a real InteractiveShell: what they bind, show, write, keep and refuse."""

import json

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from addons import run_plainly
from kerases import KERAS3
from models import by_hand
from s2s_magic import Ledger, Seq2Seq
from s2s_magic.errors import DataError, LookupFailed, SetupError, SpecError
from s2s_magic.view.widget.inspector import WIDGET_VIEW

SPEC = "%%seq2seq build small\nvocab: 30\nembed: 6\nencoder: lstm(8)\ndecoder: lstm(8)\ncode: tfa"


@pytest.fixture(scope="module")
def notebook():
    """A notebook in which a small model was built and data are defined."""
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    run(shell, SPEC)
    random = np.random.default_rng(1)
    shell.push({"X": random.integers(3, 30, (40, 4)), "Y": random.integers(3, 30, (40, 5))})
    yield shell
    shell.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()


def run(shell, cell):
    result = shell.run_cell(cell)
    result.raise_error()
    return result.result


def test_a_build_binds_one_name_and_returns_nothing(notebook):
    before = set(notebook.user_ns)
    assert run(notebook, SPEC.replace("small", "other")) is None
    assert {name for name in set(notebook.user_ns) - before if not name.startswith("_")} == {"other"}
    other = notebook.user_ns["other"]
    assert isinstance(other, Seq2Seq)
    assert set(other.layers) >= {"embeddings", "encoder", "decoder_cell", "output_layer", "decoder"}
    assert tuple(other.tensors["encoder_embeddings"].shape) == (None, None, 6)
    assert other.model.count_params() == other.ledger.totals().total


def test_a_failed_build_leaves_the_name_as_it_was(notebook):
    before = notebook.user_ns["small"]
    with pytest.raises(SpecError):
        run(notebook, "%%seq2seq build small\nvocab: many\nembed: 6\nencoder: lstm(8)\ndecoder: lstm(8)")
    assert notebook.user_ns["small"] is before


def test_a_bound_model_has_a_one_line_repr_and_shows_its_report(notebook):
    small = notebook.user_ns["small"]
    assert "\n" not in repr(small)
    assert f"{small.model.count_params():,} parameters" in repr(small)
    shown = small._repr_mimebundle_()
    assert "parameters in all" in shown["text/plain"]
    assert "<table" in shown["text/html"]


@pytest.mark.parametrize(("columns", "widest"), [("72", 72), ("20", 72), ("500", 140)])
def test_a_report_in_a_terminal_is_as_wide_as_the_terminal(notebook, capsys, monkeypatch, columns, widest):
    monkeypatch.setenv("COLUMNS", columns)
    run(notebook, "%seq2seq inspect small")
    lines = capsys.readouterr().out.splitlines()
    assert widest - 10 <= max(map(len, lines)) <= widest


def test_a_traced_cell_leaves_its_variables_in_the_notebook(notebook):
    run(notebook, "%%seq2seq trace hand\n" + by_hand(30, 6, 8))
    assert notebook.user_ns["words"] is notebook.user_ns["hand"].layers["words"]
    assert notebook.user_ns["hand"].model is notebook.user_ns["model"]


def test_a_cell_that_raises_keeps_the_model_and_what_the_cell_did(notebook, capsys):
    run(
        notebook,
        "%%seq2seq trace kept\nfrom tensorflow import keras\na = keras.Input([3])\n"
        "m = keras.Model(a, keras.layers.Flatten()(a))",
    )
    kept = notebook.user_ns["kept"]
    with pytest.raises(ZeroDivisionError):
        run(notebook, "%%seq2seq trace kept\nb = keras.layers.Dense(2)(a)\n1 / 0")
    assert notebook.user_ns["kept"] is kept
    assert [event.layer for event in kept.attempt.events if event.kind == "called"] != []
    assert "keras.layers.Dense(2)(a)" in capsys.readouterr().out


def test_a_cell_that_cannot_be_read_changes_nothing(notebook):
    before = notebook.user_ns["small"]
    with pytest.raises(SyntaxError):
        run(notebook, "%%seq2seq trace small\nx = 1 +")
    assert notebook.user_ns["small"] is before


def test_a_ledger_goes_on_in_the_next_cell(notebook):
    run(
        notebook,
        "%%seq2seq trace two\nfrom tensorflow import keras\ninto = keras.Input([3])\nd = keras.layers.Dense(2)",
    )
    run(notebook, "%%seq2seq trace two --continue\nout = d(d.units * into)\ntwo_model = keras.Model(into, out)")
    cells = [event.cell for event in notebook.user_ns["two"].ledger.events]
    assert cells == sorted(cells)
    assert set(cells) == {1, 2}


def test_reports_are_written_where_they_are_asked_for(notebook, tmp_path, capsys):
    files = {kind: tmp_path / f"a file.{kind}" for kind in ("json", "html", "svg", "png")}
    run(notebook, "%seq2seq inspect small " + " ".join(f'--{kind} "{path}"' for kind, path in files.items()))
    assert Ledger.from_dict(json.loads(files["json"].read_text())) == notebook.user_ns["small"].ledger
    assert files["html"].read_text().startswith("<!")
    assert "<svg" in files["svg"].read_text()
    assert files["png"].read_bytes()[:4] == b"\x89PNG"
    assert capsys.readouterr().out.count("wrote ") == 4


def test_an_inspection_stops_after_an_event(notebook, capsys):
    run(notebook, "%seq2seq inspect small --after 4")
    shown = capsys.readouterr().out
    assert "AFTER STEP 4" in shown
    assert "decoder_cell" not in shown.split("OWNERS")[1]
    with pytest.raises(LookupFailed, match="from 0 to 13"):
        run(notebook, "%seq2seq inspect small --after 14")


def test_a_layer_frozen_later_is_found_in_the_next_inspection_and_frozen_once_compiled_again(notebook, capsys):
    run(notebook, SPEC.replace("small", "icy"))
    run(notebook, "icy.layers['decoder_cell'].trainable = False\n%seq2seq inspect icy")
    shown = " ".join(capsys.readouterr().out.split())
    if KERAS3:  # which reads the switch when it fits
        said = ["decoder_cell.trainable is False"]
    else:
        said = [
            "decoder_cell.trainable was True when model was compiled",
            "run model.compile(...) again to freeze them",
        ]
    assert [words for words in said if words not in shown] == []
    run(notebook, "icy.model.compile('adam', 'sparse_categorical_crossentropy')\n%seq2seq inspect icy")
    assert "decoder_cell.trainable is False" in " ".join(capsys.readouterr().out.split())


def test_the_code_stands_alone_and_can_go_into_the_next_cell(notebook):
    code = run(notebook, "code = %seq2seq code small --return\ncode")
    assert "s2s_magic" not in code.replace("from s2s_magic.addons import seq2seq", "")
    fresh = {}
    run_plainly(code, fresh)
    assert fresh["model"].count_params() == notebook.user_ns["small"].model.count_params()
    run(notebook, "%seq2seq code small --cell")
    assert notebook.rl_next_input == code


def test_fit_decode_and_what_decoding_owns(notebook, capsys):
    run(notebook, SPEC.replace("small", "fitted"))
    run(
        notebook,
        "%%seq2seq fit fitted\nsource: X\ntarget: Y\nepochs: 2\nvalidation: 0.25\nmetrics: [accuracy]\nseed: 3",
    )
    fitted = notebook.user_ns["fitted"]
    assert {name: len(values) for name, values in fitted.history.items()} == dict.fromkeys(
        ["loss", "accuracy", "val_loss", "val_accuracy"], 2
    )
    assert {seen.verdict for seen in fitted.evidence.variables.values()} == {"trained"}
    run(notebook, "%%seq2seq fit fitted\nsource: X\ntarget: Y")
    assert len(fitted.history["loss"]) == 3
    run(notebook, "%seq2seq inspect fitted --training")
    assert "GRADIENT NORM" in capsys.readouterr().out
    outputs = run(notebook, "outputs = %seq2seq decode fitted X --return\noutputs")
    assert len(outputs) == 40
    assert all(0 <= number < 30 for row in outputs for number in row)
    new = [e for e in fitted.inference.ledger.events if e.cell == 2 and e.kind == "called"]
    assert [key for event in new for key in event.created] == []
    assert {key for event in new for key in event.reused} == set(fitted.ledger.variables)
    capsys.readouterr()
    run(notebook, "%seq2seq inspect fitted")
    shown = " ".join(capsys.readouterr().out.split())
    assert "Decoding owns nothing of its own: it creates no variable." in shown
    assert "It uses 9 variables of the training model again" in shown
    run(notebook, '%seq2seq decode fitted "4 5 6"')
    assert "4 5 6  ->" in capsys.readouterr().out


def test_data_that_do_not_fit_change_nothing(notebook):
    small = notebook.user_ns["small"]
    before = [w.copy() for w in small.model.get_weights()]
    run(notebook, "bad = Y.copy()\nbad[2, 1] = 99")
    with pytest.raises(DataError, match="row 2, position 1"):
        run(notebook, "%%seq2seq fit small\nsource: X\ntarget: bad")
    assert small.evidence is None
    assert all((a == b).all() for a, b in zip(before, small.model.get_weights(), strict=True))


def test_two_models_are_compared_and_listed(notebook, capsys):
    run(notebook, SPEC.replace("small", "twice").replace("embed: 6", "embed: 12"))
    run(notebook, "%seq2seq compare small twice")
    assert "decoder_cell.kernel" in capsys.readouterr().out
    run(notebook, "%seq2seq list")
    assert "small" in capsys.readouterr().out


def test_no_variable_is_expanded_on_the_line(notebook):
    run(notebook, "what = 'embeddings'")
    with pytest.raises(LookupFailed, match=r"'\{what\}'"):
        run(notebook, "%seq2seq explain small {what}")


def test_a_model_within_a_model_ties_nothing(notebook, capsys):
    run(
        notebook,
        "%%seq2seq trace inner\nfrom tensorflow import keras\ni = keras.Input([4])\n"
        "seq = keras.Sequential([keras.layers.Dense(3)])\nma = keras.Model(i, seq(i))\n"
        "mb = keras.Model(i, keras.layers.Dense(2)(ma(i)))",
    )
    assert [f for f in notebook.user_ns["inner"].ledger.findings if f.kind == "tied"] == []
    assert "the rows of Keras's summary" not in capsys.readouterr().out


def test_what_is_outside_the_model_is_said_to_be(notebook, capsys):
    run(
        notebook,
        "%%seq2seq trace partly\nfrom tensorflow import keras\ni = keras.Input([4])\n"
        "h = keras.layers.Dense(3)(i)\nm = keras.Model(i, h)\nlost = keras.layers.Dense(5)\nh2 = lost(h)",
    )
    shown = capsys.readouterr().out
    assert "15 parameters in all, all of them trainable; 20 more outside the model" in shown
    assert "not in m" in shown


def test_an_inspection_says_what_ran_on_faster_kernels_and_why_the_rest_did_not(notebook, capsys):
    run(notebook, SPEC.replace("small", "quick"))
    run(notebook, "%%seq2seq fit quick\nsource: X\ntarget: Y\noptimizer: sgd(0.1)")
    capsys.readouterr()
    run(notebook, "%seq2seq inspect quick --training")
    shown = " ".join(capsys.readouterr().out.split())
    assert "encoder, decoder and loss ran on faster kernels; optimizer did not: SGD: understood is Adam" in shown
    run(notebook, "%%seq2seq fit quick\nsource: X\ntarget: Y\naccelerate: off")
    assert notebook.user_ns["quick"].evidence.runs[-1].accelerated == {}


def test_the_inspector_is_opened_where_it_is_asked_for_and_goes_when_its_name_is_bound_anew(notebook, capsys):
    run(notebook, SPEC.replace("small", "watched"))
    magics = notebook.magics_manager.registry["Seq2SeqMagics"]
    assert magics.widgets["watched"] is None
    with capture_output() as seen:
        run(notebook, "%seq2seq inspect watched --widget")
    page, view = (set(output.data) for output in seen.outputs)
    assert page == {"text/plain", "text/markdown", "text/html"}
    assert WIDGET_VIEW in view
    inspector = magics.widgets["watched"]
    run(notebook, "%seq2seq inspect watched")
    assert magics.widgets["watched"] is inspector
    assert inspector.comm is not None
    with capture_output():
        run(notebook, "%%seq2seq trace watched\nfrom tensorflow import keras\ni = keras.Input([4])")
    assert magics.widgets["watched"] is None
    assert inspector.comm is None


def test_without_ipywidgets_the_inspector_is_refused_in_one_line(notebook, monkeypatch):
    monkeypatch.setattr("s2s_magic.display.find_spec", lambda name: None)
    with pytest.raises(SetupError, match="pip install ipywidgets"):
        run(notebook, "%seq2seq inspect small --widget")
