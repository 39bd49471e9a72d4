"""A fit that saves itself goes on, after whatever ended it, as if nothing had."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import s2s_magic
from s2s_magic import api, backend
from s2s_magic.errors import DataError, FitError, LoadError, SpecError
from s2s_magic.keeping.checkpoints import checkpoints_in

pytestmark = pytest.mark.once

PROJECT = Path(__file__).parent.parent
SPEC = "vocab: 12\nembed: 4\nencoder: lstm(6, dropout=0.2)\ndecoder: lstm(6, dropout=0.3)\ndropout: 0.1\n"
PADDED = (
    "vocab: 12\nembed: 4\nencoder: gru(6, dropout=0.2)\ndecoder: gru(6)\nattention: luong(6)\n"
    + "padding: 0\nstart: 1\n"
)
ALWAYS = "minutes: 0.0000001, keep: 1000"
DRAWN = np.random.default_rng(5)
ROWS = [DRAWN.integers(2, 12, 5).tolist() for _ in range(22)]
LENGTHS = [DRAWN.integers(2, 12, DRAWN.integers(2, 7)).tolist() for _ in range(22)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def quiet(progress):
    pass


def fitted(spec, body, rows=ROWS, model=None):
    model = model or api.build(spec, name="m")
    names = {"X": rows, "Y": [row[::-1] for row in rows], "D": dataset(rows)}
    return api.fit(model, body, names, progress=quiet)


def dataset(rows):
    ids = tf.constant([row[:2] for row in rows])
    return tf.data.Dataset.from_tensor_slices(((ids, ids), ids)).batch(8)


def state(model):
    return [each.numpy() for each in (*model.model.variables, *backend.optimizer_variables(model.model))]


def evidence(model):
    found = model.evidence.model_dump()
    return {**found, "runs": [{**run, "seconds": 0} for run in found["runs"]]}


def assert_same(one, other):
    assert one.history == other.history
    assert evidence(one) == evidence(other)
    for mine, theirs in zip(state(one), state(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


BODIES = {
    "rows of one length": (SPEC, "source: X\ntarget: Y\nbatch: 8\nepochs: 2\nvalidation: 0.2\n", ROWS),
    "plateau": (
        SPEC,
        "source: X\ntarget: Y\nbatch: 8\nepochs: 3\nmetrics: [accuracy]\n"
        "optimizer: sgd(plateau(1e-9, factor=0.1, patience=1))\n",
        ROWS,
    ),
    "rows of many lengths, the best epoch, averages": (
        PADDED,
        "source: X\ntarget: Y\nbatch: 8\nepochs: 3\nvalidation: [X, Y]\npatience: 1\naverage: last(2)\n",
        LENGTHS,
    ),
    "moving averages, accumulation": (
        PADDED,
        "source: X\ntarget: Y\nbatch: 4\nepochs: 2\naccumulate: 2\noptimizer: adam(cosine(1e-2, steps=9), ema=0.9)\n",
        LENGTHS,
    ),
    "max_tokens": (PADDED, "source: X\ntarget: Y\nmax_tokens: 40\nepochs: 2\nseed: 3\naccelerate: off\n", LENGTHS),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_fit_goes_on_from_each_of_its_steps_as_if_it_had_never_ended(here, what):
    spec, body, rows = BODIES[what]
    whole = fitted(spec, f"{body}checkpoint: {{folder: whole, {ALWAYS}}}", rows)
    checkpoints = checkpoints_in(here / "whole")
    assert len(checkpoints) > 3
    for steps, path in list(checkpoints.items())[1::3]:
        shutil.copytree(path, here / str(steps) / path.name)
        resumed = fitted(spec, f"{body}resume: ./{steps}", rows)
        assert_same(resumed, whole)


def test_a_fit_on_streamed_files_goes_on_within_an_epoch(here):
    (here / "source.txt").write_text("".join(f"{'abcdefgh'[: n % 7 + 1]}\n" for n in range(40)))
    (here / "target.txt").write_text("".join(f"{'hgfedcba'[: n % 5 + 1]}\n" for n in range(40)))
    spec = "vocab: 20\ntokens: char\nembed: 4\nencoder: gru(6, dropout=0.2)\ndecoder: gru(6)\n"
    body = "source: ./source.txt\ntarget: ./target.txt\nstreaming: true\nbatch: 8\nepochs: 2\n"
    whole = fitted(spec, f"{body}checkpoint: {{folder: whole, {ALWAYS}}}")
    path = checkpoints_in(here / "whole")[7]
    shutil.copytree(path, here / "cut" / path.name)
    assert_same(fitted(spec, f"{body}resume: cut"), whole)


CODE = """\
import numpy as np
from tensorflow import keras
keras.utils.set_random_seed(1)
numbers = np.random.default_rng(0)
X = numbers.integers(1, 12, size=(60, 5))
Y = X[:, ::-1]
encoder_inputs, decoder_inputs = keras.Input([None], dtype="int32"), keras.Input([None], dtype="int32")
embedding = keras.layers.Embedding(12, 4)
encoder = keras.layers.LSTM(6, dropout=0.2, return_state=True)
decoder = keras.layers.LSTM(6, dropout=0.3, return_sequences=True)
_, *states = encoder(embedding(encoder_inputs))
decoded = decoder(embedding(decoder_inputs), initial_state=states)
head = keras.layers.Dense(12, activation="softmax")
model = keras.Model([encoder_inputs, decoder_inputs], head(keras.layers.Dropout(0.1)(decoded)))
model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
"""
JOB = """\
trace: network.py
fit:
  source: X
  target: Y
  batch: 8
  epochs: 25
  seed: 7
  validation: 0.2
  patience: 24
  checkpoint: {folder: FOLDER, minutes: 0.0000001}
  resume: FOLDER
save: kept_FOLDER
"""


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_never_was(here):
    (here / "network.py").write_text(CODE)
    kills = int(os.environ.get("S2S_MAGIC_KILLS", "3"))
    seed = random.SystemRandom().randrange(10**6)
    print(f"delays of the kills are drawn from {seed}")
    drawn = random.Random(seed)
    for folder in ("whole", "killed"):
        (here / f"{folder}.yaml").write_text(JOB.replace("FOLDER", folder))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def started(folder):
        command = [sys.executable, "-m", "s2s_magic", "run", f"{folder}.yaml"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    whole = started("whole")
    assert whole.wait(300) == 0, whole.stderr.read()
    steps = 0
    for _ in range(kills):
        running = started("killed")
        before = steps
        while steps == before and running.poll() is None:
            steps = max(checkpoints_in(here / "killed"), default=0)
        try:
            running.wait(drawn.uniform(0, 0.4))
        except subprocess.TimeoutExpired:
            running.kill()
        running.wait(60)
        steps = max(checkpoints_in(here / "killed"), default=0)
        assert steps > before
    last = started("killed")
    assert last.wait(300) == 0, last.stderr.read()
    one, other = (s2s_magic.load(here / f"kept_{folder}", onto=api.trace(CODE, {})) for folder in ("whole", "killed"))
    assert_same(other, one)
    assert len(checkpoints_in(here / "killed")) <= 4
    assert not [each for each in (here / "killed").iterdir() if each.name.startswith(".")]


def test_the_last_checkpoints_are_kept_and_that_of_the_best_epoch(here):
    body = "source: X\ntarget: Y\nbatch: 8\nepochs: 6\nseed: 1\noptimizer: sgd(0.5)\nvalidation: [X, Y]\n"
    model = fitted(SPEC, f"{body}checkpoint: {{folder: runs, keep: 2}}")
    best = 3 * (1 + int(np.argmin(model.history["val_loss"])))
    assert set(checkpoints_in(here / "runs")) == {15, 18, best}


def test_a_checkpoint_is_a_saved_model(here):
    model = fitted(SPEC, "source: X\ntarget: Y\nepochs: 2\ncheckpoint: runs")
    loaded = s2s_magic.load(next(iter(checkpoints_in(here / "runs").values())))
    assert loaded.history == model.history
    assert s2s_magic.decode(loaded, [[3, 4, 5]]) == s2s_magic.decode(model, [[3, 4, 5]])


def test_an_interrupted_fit_is_saved_after_its_step(here):
    model = api.build(SPEC, name="m")
    body = "source: X\ntarget: Y\nbatch: 2\nepochs: 3\nseed: 4\n"

    def interrupt(progress):
        if progress.step == 0 and progress.state == "running":
            os.kill(os.getpid(), signal.SIGINT)

    names = {"X": ROWS, "Y": ROWS}
    with pytest.raises(KeyboardInterrupt):
        api.fit(model, f"{body}checkpoint: {{folder: runs, epochs: 3}}\n", names, progress=interrupt)
    assert list(checkpoints_in(here / "runs")) == [1]
    resumed = api.fit(api.build(SPEC, name="m"), f"{body}resume: runs", names, progress=quiet)
    whole = api.fit(api.build(SPEC, name="m"), f"{body}checkpoint: other", names, progress=quiet)
    assert resumed.evidence.runs[0].steps == whole.evidence.runs[0].steps == 33


def test_more_epochs_go_on_from_the_end_and_the_same_ones_change_nothing(here):
    body = "source: X\ntarget: Y\nbatch: 8\n"
    six = fitted(SPEC, f"{body}epochs: 4\ncheckpoint: {{folder: six, {ALWAYS}}}\nseed: 2")
    three = fitted(SPEC, f"{body}epochs: 2\ncheckpoint: {{folder: three, {ALWAYS}}}\nseed: 2")
    assert three.history["loss"] != six.history["loss"][:2]  # other weights to begin with
    again = fitted(SPEC, f"{body}epochs: 2\nresume: three\n")
    assert_same(again, three)
    more = fitted(SPEC, f"{body}epochs: 3\nresume: three\ncheckpoint: three")
    assert more.history["loss"][:2] == three.history["loss"]
    assert len(more.history["loss"]) == 3
    assert max(checkpoints_in(here / "three")) == 9


def test_earlier_fits_stay_in_the_evidence(here):
    model = fitted(SPEC, "source: X\ntarget: Y\nepochs: 2\nseed: 1")
    body = "source: X\ntarget: Y\nbatch: 8\n"
    whole = fitted(SPEC, f"{body}seed: 1\ncheckpoint: {{folder: runs, {ALWAYS}}}", model=model)
    assert len(whole.evidence.runs) == 2
    shutil.rmtree(here / "runs" / "step-000000003")
    resumed = fitted(SPEC, f"{body}resume: runs")
    assert_same(resumed, whole)


def test_a_dataset_is_saved_between_its_epochs(here):
    spec = "vocab: 12\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\ncode: keras\n"
    whole = fitted(spec, f"data: D\nepochs: 3\ncheckpoint: {{folder: runs, {ALWAYS}}}")
    assert set(checkpoints_in(here / "runs")) == {3, 6, 9}
    shutil.rmtree(here / "runs" / "step-000000009")
    assert_same(fitted(spec, "data: D\nepochs: 3\nresume: runs"), whole)


@pytest.mark.parametrize(
    ("body", "rows", "kind", "said"),
    [
        ("epochs: 3\nresume: rnus", ROWS, DataError, "line 4, column 9: no folder rnus; did you mean 'runs'?"),
        ("resume: empty", ROWS, DataError, "empty has no checkpoints: expected a folder that 'checkpoint' named"),
        ("resume: runs/step-000000001", ROWS, DataError, "is one checkpoint: name the folder that it is in"),
        ("epochs: 2\nbatch: 5\nresume: runs", ROWS, FitError, "batch was not given, and is 5 now"),
        ("epochs: 2\nseed: 9\nresume: runs", ROWS, FitError, "seed was 1, and is 9 now"),
        ("resume: runs", ROWS, FitError, "2 epochs are done, and the body has 1"),
        ("epochs: 2\nresume: runs", ROWS[1:], FitError, "its data were others"),
        (
            "epochs: 2\ncheckpoint: runs",
            ROWS,
            DataError,
            "runs has checkpoints of an earlier fit: 'resume: ",
        ),
        ("checkpoint: a_file", ROWS, DataError, "a_file is no folder"),
    ],
)
def test_what_cannot_go_on_is_told_and_leaves_the_model_as_it_was(here, body, rows, kind, said):
    fitted(SPEC, "source: X\ntarget: Y\nepochs: 2\nseed: 1\ncheckpoint: runs")
    (here / "empty").mkdir()
    (here / "a_file").write_text("")
    model = fitted(SPEC, "source: X\ntarget: Y")
    before, told = state(model), evidence(model)
    with pytest.raises(kind) as error:
        fitted(SPEC, f"source: X\ntarget: Y\n{body}", rows, model)
    assert said in str(error.value)
    assert evidence(model) == told
    for mine, theirs in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_checkpoint_of_another_model_is_refused_with_the_differences(here):
    fitted(SPEC, "source: X\ntarget: Y\ncheckpoint: runs")
    with pytest.raises(LoadError, match="does not fit m, which stays as it is"):
        fitted(SPEC.replace("(6", "(7"), "source: X\ntarget: Y\nresume: runs")


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(here):
    whole = fitted(SPEC, "source: X\ntarget: Y\nepochs: 2\ncheckpoint: runs")
    path = here / "runs" / "step-000000002" / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match="the one before is tried"):
        resumed = fitted(SPEC, "source: X\ntarget: Y\nepochs: 2\nresume: runs")
    assert_same(resumed, whole)


def test_what_killed_writers_left_is_removed_and_nothing_else(here):
    fitted(SPEC, "source: X\ntarget: Y\ncheckpoint: runs")
    for name in (".step-000000009.0123abcd.tmp", "step-000000007", "mine", ".step-000000009.0123abcd.tmp2"):
        (here / "runs" / name).mkdir()
    (here / "runs" / "step-000000007" / "model.json").write_text("{}")
    fitted(SPEC, "source: X\ntarget: Y\nepochs: 2\nresume: runs\ncheckpoint: runs")
    left = {".step-000000009.0123abcd.tmp2", "mine", "step-000000001", "step-000000002"}
    assert {each.name for each in (here / "runs").iterdir()} == left


def test_draws_whose_state_cannot_be_stored_are_told(here):
    code = """
from tensorflow import keras
import tensorflow as tf
x = keras.Input([5], dtype="int32")
class Noise(keras.layers.Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x))
hidden = Noise()(keras.layers.Embedding(12, 3)(x))
model = keras.Model(x, keras.layers.Dense(12, "softmax")(hidden))
model.compile("adam", "sparse_categorical_crossentropy")
"""
    model = api.trace(code, name="m")
    with pytest.warns(UserWarning, match="draws random numbers by RandomStandardNormal, whose state"):
        fitted(None, "source: X\ntarget: X\ncheckpoint: runs", model=model)


def test_a_fit_that_is_not_saved_draws_as_before(here):
    body = "source: X\ntarget: Y\nbatch: 8\nepochs: 2\nseed: 3"
    tf.keras.utils.set_random_seed(1)
    one = fitted(SPEC, body)
    first = fitted(SPEC, f"{body}\ncheckpoint: runs")
    tf.keras.utils.set_random_seed(1)
    other = fitted(SPEC, body)
    assert one.history == other.history
    assert len(first.history["loss"]) == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{folder: runs, minutes: 0}", "expected a number above 0"),
        ("{folder: runs, epochs: no}", "expected"),
        ("{minutes: 5}", "'folder' is missing"),
        ("{folder: runs, kep: 3}", "did you mean 'keep'"),
        ("[runs]", "expected a text"),
    ],
)
def test_faults_of_a_checkpoint_have_their_places(value, said):
    with pytest.raises(SpecError) as error:
        s2s_magic.spec.parse_fit(f"source: X\ntarget: Y\ncheckpoint: {value}")
    assert said in str(error.value)
