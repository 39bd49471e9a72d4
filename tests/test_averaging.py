"""Fits that end with the mean of the weights after each of the last epochs."""

from dataclasses import replace

import numpy as np
import pytest

from interrupting import interrupted, places
from plainly import COMPILED, NAMES, TAGGER, quiet, traced
from s2s_magic import api, backend
from s2s_magic.errors import DataError, FitError, Interrupted, SpecError
from s2s_magic.spec import parse_fit
from s2s_magic.training.averaging import Averaging
from s2s_magic.training.callback import Loop
from s2s_magic.training.measured import watched

pytestmark = pytest.mark.once

NORMED = """\
emb = L.Embedding(20, 8)
frozen = L.Dense(8, trainable=False)
norm = L.BatchNormalization()
head = L.Dense(20, activation="softmax")
model = keras.Model(x, head(norm(frozen(emb(x)))))
"""
BODY = "source: X\ntarget: Y\nbatch: 16\nshuffle: false\noptimizer: adam(0.05)\n"


def fitted(model, body, names=NAMES, **arguments):
    return api.fit(model, BODY + body, names, **{"progress": quiet} | arguments)


def by_epoch(code, epochs, more=""):
    """Return the values of all variables after each epoch of a fit without averaging."""
    model, found = traced(code), []
    for _ in range(epochs):
        fitted(model, more)
        found.append({key: np.array(variable) for key, variable in model.live.variables.items()})
    return found


def values(model):
    return {key: np.array(variable) for key, variable in model.live.variables.items()}


def assert_means(model, epochs):
    for key, value in values(model).items():
        np.testing.assert_allclose(value, np.mean([each[key] for each in epochs], axis=0), atol=1e-5, err_msg=key)


@pytest.mark.parametrize(
    ("last", "meant", "accelerate"),
    [(1, "epoch 4", "on"), (3, "epochs 2 to 4", "off"), (9, "epochs 1 to 4", "on")],
)
def test_the_model_has_the_mean_of_the_last_epochs_and_says_so(last, meant, accelerate):
    model = traced(TAGGER + COMPILED)
    fitted(model, f"epochs: 4\naverage: last({last})\naccelerate: {accelerate}\n")
    assert_means(model, by_epoch(TAGGER + COMPILED, 4, f"accelerate: {accelerate}\n")[-last:])
    assert model.evidence.runs[0].stopped == f"all epochs done; the weights are the mean of those after {meant}"


def test_statistics_of_batch_normalization_are_averaged_and_what_is_frozen_keeps_its_numbers():
    model = traced(NORMED + COMPILED)
    before = values(model)
    fitted(model, "epochs: 3\naverage: last(3)\n")
    assert_means(model, by_epoch(NORMED + COMPILED, 3))
    owners = {key: variable.owner for key, variable in model.ledger.variables.items()}
    for key, value in values(model).items():
        assert np.array_equal(value, before[key]) == (owners[key] == "frozen"), owners[key]
        moved = np.linalg.norm(value.astype(float) - before[key])
        assert model.evidence.variables[key].fits[-1].moved == pytest.approx(moved, rel=1e-4)
        assert model.evidence.variables[key].distance[-1:] == pytest.approx([moved] if moved else [], rel=1e-4)
    verdicts = {owners[key]: seen.verdict for key, seen in model.evidence.variables.items()}
    assert verdicts["frozen"] == "frozen"
    assert verdicts["emb"] == "trained"
    moving = [
        seen.verdict for key, seen in model.evidence.variables.items() if "moving" in model.ledger.variables[key].name
    ]
    assert moving == ["own update"] * 2


def test_a_counter_of_steps_is_not_averaged():
    spec = "vocab: 20\nembed: 4\nencoder: gru(4)\ndecoder: gru(4)\nfeeding: scheduled(0.5, linear, steps=20)\n"
    model = api.build(spec)
    fitted(model, "epochs: 3\naverage: last(3)\n")
    (steps,) = [
        np.array(v) for k, v in model.live.variables.items() if model.ledger.variables[k].owner == "feeding_rate"
    ]
    assert steps == 12


def test_with_patience_the_best_epoch_is_the_last_that_counts():
    more = "validation: 0.25\n"
    model = traced(TAGGER + COMPILED)
    fitted(model, f"epochs: 40\npatience: 3\naverage: last(2)\n{more}")
    losses = model.history["val_loss"]
    best = int(np.argmin(losses)) + 1
    assert best < len(losses) < 40, "the fit stopped early"
    seen = by_epoch(TAGGER + COMPILED, len(losses), more)
    assert_means(model, seen[max(0, best - 2) : best])
    assert model.evidence.runs[0].stopped.startswith(
        f"no better val_loss for 3 epochs; the state after epoch {best}, the"
    )
    first = f"epochs {best - 1} to {best}" if best > 1 else "epoch 1"
    assert model.evidence.runs[0].stopped.endswith(f"; the weights are the mean of those after {first}")


def stopped(model, body, hit):
    found = places(lambda: fitted(traced(TAGGER + COMPILED), body), under="training/callback.py", warm=False)
    first = min((one for one in found if one.function == "on_train_batch_end"), key=lambda one: one.line)
    outcome = interrupted(lambda: fitted(model, body), replace(first, hit=hit))
    assert type(outcome.raised) is Interrupted
    return str(outcome.raised)


def test_an_interrupted_fit_has_the_mean_of_the_epochs_that_were_finished():
    model = traced(TAGGER + COMPILED)
    said = stopped(model, "epochs: 5\naverage: last(2)\n", 14)
    assert (
        "in epoch 4 of 5, after step 2 of 4: the weights are the mean of those after epochs 2 to 3; optimizer" in said
    )
    assert_means(model, by_epoch(TAGGER + COMPILED, 3)[1:])
    for key, value in values(model).items():
        start = np.array(model.live.starts[key])
        assert model.evidence.variables[key].distance[-1] == pytest.approx(np.linalg.norm(value - start), rel=1e-4)
    fitted(model, "")
    assert len(model.evidence.runs) == 2


def test_interrupted_in_its_first_epoch_it_has_the_weights_as_they_are():
    model = traced(TAGGER + COMPILED)
    said = stopped(model, "epochs: 2\naverage: last(2)\n", 2)
    assert "after step 2 of 4: weights, optimizer and evidence are kept as they are now; to go on" in said


def test_it_goes_with_accumulated_gradients():
    more = "accumulate: 3\n"
    model = traced(TAGGER + COMPILED)
    fitted(model, f"epochs: 3\naverage: last(2)\n{more}")
    assert_means(model, by_epoch(TAGGER + COMPILED, 3, more)[1:])


def test_a_second_fit_averages_its_own_epochs():
    model = traced(TAGGER + COMPILED)
    fitted(model, "epochs: 2\naverage: last(2)\n")
    fitted(model, "epochs: 1\naverage: last(5)\n")
    assert model.evidence.runs[1].stopped.endswith("after epoch 1")


def test_what_is_kept_can_be_taken_out_and_put_into_another_fit():
    model = traced(TAGGER + COMPILED)
    noted = watched(model)
    recorder = noted.recorder(4, compiled=False)
    loop = Loop(recorder, quiet, name="model", epochs=3, steps=4, patience=None)
    variables = noted.variables
    one, other = Averaging(variables, loop, 2), Averaging(variables, loop, 2)
    one.set_model(model.model)
    for epoch in range(3):
        for variable in variables.values():
            variable.assign(np.full(variable.shape, epoch, "float32"))
        one.on_epoch_end(epoch)
    assert {name.partition(".")[0] for name in one.arrays()} == {"2", "3"}
    other.take(one.arrays())
    assert other.put() == "the weights are the mean of those after epochs 2 to 3"
    assert all(np.all(np.array(variable) == 1.5) for variable in variables.values())


def test_a_broken_loss_puts_back_the_last_good_state_and_no_mean():
    model = traced(TAGGER + COMPILED)
    before = values(model)
    broken = {"X": NAMES["X"], "Y": np.full((64, 6, 20), 3e38, "float32")}
    with pytest.raises(FitError, match="the state before the fit was put back"):
        fitted(model, "epochs: 3\naverage: last(2)\nloss: mean_squared_error\n", broken)
    assert all(np.array_equal(value, before[key]) for key, value in values(model).items())


@pytest.mark.parametrize("body", ["optimizer: adam(0.01, ema=0.9)\n", ""])
def test_two_ways_to_average_are_refused(body):
    code = TAGGER + COMPILED.replace('"adam"', "keras.optimizers.Adam(use_ema=True)")
    model = traced(code)
    with pytest.raises(
        DataError, match=r"line 3, column 10: the optimizer keeps moving averages of the weights already"
    ):
        api.fit(model, f"source: X\ntarget: Y\naverage: last(2)\n{body}", NAMES, progress=quiet)
    assert model.evidence is None
    assert backend.is_compiled(model.model)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("5", "expected a number of epochs such as last(5), got '5'"),
        ("last", "last needs a number of epochs, as in last(5)"),
        ("last()", "last needs a number of epochs, as in last(5)"),
        ("last(0)", "expected a whole number from 1 to 1,000, got '0'"),
        ("last(2.5)", "expected a whole number from 1 to 1,000, got '2.5'"),
        ("lats(5)", "unknown kind 'lats'; did you mean 'last'?"),
        ("last(5, 6)", "last takes further settings by name"),
    ],
)
def test_what_is_no_number_of_epochs_is_refused_at_its_place(written, said):
    with pytest.raises(SpecError) as raised:
        parse_fit(f"source: X\ntarget: Y\naverage: {written}\n")
    assert str(raised.value).startswith("line 3, column ")
    assert said in str(raised.value)
