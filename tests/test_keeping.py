"""A saved model is loaded as it was: weights, optimizer, evidence, tokenizers, and whatever the next fit needs."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from tensorflow import keras

import s2s_magic
from interrupting import interrupted, places
from kept_models import CODE, DATA, KEPT, ROWS, SPEC, built, fit, predictions, traced, values
from kerases import KERAS3
from plainly import quiet
from s2s_magic import backend
from s2s_magic.errors import LoadError, UsageError
from s2s_magic.keeping.opening import read

pytestmark = pytest.mark.once

WORDS = "vocab: {source: texts, target: texts}\nembed: 3\nencoder: gru(4)\ndecoder: gru(4)\ntokens: word\ncode: keras\n"
TEXTS = ["one two three", "two three", "three one one", "four"] * 4


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a fitted model from a spec, and where it is saved."""
    model = fit(built(), "optimizer: adam(0.01)\nmetrics: accuracy\n")
    return model, s2s_magic.save(model, tmp_path_factory.mktemp("kept") / "m")


def test_a_built_model_predicts_and_decodes_as_before_to_the_bit(kept):
    model, folder = kept
    loaded = s2s_magic.load(folder)
    assert predictions(loaded).tobytes() == predictions(model).tobytes()
    assert values(loaded) == values(model)
    assert list(s2s_magic.decode(loaded, ROWS[:4])) == list(s2s_magic.decode(model, ROWS[:4]))
    assert (loaded.name, loaded.spec, loaded.spec_text, loaded.ids) == ("m", model.spec, SPEC, model.ids)


def test_history_evidence_and_verdicts_are_shown_as_before(kept):
    model, folder = kept
    loaded = s2s_magic.load(folder)
    assert loaded.evidence == model.evidence
    assert loaded.history == model.history
    assert {k: v.initial_norm for k, v in loaded.ledger.variables.items()} == {
        k: v.initial_norm for k, v in model.ledger.variables.items()
    }
    told = [
        {**each.to_dict(), "events": [], "layers": [], "variables": [], "models": [], "findings": []}
        for each in (loaded.ledger, model.ledger)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        (SPEC, "optimizer: adam(0.01)\nmetrics: accuracy\n"),
        (SPEC.replace("decoder: lstm(4)", "decoder: lstm(4, dropout=0.3)\ndropout: 0.2\nattention: luong(4)"), ""),
        (SPEC.replace("padding: 0\ncode: keras", "feeding: scheduled(0.5, linear)"), ""),
    ],
)
def test_a_fit_after_loading_goes_on_as_a_second_fit_does(tmp_path, spec, more):
    model = fit(built(spec), more)
    loaded = s2s_magic.load(s2s_magic.save(model, tmp_path / "m"))
    fit(model, more)
    fit(loaded, more)
    assert loaded.history == model.history
    assert values(loaded) == values(model)
    assert loaded.evidence.variables == model.evidence.variables
    assert [run.optimizer for run in loaded.evidence.runs] == [run.optimizer for run in model.evidence.runs]


@pytest.mark.parametrize("optimizer", ["sgd(0.1, momentum=0.9)", "rmsprop(0.01)", "nadam(0.01)"])
def test_every_optimizer_of_a_fit_keeps_its_state(tmp_path, optimizer):
    model = fit(built(), f"optimizer: {optimizer}\n")
    assert values(s2s_magic.load(s2s_magic.save(model, tmp_path / "m"))) == values(model)


TEXT_SPECS = {
    "subword(14, lowercase=true)": "noam(64, warmup=4)",
    "word(normalize=nfkc, min_count=2)": "linear(0.01, steps=9, warmup=2)",
}


@pytest.mark.parametrize("tokens", TEXT_SPECS)
def test_tokens_and_schedules_are_kept_and_the_next_fit_goes_on_as_before(tokens, tmp_path):
    spec = f"vocab: texts\ntokens: {tokens}\nembed: 3\nencoder: gru(4)\ndecoder: gru(4)\n"
    names = {"texts": TEXTS}
    body = f"source: texts\ntarget: texts\nseed: 1\noptimizer: adam({TEXT_SPECS[tokens]}, ema=0.9)"
    model = s2s_magic.build(spec, namespace=names)
    s2s_magic.fit(model, body, names, progress=quiet)
    loaded = s2s_magic.load(s2s_magic.save(model, tmp_path / "m"))
    assert loaded.tokenizers == model.tokenizers
    assert loaded.ids == model.ids
    assert s2s_magic.decode(loaded, TEXTS[:4]) == s2s_magic.decode(model, TEXTS[:4])
    for each in (model, loaded):
        s2s_magic.fit(each, body, names, progress=quiet)
    assert loaded.history == model.history


def test_a_model_that_began_with_word_vectors_is_loaded_without_their_file(tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("one 1 2 3\ntwo 4 5 6\n")
    spec = f"{WORDS.replace('{source: texts, target: texts}', 'texts')}init: {vectors}\n"
    model = s2s_magic.build(spec, namespace={"texts": TEXTS})
    folder = s2s_magic.save(model, tmp_path / "m")
    vectors.unlink()
    loaded = s2s_magic.load(folder)
    for one, other in zip(loaded.model.get_weights(), model.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_traced_model_is_loaded_onto_the_code_that_was_run_again(tmp_path):
    model = fit(fit(traced()))
    folder = s2s_magic.save(model, tmp_path / "m")
    assert s2s_magic.saved_code(folder) == model.source
    with pytest.raises(LoadError, match="its code is not run for you: run it with %%seq2seq trace m"):
        s2s_magic.load(folder)
    other = traced("other")
    assert other.layers.keys() != model.layers.keys(), "Keras numbers the names of layers that have none"
    assert s2s_magic.load(folder, onto=other) is other
    assert predictions(other).tobytes() == predictions(model).tobytes()
    fit(model)
    fit(other)
    assert other.history == model.history
    assert values(other) == values(model)
    measured = zip(model.evidence.variables.values(), other.evidence.variables.values(), strict=True)
    assert [one.verdict for one, _ in measured] == [two.verdict for two in other.evidence.variables.values()]


def test_what_does_not_fit_is_listed_and_nothing_is_changed(tmp_path):
    folder = s2s_magic.save(fit(traced()), tmp_path / "m")
    other = fit(traced("other", units=5))
    before = values(other), other.evidence, other.ids, other.fitted, other.model.optimizer
    with pytest.raises(LoadError) as caught:
        s2s_magic.load(folder, onto=other)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("does not fit other, which stays as it is; 11 differences:")
    assert "  words.embeddings" not in str(caught.value)
    assert re.search(r"^  dense\S*\.kernel is \(4, 9\) as saved, and \(5, 9\) in the model$", str(caught.value), re.M)
    assert (values(other), other.evidence, other.ids, other.fitted, other.model.optimizer) == before


def test_text_is_read_and_said_with_the_saved_vocabulary(tmp_path):
    model = s2s_magic.build(WORDS, name="m", namespace={"texts": TEXTS})
    s2s_magic.fit(model, "source: t\ntarget: t\nepochs: 1\nseed: 1\n", {"t": TEXTS}, progress=lambda _: None)
    loaded = s2s_magic.load(s2s_magic.save(model, tmp_path / "m"))
    assert loaded.tokenizers == model.tokenizers
    assert list(s2s_magic.decode(loaded, TEXTS[:3], max_length=3)) == list(
        s2s_magic.decode(model, TEXTS[:3], max_length=3)
    )
    for each in (model, loaded):
        s2s_magic.fit(each, "source: t\ntarget: t\nepochs: 1\nseed: 1\n", {"t": TEXTS}, progress=lambda _: None)
    assert loaded.history == model.history


def test_a_model_that_was_never_fitted_keeps_where_it_began(tmp_path):
    model = built()
    loaded = s2s_magic.load(s2s_magic.save(model, tmp_path / "m"))
    for each in (model, loaded):
        fit(each)
    assert loaded.evidence.variables == model.evidence.variables


def test_a_layer_frozen_since_stays_frozen(tmp_path):
    model = built()
    model.layers["encoder"].trainable = False
    model.model.compile(optimizer=model.model.optimizer, loss="sparse_categorical_crossentropy")
    fit(model)
    loaded = s2s_magic.load(s2s_magic.save(model, tmp_path / "m"))
    assert not loaded.layers["encoder"].trainable
    assert s2s_magic.handle.drift(loaded) == []
    for each in (model, loaded):
        fit(each)
    assert loaded.history == model.history


class Halving(keras.optimizers.SGD):
    """An optimizer that only its own code can make."""


def test_an_optimizer_that_only_code_can_make_is_told_and_the_weights_are_loaded(tmp_path):
    model = traced()
    model.model.compile(optimizer=Halving(0.1), loss="sparse_categorical_crossentropy")
    fit(model)
    folder, other, before = s2s_magic.save(model, tmp_path / "m"), traced("other"), values(model)
    with pytest.warns(
        UserWarning, match="the optimizer Halving of .* was not carried over: only the code that made it"
    ):
        s2s_magic.load(folder, onto=other)
    assert predictions(other).tobytes() == predictions(model).tobytes()
    compiled = traced("other")
    compiled.model.compile(optimizer=Halving(0.1), loss="sparse_categorical_crossentropy")
    s2s_magic.load(folder, onto=compiled)
    assert values(compiled) == before


def test_numbers_that_are_not_finite_are_kept(tmp_path):
    model = fit(built())
    model.evidence = model.evidence.model_copy(update={"history": {"val_loss": (float("inf"), None)}})
    model.ledger = model.ledger.with_training(model.evidence)
    assert s2s_magic.load(s2s_magic.save(model, tmp_path / "m")).history == {"val_loss": (float("inf"), None)}


def test_layers_that_compute_in_another_precision_are_refused(tmp_path):
    folder = s2s_magic.save(built(), tmp_path / "m")
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        with pytest.raises(LoadError, match=r"encoder.* computed in float32 as saved, and computes in float16"):
            s2s_magic.load(folder)
    finally:
        keras.mixed_precision.set_global_policy("float32")


SUBCLASS = """\
from tensorflow import keras
class Tagger(keras.Model):
    def __init__(self):
        super().__init__()
        self.words, self.said = keras.layers.Embedding(9, 3), keras.layers.Dense(9, activation="softmax")
    def call(self, ids):
        return self.said(self.words(ids))
model = Tagger()
"""


def test_a_model_without_variables_is_to_be_called_first(tmp_path):
    model, other = s2s_magic.trace(SUBCLASS, name="m"), s2s_magic.trace(SUBCLASS, name="other")
    model.model(np.array(ROWS))
    folder = s2s_magic.save(model, tmp_path / "m")
    with pytest.raises(LoadError, match="other has no variables yet: call its model once"):
        s2s_magic.load(folder, onto=other)
    other.model(np.array(ROWS))
    s2s_magic.load(folder, onto=other)
    assert values(other) == values(model)


VECTORIZED = """\
from tensorflow import keras
words = keras.layers.TextVectorization(vocabulary=WORDS, output_sequence_length=3)
texts = keras.Input([], dtype="string")
model = keras.Model(texts, keras.layers.Dense(3)(keras.layers.Embedding(9, 3)(words(texts))))
"""


def test_another_vocabulary_is_refused(tmp_path):
    model = s2s_magic.trace(VECTORIZED, {"WORDS": ["a", "b"]}, name="m")
    folder = s2s_magic.save(model, tmp_path / "m")
    with pytest.raises(LoadError, match="the vocabulary of words is another: 4 tokens, and 4 were saved"):
        s2s_magic.load(folder, onto=s2s_magic.trace(VECTORIZED, {"WORDS": ["b", "a"]}, name="other"))
    same = s2s_magic.trace(VECTORIZED, {"WORDS": ["a", "b"]}, name="other")
    assert values(s2s_magic.load(folder, onto=same)) == values(model)


def test_a_rate_that_falls_is_made_again(tmp_path):
    model = traced()
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model.model.compile(optimizer=keras.optimizers.SGD(rate, momentum=0.5), loss="sparse_categorical_crossentropy")
    fit(model)
    other = s2s_magic.load(s2s_magic.save(model, tmp_path / "m"), onto=traced("other"))
    for each in (model, other):
        fit(each)
    assert other.history == model.history


@pytest.mark.parametrize("written_by", ["keras2", "keras3"])
def test_a_model_that_another_keras_saved_is_loaded_with_its_optimizer(written_by, tmp_path):
    folder = KEPT / written_by
    loaded = s2s_magic.load(folder)
    assert np.allclose(predictions(loaded), np.load(KEPT / f"{written_by}.npy"), rtol=1e-5, atol=1e-6)
    assert int(loaded.model.optimizer.iterations) == 4
    state = backend.optimizer_state(loaded.model.optimizer, {"kernel": loaded.live.variables["v1"]})
    assert np.abs(state["momentums.kernel"].numpy()).sum() > 0
    saved = read(folder).ledger.training
    assert loaded.history == dict(saved.history)
    assert loaded.evidence.variables.keys() == saved.variables.keys()
    fit(loaded)
    assert len(loaded.history["loss"]) == 4
    again = s2s_magic.load(s2s_magic.save(loaded, tmp_path / "again"))
    assert values(again) == values(loaded)


def test_saving_again_replaces_the_folder_and_a_folder_of_others_is_not_lost(kept, tmp_path):
    model, folder = kept
    before = (folder / "model.json").stat().st_ino
    s2s_magic.save(model, folder)
    assert (folder / "model.json").stat().st_ino != before
    assert sorted(each.name for each in folder.parent.iterdir()) == ["m"]
    other = tmp_path / "notes"
    (other / "deep").mkdir(parents=True)
    (other / "deep" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="--overwrite moves it out of the way"):
        s2s_magic.save(model, other)
    with pytest.warns(UserWarning, match="notes.replaced now"):
        s2s_magic.save(model, other, overwrite=True)
    assert (tmp_path / "notes.replaced" / "deep" / "mine.txt").read_text() == "mine"
    (other / "more.txt").write_text("mine")
    with pytest.raises(UsageError, match="not written by"):
        s2s_magic.save(model, other)
    with pytest.raises(UsageError, match="works in"):
        s2s_magic.save(model, os.curdir, overwrite=True)


def test_an_interrupt_while_saving_leaves_the_old_folder_or_the_new_one(kept, tmp_path):
    from s2s_magic.files import write_folder

    folder = tmp_path / "m"
    names = ("model.json", "tensors.safetensors")

    def call(content=b'{"schema": "s2s_magic.new'):
        write_folder(folder, {name: lambda file: file.write_bytes(content) for name in names})

    call(b'{"schema": "s2s_magic.old')
    found = [place for place in places(call) if place.file in ("files.py", "undoing.py")]
    assert len(found) > 25
    for place in found:
        call(b'{"schema": "s2s_magic.old')
        outcome = interrupted(call, place)
        assert isinstance(outcome.raised, KeyboardInterrupt), place
        assert len({(folder / name).read_bytes() for name in names}) == 1, place
        assert [each.name for each in tmp_path.iterdir()] == ["m"], place


KILLED = """
import os, sys
from pathlib import Path
from s2s_magic import files
folder, moment = Path(sys.argv[1]), int(sys.argv[2])
content = sys.argv[3].encode()
count = 0
def traced(frame, event, argument):
    global count
    if frame.f_code.co_filename != files.__file__:
        return None
    if event == "line":
        count += 1
        if count == moment:
            os._exit(9)
    return traced
sys.settrace(traced)
files.write_folder(folder, {name: lambda file: file.write_bytes(content) for name in ("model.json", "t")})
"""


def test_a_process_killed_while_saving_leaves_a_whole_folder(tmp_path):
    def run(moment, content):
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / "m"), str(moment), content], check=False
        ).returncode

    assert run(0, '"schema": "s2s_magic.0') == 0
    code, moment = 9, 0
    while code == 9:
        moment += 5
        code = run(moment, f'"schema": "s2s_magic.{moment}')
        whole = [
            each.name
            for each in tmp_path.iterdir()
            if len({(each / name).read_bytes() for name in ("model.json", "t") if (each / name).exists()}) == 1
            and len(list(each.iterdir())) == 2
        ]
        assert whole, moment
    assert code == 0
    assert moment > 25


def test_a_folder_left_by_a_killed_save_is_named(kept, tmp_path):
    _, folder = kept
    (tmp_path / ".m.12345678.old").mkdir()
    for each in folder.iterdir():
        (tmp_path / ".m.12345678.old" / each.name).write_bytes(each.read_bytes())
    with pytest.raises(LoadError, match=r"a save that was cut off left \.m\.12345678\.old beside it"):
        s2s_magic.load(tmp_path / "m")
    assert s2s_magic.load(tmp_path / ".m.12345678.old").name == "m"


@pytest.mark.parametrize(
    ("word", "said"),
    [("mm", "no folder .*mm; did you mean 'm'"), ("m/model.json", "is no folder"), ("\0", "not the name of a folder")],
)
def test_a_folder_that_is_not_there_is_answered_with_the_nearest(kept, word, said):
    with pytest.raises(LoadError, match=said):
        s2s_magic.load(kept[1].parent / word)


def test_an_interrupt_while_loading_leaves_the_model_as_it_was_or_loads_it(tmp_path):
    other = fit(traced("other"), "optimizer: sgd(0.1)\n")
    own, folder = s2s_magic.save(other, tmp_path / "own"), s2s_magic.save(fit(traced()), tmp_path / "m")

    def state():
        return values(other), other.evidence, other.ids, type(other.model.optimizer)

    def call():
        s2s_magic.load(folder, onto=other)

    s2s_magic.load(own, onto=other)  # so that what is imported at the first use is not among the places
    before = state()
    found = [
        place for place in places(call, warm=False) if place.file in ("keeping/placing.py", "keeping/recompiling.py")
    ]
    after = state()
    assert before[0] != after[0]
    assert len(found) > 60
    for place in found[:: len(found) // 12]:
        s2s_magic.load(own, onto=other)
        outcome = interrupted(call, place)
        assert isinstance(outcome.raised, KeyboardInterrupt), place
        assert state() in (before, after), place


@pytest.fixture(scope="module")
def shell():
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(colors="nocolor")
    made.run_line_magic("load_ext", "s2s_magic")
    made.user_ns.update({name: np.array(rows) for name, rows in DATA.items()})
    yield made
    InteractiveShell.clear_instance()


def run(shell, cell):
    shell.run_cell(cell).raise_error()


def test_the_magics_save_and_load(shell, tmp_path, capsys):
    run(shell, f"%%seq2seq build one\n{SPEC}")
    run(shell, "%%seq2seq fit one\nsource: X\ntarget: Y\nepochs: 1")
    capsys.readouterr()
    run(shell, f"%seq2seq save one {tmp_path / 'one'}")
    assert capsys.readouterr().out == f"one is saved in {tmp_path / 'one'}\n"
    run(shell, f"%seq2seq load two {tmp_path / 'one'}")
    assert predictions(shell.user_ns["two"]).tobytes() == predictions(shell.user_ns["one"]).tobytes()
    assert "two: " in capsys.readouterr().out
    run(shell, f"%seq2seq load two {tmp_path / 'one'} --code")
    assert "vocab: 9" in capsys.readouterr().out
    run(shell, f"%%seq2seq trace three\n{CODE.format(embed=3, units=4)}")
    run(shell, f"%seq2seq save three {tmp_path / 'three'}")
    with pytest.raises(LoadError, match="run it with %%seq2seq trace four"):
        run(shell, f"%seq2seq load four {tmp_path / 'three'}")
    assert "four" not in shell.user_ns
    with pytest.raises(UsageError, match="a function, and would be lost"):
        run(shell, f"def five(): pass\n%seq2seq load five {tmp_path / 'one'}")


def test_the_names_of_saved_folders_are_completed(kept, monkeypatch):
    from s2s_magic.completion import candidates

    monkeypatch.chdir(kept[1].parent)
    assert candidates("%seq2seq load m ", dict) == ["m"]
    assert candidates("%seq2seq load m m --", dict) == ["--code", "--help"]


def test_a_document_is_json_that_says_what_wrote_it(kept):
    document = json.loads((kept[1] / "model.json").read_text())
    assert document["schema"] == "s2s_magic.kept/1"
    assert document["model"]["versions"]["keras"].startswith("3" if KERAS3 else "2")
