"""Learning rates that change during a fit: by the formulas of their papers, and as plain Keras trains with them."""

import math

import numpy as np
import pytest
from tensorflow import keras

from plainly import NAMES, TAGGER, X, Y, assert_fits_alike, quiet, traced
from s2s_magic import api
from s2s_magic.errors import SpecError
from s2s_magic.spec import parse_fit
from s2s_magic.training.schedules import schedule_of

pytestmark = pytest.mark.once

CODE = TAGGER + 'model.compile("adam", "sparse_categorical_crossentropy")\n'
STEPS = (0, 1, 2, 3, 4, 7, 10, 50)


def schedule(written):
    return parse_fit(f"source: X\ntarget: Y\noptimizer: adam({written})").schedule


def clipped(step, warmup, steps):
    return min(max(step - warmup, 0) / steps, 1)


FORMULAS = {
    "constant(0.1, warmup=4)": lambda t: 0.1 * min((t + 1) / 4, 1),
    "linear(0.1, steps=8)": lambda t: 0.1 * (1 - clipped(t, 0, 8)),
    "linear(0.1, steps=8, warmup=4, end=0.02)": lambda t: (
        0.1 * (t + 1) / 4 if t < 4 else 0.02 + 0.08 * (1 - clipped(t, 4, 8))
    ),
    "cosine(0.1, steps=8, warmup=2)": lambda t: (
        0.1 * (t + 1) / 2 if t < 2 else 0.05 * (1 + math.cos(math.pi * clipped(t, 2, 8)))
    ),
    "cosine(0.1, steps=8, end=0.01)": lambda t: 0.01 + 0.045 * (1 + math.cos(math.pi * clipped(t, 0, 8))),
    "exponential(0.1, steps=5)": lambda t: 0.1 * 0.5 ** (t / 5),
    "exponential(0.1, steps=5, factor=0.1, warmup=3)": lambda t: (
        0.1 * (t + 1) / 3 if t < 3 else 0.1 * 0.1 ** ((t - 3) / 5)
    ),
    "inverse_sqrt(0.1, warmup=4)": lambda t: 0.1 * min((t + 1) / 4, math.sqrt(4 / (t + 1))),
    "noam(512, warmup=4)": lambda t: 512**-0.5 * min((t + 1) ** -0.5, (t + 1) * 4**-1.5),
    "noam(512, warmup=4, factor=2)": lambda t: 2 * 512**-0.5 * min((t + 1) ** -0.5, (t + 1) * 4**-1.5),
}


@pytest.mark.parametrize("written", FORMULAS)
def test_a_rate_follows_its_formula(written):
    rate = schedule_of(schedule(written))
    wanted = [FORMULAS[written](step) for step in STEPS]
    np.testing.assert_allclose([float(rate(step)) for step in STEPS], wanted, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("written", FORMULAS)
def test_a_schedule_is_saved_and_loaded_with_its_optimizer(written):
    made = schedule_of(schedule(written))
    optimizer = keras.optimizers.Adam(made)
    rate = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(made))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert [float(rate(step)) for step in STEPS] == [float(made(step)) for step in STEPS]
    assert again.get_config() == optimizer.get_config()


class Recording(keras.callbacks.Callback):
    """Adds to Keras's own history what a formula gives for the last step of each epoch."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = self.formula(int(self.model.optimizer.iterations) - 1)


@pytest.mark.parametrize("accelerate", ["on", "off"])
@pytest.mark.parametrize("written", ["cosine(0.1, steps=8, warmup=2)", "noam(512, warmup=4)"])
def test_two_fits_with_a_schedule_are_those_of_keras_with_it(written, accelerate):
    def compiled(model):
        model.compile(keras.optimizers.Adam(schedule_of(schedule(written))), "sparse_categorical_crossentropy")

    ours = assert_fits_alike(
        CODE,
        f"optimizer: adam({written})",
        accelerate=accelerate,
        compiled=compiled,
        callbacks=[Recording(FORMULAS[written])],
    )
    kind = written.partition("(")[0]
    assert ours.evidence.runs[-1].optimizer.startswith(f"Adam({kind}(")


def test_moving_averages_are_those_of_keras():
    def compiled(model):
        model.compile(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9), "sparse_categorical_crossentropy")

    assert_fits_alike(CODE, "optimizer: sgd(0.5, ema=0.9)", compiled=compiled)


class Lowering(keras.callbacks.Callback):
    """Records the rate of each epoch before a plateau lowers it, which Keras does after this callback."""

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def test_a_rate_is_lowered_on_a_plateau_as_by_keras_and_stays_so_in_the_next_fit():
    """The loss hardly moves at this rate, so the plateau comes at once."""
    by_keras = {}

    def compiled(model):
        model.compile(keras.optimizers.SGD(1e-9), "sparse_categorical_crossentropy")
        by_keras["model"] = model

    lowering = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=1)
    ours = traced(CODE)
    body = "source: X\ntarget: Y\nbatch: 64\nepochs: 4\noptimizer: sgd(plateau(1e-9, factor=0.1, patience=1))"
    api.fit(ours, body, NAMES, progress=quiet)
    optimizer = ours.model.optimizer
    theirs = traced(CODE).model
    compiled(theirs)
    callbacks = [Lowering(), lowering]
    history = theirs.fit(X, Y, batch_size=64, epochs=4, verbose=0, callbacks=callbacks).history["learning_rate"]
    np.testing.assert_allclose(ours.history["learning_rate"], history)
    assert history[-1] < history[0]
    lowered = float(optimizer.learning_rate)
    api.fit(ours, body.replace("epochs: 4", "epochs: 1"), NAMES, progress=quiet)
    assert ours.model.optimizer is optimizer
    assert ours.history["learning_rate"][-1] == pytest.approx(lowered)


def test_a_rate_that_a_model_was_compiled_with_adds_nothing_to_the_history():
    code = TAGGER + (
        "rate = keras.optimizers.schedules.CosineDecay(0.01, 10)\n"
        'model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")\n'
    )
    assert set(assert_fits_alike(code).history) == {"loss"}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("cosin(1e-3, steps=10)", "line 3, column 17: unknown kind 'cosin'; did you mean 'cosine'?"),
        ("cosine(1e-3)", "cosine needs steps, as in cosine(1e-3, steps=10000)"),
        ("cosine", "cosine needs rate and steps"),
        ("noam(512)", "noam needs warmup, as in noam(512, warmup=4000)"),
        ("linear(1e-3, steps=0)", "expected a whole number from 1 to 10,000,000, got '0'"),
        ("linear(1e-3, steps=10, end=0.5)", "linear ends at 0.5: expected less than its rate, 0.001"),
        ("plateau(1e-3, factor=1)", "expected a number above 0 and below 1, got '1'"),
        ("plateau(1e-3, wait=3)", "plateau has no setting 'wait'"),
        ("noam(512, 4000)", "noam takes further settings by name, such as noam(..., warmup=...)"),
        ("__import__('os')", "unknown kind '__import__'"),
        ("x", "unknown kind 'x'"),
        ("cosine(cosine(1e-3, steps=1), steps=1)", "expected a number above 0"),
        ("-1", "expected a number above 0"),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_place(written, said):
    with pytest.raises(SpecError) as refused:
        parse_fit(f"source: X\ntarget: Y\noptimizer: adam({written})")
    assert said in str(refused.value)
    assert str(refused.value).startswith("line 3, column ")
