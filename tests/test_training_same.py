"""A fit is ``Model.fit`` plus evidence: the same numbers in two successive fits, however the model was compiled."""

import gc
import inspect
import random

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras
from tensorflow.python.eager import context

from kerases import KERAS3, only_keras2
from plainly import COMPILED, NAMES, TAGGER, X, Y, assert_close, assert_fits_alike, plain, quiet, traced, trained_state
from s2s_magic import api

if KERAS3:
    from keras.src.backend.common import global_state
else:
    from s2s_magic.backend.keras2.private import private

pytestmark = pytest.mark.once

LOSS = "sparse_categorical_crossentropy"
DROPPED = TAGGER.replace("head(lstm(emb(x)))", "head(L.Dropout(0.4)(lstm(emb(x))))")
STATEFUL = 'x = keras.Input(batch_shape=[16, 6], dtype="int32")\n' + TAGGER.replace(
    "return_sequences=True", "return_sequences=True, stateful=True"
).replace("head(lstm(emb(x)))", "head(lstm(emb(x)) + lstm(emb(x)))")
REPLACED_CALL = TAGGER.replace(
    "model =", "old = lstm.call\nlstm.call = lambda *args, **kwargs: 2.0 * old(*args, **kwargs)\nmodel ="
)
SHARING = TAGGER.replace(
    "head(lstm(emb(x)))", "head(L.BatchNormalization()(L.Dropout(0.4)(lstm(emb(x)) + lstm(emb(x)))))"
)
"""A layer that is called twice, among layers that draw random numbers or keep moving averages."""
SCALED = """\
apply = model.optimizer.apply_gradients
model.optimizer.apply_gradients = lambda pairs, *args, **kwargs: apply(
    [(0.5 * tf.convert_to_tensor(g), v) for g, v in pairs], *args, **kwargs)
"""
MULTI = f"""\
import tensorflow_addons as tfa
{TAGGER}
pairs = [(keras.optimizers.legacy.Adam(1e-2), [emb, lstm]), (keras.optimizers.legacy.SGD(0.5), head)]
model.compile(tfa.optimizers.MultiOptimizer(pairs), "{LOSS}")
"""
LOOP = """\
class Loop(L.Layer):
    def __init__(self):
        super().__init__()
        self.cell = L.LSTMCell(8, dropout=0.5, recurrent_dropout=0.3)

    def build(self, shape):
        self.cell.build((shape[0], shape[-1]))
        super().build(shape)

    def call(self, x, training=None):
        FORGET
        state, outputs = [x[:, 0] * 0, x[:, 0] * 0], []
        for step in range(6):
            output, state = self.cell(x[:, step], state, training=training)
            outputs.append(output)
        return K.stack(outputs, 1)
loop = Loop()
"""
"""A layer that runs a cell by itself; the cell keeps its dropout masks until it is told to forget them."""
FORGET = "self.cell.reset_dropout_mask(); self.cell.reset_recurrent_dropout_mask()"
OWN_STEP = """\
class Own(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = 0.5 * self.compiled_loss(y, self(x, training=True))
        pairs = zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.optimizer.apply_gradients(pairs)
        return {"loss": loss, "twice": 2.0 * loss}
"""


def compiling(optimizer="'adam'", **settings):
    given = "".join(f", {name}={value!r}" for name, value in settings.items())
    return f"model.compile({optimizer}, '{LOSS}'{given})\n"


@pytest.mark.parametrize(
    ("code", "body", "compiled"),
    [
        pytest.param(TAGGER + compiling(metrics=["accuracy"]), "", None, id="as compiled"),
        pytest.param(TAGGER + COMPILED, "metrics: [accuracy]", {"metrics": ["accuracy"]}, id="a metric of the body"),
        pytest.param(
            TAGGER + compiling(loss_weights=[0.25]), "optimizer: sgd(0.5)", {"loss_weights": [0.25]}, id="loss weights"
        ),
        pytest.param(
            TAGGER + compiling(loss_weights=[0.25]),
            "metrics: [accuracy]",
            {"loss_weights": [0.25], "metrics": ["accuracy"]},
            id="loss weights and a metric of the body",
        ),
        pytest.param(
            TAGGER + compiling(steps_per_execution=3, weighted_metrics=["accuracy"]),
            "optimizer: sgd(0.5)",
            {"steps_per_execution": 3, "weighted_metrics": ["accuracy"]},
            id="steps per execution",
        ),
        pytest.param(
            TAGGER + compiling(weighted_metrics=["accuracy"]),
            "metrics: [sparse_top_k_categorical_accuracy]",
            {"metrics": ["sparse_top_k_categorical_accuracy"], "weighted_metrics": ["accuracy"]},
            id="weighted metrics beside those of the body",
        ),
        pytest.param(TAGGER + compiling(run_eagerly=True), "optimizer: sgd(0.5)", {"run_eagerly": True}, id="eagerly"),
        pytest.param(DROPPED + COMPILED, "", None, id="dropout and shuffling"),
        pytest.param(STATEFUL + COMPILED, "", None, id="stateful, called twice"),
        pytest.param(SHARING + compiling(metrics=["accuracy"]), "", None, id="called twice among dropout and averages"),
        pytest.param(MULTI, "", None, id="MultiOptimizer", marks=only_keras2("it has no legacy optimizers")),
        pytest.param(
            TAGGER + compiling("keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)"), "", None, id="EMA"
        ),
        pytest.param(OWN_STEP + TAGGER.replace("keras.Model(x", "Own(x") + COMPILED, "", None, id="an own step"),
    ],
)
def test_a_fit_gives_the_numbers_of_model_fit(code, body, compiled):
    ours = assert_fits_alike(
        code, body, accelerate="on", compiled=lambda model: compiled and as_the_body_asks(model, body, compiled)
    )
    assert {run.optimizer for run in ours.evidence.runs} == {shown(ours.model.optimizer)}


def shown(optimizer):
    """Return an optimizer's name and, if it has one, its learning rate."""
    rate = getattr(optimizer, "learning_rate", None)
    return f"{type(optimizer).__name__}({'' if rate is None else f'{float(rate):g}'})"


def as_the_body_asks(model, body, settings):
    optimizer = keras.optimizers.SGD(0.5) if "sgd" in body else "adam"
    model.compile(optimizer, LOSS, **settings)


@pytest.mark.parametrize("accelerate", ["on", "off"])
@pytest.mark.parametrize(
    "code", [REPLACED_CALL + COMPILED, TAGGER + COMPILED + SCALED], ids=["call", "apply_gradients"]
)
def test_methods_that_the_user_replaced_are_trained_with(code, accelerate):
    assert_fits_alike(code, accelerate=accelerate)


STATIC = {
    "Lambda": "head(L.Lambda(lambda a: a * (1.0 / a.shape[1]))(lstm(emb(x))))",
    "Conv1D, Flatten, Reshape": "head(L.Reshape([6, 2])(L.Dense(12)(L.Flatten()(L.Conv1D(4, 3)(lstm(emb(x)))))))",
}
"""Outputs of the tagger that need the number of steps."""


@pytest.mark.parametrize("end", STATIC)
@pytest.mark.parametrize(("layer", "accelerate"), [("unroll=True", "off"), ("return_state=False", "on")])
def test_rows_of_one_length_keep_their_shape(end, layer, accelerate):
    code = TAGGER.replace("return_sequences=True", f"return_sequences=True, {layer}")
    assert_fits_alike(code.replace("head(lstm(emb(x)))", STATIC[end]) + COMPILED, accelerate=accelerate)


@pytest.mark.parametrize(
    ("code", "between"),
    [
        (TAGGER + COMPILED + "lstm.trainable = False\n", None),
        (TAGGER + "lstm.trainable = False\n" + COMPILED + "lstm.trainable = True\n", None),
        (TAGGER + COMPILED, lambda model: setattr(model.layers[2], "trainable", False)),
    ],
    ids=["frozen after compile", "unfrozen after compile", "frozen between two fits"],
)
def test_what_is_trained_is_what_compile_saw(code, between):
    ours = assert_fits_alike(code, accelerate="on", between=between)
    ours.model.fit(X, Y, verbose=0)  # the user's own fit works, too


def test_masks_and_states_from_elsewhere_and_rows_that_are_padding_alone():
    code = """\
emb = L.Embedding(20, 8, mask_zero=True)
vectors = emb(x)
lstm = L.LSTM(8, return_sequences=True)
state = L.Lambda(lambda v: tf.reduce_mean(v, 1))(vectors)
gru = L.GRU(8, return_sequences=True)
model = keras.Model(x, L.Dense(20, activation="softmax")(gru(lstm(vectors, initial_state=[state, state]))))
"""
    lengths = np.random.default_rng(3).integers(0, 7, (64, 1))
    names = {"X": np.where(np.arange(6) < lengths, X, 0), "Y": Y}
    assert (lengths == 0).any()
    for accelerate in ("on", "off"):
        assert_fits_alike(code + COMPILED, accelerate=accelerate, names=names)


def state_of_keras():
    """Return the state from which Keras draws the seeds of layers and calls without one."""
    if KERAS3:
        generator = global_state.get_global_attribute("global_seed_generator")
        return global_state.get_global_attribute("global_random_seed"), generator and generator.state.numpy().tolist()
    generator = vars(private("backend")._SEED_GENERATOR).get("generator")
    return generator and generator.getstate()


def test_a_seed_does_what_set_random_seed_does_and_all_random_states_are_put_back():
    ours, theirs = traced(DROPPED + COMPILED), plain(DROPPED + COMPILED)

    def states():
        eager = context.context()
        return (
            random.getstate(),
            np.random.get_state()[1].tolist(),
            (eager._seed, eager._rng.getstate()),
            state_of_keras(),
        )

    before = states()
    api.fit(ours, "source: X\ntarget: Y\nbatch: 16\nepochs: 2\nseed: 42", NAMES, progress=quiet)
    assert states() == before
    keras.utils.set_random_seed(42)
    theirs.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert_close(trained_state(ours.model), trained_state(theirs))


@pytest.mark.parametrize(("accelerate", "body"), [("on", ""), ("off", "optimizer: sgd(0.5)")])
def test_xla_trains_as_keras_does(accelerate, body):
    def compiled(model):
        model.compile(keras.optimizers.SGD(0.5) if body else "adam", LOSS, jit_compile=True)

    code = TAGGER + compiling(jit_compile=True)
    ours = assert_fits_alike(code, body, accelerate=accelerate, compiled=compiled, fits=1, epochs=1)
    assert ours.model.jit_compile
    assert any("XLA" in said for said in ours.evidence.runs[0].accelerated.values()) is (accelerate == "on")


def test_what_xla_cannot_compile_is_said_in_one_line_and_trained_without_it():
    by_numpy = "tf.ensure_shape(tf.numpy_function(lambda v: v, [a], tf.float32), a.shape)"
    through_numpy = f"L.Lambda(lambda a: {by_numpy}, name='odd')"
    code = TAGGER.replace("head(lstm(emb(x)))", f"head(lstm(emb(x))) + 0.0 * {through_numpy}(head(lstm(emb(x))))")
    ours, theirs = traced(code + compiling(jit_compile=True)), plain(code + COMPILED)
    body = "source: X\ntarget: Y\nbatch: 16\nshuffle: false"
    with pytest.warns(UserWarning, match=r"XLA cannot compile \w+ in odd: trained without it"):
        api.fit(ours, body, NAMES, progress=quiet)
    api.fit(ours, body, NAMES, progress=quiet)
    theirs.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    assert ours.model.jit_compile, "the model stays compiled as it was"
    assert_close(trained_state(ours.model), trained_state(theirs))
    assert all("XLA cannot compile" in run.accelerated["step"] for run in ours.evidence.runs)


def test_half_precision_with_a_scaled_loss_trains_as_keras_does():
    half = "keras.mixed_precision.set_global_policy('mixed_float16')\n"
    try:
        twice = TAGGER.replace("head(lstm(emb(x)))", "head(lstm(emb(x)) + lstm(emb(x)))")
        ours = assert_fits_alike(half + twice + COMPILED, close=1e-3)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert ours.evidence.runs[-1].optimizer == "Adam(0.001)"
    assert [share.share for share in ours.evidence.by_call] == pytest.approx([0.5] * 8, rel=1e-2)
    assert all(variable.verdict == "trained" for variable in ours.evidence.variables.values())


def times_traced(step):
    """Return how often TensorFlow traced a step, which with Keras 3 is a plain function around what it traces."""
    inner = [step, *inspect.getclosurevars(inspect.unwrap(step)).nonlocals.values()] if KERAS3 else [step]
    return sum(
        each.experimental_get_tracing_count()
        for each in inner
        if isinstance(each, tf.types.experimental.GenericFunction)
    )


def test_many_fits_keep_one_graph_and_trace_nothing_anew():
    model = traced(TAGGER + COMPILED)
    body = "source: X\ntarget: Y\nbatch: 64"

    def graphs():
        gc.collect()
        return sum(isinstance(value, tf.Graph) for value in gc.get_objects())

    for _ in range(2):
        api.fit(model, body, NAMES, progress=quiet)
    step = model.steps.traces["train_function"]
    before, traced_before = graphs(), times_traced(step)
    assert traced_before > 0
    for _ in range(10):
        api.fit(model, body, NAMES, progress=quiet)
    assert graphs() == before
    assert model.steps.traces["train_function"] is step
    assert times_traced(step) == traced_before
    counts = []
    for _ in range(3):
        for each in (body.replace("64", "32"), body + "\nepochs: 2\nvalidation: 0.5"):
            api.fit(model, each, NAMES, progress=quiet)
        counts.append(graphs())
    assert counts[1:] == counts[:1] * 2, "fits that differ in size, length and validation"


@pytest.mark.parametrize("forget", [FORGET, *([] if KERAS3 else ["pass"])])  # Keras 3 traces such a cell once alone
def test_cells_keep_no_dropout_of_what_a_fit_measures(forget):
    """The shares of calls are measured by running the model as it is, with a batch of the fit."""
    code = LOOP.replace("FORGET", forget).replace("K.stack", "keras.ops.stack" if KERAS3 else "tf.stack")
    code += TAGGER.replace("head(lstm(emb(x)))", "head(loop(emb(x)) + L.Dense(8)(emb(x)))") + COMPILED
    model = assert_fits_alike(code, between=lambda model: model(X[:1]))
    before = [id(value) for name, value in vars(model.namespace["loop"].cell).items() if "dropout_mask" in name]
    for rows in (16, 5):  # beside the one row of the calls between
        names = {"X": X[: 2 * rows], "Y": Y[: 2 * rows]}
        api.fit(model, f"source: X\ntarget: Y\nbatch: {rows}\naccelerate: off\n", names, progress=quiet)
        assert len(model.evidence.by_call) == 2
        assert np.asarray(model.model(X[:1])).shape == (1, 6, 20)
    after = [id(value) for name, value in vars(model.namespace["loop"].cell).items() if "dropout_mask" in name]
    assert KERAS3 or after == before
