"""A fit trains as Keras does, checks its data first, and reports what happened to every variable."""

import _thread
import threading
import warnings

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from kerases import KERAS3
from models import by_hand
from s2s_magic import api, backend
from s2s_magic.errors import DataError, FitError
from verdict_models import FATES, HEAD

pytestmark = pytest.mark.once

SPEC = "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\ncode: tfa\n"
PADDED = "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\ncode: tfa\npadding: 0\nstart: 1\nend: 2\n"
numbers = np.random.default_rng(0)
X = numbers.integers(3, 20, size=(40, 6))
Y = numbers.integers(3, 20, size=(40, 7))
NAMES = {"X": X, "Y": Y}


def quiet(progress):
    """Show nothing."""


def built(spec=SPEC, seed=1):
    keras.utils.set_random_seed(seed)
    return api.build(spec)


def fitted(model, body, names=NAMES):
    return api.fit(model, body, names, progress=quiet)


def weights(model):
    return [variable.numpy() for variable in model.model.weights]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# -- the same numbers as by hand ---------------------------------------------------------------------------------------


def test_losses_and_weights_are_those_of_model_fit_to_the_last_bit():
    ours, theirs = built(), built()
    keras.utils.set_random_seed(5)
    fitted(ours, "source: X\ntarget: Y\nepochs: 3\nbatch: 8\nvalidation: 0.2\naccelerate: off")
    keras.utils.set_random_seed(5)
    decoder = np.c_[np.zeros((40, 1)), Y[:, :-1]]
    history = theirs.model.fit([X, decoder, np.full(40, 7)], Y, epochs=3, batch_size=8, validation_split=0.2, verbose=0)
    assert {name: list(values) for name, values in ours.history.items()} == history.history
    assert same(weights(ours), weights(theirs))


def test_a_second_fit_goes_on_where_the_first_one_ended():
    once, twice = built(), built()
    body = "source: X\ntarget: Y\nepochs: {}\nshuffle: false\noptimizer: adam(0.01)"
    fitted(once, body.format(4))
    fitted(twice, body.format(2))
    fitted(twice, body.format(2))
    assert same(weights(once), weights(twice))
    assert once.history == twice.history
    assert [run.epochs for run in twice.evidence.runs] == [2, 2]
    ones, twos = once.evidence.variables, twice.evidence.variables
    assert all(ones[key].distance == pytest.approx(twos[key].distance) for key in ones)


def test_a_model_that_its_user_compiled_keeps_its_compile():
    model = api.trace(by_hand(20, 4, 8) + "model.compile('sgd', 'sparse_categorical_crossentropy')")
    optimizer, loss = model.model.optimizer, model.model.loss
    fitted(model, "source: X\ntarget: Y")
    assert model.model.optimizer is optimizer
    assert model.model.loss is loss
    fitted(model, "source: X\ntarget: Y\noptimizer: adam(0.1)")
    assert model.evidence.runs[-1].optimizer == "Adam(0.1)"
    assert model.model.loss is loss


def test_a_model_that_nobody_compiled_gets_the_loss_that_its_output_asks_for():
    probabilities = api.trace(by_hand(20, 4, 8))
    logits = api.trace(by_hand(20, 4, 8).replace("tf.nn.softmax(written.rnn_output)", "written.rnn_output"))
    for model, from_logits in ((probabilities, False), (logits, True)):
        fitted(model, "source: X\ntarget: Y")
        assert model.model.loss.get_config()["from_logits"] is from_logits
        assert model.history["loss"][0] == pytest.approx(np.log(20), rel=0.02)


def test_inputs_of_a_traced_model_can_be_given_by_name():
    derived, named = (
        api.trace("from tensorflow import keras\nkeras.utils.set_random_seed(1)\n" + by_hand(20, 4, 8))
        for _ in range(2)
    )
    names = {**NAMES, "D": np.c_[np.zeros((40, 1)), Y[:, :-1]], "L": np.full(40, 7)}
    fitted(derived, "source: X\ntarget: Y\nseed: 3")
    fitted(named, "inputs: {source_ids: X, target_ids: D, target_lengths: L}\ntarget: Y\nseed: 3", names)
    assert same(weights(derived), weights(named))


def test_a_model_that_is_no_encoder_decoder_is_fitted_by_the_names_of_its_inputs():
    code = "from tensorflow import keras\na = keras.Input([3])\nb = keras.Input([2])\n"
    code += "model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])))\n"
    model = api.trace(code)
    names = {"A": np.ones((10, 3)), "B": np.ones((10, 2)), "t": np.ones((10, 1))}
    fitted(model, "inputs: {a: A, b: B}\ntarget: t\nloss: mean_squared_error\nepochs: 2", names)
    assert model.history["loss"][1] < model.history["loss"][0]
    with pytest.raises(DataError, match="nothing says what feeds b"):
        fitted(model, "inputs: {a: A}\ntarget: t", names)
    with pytest.raises(DataError, match="no input 'aa'; did you mean 'a'"):
        fitted(model, "inputs: {aa: A, b: B}\ntarget: t", names)


OF_A_CLASS = """
class Tagger(keras.Model):
    def __init__(self):
        super().__init__()
        self.words, self.scores = keras.layers.Embedding(20, 4), keras.layers.Dense(20, activation="softmax")

    def call(self, ids):
        return self.scores(self.words(ids))

model = Tagger()
"""
OF_ONE_INPUT = """
ids = keras.Input([6], dtype="int32")
model = keras.Model(ids, keras.layers.Dense(20, activation="softmax")(keras.layers.Embedding(20, 4)(ids)))
"""
NO_DECODER = "no input of model is known to be its decoder's; leave 'decoder_input' out"


@pytest.mark.parametrize(
    ("code", "line", "column", "words"),
    [
        (OF_ONE_INPUT, "decoder_input: Y", 16, NO_DECODER),
        (OF_ONE_INPUT, "lengths: N", 10, "no input of model is known to take lengths; leave 'lengths' out"),
        (OF_A_CLASS, "decoder_input: Y", 16, r"is of class Tagger, which .* name them all .* 'inputs: \[X, Y\]'"),
        (OF_A_CLASS, "lengths: N", 10, r"is of class Tagger, which .* 'inputs: \[X, N\]'"),
    ],
)
def test_a_variable_that_no_input_would_read_is_not_passed_over(code, line, column, words):
    model = api.trace(f"from tensorflow import keras\n{code}model.compile('sgd', 'sparse_categorical_crossentropy')\n")
    names = {"X": X, "Y": X, "N": np.full(40, 6)}
    with pytest.raises(DataError, match=f"line 3, column {column}: nothing would read .: .*{words}$"):
        fitted(model, f"source: X\ntarget: Y\n{line}\n", names)
    assert not model.history
    fitted(model, "source: X\ntarget: Y\n", names)


def test_a_seed_makes_a_fit_repeatable_and_leaves_other_random_numbers_alone():
    first, second = built(), built()
    np.random.seed(9)
    expected = np.random.random(2)
    np.random.seed(9)
    found = [np.random.random()]
    fitted(first, "source: X\ntarget: Y\nseed: 4\nbatch: 8")
    found.append(np.random.random())
    fitted(second, "source: X\ntarget: Y\nseed: 4\nbatch: 8")
    assert same(weights(first), weights(second))
    assert found == expected.tolist()


# -- rows of any length ------------------------------------------------------------------------------------------------


def ragged(count=30):
    rows = np.random.default_rng(1)
    return [rows.integers(3, 20, size=rows.integers(1, 8)).tolist() for _ in range(count)]


def test_ragged_rows_and_the_same_rows_filled_up_give_the_same_fit():
    source, target = ragged(), ragged()[::-1]
    filled = {}
    for name, rows in (("X", source), ("Y", target)):
        filled[name] = np.zeros((30, 9), int)
        for number, row in enumerate(rows):
            filled[name][number, : len(row)] = row
    one, other = built(PADDED), built(PADDED)
    body = "source: X\ntarget: Y\nepochs: 2\nseed: 1\nmetrics: [accuracy]"
    fitted(one, body, {"X": source, "Y": target})
    fitted(other, body, filled)
    assert one.history == other.history
    assert same(weights(one), weights(other))


def test_padding_counts_neither_in_the_loss_nor_in_a_metric():
    """The loss of a batch of ragged rows is the mean over its ids, as computed from batches of one row each."""
    source, target = ragged(4), ragged(4)[::-1]
    model = built(PADDED)
    body = (
        "source: X\ntarget: Y\nbatch: {}\noptimizer: sgd(1e-12)\nmetrics: [accuracy, sparse_categorical_crossentropy]"
    )
    fitted(model, body.format(4), {"X": source, "Y": target})
    losses, metric = [], []
    for row in range(4):
        fitted(model, body.format(1), {"X": source[row : row + 1], "Y": target[row : row + 1]})
        losses.append(model.history["loss"][-1])
        metric.append(model.history["sparse_categorical_crossentropy"][-1])
    lengths = [len(row) + 1 for row in target]
    assert model.history["loss"][0] == pytest.approx(np.average(losses, weights=lengths), rel=1e-4)
    assert model.history["sparse_categorical_crossentropy"][0] == pytest.approx(
        np.average(metric, weights=lengths), rel=1e-4
    )


def test_targets_of_differing_lengths_need_no_padding_id():
    model = built()
    fitted(model, "source: X\ntarget: T\nbatch: 8\nmetrics: [accuracy]", {"X": X[:30], "T": ragged()})
    assert model.history["loss"][0] == pytest.approx(np.log(20), rel=0.05)
    with pytest.raises(DataError, match="source rows have 1 to 7 ids, and model was built without padding"):
        fitted(model, "source: T\ntarget: T", {"T": ragged()})


def test_a_metric_of_rows_that_differ_counts_their_ids_on_a_model_that_was_compiled_without_it():
    compiled = "model.compile('sgd', 'sparse_categorical_crossentropy', weighted_metrics=['{}'])"
    model = api.trace(by_hand(20, 4, 8) + compiled.format("sparse_categorical_crossentropy"))
    target = ragged()
    hits = []
    for row, ids in enumerate(target):
        output = model.model([X[row : row + 1], np.array([[0, *ids[:-1]]]), np.array([len(ids)])])
        hits += (output.numpy()[0].argmax(-1) == ids).tolist()
    fitted(model, "source: X\ntarget: T\nbatch: 30\nmetrics: [accuracy]", {"X": X[:30], "T": target})
    assert model.history["accuracy"] == pytest.approx((np.mean(hits),))
    assert model.history["sparse_categorical_crossentropy"] == pytest.approx(model.history["loss"], rel=1e-5)


def test_texts_are_read_where_the_spec_has_tokens():
    spec = "vocab: {source: 12, target: 9}\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\ntokens: char\n"
    model = api.build(spec)
    names = {"words": ["abc", "cab", "b"] * 4, "loud": ["AB", "C", "BA"] * 4}
    fitted(model, "source: words\ntarget: loud\nbatch: 4", names)
    assert model.tokenizers["source"].tokens == ("b", "a", "c")
    assert model.tokenizers["target"].encode("C") == [6]
    assert model.fitted.longest == 3, "the end id counts"
    with pytest.raises(DataError, match="holds ids, and model was built with tokens: char"):
        fitted(model, "source: words\ntarget: Y", {**NAMES, **names})
    with pytest.raises(DataError, match="holds text, and the model reads ids"):
        fitted(built(), "source: words\ntarget: loud", names)


def of_letters():
    letters = ["abc", "cab", "bca", "acb"]
    spec = "vocab: {source: L, target: L}\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\ntokens: char\n"
    return api.build(spec, namespace={"L": letters}), letters


def test_tokens_outside_the_vocabulary_are_said_once_with_their_share():
    model, letters = of_letters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(model, "source: L\ntarget: L\nvalidation: 0.5", {"L": letters})
    odd = ["abz", "qab", "bza", "acb"]
    said = r"^T: 25 % of the target's characters are not in the vocabulary \(z, q\); they are read as unknown$"
    with pytest.warns(UserWarning, match=said) as found:
        fitted(model, "source: L\ntarget: T\nepochs: 2", {"L": letters, "T": odd})
    assert [(w.filename, w.lineno) for w in found if "vocabulary" in str(w.message)] == [("fit model", 2)]


def test_texts_of_which_no_token_is_known_are_refused():
    model, letters = of_letters()
    before = weights(model)
    with pytest.raises(
        DataError,
        match=r"line 1, column 9: S: none of the source's characters is in the vocabulary \(z, x, y\), which has a",
    ):
        fitted(model, "source: S\ntarget: L", {"S": ["zxy", "z", "z", "z"], "L": letters})
    assert same(weights(model), before)


# -- checked before the first step -------------------------------------------------------------------------------------


def spoiled(row, position, number):
    rows = X.astype(type(number)).copy()
    rows[row, position] = number
    return rows


@pytest.mark.parametrize(
    ("body", "names", "words"),
    [
        (
            "source: X\ntarget: Y",
            {"X": spoiled(3, 2, 20)},
            r"line 1, column 9: X for encoder_inputs: row 3, position 2 .* is id 20, outside the vocabulary of 20",
        ),
        ("source: X\ntarget: Y", {"X": spoiled(3, 2, -1)}, "row 3, position 2 .* is id -1"),
        ("source: X\ntarget: Y", {"X": spoiled(5, 1, 0.5)}, "X row 5, position 1 is 0.5, no whole number"),
        ("source: X\ntarget: Y", {"X": spoiled(5, 1, np.nan)}, "X row 5, position 1 is NaN"),
        ("source: X\ntarget: Y", {"X": X[:39]}, "X for encoder_inputs has 39 rows, and the target Y 40"),
        ("source: X\ntarget: Y", {"Y": [[1], []]}, "the target: row 1 is empty"),
        ("source: X\ntarget: Y", {"X": [], "Y": []}, "no rows to fit on"),
        ("source: X\ntarget: Z", {}, r"line 2, column 9: there is no variable 'Z'"),
        ("source: XX\ntarget: Y", {}, "there is no variable 'XX'; did you mean 'X'"),
        (
            "source: X\ntarget: Y\nvalidation: [X, V]",
            {"V": Y + 10},
            "line 3, column 17: V for the target: row .* outside the vocabulary",
        ),
        ("source: X\ntarget: Y\nvalidation: 0.99", {}, "leaves 0 to fit and 40 to validate"),
        ("source: X\ntarget: Y\nlengths: L", {"L": np.full(40, 8)}, "row 0 is 8; expected 1 to 7"),
        ("source: X\ntarget: Y\nlengths: L", {"L": np.full(39, 7)}, "L holds 39 values"),
        ("source: X\ntarget: Y\ndecoder_input: D", {"D": X}, "row 0 has 6 ids against 7"),
        (
            "source: X\ntarget: Y\ndecoder_input: D",
            {"D": Y + 20},
            r"line 3, column 16: D for decoder_inputs: row 0, position 0 .* outside the vocabulary of 20",
        ),
        (
            "target: Y\ninputs:\n  encoder_inputs: X\n  decoder_inputs: D",
            {"D": Y + 20},
            r"line 4, column 19: D for decoder_inputs: row 0",
        ),
        (
            "target: Y\ninputs:\n  encoder_inputs: X\n  decoder_inputs: D\n  sequence_lengths: L",
            {"D": Y, "L": np.full(40, 8)},
            r"line 5, column 21: L: row 0 is 8",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_changed(body, names, words):
    model = built()
    before, compiled = weights(model), model.model.optimizer
    with pytest.raises(DataError, match=words):
        fitted(model, body, {**NAMES, **names})
    assert same(weights(model), before)
    assert model.model.optimizer is compiled
    assert model.evidence is None
    assert not model.tokenizers


def test_all_faults_are_said_at_once():
    with pytest.raises(DataError) as error:
        fitted(built(), "source: X\ntarget: Y\nvalidation: [A, B]", {"X": X, "Y": Y + 20, "A": X + 20, "B": Y})
    assert len(error.value.faults) == 1  # the validation data are checked once the rest is valid
    with pytest.raises(DataError) as error:
        fitted(built(), "source: X\ntarget: Y", {"X": X + 20, "Y": Y + 20})
    assert [fault.line for fault in error.value.faults] == [1, 2]


NARROWER = "one number for each" if KERAS3 else None
"""What is said of a target that Keras 2 broadcasts, and Keras 3 does not."""


@pytest.mark.parametrize(
    ("output", "loss", "shape", "words"),
    [
        (
            "Dense(3)(x)",
            "mse",
            (64, 2),
            r"line 2, column 9: t has shape \(64, 2\), .* output \(None, 3\); .* one number",
        ),
        ("Dense(3)(x)", "mse", (64, 3), None),
        ("Dense(3)(x)", "mse", (64, 1), None),
        ("Dense(3)(x)", "mse", (64,), NARROWER),
        ("Dense(1)(x)", "mse", (64, 1, 1), None),
        ("Dense(3)(x)", "categorical_crossentropy", (64, 4), "one number for each"),
        ("Dense(3)(x)", "categorical_crossentropy", (64, 1), "one number for each"),
        ("Dense(3)(x)", "categorical_crossentropy", (64,), "one number for each"),
        ("Dense(3)(x)", "binary_crossentropy", (64, 1), NARROWER),
        ("Dense(3, 'sigmoid')(x)", "binary_crossentropy", (64, 1), "one number for each"),
        ("Dense(1, 'sigmoid')(x)", "binary_crossentropy", (64,), None),
        ("Dense(3)(x)", "sparse_categorical_crossentropy", (64, 3), "one id for each position"),
        ("Dense(3)(x)", "sparse_categorical_crossentropy", (64, 1), None),
        ("Dense(3)(x)", "sparse_categorical_crossentropy", (64,), None),
        ("Dense(3)(keras.layers.RepeatVector(5)(x))", "sparse_categorical_crossentropy", (64, 5), None),
        ("Dense(3)(keras.layers.RepeatVector(5)(x))", "sparse_categorical_crossentropy", (64, 5, 1), None),
        ("Dense(3)(keras.layers.RepeatVector(5)(x))", "sparse_categorical_crossentropy", (64, 4), "one id for each"),
    ],
)
def test_a_target_is_refused_for_its_shape_exactly_where_keras_would_fail(output, loss, shape, words):
    model = api.trace(
        "from tensorflow import keras\nx = keras.Input([4])\n"
        f"model = keras.Model(x, keras.layers.{output})\nmodel.compile('sgd', '{loss}')\n"
    )
    names = {"S": np.ones((64, 4)), "t": np.zeros(shape)}
    if words is None:
        fitted(model, "source: S\ntarget: t", names)
        return
    with pytest.raises(DataError, match=words):
        fitted(model, "source: S\ntarget: t", names)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        model.model.fit(names["S"], names["t"], verbose=0)


# -- evidence ----------------------------------------------------------------------------------------------------------


def test_norms_are_those_that_can_be_computed_by_hand():
    """In one step of plain gradient descent, everything follows from the gradient."""
    model = built()
    layer = model.layers["output_layer"]
    start = layer.kernel.numpy()
    decoder = np.c_[np.zeros((40, 1), int), Y[:, :-1]]
    with tf.GradientTape() as tape:
        output = model.model([X, decoder, np.full(40, 7)])
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y, output))
    gradients = tape.gradient(loss, [layer.kernel, model.layers["embeddings"].embeddings])
    fitted(model, "source: X\ntarget: Y\nbatch: 40\nshuffle: false\noptimizer: sgd(0.5)\naccelerate: off")
    key = next(k for k, v in model.live.variables.items() if v is layer.kernel)
    found = model.evidence.variables[key]
    norm = float(tf.norm(gradients[0]))
    assert found.gradient_norm == pytest.approx((norm,), rel=1e-4)
    assert found.update_norm == pytest.approx((0.5 * norm,), rel=1e-3)
    assert found.distance == pytest.approx((0.5 * norm,), rel=1e-3)
    assert found.norm == pytest.approx((np.linalg.norm(layer.kernel.numpy()),), rel=1e-5)
    assert found.update_ratio == pytest.approx((0.5 * norm / np.linalg.norm(layer.kernel.numpy()),), rel=1e-3)
    assert np.linalg.norm(layer.kernel.numpy() - start) == pytest.approx(found.distance[0], rel=1e-3)
    embedding = next(k for k, v in model.live.variables.items() if v is model.layers["embeddings"].embeddings)
    whole = float(tf.norm(tf.convert_to_tensor(gradients[1])))
    assert model.evidence.variables[embedding].gradient_norm == pytest.approx((whole,), rel=1e-4), "rows added up"


def test_evidence_is_the_same_on_faster_kernels():
    plain, fast = built(), built()
    body = "source: X\ntarget: Y\nbatch: 8\nepochs: 2\nseed: 1\naccelerate: "
    fitted(plain, body + "off")
    fitted(fast, body + "on")
    assert plain.evidence.runs[0].accelerated == {}
    assert fast.evidence.runs[0].accelerated["encoder"] == "accelerated"
    assert fast.evidence.runs[0].accelerated["decoder"] == "accelerated"
    assert fast.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-5)
    for key, expected in plain.evidence.variables.items():
        found = fast.evidence.variables[key]
        for kind in ("gradient_norm", "update_norm", "update_ratio", "distance", "norm"):
            assert getattr(found, kind) == pytest.approx(getattr(expected, kind), rel=1e-3), (key, kind)


UNTRAINED = """\
import tensorflow as tf
from tensorflow import keras
x = keras.Input([4])
lost = keras.layers.Dense(3)
frozen = keras.layers.Dense(3)
frozen.trainable = False
alive = keras.layers.Dense(1)
outside = keras.layers.Dense(2)
outside(x)
cut = tf.cast(tf.argmax(lost(x), axis=-1), tf.float32)[:, None]
model = keras.Model(x, alive(frozen(x)) + 0.0 * cut)
model.compile("adam", "mse")
"""


def test_what_did_not_train_is_said_in_words():
    model = api.trace(UNTRAINED)
    fitted(model, "inputs: {x: A}\ntarget: t\nepochs: 2", {"A": numbers.random((20, 4)), "t": np.ones((20, 1))})
    said = {model.ledger.variables[key].paths[0]: found for key, found in model.evidence.variables.items()}
    assert said["alive.kernel"].verdict == "trained"
    assert said["lost.kernel"].verdict == "no gradient"
    assert said["frozen.kernel"].verdict == "frozen"
    assert "frozen by frozen" in said["frozen.kernel"].text
    assert said["outside.kernel"].verdict == "not in the model"
    assert model.ledger.training is model.evidence


def test_a_gradient_too_small_to_matter_is_told_from_training():
    code = UNTRAINED.replace("0.0 * cut", "1e-12 * lost(x)[:, :1]").replace('"adam"', "keras.optimizers.SGD(0.1)")
    model = api.trace(code)
    fitted(model, "inputs: {x: A}\ntarget: t\nepochs: 2", {"A": numbers.random((20, 4)), "t": np.ones((20, 1))})
    said = {model.ledger.variables[key].paths[0]: found for key, found in model.evidence.variables.items()}
    assert said["lost.kernel"].verdict in ("did not move", "barely moved")
    assert said["lost.kernel"].gradient_norm[0] > 0


def test_nothing_of_the_watching_stays_behind():
    model = built()
    fitted(model, "source: X\ntarget: Y")
    assert "apply_gradients" not in vars(model.model.optimizer)
    assert model.model.train_function is None
    before = len(model.model.weights)
    model.model.fit([X, Y, np.full(40, 7)], Y, verbose=0)
    assert len(model.model.weights) == before


# -- shares of a shared layer ------------------------------------------------------------------------------------------


def test_the_parts_of_a_shared_layers_gradient_add_up_to_the_whole():
    from s2s_magic.training.shares import gradient_parts

    model = built()
    fitted(model, "source: X\ntarget: Y\nepochs: 2")
    batch = ((X, np.c_[np.zeros((40, 1), int), Y[:, :-1]], np.full(40, 7)), Y)
    batch = tf.nest.map_structure(tf.constant, batch)
    parts = gradient_parts(model, batch)
    embeddings = model.layers["embeddings"].embeddings
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y, model.model(batch[0])))
    whole = tf.convert_to_tensor(tape.gradient(loss, embeddings))
    (key,) = parts
    assert model.live.variables[key] is embeddings
    assert float(tf.norm(tf.add_n(list(parts[key].values())) - whole)) < 1e-5 * float(tf.norm(whole))
    sources = {model.ledger.events[event].source for event in parts[key]}
    assert sources == {"embeddings(encoder_inputs)", "embeddings(decoder_inputs)"}
    assert sum(share.share for share in model.evidence.by_call) == pytest.approx(1.0)
    assert all(share.norm > 0 for share in model.evidence.by_call)


def test_each_part_is_that_of_its_own_call():
    """If the encoder's call has no wire to the loss, the whole gradient came through the decoder's call."""
    code = by_hand(20, 4, 8).replace("initial_state=[memory, carry]", "initial_state=[0.0 * memory, 0.0 * carry]")
    model = api.trace(code)
    fitted(model, "source: X\ntarget: Y")
    share = {model.ledger.events[one.event].source: one.share for one in model.evidence.by_call}
    assert share == {"words(source_ids)": 0.0, "words(target_ids)": 1.0}


TIED = """\
import tensorflow as tf
from tensorflow import keras
L = keras.layers
x = keras.Input([6], dtype="int32")
emb = L.Embedding(20, 8)
h = L.Dense(8, activation="tanh")(emb(x))
{}
model = keras.Model(x, out)
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
"""
TIED_BY = {
    "an operation": "out = tf.matmul(h, emb.embeddings, transpose_b=True)",
    "an operation that it comes first in": "out = tf.einsum('vd,bsd->bsv', emb.embeddings, h)",
    "a layer that holds it": """\
class Tied(L.Layer):
    def __init__(self, table):
        super().__init__()
        self.table = table
    def call(self, h):
        return tf.matmul(h, self.table.embeddings, transpose_b=True)
out = Tied(emb)(h)""",
    "a layer that keeps its variable in a list": """\
class Tied(L.Layer):
    def __init__(self, table):
        super().__init__()
        self.tables = [table.embeddings]
    def call(self, h):
        return tf.matmul(h, self.tables[0], transpose_b=True)
out = Tied(emb)(h)""",
    "a layer of half precision": """\
class Tied(L.Layer):
    def __init__(self, table):
        super().__init__(dtype="mixed_float16")
        self.table = table
    def call(self, h):
        return tf.matmul(tf.cast(h, tf.float32), tf.cast(self.table.embeddings, tf.float32), transpose_b=True)
out = L.Activation("linear", dtype="float32")(Tied(emb)(h))""",
}


@pytest.mark.parametrize("by", TIED_BY)
def test_the_gradient_of_a_tied_embedding_is_split_by_its_uses(by):
    from s2s_magic.training.shares import gradient_parts

    model = api.trace(TIED.format(TIED_BY[by]))
    fitted(model, "source: X\ntarget: Y", {"X": X, "Y": X})
    table, dense = model.layers["emb"].embeddings, model.model.layers[2]
    once, again = tf.constant(table.numpy()), tf.constant(table.numpy())
    with tf.GradientTape() as tape:
        tape.watch([once, again])
        scores = tf.matmul(dense(tf.gather(once, X)), again, transpose_b=True)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(X, scores, from_logits=True))
    expected = [tf.convert_to_tensor(part) for part in tape.gradient(loss, [once, again])]
    (parts,) = gradient_parts(model, (tf.constant(X), tf.constant(X))).values()
    assert model.ledger.events[min(parts)].layer == "emb"
    for part, by_hand_ in zip(parts.values(), expected, strict=True):
        assert float(tf.norm(part - by_hand_)) <= (1e-3 if "half" in by else 1e-5) * float(tf.norm(by_hand_))
    shares = {share.event: share.share for share in model.evidence.by_call}
    assert list(shares) == list(parts)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(share > 0.01 for share in shares.values())


def test_the_gradient_of_a_layer_is_split_where_others_call_it_as_well():
    from s2s_magic.training.shares import gradient_parts

    fate = FATES["called twice, and within TimeDistributed and a layer of one's own"]
    model = api.trace(HEAD + fate.code)
    fitted(model, "source: S\ntarget: T", {"S": fate.data, "T": fate.target})
    parts = gradient_parts(model, (tf.constant(fate.data), tf.constant(fate.target)))
    shared = model.layers["shared"]
    with tf.GradientTape() as tape:
        loss = model.model.compute_loss(None, tf.constant(fate.target), model.model(tf.constant(fate.data)))
    for weight, whole in zip(shared.weights, tape.gradient(loss, shared.weights), strict=True):
        (key,) = (key for key, variable in model.live.variables.items() if variable is weight)
        called = [model.ledger.events[event].source for event in parts[key]]
        assert called == ["shared(x)", "shared(shared(x))", "layers.TimeDistributed(shared)(layers.RepeatVector(2)(h))",
                          "Holder(shared)(x)"]  # fmt: skip
        assert float(tf.norm(tf.add_n(list(parts[key].values())) - whole)) <= 1e-4 * float(tf.norm(whole))
        assert all(float(tf.norm(part)) > 0 for part in parts[key].values())


# -- ends before the end -----------------------------------------------------------------------------------------------


def test_an_interrupt_keeps_weights_history_and_evidence_and_is_raised_again():
    model = built()
    start = weights(model)

    def interrupt(progress):
        if progress.epoch >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.fit(model, "source: X\ntarget: Y\nepochs: 500\nbatch: 2", NAMES, progress=interrupt)
    run = model.evidence.runs[-1]
    assert run.interrupted
    assert run.epochs == len(model.history["loss"]) < 500
    assert not same(weights(model), start)
    assert all(len(v.distance) == run.epochs for v in model.evidence.variables.values())
    fitted(model, "source: X\ntarget: Y")
    assert [r.interrupted for r in model.evidence.runs] == [True, False]
    assert "apply_gradients" not in vars(model.model.optimizer)


def test_a_signal_in_the_middle_of_an_epoch_is_such_an_interrupt():
    model = built()
    names = {"X": np.tile(X, (400, 1)), "Y": np.tile(Y, (400, 1))}
    states = []

    def start_clock(progress):
        states.append(progress)
        if len(states) == 2:
            threading.Timer(0.2, _thread.interrupt_main).start()

    with pytest.raises(KeyboardInterrupt):
        api.fit(model, "source: X\ntarget: Y\nepochs: 50\nbatch: 2", names, progress=start_clock)
    assert model.evidence.runs[-1].interrupted
    assert model.evidence.runs[-1].steps > 0
    assert len(model.history["loss"]) == model.evidence.runs[-1].epochs
    assert states[-1].state == "interrupted"


def test_a_loss_that_breaks_puts_the_last_sound_state_back_and_names_the_variable():
    code = """\
import tensorflow as tf
from tensorflow import keras
x = keras.Input([2])
first = keras.layers.Dense(3, name="first")
second = keras.layers.Dense(1, name="second")
model = keras.Model(x, second(tf.sqrt(tf.nn.relu(first(x)))) + keras.layers.Dense(1)(x))
model.compile("adam", "mse")
"""
    model = api.trace(code)
    model.layers["first"].set_weights([np.ones((2, 3)), np.zeros(3)])
    names = {"A": np.ones((16, 2)), "t": np.ones((16, 1))}
    fitted(model, "inputs: {x: A}\ntarget: t\nepochs: 2", names)
    sound = weights(model)
    state = [v.numpy() for v in model.model.optimizer.variables]
    # The slope of the square root at zero is infinite: the first loss is finite, but the gradient of `first` is not.
    names["A"][3] = 0.0
    model.layers["first"].bias.assign(np.zeros(3))
    sound = weights(model)
    with pytest.raises(
        FitError, match=r"first gradient to break is that of first\.\w+.*step 1 of epoch 1.*before the fit"
    ):
        fitted(model, "inputs: {x: A}\ntarget: t\nepochs: 5\nbatch: 4\nshuffle: false", names)
    assert same(weights(model), sound)
    assert same([v.numpy() for v in model.model.optimizer.variables], state)
    assert "non-finite" in model.evidence.runs[-1].stopped


def after_a_loss_that_broke(compiling):
    """Fit a model whose loss diverges in its first epoch; return it, and names with which it would not."""
    code = "from tensorflow import keras\nx = keras.Input([2])\nmodel = keras.Model(x, keras.layers.Dense(1)(x))\n"
    model = api.trace(code + compiling)
    optimizer, names = getattr(model.model, "optimizer", None), {"A": 1e3 * np.ones((16, 2)), "t": np.ones((16, 1))}
    exploding = "source: A\ntarget: t\noptimizer: sgd(1e5)\nloss: mean_squared_error\nbatch: 4\n"
    with pytest.raises(FitError, match="state before the fit was put back, and what the model was compiled with"):
        fitted(model, exploding, names)
    assert model.evidence.runs[-1].optimizer == "SGD(100000)"
    assert getattr(model.model, "optimizer", None) is optimizer
    return model, names | {"A": np.ones((16, 2))}


def test_a_loss_that_breaks_leaves_the_compile_that_stood_before_the_fit():
    model, names = after_a_loss_that_broke(
        "model.compile('adam', 'mse', metrics=['mae'], loss_weights=[0.5], run_eagerly=True)\n"
    )
    assert backend.is_compiled(model.model)
    assert model.model.run_eagerly
    loss, error = model.model.evaluate(names["A"], names["t"], verbose=0)
    output = model.model.predict(names["A"], verbose=0)
    assert loss == pytest.approx(0.5 * np.mean((output - 1) ** 2), rel=1e-4)
    assert error == pytest.approx(np.mean(np.abs(output - 1)), rel=1e-4)
    fitted(model, "source: A\ntarget: t", names)
    assert model.evidence.runs[-1].optimizer == "Adam(0.001)"


def test_a_loss_that_breaks_leaves_a_model_uncompiled_that_was_so_before_the_fit():
    model, names = after_a_loss_that_broke("")
    assert not backend.is_compiled(model.model)
    fitted(model, "source: A\ntarget: t\nloss: mean_squared_error", names)
    assert model.evidence.runs[-1].optimizer == "Adam(0.001)"


def test_a_loss_that_breaks_by_huge_weights_names_the_greatest():
    code = (
        "import tensorflow as tf\nfrom tensorflow import keras\nx = keras.Input([2])\n"
        "small = keras.layers.Dense(2)\nhuge = keras.layers.Dense(1)\n"
        # a gradient that stays finite, whatever the loss is
        "safe = tf.custom_gradient(lambda y: (tf.square(y), lambda up: tf.zeros_like(y)))\n"
        "model = keras.Model(x, keras.layers.Lambda(safe)(huge(small(x))))\n"
        "model.compile('sgd', 'mae')\n"
    )
    model = api.trace(code)
    model.layers["huge"].kernel.assign([[1e30], [1e30]])
    names = {"A": np.ones((16, 2)), "t": np.ones((16, 1))}
    with pytest.raises(FitError, match=r"no gradient broke before it, and .* those of huge\.kernel \(norm 1\.41e\+30"):
        fitted(model, "source: A\ntarget: t", names)


def test_patience_stops_and_puts_the_best_state_back():
    model = built()
    best = {}

    def remember(progress):
        if "val_loss" in progress.values:
            best.setdefault(round(progress.values["val_loss"], 6), weights(model))

    numbers = np.random.default_rng(3)
    names = {"X": X, "Y": Y, "V": numbers.integers(3, 20, size=(40, 7))}
    api.fit(
        model,
        "source: X\ntarget: Y\nvalidation: [X, V]\nepochs: 200\npatience: 2\nbatch: 4\noptimizer: adam(0.03)",
        names,
        progress=remember,
    )
    losses = model.history["val_loss"]
    assert len(losses) == int(np.argmin(losses)) + 3 < 200
    assert "no better val_loss for 2 epochs" in model.evidence.runs[-1].stopped
    decoder = np.c_[np.zeros((40, 1)), names["V"][:, :-1]]
    assert model.model.evaluate([X, decoder, np.full(40, 7)], names["V"], verbose=0) == pytest.approx(
        min(losses), rel=1e-4
    )


def test_what_is_watched_while_it_trains_is_what_is_kept_in_the_end():
    model = api.build("vocab: 9\nembed: 2\nencoder: gru(4)\ndecoder: gru(4)\n")
    rows = np.random.default_rng(0).integers(1, 9, (64, 4))
    seen = []
    api.fit(model, "source: X\ntarget: X\nepochs: 1", {"X": rows}, watch=lambda m: seen.append(m.evidence))
    api.fit(model, "source: X\ntarget: X\nepochs: 3", {"X": rows}, watch=lambda m: seen.append(m.evidence))
    assert [run.stopped for run in seen[0].runs] == ["going on"]
    assert seen[1].history["loss"] == model.history["loss"][:2]
    assert [(run.epochs, run.stopped) for run in model.evidence.runs] == [(1, None), (3, None)]
    assert all(len(v.distance) == 4 for v in model.evidence.variables.values())


def test_a_body_can_name_the_losses_of_one_hot_and_of_binary_targets():
    code = "from tensorflow import keras\nkeras.utils.set_random_seed(1)\na = keras.Input([3])\n"
    values, classes = np.random.default_rng(0).random((32, 3)), np.eye(2)[np.arange(32) % 2]
    for activation, loss, target in (
        ("softmax", "categorical_crossentropy", classes),
        (None, "categorical_crossentropy", classes),
        ("sigmoid", "binary_crossentropy", classes),
    ):
        made = f"{code}model = keras.Model(a, keras.layers.Dense(2, activation={activation!r})(a))\n"
        ours, theirs = api.trace(made), api.trace(made)
        fitted(ours, f"source: a\ntarget: t\nloss: {loss}\nseed: 3\nepochs: 2", {"a": values, "t": target})
        given = keras.losses.CategoricalCrossentropy(from_logits=True) if activation is None else loss
        theirs.model.compile("adam", given)
        keras.utils.set_random_seed(3)
        history = theirs.model.fit(values, target, epochs=2, verbose=0).history
        assert list(ours.history["loss"]) == pytest.approx(history["loss"], rel=1e-6)


def test_an_optimizer_that_was_made_for_other_variables_does_not_go_on_in_a_fit_that_names_one_like_it():
    code = "from tensorflow import keras\na = keras.Input([3])\nhidden = keras.layers.Dense(4)\n"
    code += "model = keras.Model(a, keras.layers.Dense(1)(hidden(a)))\n"
    code += "adam = keras.optimizers.Adam(1e-3)\nadam.build(hidden.trainable_variables)\nmodel.compile(adam, 'mse')\n"
    model = api.trace(code)
    names = {"a": np.ones((8, 3)), "t": np.ones((8, 1))}
    with pytest.raises(FitError, match="no place"):
        fitted(model, "source: a\ntarget: t", names)
    fitted(model, "source: a\ntarget: t\noptimizer: adam(1e-3)", names)
    assert {seen.verdict for seen in model.evidence.variables.values()} == {"trained"}
