"""Models whose loss is their own: a fit without a target is Keras's, and one that needs it says so."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from plainly import assert_close, plain, quiet, traced, trained_state
from s2s_magic import api
from s2s_magic.errors import DataError, SpecError

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
IDS, OTHERS = numbers.integers(1, 20, size=(48, 6)), numbers.integers(1, 20, size=(48, 6))
WAVES = numbers.normal(size=(48, 6)).astype("float32")
UNEVEN = [row[: 2 + n % 5].tolist() for n, row in enumerate(IDS)]
NAMES = {"X": IDS, "Y": OTHERS, "W": WAVES, "U": UNEVEN}

ADDED = """
class Nearness(L.Layer):
    def call(self, read, wanted):
        self.add_loss(tf.reduce_mean((read - wanted) ** 2))
        return read
other = keras.Input([6], dtype="int32", name="other")
emb = L.Embedding(20, 4)
read = L.LSTM(4, return_sequences=True)(emb(x))
model = keras.Model([x, other], Nearness()(read, emb(other)))
model.compile("adam")
"""
ONE_INPUT = """
class Small(L.Layer):
    def call(self, read):
        self.add_loss(tf.reduce_mean(read ** 2))
        return read
ids = keras.Input([None], dtype="int32", name="ids")
model = keras.Model(ids, Small()(L.LSTM(4, return_sequences=True)(L.Embedding(20, 4)(ids))))
model.compile(keras.optimizers.Adam(0.01))
"""
OWN_STEP = """
class Auto(keras.Model):
    def __init__(self):
        super().__init__()
        self.code, self.back = L.Dense(3, activation="tanh"), L.Dense(6)
        self.mean = keras.metrics.Mean(name="distance")
    def call(self, waves):
        return self.back(self.code(waves))
    @property
    def metrics(self):
        return [self.mean]
    def train_step(self, waves):
        assert tf.is_tensor(waves)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((waves - self(waves, training=True)) ** 2)
        found = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(found, self.trainable_variables))
        self.mean.update_state(loss)
        return {"distance": self.mean.result()}
    def test_step(self, waves):
        self.mean.update_state(tf.reduce_mean((waves - self(waves)) ** 2))
        return {"distance": self.mean.result()}
model = Auto()
model(tf.zeros([1, 6]))
model.compile("adam")
"""
OWN_LOSS = """
class Auto(keras.Model):
    def __init__(self):
        super().__init__()
        self.code, self.back = L.Dense(3, activation="tanh"), L.Dense(6)
    def call(self, waves):
        return self.back(self.code(waves))
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return tf.reduce_mean((x - y_pred) ** 2)
model = Auto()
model(tf.zeros([1, 6]))
model.compile("adam")
"""
NO_CALL = """
judge = keras.Sequential([keras.Input([6]), L.Dense(4, activation="tanh"), L.Dense(1)], name="judge")
maker = keras.Sequential([keras.Input([2]), L.Dense(4, activation="tanh"), L.Dense(6)], name="maker")
class Contest(keras.Model):
    def __init__(self, judge, maker):
        super().__init__()
        self.judge, self.maker = judge, maker
        self.judged, self.made = keras.metrics.Mean(name="judged"), keras.metrics.Mean(name="made")
    def compile(self, of_judge, of_maker):
        super().compile()
        self.of_judge, self.of_maker = of_judge, of_maker
    @property
    def metrics(self):
        return [self.judged, self.made]
    def train_step(self, waves):
        with tf.GradientTape(persistent=True) as tape:
            false = self.maker(tf.random.normal([tf.shape(waves)[0], 2]))
            judged = tf.reduce_mean(tf.nn.softplus(self.judge(false)) + tf.nn.softplus(-self.judge(waves)))
            made = tf.reduce_mean(tf.nn.softplus(-self.judge(false)))
        for loss, part, optimizer in ((judged, self.judge, self.of_judge), (made, self.maker, self.of_maker)):
            found = tape.gradient(loss, part.trainable_variables)
            optimizer.apply_gradients(zip(found, part.trainable_variables))
        self.judged.update_state(judged)
        self.made.update_state(made)
        return {"judged": self.judged.result(), "made": self.made.result()}
model = Contest(judge, maker)
model.compile(keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.003))
"""
CASES = {
    "added, two inputs": (ADDED, "inputs: [X, Y]", (IDS, OTHERS)),
    "added, one input": (ONE_INPUT, "source: X", IDS),
    "a step of its own": (OWN_STEP, "source: W", WAVES),
    "a loss of its own": (OWN_LOSS, "source: W", WAVES),
    "no call, two optimizers": (NO_CALL, "source: W", WAVES),
}


@pytest.mark.parametrize(("accelerate", "validation"), [("on", 0.25), ("off", 0)])
@pytest.mark.parametrize("case", CASES)
def test_it_is_fitted_as_keras_fits_it(case, accelerate, validation):
    code, body, given = CASES[case]
    validation = 0 if "no call" in case else validation
    ours, theirs = traced(code), plain(code)
    body += f"\nepochs: 2\nbatch: 8\naccelerate: {accelerate}\n"
    keras.utils.set_random_seed(3)
    for _ in range(2):
        api.fit(ours, body + (f"validation: {validation}\n" if validation else ""), NAMES, progress=quiet)
    keras.utils.set_random_seed(3)
    history = {}
    for _ in range(2):
        fit = theirs.fit(given, batch_size=8, epochs=2, validation_split=validation, verbose=0)
        for name, values in fit.history.items():
            history.setdefault(name, []).extend(values)
    assert set(ours.history) == set(history)
    for name, values in history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-5, atol=1e-7, err_msg=name)
    assert_close(trained_state(ours.model), trained_state(theirs))
    verdicts = {seen.verdict for seen in ours.ledger.training.variables.values()}
    assert verdicts - {"own update"} == {"trained"}  # on Keras 2 a metric's variables are the model's


class InBatches(keras.utils.Sequence):
    """The same rows as ``W``."""

    def __len__(self):
        return 6

    def __getitem__(self, number):
        return WAVES[8 * number : 8 * number + 8]


@pytest.mark.parametrize(
    ("code", "batches"),
    [
        (OWN_STEP, lambda: tf.data.Dataset.from_tensor_slices(WAVES).batch(8)),
        (OWN_LOSS, lambda: tf.data.Dataset.from_tensor_slices((WAVES,)).batch(8)),
        (OWN_LOSS.replace("model(tf.zeros([1, 6]))\n", ""), lambda: tf.data.Dataset.from_tensor_slices(WAVES).batch(8)),
        (OWN_LOSS, InBatches),
        (ADDED, lambda: tf.data.Dataset.from_tensor_slices(((IDS, OTHERS),)).batch(8)),
    ],
)
def test_batches_of_inputs_alone_are_fitted_as_keras_fits_them(code, batches):
    ours, theirs = traced(code), plain(code)
    keras.utils.set_random_seed(3)
    api.fit(ours, "data: D\nepochs: 2\n", {"D": batches()}, progress=quiet)
    keras.utils.set_random_seed(3)
    history = theirs.fit(batches(), epochs=2, verbose=0).history
    assert set(ours.history) == set(history)
    for name, values in history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-5, err_msg=name)
    assert_close(trained_state(ours.model), trained_state(theirs))


def test_of_several_optimizers_those_that_made_updates_are_named():
    model = traced(NO_CALL)
    api.fit(model, "source: W\nbatch: 8\n", NAMES, progress=quiet)
    assert model.ledger.training.runs[0].optimizer == "SGD(0.1) and Adam(0.003)"


def test_rows_that_differ_in_length_need_no_target_either():
    model = traced(ONE_INPUT)
    api.fit(model, "source: U\nepochs: 2\nbatch: 8\n", NAMES, progress=quiet)
    assert model.history["loss"][1] < model.history["loss"][0]
    assert {seen.verdict for seen in model.ledger.training.variables.values()} == {"trained"}


@pytest.mark.parametrize(
    ("code", "body", "error", "words"),
    [
        (ADDED.replace('"adam"', '"adam", "mse"'), "inputs: [X, Y]", SpecError, "line 1, .* 'target' is missing"),
        (ADDED, "inputs: [X, Y]\nloss: mean_squared_error", DataError, "the key 'target' is missing"),
        (ADDED, "inputs: [X, Y]\nweights: W", DataError, "line 2, column 10: 'weights' weigh a target, and none is"),
        (ADDED, "inputs: [X, Y]\nclass_weights: {1: 2.0}", DataError, "'class_weights' weigh a target"),
        (ADDED, "inputs: [X, E]", DataError, "E for other has 5 rows, and X 48"),
        (OWN_STEP, "source: nothing", DataError, "there is no variable 'nothing'"),
    ],
)
def test_what_cannot_be_is_refused(code, body, error, words):
    model = traced(code)
    with pytest.raises(error, match=words):
        api.fit(model, body, {**NAMES, "E": IDS[:5]}, progress=quiet)
    assert not model.history


def test_a_model_that_compares_nothing_is_fitted_with_a_target_too():
    ours, theirs = traced(ADDED), plain(ADDED)
    keras.utils.set_random_seed(3)
    api.fit(ours, "inputs: [X, Y]\ntarget: Y\nbatch: 8\n", NAMES, progress=quiet)
    keras.utils.set_random_seed(3)
    history = theirs.fit((IDS, OTHERS), OTHERS, batch_size=8, verbose=0).history
    np.testing.assert_allclose(ours.history["loss"], history["loss"], rtol=1e-5)
    assert ours.ledger.training.runs[0].accelerated["loss"] == "the model was compiled without one"
