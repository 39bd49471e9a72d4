"""Exported models decode and train as the notebook's do, in processes that cannot import what they must not need."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from tensorflow import keras

import s2s_magic
from interrupting import interrupted, places
from plainly import quiet
from s2s_magic.errors import DecodeError, FitError, LookupFailed, SetupError, UsageError

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
BASE = "vocab: 12\nembed: 5\nstart: 1\nend: 2\nmax_length: 7\n"
ROWS = [numbers.integers(3, 12, numbers.integers(2, 8)).tolist() for _ in range(200)]
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
TEXTS = [" ".join(numbers.choice(WORDS, numbers.integers(1, 6))) for _ in range(40)]
NAMES = {"X": ROWS[:40], "Y": [row[::-1] for row in ROWS[:40]], "T": TEXTS, "U": [t[::-1] for t in TEXTS]}
NAMES["F"] = [(row * 4)[:4] for row in NAMES["X"]]

# runs programs, where the imports of some packages fail, and prints a list of the lines of each
RUNNER = """\
import contextlib, io, json, os, runpy, sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
found = []
for program, arguments in json.load(sys.stdin):
    os.chdir(os.path.dirname(program))
    sys.argv[:] = [program, *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        made = runpy.run_path(program, run_name="__main__")
        if "history" in made:
            values = {name: list(map(float, values)) for name, values in made["history"].history.items()}
            values["weights"] = [float(abs(weight).sum()) for weight in made["model"].get_weights()]
            print(json.dumps(values))
    found.append(printed.getvalue().splitlines())
print(json.dumps(found))
"""


def run_all(programs, without="s2s_magic"):
    """Run programs with their arguments in another process, and return the lines that each prints."""
    given = json.dumps([[str(program), [*map(as_text, rows)]] for program, rows in programs])
    command = [sys.executable, "-c", RUNNER, without]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def run(program, rows, without="s2s_magic"):
    return run_all([(program, rows)], without)[0]


def as_text(row):
    return row if isinstance(row, str) else " ".join(map(str, row))


def built(body, seed=7):
    """Return a model whose weights are large, so that it says something."""
    keras.utils.set_random_seed(seed)
    model = s2s_magic.build(BASE + body, name="m")
    model.model.set_weights([3 * weight for weight in model.model.get_weights()])
    return model


def traced(code, name="m"):
    keras.utils.set_random_seed(3)
    model = s2s_magic.trace(
        f"from tensorflow import keras\nimport tensorflow as tf\nL = keras.layers\n{code}", name=name
    )
    model.model.set_weights([3 * weight for weight in model.model.get_weights()])
    return model


PADDED = "encoder: gru(6)\ndecoder: gru(6)\npadding: 0\n"
BUILT = {
    "lstm": "encoder: lstm(6)\ndecoder: lstm(6)\n",
    "stacked": "encoder: 2 * gru(6)\ndecoder: 2 * gru(6)\nresidual: true\nlayer_norm: true\ndropout: 0.1\n",
    "bidirectional": "encoder: bidirectional(gru(6))\ndecoder: lstm(8)\nbridge: dense\npadding: 0\n",
    "keras": f"{PADDED}code: keras\n",
    "luong": f"{PADDED}attention: luong(6, scale=true)\n",
    "bahdanau": f"{PADDED}attention: bahdanau(6)\n",
    "fed": f"{PADDED}attention: bahdanau(6, normalize=true)\ninput_feeding: true\n",
    "fed monotonic": "encoder: lstm(6)\ndecoder: lstm(6)\nattention: luong(6)\ninput_feeding: true\nmonotonic: true\n",
    "fed from zeros": "encoder: gru(6, dropout=0.2)\ndecoder: 2 * gru(6, dropout=0.2)\nbridge: zero\n"
    "attention: luong(6)\ninput_feeding: true\ndropout: 0.1\n",
    "scheduled": "encoder: gru(6)\ndecoder: gru(6)\nfeeding: scheduled(0.25, linear, steps=10)\n",
    "tied": "encoder: gru(5)\ndecoder: gru(5)\ntie_output: true\n",
}


@pytest.mark.parametrize("kind", BUILT)
def test_onnx_gives_the_ids_of_decode_on_200_inputs_without_tensorflow(kind, tmp_path):
    model = built(BUILT[kind])
    s2s_magic.export(model, onnx=tmp_path / "m")
    wanted = s2s_magic.decode(model, ROWS)
    assert len({as_text(row) for row in wanted}) > 5
    found = run(tmp_path / "m/decode.py", ROWS, without="tensorflow,keras,s2s_magic")
    assert found == wanted.text


ONE_HOT = """\
given, wanted = keras.Input([None, 12]), keras.Input([None, 12])
read, *states = L.LSTM(6, return_state=True)(given)
said = L.LSTM(6, return_sequences=True)(wanted, initial_state=states)
model = keras.Model([given, wanted], L.Dense(12, activation="softmax")(said))
"""
ATTENTIVE = """\
given, wanted = keras.Input([None], dtype="int32"), keras.Input([None])
words = L.Embedding(12, 6, mask_zero=True)
outputs, state = L.GRU(6, return_sequences=True, return_state=True)(words(given))
said = L.GRU(6, return_sequences=True)(words(wanted), initial_state=state)
seen = L.MultiHeadAttention(2, 3)(said, outputs)
model = keras.Model([given, wanted], L.Dense(12)(L.Add()([said, seen])))
"""
PAIR = """\
given, wanted = keras.Input([5], dtype="int32"), keras.Input([None], dtype="int32")
words, reader = L.Embedding(12, 4), L.LSTM(6, return_state=True)
writer, scorer = L.LSTM(6, return_sequences=True, return_state=True), L.Dense(12, activation="softmax")
_, *states = reader(words(given))
model = keras.Model([given, wanted], scorer(writer(words(wanted), initial_state=states)[0]))
encoder = keras.Model(given, states)
h, c, last = keras.Input([6]), keras.Input([6]), keras.Input([1])
said, *after = writer(words(last), initial_state=[h, c])
decoder = keras.Model([last, h, c], [scorer(said), *after])
"""
FOUR = [(row * 4)[:4] for row in ROWS[:20]]
FIVE = [(row * 5)[:5] for row in ROWS[:40]]


TRACED = {ONE_HOT: ROWS[:40], ATTENTIVE: ROWS[:40], PAIR: FIVE}
ENDS = {"max_length": 6, "start": 1, "end": 2}


@pytest.mark.parametrize("code", TRACED)
def test_traced_models_are_exported_as_onnx_with_the_ids_of_decode(code, tmp_path):
    model, rows = traced(code), TRACED[code]
    wanted = s2s_magic.decode(model, rows, **ENDS).text
    s2s_magic.export(model, onnx=tmp_path / "m", **ENDS)
    assert run(tmp_path / "m/decode.py", rows, without="tensorflow,keras,s2s_magic") == wanted
    assert len(set(wanted)) > 2


AT_ONCE = """\
given = keras.Input([4], dtype="int32")
said = L.LSTM(5, return_sequences=True)(L.RepeatVector(3)(L.LSTM(5)(L.Embedding(12, 4)(given))))
model = keras.Model(given, L.Dense(12, activation="softmax")(said))
"""


def test_saved_models_give_the_ids_of_decode_on_200_inputs(tmp_path):
    models = [(built(BUILT[kind]), ROWS, {}) for kind in ("lstm", "bahdanau", "fed", "scheduled")]
    models += [(traced(code), rows, ENDS) for code, rows in TRACED.items()]
    models += [(traced(AT_ONCE), FOUR, {})]
    wanted = [s2s_magic.decode(model, rows, **ends).text for model, rows, ends in models]
    for number, (model, _, ends) in enumerate(models):
        s2s_magic.export(model, savedmodel=tmp_path / str(number), **ends)
    programs = [(tmp_path / str(number) / "decode.py", rows) for number, (_, rows, _) in enumerate(models)]
    assert run_all(programs, without="s2s_magic,keras") == wanted


def test_what_has_no_decoder_step_is_refused_as_onnx(tmp_path):
    with pytest.raises(SetupError, match=r"m is decoded at once .*: --savedmodel exports it as it is"):
        s2s_magic.export(traced(AT_ONCE), onnx=tmp_path / "m")


TOKENS = {"char": "char(lowercase=true, normalize=nfkc)", "word": "word", "subword": "subword(24)"}


@pytest.fixture(scope="module")
def texts():
    """Return fitted models over texts, by their tokens."""
    return {kind: fitted_on_texts(tokens) for kind, tokens in TOKENS.items()}


def fitted_on_texts(tokens):
    spec = "vocab: {source: T, target: U}\nembed: 6\nencoder: gru(8)\ndecoder: gru(8)\ncode: keras\n"
    keras.utils.set_random_seed(7)
    model = s2s_magic.build(f"{spec}tokens: {tokens}\n", name="m", namespace=NAMES)
    body = (
        "source: T\ntarget: U\nepochs: 2\nbatch: 8\nshuffle: false\nseed: 7\nmetrics: accuracy\noptimizer: adam(0.03)"
    )
    return s2s_magic.fit(model, body, NAMES, progress=quiet)


@pytest.mark.parametrize(("kind", "without"), [("onnx", "tensorflow,keras,s2s_magic"), ("savedmodel", "s2s_magic")])
def test_texts_are_read_and_written_as_by_decode(texts, kind, without, tmp_path):
    given = [*TEXTS[:5], "Ångström ẞ 😀", "ALPHA  beta", "ﬁ ℡ x"]
    for tokens, model in texts.items():
        s2s_magic.export(model, **{kind: tmp_path / tokens})
    programs = [(tmp_path / tokens / "decode.py", given) for tokens in texts]
    assert run_all(programs, without) == [s2s_magic.decode(model, given).text for model in texts.values()]


def test_a_decoding_program_is_about_30_lines_beside_its_docstrings(texts, tmp_path):
    sizes = {}
    for tokens, model in {"ids": built(BUILT["lstm"]), **texts}.items():
        s2s_magic.export(model, onnx=tmp_path / tokens)
        lines = [line.strip() for line in (tmp_path / tokens / "decode.py").read_text("utf-8").splitlines()]
        sizes[tokens] = len([line for line in lines if line and not line.startswith('"""')])
    assert sizes["ids"] <= 30
    assert max(sizes.values()) <= 36, sizes


def write_program(model, folder, **rows):
    """Export a model's program, and write the rows that it reads beside it."""
    folder.mkdir(exist_ok=True)
    for name, each in rows.items():
        (folder / f"{name.replace('_', '-')}.txt").write_text("\n".join(map(as_text, each)) + "\n", "utf-8")
    return s2s_magic.export(model, script=folder / "train.py", overwrite=True)


def check_programs(programs):
    """Compare what programs print, and their histories, with those of the models."""
    found = run_all([(program, given) for _, program, given in programs])
    for (model, program, given), (*printed, history) in zip(programs, found, strict=True):
        assert printed[-len(given) :] == s2s_magic.decode(model, given).text, program
        values = json.loads(history)
        weights = [abs(weight).sum() for weight in model.model.get_weights()]
        np.testing.assert_allclose(values["weights"], weights, rtol=1e-4, atol=1e-4, err_msg=str(program))
        named = [name for name in values if name in model.history]
        assert "loss" in named
        for name in named:
            np.testing.assert_allclose(values[name], model.history[name], atol=1e-5, err_msg=f"{program} {name}")


FITS = {
    "encoder: lstm(6)\ndecoder: lstm(6)\ncode: keras\n": "source: F\ntarget: Y\n"
    "optimizer: adam(noam(8, warmup=3), clipnorm=1.0, ema=0.9)",
    f"{PADDED}attention: luong(6)\nlabel_smoothing: 0.1\n": "source: X\ntarget: Y\nvalidation: 0.2\npatience: 2\n"
    "optimizer: sgd(cosine(9.0, steps=9, warmup=2), momentum=0.9)\n"
    "metrics: [sparse_top_k_categorical_accuracy]",
    f"{PADDED}code: keras\n": "source: X\ntarget: Y\nvalidation: [X, Y]\nbatch: 9\noptimizer: rmsprop(plateau(0.01))",
}


def test_programs_have_the_losses_of_the_fits_and_decode_as_the_models(texts, tmp_path):
    programs = []
    for number, (spec, body) in enumerate(FITS.items()):
        keras.utils.set_random_seed(7)
        model = s2s_magic.build(BASE + spec, name="m")
        s2s_magic.fit(model, f"{body}\nepochs: 3\nseed: 7\nshuffle: false", NAMES, progress=quiet)
        source = NAMES["F" if "source: F" in body else "X"]
        held = {"held_source": NAMES["X"], "held_target": NAMES["Y"]}
        written = write_program(model, tmp_path / str(number), source=source, target=NAMES["Y"], **held)
        programs.append((model, written, source[:3]))
    for tokens, model in texts.items():
        written = write_program(model, tmp_path / tokens, source=NAMES["T"], target=NAMES["U"])
        programs.append((model, written, [*TEXTS[:4], "Ångström x"]))
    check_programs(programs)


def test_a_program_of_a_model_with_word_vectors_for_each_side_has_its_tokens_twice(tmp_path):
    (tmp_path / "vectors.txt").write_text("alpha 1 2 3 4 5\nahpla 5 4 3 2 1\n", "utf-8")
    spec = (
        "vocab: {source: T, target: U}\ntokens: word\ninit: vectors.txt\nembed: 5\nencoder: gru(6)\ndecoder: gru(6)\n"
    )
    keras.utils.set_random_seed(7)
    model = s2s_magic.build(
        spec.replace("vectors.txt", str(tmp_path / "vectors.txt")) + "code: keras\n", namespace=NAMES
    )
    s2s_magic.fit(model, "source: T\ntarget: U\nseed: 7\nshuffle: false", NAMES, progress=quiet)
    program = write_program(model, tmp_path, source=NAMES["T"], target=NAMES["U"])
    check_programs([(model, program, NAMES["T"][:2])])


def test_programs_read_the_files_that_the_fit_named_and_have_settings_of_other_cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = NAMES["F"]
    space = {"units": 6, "deep": (12, 4), "rows": rows}
    code = ATTENTIVE.replace("Embedding(12, 6", "Embedding(deep[0], units").replace("GRU(6", "GRU(units")
    keras.utils.set_random_seed(7)
    model = s2s_magic.trace(f"from tensorflow import keras\nL = keras.layers\n{code}", space, name="m")
    s2s_magic.fit(model, "source: rows\ntarget: rows\nepochs: 2\nseed: 7\nshuffle: false", space, progress=quiet)
    program = write_program(model, tmp_path / "traced", source=rows, target=rows)
    assert "deep = (12, 4)\nunits = 6\n" in program.read_text()

    lines = ["one,two", *(f'"{as_text(row)}",{as_text(row[::-1])}' for row in rows)]
    Path("pairs.csv").write_text("\n".join(lines))
    keras.utils.set_random_seed(7)
    spec = "vocab: T\nembed: 4\nencoder: gru(5)\ndecoder: gru(5)\ntokens: word\ncode: keras\n"
    texts = s2s_magic.build(spec, namespace={"T": [*map(as_text, rows)]}, name="m")
    body = 'source: ./pairs.csv["one"]\ntarget: ./pairs.csv["two"]\nseed: 7\nshuffle: false'
    s2s_magic.fit(texts, body, {}, progress=quiet)
    written = s2s_magic.export(texts, script="train.py")
    check_programs([(model, program, rows[:3]), (texts, written, ["4 5", "7"])])


def test_a_program_is_refused_in_one_line_where_it_could_not_stand_alone(tmp_path):
    target = tmp_path / "train.py"
    model = built(f"{PADDED}attention: luong(6)\ninput_feeding: true\n")
    with pytest.raises(FitError, match="m has not been fitted since it was made or loaded"):
        s2s_magic.export(model, script=target)
    s2s_magic.fit(model, "source: X\ntarget: Y", NAMES, progress=quiet)
    with pytest.raises(SetupError, match=r"uses s2s_magic.addons.*'code: keras'"):
        s2s_magic.export(model, script=target)
    model = built(f"{PADDED}code: keras\n")
    s2s_magic.fit(model, "source: X\ntarget: Y\nclass_weights: {3: 2.0}", NAMES, progress=quiet)
    with pytest.raises(FitError, match="has the key 'class_weights'"):
        s2s_magic.export(model, script=target)
    s2s_magic.fit(model, "source: X\ntarget: Y\npatience: 2\noptimizer: adam(0.1, ema=0.9)", NAMES, progress=quiet)
    with pytest.raises(FitError, match="has both patience and ema"):
        s2s_magic.export(model, script=target)
    space = {"Words": keras.layers.Embedding, "rows": np.array(NAMES["F"])}
    code = ATTENTIVE.replace("L.Embedding", "Words")
    model = s2s_magic.trace(f"from tensorflow import keras\nL = keras.layers\n{code}", space, name="m")
    s2s_magic.fit(model, "source: rows\ntarget: rows", space, progress=quiet)
    with pytest.raises(SetupError, match="takes Words from another cell, a type"):
        s2s_magic.export(model, script=target)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_is_neither_overwritten_nor_removed(tmp_path):
    model = built(BUILT["lstm"])
    (tmp_path / "file").write_text("mine")
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    for target, said in (("file", "is no folder"), ("other", "was not written by s2s_magic")):
        with pytest.raises(UsageError, match=said):
            s2s_magic.export(model, onnx=tmp_path / target)
    with pytest.warns(UserWarning, match=r"what was in .*other is in .*other\.replaced now"):
        s2s_magic.export(model, savedmodel=other, overwrite=True)
    assert (tmp_path / "other.replaced/notes.txt").read_text() == "mine"
    s2s_magic.export(model, savedmodel=other)  # ours: the same files, folders within it too
    (other / "variables/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="was not written by s2s_magic"):
        s2s_magic.export(model, savedmodel=other)
    with pytest.raises(LookupFailed, match="cannot be written"):
        s2s_magic.export(model, onnx="/proc/exported")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "other", "other.replaced"]


def test_an_edited_program_is_replaced_only_when_told_to(tmp_path):
    model = built(f"{PADDED}code: keras\n")
    s2s_magic.fit(model, "source: X\ntarget: Y", NAMES, progress=quiet)
    path = s2s_magic.export(model, script=tmp_path / "train.py")
    path.write_text("edited")
    with pytest.raises(UsageError, match="may have been edited: --overwrite replaces it"):
        s2s_magic.export(model, script=path)
    s2s_magic.export(model, script=path, overwrite=True)
    assert "keras" in path.read_text()


def test_targets_and_models_are_checked(tmp_path):
    model = built(BUILT["lstm"])
    with pytest.raises(UsageError, match=r"one thing at a time.*got none"):
        s2s_magic.export(model)
    with pytest.raises(UsageError, match="got --onnx and --savedmodel"):
        s2s_magic.export(model, onnx="a", savedmodel="b")
    with pytest.raises(DecodeError, match="max_length is 0"):
        s2s_magic.export(model, onnx=tmp_path / "m", max_length=0)
    with pytest.raises(LookupFailed, match="no model"):
        s2s_magic.export(model, onnx=tmp_path / "m", which="mdoel")
    texts = s2s_magic.build("vocab: 30\nembed: 4\nencoder: gru(5)\ndecoder: gru(5)\ntokens: char\n")
    with pytest.raises(DecodeError, match="before the first fit, which counts the vocabulary"):
        s2s_magic.export(texts, onnx=tmp_path / "m")
    numeric = traced(
        ONE_HOT.replace("keras.Input([None, 12]), ", "keras.Input([12]), ").replace(
            "L.LSTM(6, return_state=True)(given)", "[given, L.Dense(6)(given), L.Dense(6)(given)]"
        )
    )
    with pytest.raises(SetupError, match="reads numbers of shape"):
        s2s_magic.export(numeric, onnx=tmp_path / "m")
    none = s2s_magic.trace("from tensorflow import keras\nx = keras.layers.Dense(2)(keras.Input([3]))")
    with pytest.raises(FitError, match="has no model to export"):
        s2s_magic.export(none, onnx=tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["tf2onnx", "onnxruntime"])
def test_a_missing_converter_is_named_with_what_installs_it(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SetupError, match=rf'{package} is missing: pip install "s2s_magic\[export\]"'):
        s2s_magic.export(built(BUILT["lstm"]), onnx=tmp_path / "m")


def test_an_interrupt_leaves_nothing_half_written(tmp_path):
    model, target = built(BUILT["lstm"]), tmp_path / "m"

    def export():
        return s2s_magic.export(model, onnx=target)

    export()
    whole = {"encoder.onnx", "decoder_step.onnx", "tokens.json", "decode.py"}
    found = [
        place
        for place in places(export, hits=1, warm=False)
        if place.file.startswith(("exports", "exporting", "files"))
    ]
    for place in found[:: max(1, len(found) // 6)]:
        outcome = interrupted(export, place, KeyboardInterrupt)
        assert outcome.reached, place
        assert isinstance(outcome.raised, KeyboardInterrupt), place
        assert [each.name for each in tmp_path.iterdir()] == ["m"], place
        assert {each.name for each in target.iterdir()} == whole, place


def test_any_name_of_a_model_is_written_down_safely(tmp_path):
    model = built(f"{PADDED}code: keras\n")
    model.name = 'it\'s """ a\n\\name'
    s2s_magic.fit(model, "source: X\ntarget: Y\nepochs: 1\nseed: 1\nshuffle: false", NAMES, progress=quiet)
    s2s_magic.export(model, script=tmp_path / "train.py")
    compile((tmp_path / "train.py").read_text(), "train.py", "exec")
    s2s_magic.export(model, onnx=tmp_path / "é 1")
    empty = subprocess.run(
        [sys.executable, tmp_path / "é 1/decode.py", " "], capture_output=True, text=True, check=False
    )
    assert (empty.returncode, empty.stderr) == (1, "' ' has nothing to read\n")
    assert run(tmp_path / "é 1/decode.py", [[4, 5]]) == s2s_magic.decode(model, [[4, 5]]).text


def test_the_example_exports_in_three_ways(tmp_path):
    examples = Path(__file__).parents[1] / "examples"
    for name, *options in (("make_dates.py", "--rows", "100"), ("export_dates.py", "--epochs", "1")):
        subprocess.run([sys.executable, examples / name, *options], cwd=tmp_path, check=True, capture_output=True)
    for folder in ("dates_onnx", "dates_saved"):
        (said,) = run(tmp_path / "data" / folder / "decode.py", ["July 14, 1789"])
        assert len(said) <= 11
    compile((tmp_path / "data/train_dates.py").read_text("utf-8"), "train_dates.py", "exec")


def test_the_magic_exports_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    shell.user_ns["exported_model"] = built(BUILT["lstm"])
    shell.run_line_magic("seq2seq", "export exported_model --onnx out --max-length 3")
    assert f"exported_model is exported to {tmp_path / 'out'}" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/tokens.json").read_text())["longest"] == 3
    with pytest.raises(UsageError, match="--savedmodel"):
        shell.run_line_magic("seq2seq", "export exported_model --savedmodle out")
    with pytest.raises(LookupFailed, match="exported_model"):
        shell.run_line_magic("seq2seq", "export exported_modle --onnx out2")
    del shell.user_ns["exported_model"]
