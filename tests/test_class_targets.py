"""Targets for models of a class of one's own: what Keras refuses is told in a line, and nothing else is refused."""

import itertools

import numpy as np
import pytest

from plainly import HEAD, assert_close, plain, quiet, traced, trained_state
from s2s_magic import api
from s2s_magic.errors import DataError, FitError, Seq2SeqError

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
WAVES = numbers.normal(size=(8, 6)).astype("float32")
TWO = numbers.normal(size=(8, 2)).astype("float32")
IDS, TAGS = numbers.integers(1, 9, size=(8, 6)), numbers.integers(0, 5, size=(8, 6))
NAMES = {
    "W": WAVES,
    "Y": TWO,
    "X": IDS,
    "T": TAGS,
    "HIGH": TAGS + (np.arange(48).reshape(8, 6) == 45) * 5,
    "LESS": TAGS[:, :4],
    "SEVEN": numbers.normal(size=(8, 6, 7)).astype("float32"),
    "FAR": IDS + 8,
}
HEADS = """
class Heads(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.two = L.Dense(2), L.Dense(2)
    def call(self, waves):
        return OUTPUTS
model = Heads()
model(tf.zeros([1, 6]))
model.compile(keras.optimizers.Adam(0.01), LOSS)
"""
TAGGER = """
class Tagger(keras.Model):
    def __init__(self):
        super().__init__()
        self.emb, self.read, self.out = L.Embedding(9, 4), L.GRU(4, return_sequences=True), L.Dense(5, "softmax")
    def call(self, ids):
        return self.out(self.read(self.emb(ids)))
model = Tagger()
BUILT
model.compile(keras.optimizers.Adam(0.01), LOSS)
"""
OUTPUTS = {"one": "self.one(waves)", "a list": "[self.one(waves), self.two(waves)]",
           "a dictionary": "{'a': self.one(waves), 'b': self.two(waves)}"}  # fmt: skip
LOSSES = ("'mse'", "['mse', 'mse']", "{'a': 'mse', 'b': 'mse'}")
TARGETS = {"Y": TWO, "[Y, Y]": (TWO, TWO), "{a: Y, b: Y}": {"a": TWO, "b": TWO}, "{a: Y}": {"a": TWO},
           "{p: Y, q: Y}": {"p": TWO, "q": TWO}}  # fmt: skip
SPARSE = "'sparse_categorical_crossentropy'"


def fitted(model, body):
    return api.fit(model, f"{body}batch: 4\nseed: 2\naccelerate: off\n", NAMES, progress=quiet)


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_exactly_what_keras_refuses_is_refused(outputs):
    wrong = []
    for loss, (said, given) in itertools.product(LOSSES, TARGETS.items()):
        code = HEADS.replace("OUTPUTS", OUTPUTS[outputs]).replace("LOSS", loss)
        try:
            plain(code).fit(WAVES, given, batch_size=4, verbose=0)
            takes = True
        except Exception:
            takes = False
        ours, told = traced(code), ""
        try:
            fitted(ours, f"source: W\ntarget: {said}\n")
        except Seq2SeqError as error:
            told = str(error)
        if bool(told) == takes or "\n" in told or (told and ours.evidence is not None):
            wrong.append((loss, said, takes, told))
    assert not wrong


def at_hand(model):
    return trained_state(model.model)


@pytest.mark.parametrize("built", ["", "model(X[:2])"], ids=["not built", "built"])
@pytest.mark.parametrize(
    ("loss", "body", "error", "says"),
    [
        (SPARSE, "source: X\ntarget: HIGH\n", DataError, "line 2, column 9: HIGH: index (7, 3) is"),
        (SPARSE, "source: X\ntarget: LESS\n", FitError, "for a batch it gives (4, 6, 5) of float32, and the target is"),
        ("'mse'", "source: X\ntarget: SEVEN\n", FitError, "and the target is (4, 6, 7) of float32. Keras says: "),
        (SPARSE, "source: X\ntarget: {tags: T}\n", FitError, "name one variable, 'target: T'. Keras says: "),
        (
            SPARSE,
            "source: X\ntarget: T\nvalidation: [X, HIGH]\n",
            DataError,
            "line 3, column 17: HIGH: index (7, 3) is",
        ),
        (SPARSE, "source: X\ntarget: T\nvalidation: [X, LESS]\n", FitError, "cannot be trained on LESS: for a batch"),
        ("{'tags': " + SPARSE + "}", "source: X\ntarget: T\n", FitError, "its one output has no name: compile it with"),
    ],
)
def test_after_a_refusal_all_is_as_before_and_the_right_fit_is_keras_s(built, loss, body, error, says):
    code = TAGGER.replace("BUILT", built.replace("X[:2]", "tf.ones([2, 6], tf.int32)"))
    ours = traced(code.replace("LOSS", loss))
    if built:
        before = at_hand(ours)
    with pytest.raises(error) as found:
        fitted(ours, body)
    assert says in str(found.value)
    assert "\n" not in str(found.value)
    assert ours.evidence is None
    if not built:
        return
    assert_close(at_hand(ours), before, 0)
    if "tags" in loss:
        return
    theirs = plain(code.replace("LOSS", loss))
    right = "SEVEN" if loss == "'mse'" else "T"
    given = NAMES[right][..., :5] if loss == "'mse'" else TAGS
    api.fit(ours, "source: X\ntarget: G\nbatch: 4\nshuffle: false\n", {"X": IDS, "G": given}, progress=quiet)
    history = theirs.fit(IDS, given, batch_size=4, shuffle=False, verbose=0).history
    np.testing.assert_allclose(ours.history["loss"], history["loss"], rtol=1e-5)
    assert_close(trained_state(ours.model), trained_state(theirs))


def test_ids_beyond_an_embedding_of_a_model_that_is_not_built_are_named():
    with pytest.raises(FitError, match=r"InvalidArgumentError: indices\[0,\d\] = \d+ is not in \[0, 9\), when calling"):
        fitted(traced(TAGGER.replace("BUILT", "").replace("LOSS", SPARSE)), "source: FAR\ntarget: T\n")


def test_the_users_own_error_in_a_loss_is_told_as_it_is():
    own = HEAD + TAGGER.replace("BUILT", "").replace("LOSS", "lambda one, other: one.nothing")
    with pytest.raises(AttributeError, match="nothing"):
        fitted(api.trace(own), "source: X\ntarget: T\n")


@pytest.mark.parametrize("of", ["functional", "a class"])
@pytest.mark.parametrize("left_out", [-1, 7])
def test_a_class_that_the_loss_leaves_out_need_be_none_of_those_scored(of, left_out):
    loss = f"keras.losses.SparseCategoricalCrossentropy(ignore_class={left_out})"
    code = TAGGER.replace("BUILT", "model(tf.ones([2, 6], tf.int32))").replace("LOSS", loss)
    if of == "functional":
        code = "model = keras.Model(x, L.Dense(5, 'softmax')(L.Embedding(9, 4)(x)))\n"
        code += f"model.compile(keras.optimizers.Adam(0.01), {loss})\n"
    given = np.where(numbers.random(TAGS.shape) < 0.3, left_out, TAGS)
    for accelerate in ("off", "on"):
        ours, theirs = traced(code), plain(code)
        body = f"source: X\ntarget: G\nbatch: 4\nshuffle: false\naccelerate: {accelerate}\n"
        api.fit(ours, body, {"X": IDS, "G": given}, progress=quiet)
        history = theirs.fit(IDS, given, batch_size=4, shuffle=False, verbose=0).history
        np.testing.assert_allclose(ours.history["loss"], history["loss"], rtol=1e-5)
        assert_close(trained_state(ours.model), trained_state(theirs))
    with pytest.raises(DataError, match="line 2, column 9: B"):
        api.fit(ours, "source: X\ntarget: B\n", {"X": IDS, "B": np.where(given == left_out, 6, given)}, progress=quiet)
