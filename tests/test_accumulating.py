"""Fits that average the gradients of several batches for one update: those of a fit on batches as much larger."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow import keras

from interrupting import interrupted, places
from kerases import only_keras2, only_keras3
from plainly import NAMES, TAGGER, quiet, traced
from s2s_magic import api
from s2s_magic.errors import DataError, FitError, Interrupted, SpecError
from s2s_magic.spec import parse_fit
from s2s_magic.view.report import report
from s2s_magic.view.text import training_text

pytestmark = pytest.mark.once

LOSS = '"sparse_categorical_crossentropy"'
DENSE = """\
i = keras.Input([6, 5])
model = keras.Model(i, L.Dense(20, activation="softmax")(L.LSTM(8, return_sequences=True)(i)))
"""
COMPILED = f'model.compile("sgd", {LOSS})\n'
FLOATS = np.random.default_rng(1).normal(size=(64, 6, 5)).astype("float32")
GIVEN = {**NAMES, "F": FLOATS}
BODY = "inputs: [F]\ntarget: Y\nshuffle: false\nepochs: 2\nvalidation: 0.25\n"  # 48 rows to train on


def fitted(model, body, names=GIVEN, **arguments):
    return api.fit(model, body, names, **{"progress": quiet} | arguments)


def both(code, small, every, more, fits=2):
    """Fit with accumulation, and on batches as much larger."""
    made = []
    for body in (f"batch: {small}\naccumulate: {every}\n", f"batch: {small * every}\n"):
        made.append(traced(code))
        for _ in range(fits):
            fitted(made[-1], body + more)
    return made


def assert_alike(ours, larger, atol=1e-5):
    for key in larger.history:
        np.testing.assert_allclose(ours.history[key], larger.history[key], atol=atol, err_msg=key)
    for one, other in zip(ours.model.get_weights(), larger.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=atol)
    iterations = [int(model.model.optimizer.iterations) for model in (ours, larger)]
    assert iterations[0] == iterations[1]
    for key, wanted in larger.evidence.variables.items():
        found = ours.evidence.variables[key]
        assert (found.verdict, found.steps, found.with_gradient) == (
            wanted.verdict,
            wanted.steps,
            wanted.with_gradient,
        ), key
        for name in ("gradient_norm", "update_norm", "distance"):
            np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=atol, err_msg=f"{key}.{name}")


@pytest.mark.parametrize(
    ("optimizer", "every", "accelerate"),  # 6 batches of 8 rows: 3 updates an epoch, or one and one of the rest
    [
        ("sgd(0.5, momentum=0.9)", 4, "off"),
        ("adam(cosine(0.05, steps=20), clipnorm=0.1)", 4, "on"),
        ("adamw(0.01, weight_decay=0.1, global_clipnorm=0.5)", 2, "on"),
        ("adam(0.01, ema=0.9)", 4, "off"),
    ],
)
def test_two_fits_are_those_on_batches_as_much_larger(optimizer, every, accelerate):
    assert_alike(*both(DENSE + COMPILED, 8, every, f"{BODY}optimizer: {optimizer}\naccelerate: {accelerate}\n"))


@pytest.mark.parametrize("setting", ["steps_per_execution=3", "run_eagerly=True", "jit_compile=True"])
def test_it_goes_with_what_the_model_was_compiled_with(setting):
    code = DENSE.replace("LSTM(8", "Dense(8").replace(", return_sequences=True", "")
    assert_alike(*both(f'{code}model.compile("adam", {LOSS}, {setting})\n', 8, 4, BODY))


def test_the_gradient_of_an_embedding_is_accumulated_by_its_rows():
    more = "source: X\ntarget: Y\nshuffle: false\noptimizer: sgd(0.5)\n"
    ours, larger = both(TAGGER + COMPILED, 8, 4, more)
    assert_alike(ours, larger)
    key = next(key for key, variable in ours.ledger.variables.items() if variable.owner == "emb")
    assert ours.evidence.variables[key].rows_moved == larger.evidence.variables[key].rows_moved


def test_rows_of_mixed_lengths_are_trained_on_and_each_epoch_ends_with_an_update():
    numbers = np.random.default_rng(2)
    rows = [numbers.integers(3, 9, size=size).tolist() for size in numbers.integers(1, 9, 50)]
    spec = "vocab: 9\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\npadding: 0\nstart: 1\nend: 2\n"
    keras.utils.set_random_seed(1)
    model = api.build(spec)
    fitted(model, "source: R\ntarget: R\nbatch: 8\naccumulate: 3\nepochs: 3\noptimizer: adam(0.02)\n", {"R": rows})
    (run,) = model.evidence.runs
    updates = 3 * -(-(run.steps // 3) // 3)
    assert int(model.model.optimizer.iterations) == updates
    assert {each.steps for each in model.evidence.variables.values()} == {updates}
    assert model.history["loss"][-1] < model.history["loss"][0]


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 16), st.integers(1, 9))
def test_any_number_of_batches_makes_the_updates_of_its_epochs(batch, every):
    model = traced(DENSE.replace("LSTM(8, return_sequences=True)", "Dense(4)") + COMPILED)
    fitted(model, f"inputs: [F]\ntarget: Y\nepochs: 2\nbatch: {batch}\naccumulate: {every}\n")
    steps = -(-64 // batch)
    (run,) = model.evidence.runs
    assert (run.steps, run.accumulate) == (2 * steps, every)
    assert int(model.model.optimizer.iterations) == 2 * -(-steps // every)


def test_a_fit_without_it_after_one_with_it_updates_at_each_step_again():
    ours, plain = (traced(DENSE + COMPILED) for _ in range(2))
    for model in (ours, plain):
        fitted(model, f"{BODY}batch: 16\n")
    fitted(ours, f"{BODY}batch: 8\naccumulate: 2\n")
    fitted(plain, f"{BODY}batch: 16\n")
    for model in (ours, plain):
        fitted(model, f"{BODY}batch: 16\n")
    assert_alike(ours, plain)
    assert "apply" not in vars(ours.model.optimizer)
    assert "apply_gradients" not in vars(ours.model.optimizer)


def test_the_report_says_how_many_steps_make_an_update():
    model = traced(DENSE + COMPILED)
    fitted(model, f"{BODY}batch: 8\naccumulate: 4\n")
    assert "12 steps of batch 8 (4 to an update), SGD(0.01)" in training_text(report(model.ledger, training=True))


def test_an_interrupted_fit_says_what_is_left_and_the_next_one_begins_without_it():
    body = "inputs: [F]\ntarget: Y\nshuffle: false\nbatch: 8\naccumulate: 4\n"
    found = places(lambda: fitted(traced(DENSE + COMPILED), body), under="training/callback.py", warm=False)
    first = min((one for one in found if one.function == "on_train_batch_end"), key=lambda one: one.line)
    ours, plain = (traced(DENSE + COMPILED) for _ in range(2))
    outcome = interrupted(lambda: fitted(ours, body), replace(first, hit=6))
    assert type(outcome.raised) is Interrupted
    assert (
        "after step 6 of 8: weights, optimizer and evidence are kept as they are now; the gradients of its last 2 "
        in (str(outcome.raised))
    )
    assert int(ours.model.optimizer.iterations) == 1
    fitted(plain, body, {"F": FLOATS[:32], "Y": NAMES["Y"][:32]})
    for model in (ours, plain):
        fitted(model, body)
    for one, other in zip(ours.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_gradient_that_breaks_is_told_of_its_update():
    broken = FLOATS.copy()
    broken[40] = 3e38
    model = traced(DENSE.replace("L.LSTM(8, return_sequences=True)(i)", "i") + COMPILED)
    before = model.model.get_weights()
    with pytest.raises(FitError, match=r"in update 3 of epoch 1; the state before the fit was put back"):
        fitted(
            model,
            "inputs: [F]\ntarget: Y\nshuffle: false\nbatch: 8\naccumulate: 2\noptimizer: sgd(1e5)\n",
            {**GIVEN, "F": broken},
        )
    for one, other in zip(model.model.get_weights(), before, strict=True):
        assert np.array_equal(one, other)


OWN_STEP = """\
class Own(keras.Model):
    def train_step(self, data):
        return super().train_step(data)
"""
REFUSED = [
    pytest.param(
        OWN_STEP + DENSE.replace("keras.Model", "Own") + COMPILED, "Own has a training step of its own", id="step"
    ),
    pytest.param(
        f"{DENSE}model.compile(keras.optimizers.legacy.SGD(0.1), {LOSS})\n",
        "SGD is no plain optimizer",
        id="legacy",
        marks=only_keras2("it has no legacy optimizers"),
    ),
    pytest.param(
        f"{DENSE}model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=3), {LOSS})\n",
        "SGD accumulates those of 3 batches itself",
        id="by itself",
        marks=only_keras3("Keras 2 has no accumulation"),
    ),
    pytest.param(
        f"{DENSE}model.compile(keras.optimizers.SGD(0.1, loss_scale_factor=8.0), {LOSS})\n",
        "SGD scales the loss",
        id="scaling",
        marks=only_keras3("Keras 2 has no factor"),
    ),
    pytest.param(
        "from tensorflow.keras.mixed_precision import LossScaleOptimizer\n"
        f"{DENSE}model.compile(LossScaleOptimizer(keras.optimizers.SGD(0.1)), {LOSS})\n",
        "LossScaleOptimizer",
        id="wrapped",
    ),
]


@pytest.mark.parametrize(("code", "said"), REFUSED)
def test_what_cannot_be_accumulated_is_refused_before_the_first_step(code, said):
    model = traced(code)
    before = model.model.get_weights()
    with pytest.raises(DataError) as raised:
        fitted(model, f"{BODY}accumulate: 4\n")
    assert str(raised.value).startswith("line 6, column 13: gradients cannot be accumulated: ")
    assert said in str(raised.value)
    assert model.evidence is None
    assert all(map(np.array_equal, model.model.get_weights(), before))
    fitted(model, f"{BODY}accumulate: 1\n")
    assert model.evidence is not None


def test_a_model_of_a_distribution_strategy_is_refused():
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = traced(DENSE + COMPILED)
    with pytest.raises(DataError, match="a distribution strategy sums gradients"):
        fitted(model, f"{BODY}accumulate: 2\n")


@pytest.mark.parametrize("written", ["0", "-1", "2.5", "many", "[2]", "true"])
def test_a_number_of_batches_is_a_whole_number_from_one(written):
    with pytest.raises(SpecError, match="line 4, column 13"):
        parse_fit(f"source: X\ntarget: Y\nepochs: 1\naccumulate: {written}\n", first_line=1)
