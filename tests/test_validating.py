"""Fits that score what is decoded from their validation after each epoch."""

import numpy as np
import pytest
from tensorflow import keras

import s2s_magic
from interrupting import interrupted, places
from models import by_hand_in_keras
from s2s_magic import api
from s2s_magic.errors import DataError, SpecError
from s2s_magic.scores.measures import Compared, measure

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
X = numbers.integers(3, 9, size=(48, 4))
WORDS = ["".join(numbers.choice(list("abc"), size=size)) for size in numbers.integers(1, 5, 48)]
IDS = "vocab: 9\nembed: 4\nencoder: gru(8, dropout=0.2)\ndecoder: gru(8)\n"
LETTERS = "vocab: 9\nembed: 4\nencoder: gru(8, dropout=0.2)\ndecoder: gru(8)\ntokens: char\n"
NAMES = {"X": X, "W": WORDS}
BODY = "source: X\ntarget: X\nvalidation: 0.25\nvalidate_with: exact\n"
EVERY = "validate_with: [bleu, chrf, ter, exact, token_accuracy, perplexity, wer, per]\n"


def quiet(progress):
    """Show nothing."""


def made(spec):
    keras.utils.set_random_seed(3)
    return api.trace(spec) if "import" in spec else api.build(spec)


def fitted(model, body, names=NAMES, progress=quiet):
    return api.fit(model, f"epochs: 3\nbatch: 16\noptimizer: adam(0.03)\n{body}", names, progress=progress)


CASES = {
    "ids": (IDS, "source: X\ntarget: X\nvalidation: 0.25\n", ("X", slice(36, None))),
    "texts": (LETTERS, "source: W\ntarget: W\nvalidation: [V, V]\n", ("V", slice(None))),
    "by hand": (by_hand_in_keras(9, 4, 8), "inputs: [X, D]\ntarget: X\nvalidation: 0.25\n", ("X", slice(36, None))),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fit_has_the_same_numbers_with_it_and_the_scores_of_its_history_are_those_of_a_score(case):
    spec, body, (name, rows) = CASES[case]
    names = {**NAMES, "V": WORDS[:20], "D": np.c_[np.zeros((48, 1), int), X[:, :-1]]}
    plain = fitted(made(spec), body, names)
    model = fitted(made(spec), body + EVERY, names)
    for key, values in plain.history.items():
        assert model.history[key] == values
    for one, other in zip(plain.model.get_weights(), model.model.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert plain.steps is not None
    asked = EVERY.partition(": ")[2]
    held = names[name][rows]
    found = s2s_magic.score(model, f"source: V\ntarget: V\nbootstrap: 0\nmetrics: {asked}", {"V": held})
    last = {key: model.history[f"val_{key}"][-1] for key in found.scores}
    assert last == pytest.approx({key: one.value for key, one in found.scores.items()}, rel=1e-5)
    assert all(len(model.history[f"val_{key}"]) == 3 for key in found.scores)


def test_a_second_fit_and_one_with_a_seed_have_the_same_numbers_with_it():
    body = "source: X\ntarget: X\nvalidation: 0.25\nseed: 4\n"
    with_it, without = made(IDS), made(IDS)
    for more in (EVERY, "validate_with: exact\n"):
        fitted(with_it, body + more)
        fitted(without, body)
    assert with_it.history["loss"] == without.history["loss"]
    assert with_it.history["val_loss"] == without.history["val_loss"]
    assert with_it.history["val_bleu"][3:] == (None, None, None)


@pytest.mark.parametrize(("metric", "best"), [("token_accuracy", max), ("perplexity", min)])
def test_patience_counts_on_the_first_of_them_and_the_best_epoch_is_put_back(metric, best):
    model, kept = made(IDS), {}

    def remember(progress):
        if f"val_{metric}" in progress.values:
            kept.setdefault(progress.values[f"val_{metric}"], model.model.get_weights())

    body = f"source: X\ntarget: X\nvalidation: [V, T]\npatience: 2\nvalidate_with: [{metric}, exact]\nepochs: 60\n"
    names = {"X": X, "V": X[:12], "T": numbers.integers(3, 9, size=(12, 4))}
    api.fit(model, body + "optimizer: adam(0.05)\nbatch: 16\n", names, progress=remember)
    values = model.history[f"val_{metric}"]
    assert len(values) == values.index(best(values)) + 3 < 60
    stopped = model.evidence.runs[-1].stopped
    assert f"no better val_{metric} for 2 epochs; the state after epoch {len(values) - 2}, the best" in stopped
    found = s2s_magic.score(model, f"source: V\ntarget: T\nmetrics: {metric}\nbootstrap: 0\n", names)
    assert found.scores[metric].value == pytest.approx(best(values), rel=1e-5)


def test_the_scores_stand_in_the_progress():
    seen = []
    fitted(made(IDS), BODY, progress=seen.append)
    assert seen[-1].values["val_exact"] >= 0
    assert "val_exact" in str(seen[-1])


@pytest.mark.parametrize(
    ("body", "error", "expected"),
    [
        ("source: X\ntarget: X\nvalidate_with: bleu", SpecError, "line 3, column 16: there is no validation to decode"),
        ("data: D\nvalidation: D\nvalidate_with: bleu", SpecError, "line 3, column 16: a dataset's batches hold no"),
        ("source: X\ntarget: X\nvalidation: 0.5\nvalidate_with: blue", SpecError, "did you mean 'bleu'?"),
        (
            "source: X\ntarget: X\nvalidation: 0.5\nvalidate_with: [per, per]",
            SpecError,
            "line 4, column 22: 'per' stan",
        ),
    ],
)
def test_what_cannot_be_validated_is_told_with_its_place(body, error, expected):
    model = made(IDS)
    with pytest.raises(error) as caught:
        api.fit(model, body, NAMES, progress=quiet)
    assert expected in str(caught.value)
    assert model.evidence is None


TAGGER = """
from tensorflow import keras
x = keras.Input([4], dtype="int32")
read = keras.layers.GRU(4, return_sequences=True)(keras.layers.Embedding(9, 4)(x))
model = keras.Model(x, keras.layers.Dense(9, activation="softmax")(read))
"""


def test_a_model_that_cannot_be_decoded_is_refused_before_the_first_step():
    model = made(TAGGER)
    before = model.model.get_weights()
    body = "source: X\ntarget: X\nvalidation: 0.5\nvalidate_with: "
    with pytest.raises(DataError) as caught:
        api.fit(model, body + "exact", NAMES, progress=quiet)
    assert (caught.value.faults[0].line, caught.value.faults[0].column) == (4, 16)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.model.get_weights(), strict=True))
    assert model.evidence is None
    api.fit(model, body + "perplexity", NAMES, progress=quiet)  # whose tokens can be scored
    assert model.history["val_perplexity"][0] == pytest.approx(np.exp(model.history["val_loss"][0]), rel=1e-4)


@pytest.mark.slow
def test_an_interrupt_while_it_is_scored_keeps_the_epoch():
    compared = Compared(["a"], [["a"]])
    (place, *_) = places(lambda: measure(["exact"], compared, None), under="scores/measures.py", hits=1)
    model = made(IDS)
    outcome = interrupted(lambda: fitted(model, BODY), place, KeyboardInterrupt)
    assert outcome.reached
    assert isinstance(outcome.raised, KeyboardInterrupt)
    assert "interrupted in epoch 1 of 3, after step 3 of 3" in str(outcome.raised)
    assert len(model.history["loss"]) == 1
    assert "val_exact" not in model.history
    assert model.evidence.runs[-1].interrupted
