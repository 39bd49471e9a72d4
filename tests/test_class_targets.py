"""Targets for models of a class of one's own: what Keras refuses is told in a line, and nothing else is refused."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

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
    "WORDS": np.array(["a", "b"] * 4),
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


@pytest.mark.parametrize(
    ("loss", "body", "error", "says"),
    [
        (SPARSE, "source: X\ntarget: HIGH\n", DataError, "line 2, column 9: HIGH: index (7, 3) is"),
        (
            SPARSE,
            "source: X\ntarget: LESS\n",
            DataError,
            "LESS has shape (8, 4), and what the model gives (None, 6, 5)",
        ),
        (
            SPARSE,
            "source: X\ntarget: WORDS\n",
            DataError,
            "line 2, column 9: WORDS holds text, and numbers are expected",
        ),
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
def test_after_a_refusal_all_is_as_before_and_the_right_fit_is_keras_s(loss, body, error, says):
    code = TAGGER.replace("BUILT", "model(tf.ones([2, 6], tf.int32))")
    ours = traced(code.replace("LOSS", loss))
    before = at_hand(ours)
    with pytest.raises(error) as found:
        fitted(ours, body)
    assert says in str(found.value)
    assert "\n" not in str(found.value)
    assert ours.evidence is None
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


def batches(*pairs):
    """Return a data set of batches whose lengths do not show in its types."""
    types = tf.TensorSpec([None, 6], tf.int64), tf.TensorSpec([None, None], tf.int64)
    given = tf.data.Dataset.from_generator(lambda: iter(pairs), output_signature=types)
    how = tf.data.Options()
    how.autotune.enabled = False  # the thread for it can hold up the end of a data set that was not read whole
    return given.apply(tf.data.experimental.assert_cardinality(len(pairs))).with_options(how)


GOOD = IDS[:4], TAGS[:4]
BUILT = TAGGER.replace("BUILT", "model(tf.ones([2, 6], tf.int32))").replace("LOSS", SPARSE)
SEQUENTIAL = (
    "model = keras.Sequential([L.Embedding(9, 4), L.GRU(4, return_sequences=True), L.Dense(5, 'softmax')])\n"
    f"model.compile(keras.optimizers.Adam(0.01), {SPARSE})\n"
)


@pytest.mark.parametrize(("code", "accelerate"), [(BUILT, "off"), (SEQUENTIAL, "on")], ids=["a class", "on kernels"])
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ((IDS[:4], TAGS[:4] + 5), r"a target has the id \d+, and .* scores the ids 0 to 4\. "),
        ((IDS[:4] + 8, TAGS[:4]), r"(emb|layers\[0\]) was given the id \d+, and has rows for the ids 0 to 8\. "),
    ],
)
def test_ids_out_of_range_in_batches_of_the_users_own_end_the_fit_in_a_line(code, accelerate, bad, says):
    ours, theirs = traced(code), plain(code)
    for model in (ours.model, theirs):
        model(tf.ones([2, 6], tf.int32))
        drawn = np.random.default_rng(3)
        model.set_weights([drawn.normal(size=one.shape) for one in model.get_weights()])
    before = trained_state(ours.model)
    body = f"data: D\naccelerate: {accelerate}\n"
    with pytest.raises(FitError, match=says + "No step was taken$") as found:
        api.fit(ours, body, {"D": batches(bad, GOOD)}, progress=quiet)
    assert "\n" not in str(found.value)
    assert ours.evidence is None
    assert_close(trained_state(ours.model)[:6], before[:6], 0)
    with pytest.raises(FitError, match=says + "The fit ended after 1 step$"):
        api.fit(ours, body, {"D": batches(GOOD, bad)}, progress=quiet)
    assert [run.steps for run in ours.evidence.runs] == [1]
    theirs.fit(batches(GOOD), verbose=0)
    assert_close(ours.model.get_weights(), theirs.get_weights())


def test_batches_of_the_users_own_that_do_not_go_with_the_outputs_are_told_by_their_types():
    given = tf.data.Dataset.from_tensor_slices((IDS, TAGS[:, :3])).batch(4)
    says = (
        r"these targets: for a batch it gives \(None, 6, 5\) of float32, and the target|cannot be computed: assertion"
    )
    with pytest.raises(FitError, match=says):
        api.fit(traced(BUILT), "data: D\n", {"D": given}, progress=quiet)
    says = r"^a step of model cannot be computed: assertion failed: .*\[4 3\].*\[4 6\]. No step was taken$"
    with pytest.raises(FitError, match=says):
        api.fit(traced(BUILT), "data: D\n", {"D": batches((IDS[:4], TAGS[:4, :3]))}, progress=quiet)


@pytest.mark.parametrize(("loss", "head"), [(SPARSE, "L.Dense(5, 'softmax')"), ("'mse'", "L.Dense(1)")])
def test_batches_of_unknown_length_are_taken_by_a_model_of_a_fixed_one(loss, head):
    ours, theirs = (
        of(f"model = keras.Model(x, {head}(L.Embedding(20, 4)(x)))\nmodel.compile('adam', {loss})\n")
        for of in (traced, plain)
    )
    pair = IDS[:4], TAGS[:4] * 0
    api.fit(ours, "data: D\n", {"D": batches(pair)}, progress=quiet)
    history = theirs.fit(batches(pair), verbose=0).history
    np.testing.assert_allclose(ours.history["loss"], history["loss"], rtol=1e-5)


def test_the_line_of_the_users_call_is_named_where_it_takes_other_data():
    with pytest.raises(
        FitError, match=r"^model cannot be called on the data of the fit: ValueError: .*\(line 12, in call"
    ):
        api.fit(traced(BUILT), "source: W\ntarget: T\n", {"W": IDS[:, 0], "T": TAGS}, progress=quiet)


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
