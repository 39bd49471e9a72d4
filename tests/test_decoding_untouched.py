"""Decoding, telling and looking at attention leave the model and all random states as they were."""

import random

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from s2s_magic import api
from s2s_magic.decoding import inference_model
from s2s_magic.errors import DecodeError

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
NAMES = {"X": numbers.integers(3, 9, size=(32, 4))}
SPEC = "vocab: 9\nembed: 4\nencoder: gru(8, dropout=0.5, recurrent_dropout=0.5)\ndecoder: gru(8, dropout=0.5)\n"
ATTENDING = SPEC + "attention: luong\ndropout: 0.2\n"
ASKED = {
    "decode": lambda model: api.decode(model, NAMES["X"][:5]),
    "a beam": lambda model: api.decode(model, NAMES["X"][:5], beam=3),
    "a sample": lambda model: api.decode(model, NAMES["X"][:5], sample=True),
    "alignments": lambda model: api.decode(model, NAMES["X"][:2]).alignments,
    "explain": lambda model: api.explain(model, decode=NAMES["X"][0], beam=2, among=(NAMES["X"], NAMES["X"])),
    "the code": inference_model,
    "refused": lambda model: refused(model),
}


def refused(model):
    with pytest.raises(DecodeError):
        api.decode(model, NAMES["X"], beam=0)


def quiet(progress):
    """Show nothing."""


def fitted(model):
    return api.fit(model, "source: X\ntarget: X\nbatch: 8\nepochs: 2\noptimizer: sgd(0.5)", NAMES, progress=quiet)


def made(spec):
    keras.utils.set_random_seed(3)
    return fitted(api.build(spec))


def drawn():
    return random.random(), np.random.rand(), float(tf.random.uniform([]))


def after(spec, between):
    model = made(spec)
    between(model)
    return pytest.approx(fitted(model).history["loss"], rel=1e-4)  # other masks differ by more


@pytest.fixture(scope="module")
def losses():
    """Return the losses that two runs agree on.

    Keras 2 draws these masks within a loop over time, where several steps are in flight: of its own fits one in a dozen
    differs, by up to 3e-4.
    """
    found = {}
    for spec in (SPEC, ATTENDING):
        seen = []
        while seen.count(one := after(spec, lambda _: None)) < 1:
            seen.append(one.expected)
            assert len(seen) < 5
        found[spec] = one.expected
    return found


@pytest.mark.parametrize(
    ("spec", "asked"),
    [(SPEC, asked) for asked in ASKED if asked != "alignments"] + [(ATTENDING, asked) for asked in ASKED],
)
def test_a_fit_after_it_has_the_losses_of_one_without(spec, asked, losses):
    def twice(model):
        for _ in range(2):
            ASKED[asked](model)

    assert any(after(spec, twice) == losses[spec] for _ in range(3))


def test_what_the_notebook_draws_after_it_is_what_it_would_have_drawn():
    model = made(SPEC)
    keras.utils.set_random_seed(5)
    wanted = drawn()
    keras.utils.set_random_seed(5)
    api.decode(model, NAMES["X"])
    assert drawn() == wanted


def test_samples_without_a_seed_are_other_ones_each_time():
    model = made(SPEC)
    first, second = (api.decode(model, NAMES["X"], sample=True, temperature=5.0) for _ in range(2))
    assert list(first) != list(second)
