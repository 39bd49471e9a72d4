"""For every kind of data that ``Model.fit`` takes, a fit has the same numbers as ``Model.fit``."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from kerases import KERAS3, count_names_anew, only_keras2, only_keras3
from models import by_hand
from s2s_magic import api
from s2s_magic.data.reader import prepare
from s2s_magic.errors import DataError, FitError
from s2s_magic.ledger.words import number_text
from s2s_magic.spec import parse_fit
from s2s_magic.view import report, to_html, to_text

pytestmark = pytest.mark.once

HEAD = "import numpy as np\nimport tensorflow as tf\nfrom tensorflow import keras\nL = keras.layers\n"
numbers = np.random.default_rng(0)
N = 24
X = numbers.integers(1, 20, (N, 6))
Y = numbers.integers(1, 20, (N, 6))
D = np.c_[np.zeros((N, 1), int), Y[:, :-1]]
F = numbers.random((N, 4)).astype("float32")
W = numbers.random(N)
WP = numbers.random((N, 6))
P = numbers.integers(0, 2, (N, 1))
K = np.eye(3)[numbers.integers(0, 3, N)]
C = numbers.integers(0, 3, N)
WORDS = np.array(["red", "green", "blue", "one", "two", "three", "four", "five"])
T = [" ".join(numbers.choice(WORDS, 4)) for _ in range(N)]
S = [f"startofseq {text}" for text in T]
E = [f"{text} endofseq" for text in T]
ONE_HOT = np.eye(20)[Y]
RAGGED = tf.RaggedTensor.from_row_lengths(numbers.integers(1, 20, 3 * N), np.tile([1, 2, 6, 3], N // 4))
LISTS = RAGGED.to_list()
NAMES = {name: value for name, value in globals().items() if name.isupper()}

TAGGER = """
x = keras.Input([6], dtype="int32")
out = L.Dense(20, activation="softmax")(L.Embedding(20, 4)(x))
model = keras.Model(x, out)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
"""

RECURRENT = """\
_, h = L.SimpleRNN(4, return_state=True)(emb(encoder_inputs))
scores = L.SimpleRNN(4, return_sequences=True)(emb(decoder_inputs), initial_state=[h])
"""
POOLING = """\
context = L.Reshape([1, 4])(L.GlobalAveragePooling1D()(emb(encoder_inputs)))
scores = L.Dense(4, activation="tanh")(L.Add()([emb(decoder_inputs), context]))
"""
RECURRENT_PAIR = f"""
encoder_inputs = keras.Input([None], dtype="int32")
decoder_inputs = keras.Input([None], dtype="int32")
emb = L.Embedding(20, 4)
{RECURRENT}chances = L.Dense(20, activation="softmax")(scores)
model = keras.Model([encoder_inputs, decoder_inputs], chances)
model.compile("adam", "{{loss}}")
"""
PAIR = RECURRENT_PAIR.replace(RECURRENT, POOLING)  # fitted in less time, where the parts of the model do not matter

DENSE = """
x = keras.Input([4])
y = L.Dense(3, activation="softmax")(x)
model = keras.Model(x, y)
model.compile("sgd", "{loss}")
"""

TICKETS = """
title = keras.Input([6], dtype="int32", name="t")
body = keras.Input([4])
both = L.Concatenate()([L.GlobalAveragePooling1D()(L.Embedding(20, 4)(title)), body])
priority = L.Dense(1, activation="sigmoid")(both)
department = L.Dense(3, activation="softmax")(both)
model = keras.Model([title, body], [priority, department])
losses = ["binary_crossentropy", "categorical_crossentropy"]
model.compile("adam", losses, metrics=[["accuracy"], ["accuracy"]], loss_weights=[1, 0.3])
"""

KEYED = (
    TICKETS.replace("[priority, department])", "{{'p': priority, 'd': department}})")
    .replace(
        'losses, metrics=[["accuracy"], ["accuracy"]], loss_weights=[1, 0.3]',
        '{{"p": "binary_crossentropy", "d": "categorical_crossentropy"}}',
    )
    .replace("{{", "{")
    .replace("}}", "}")
)
if KERAS3:  # whose losses go by the names of the layers
    KEYED = KEYED.replace("L.Dense(1, ", 'L.Dense(1, name="p", ').replace("L.Dense(3, ", 'L.Dense(3, name="d", ')

ONE_LOSS = TICKETS.replace(
    'losses, metrics=[["accuracy"], ["accuracy"]], loss_weights=[1, 0.3]',
    '[None, "categorical_crossentropy"]',
)

TEXTS = """
vec_en = L.TextVectorization(12, output_sequence_length=6)
vec_es = L.TextVectorization(12, output_sequence_length=6)
vec_en.adapt(texts)
vec_es.adapt([f"startofseq {t} endofseq" for t in texts])
encoder_inputs = keras.Input(shape=[], dtype=tf.string)
decoder_inputs = keras.Input(shape=[], dtype=tf.string)
source_ids, target_ids = vec_en(encoder_inputs), vec_es(decoder_inputs)
_, *state = L.SimpleRNN(4, return_state=True)(L.Embedding(12, 4, mask_zero=True)(source_ids))
scores = L.SimpleRNN(4, return_sequences=True)(L.Embedding(12, 4, mask_zero=True)(target_ids), initial_state=state)
model = keras.Model([encoder_inputs, decoder_inputs], L.Dense(12, activation="softmax")(scores))
model.compile("nadam", "sparse_categorical_crossentropy")
"""

SUBCLASSED = """
class Translator(keras.Model):
    def __init__(self):
        super().__init__()
        self.emb = L.Embedding(20, 4)
        self.encoder = L.SimpleRNN(4, return_state=True)
        self.decoder = L.SimpleRNN(4, return_sequences=True)
        self.head = L.Dense(20, activation="softmax")

    def call(self, inputs):
        x, d = (inputs["x"], inputs["d"]) if isinstance(inputs, dict) else inputs
        _, h = self.encoder(self.emb(x))
        return self.head(self.decoder(self.emb(d), initial_state=[h]))

model = Translator()
model.compile("adam", "sparse_categorical_crossentropy")
"""

ALONE = """
class Head(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(3, activation="softmax")

    def call(self, x):
        return self.dense(x)

model = Head()
model.compile("adam", "sparse_categorical_crossentropy")
"""

RAGGED_IN = """
x = keras.Input([None], ragged=True, dtype="int32")
model = keras.Model(x, L.Dense(3, activation="softmax")(L.SimpleRNN(4)(L.Embedding(20, 4)(x))))
model.compile("adam", "sparse_categorical_crossentropy")
"""

RAGGED_OUT = """
x = keras.Input([None], ragged=True, dtype="int32")
model = keras.Model(x, L.TimeDistributed(L.Dense(1))((L.Embedding(20, 4)(x))))
model.compile("adam", "mse")
"""

SPARSE_IN = """
x = keras.Input([4], sparse=True)
model = keras.Model(x, L.Dense(3, activation="softmax")(x))
model.compile("adam", "sparse_categorical_crossentropy")
"""

SCALAR = """
x = keras.Input([1])
model = keras.Model(x, L.Dense(1, activation="sigmoid")(x))
model.compile("adam", "binary_crossentropy")
"""


def run(code, names):
    space = {**names, "texts": T}
    exec(HEAD + code, space)
    return space["model"]


def check(code, body, by_keras, names=None, metrics=()):
    """Fit the same code by plain Keras and by a body, and compare losses, metrics and weights."""
    names = {**NAMES, **(names or {})}
    count_names_anew()
    keras.utils.set_random_seed(1)
    plain = run(code, names)
    keras.utils.set_random_seed(2)
    expected = plain.fit(verbose=0, epochs=2, **({"batch_size": 8} | by_keras)).history
    count_names_anew()
    keras.utils.set_random_seed(1)
    ours = api.trace(HEAD + code, {**names, "texts": T})
    keras.utils.set_random_seed(2)
    lines = body if "data:" in body else f"{body}\nbatch: 8"
    api.fit(ours, f"{lines}\nepochs: 2\naccelerate: off", names, progress=lambda progress: None)
    assert {name: list(values) for name, values in ours.history.items()} == {
        name: pytest.approx(values, rel=1e-5) for name, values in expected.items()
    }
    for one, other in zip(ours.model.trainable_weights, plain.trainable_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert "trained" in {variable.verdict for variable in ours.evidence.variables.values()}
    return ours


def test_inputs_without_names_go_by_their_names_in_the_code_by_keras_s_and_in_order():
    by_keras = {"x": [X, D], "y": Y}
    code = PAIR.format(loss="sparse_categorical_crossentropy")
    ours = check(code, "inputs: {encoder_inputs: X, decoder_inputs: D}\ntarget: Y", by_keras)
    first, second = (each.name for each in ours.model.inputs)
    check(code, "inputs: [X, D]\ntarget: Y", by_keras)
    check(code, f"inputs: {{{first}: X, {second}: D}}\ntarget: Y", by_keras | {"x": [X, D]})


def test_one_hot_targets_go_with_the_loss_that_compares_numbers():
    loss = "categorical_crossentropy"
    check(PAIR.format(loss=loss), "inputs: [X, D]\ntarget: ONE_HOT", {"x": [X, D], "y": ONE_HOT})
    check(RECURRENT_PAIR.format(loss=loss), "source: X\ndecoder_input: D\ntarget: ONE_HOT", {"x": [X, D], "y": ONE_HOT})
    with pytest.raises(DataError, match="compile with categorical_crossentropy"):
        api.fit(api.trace(HEAD + TAGGER), "source: X\ntarget: ONE_HOT", NAMES)


@pytest.mark.parametrize(
    "loss",
    [
        "'categorical_focal_crossentropy'",
        "'cosine_similarity'",
        "keras.losses.CategoricalCrossentropy(label_smoothing=0.1)",
        "lambda truth, said: tf.reduce_mean(tf.square(truth - said), -1)",
    ],
)
def test_whatever_loss_compares_vectors_gets_vectors(loss):
    code = PAIR.replace('"{loss}"', "{loss}")
    check(code.format(loss=loss), "inputs: [X, D]\ntarget: ONE_HOT", {"x": [X, D], "y": ONE_HOT})


def test_a_loss_of_the_users_own_gets_rows_of_ids_where_the_target_holds_such():
    own = "lambda truth, said: keras.losses.sparse_categorical_crossentropy(truth, said)"
    check(RECURRENT_PAIR.replace('"{loss}"', own), "source: X\ntarget: Y", {"x": [X, D], "y": Y})


def test_a_target_of_each_output_goes_by_its_name_or_in_order():
    by_keras = {"x": [X, F], "y": [P, K], "sample_weight": [W, None], "validation_data": ([X, F], [P, K])}
    body = "validation: {inputs: [X, F], target: [P, K]}\nweights: {priority: W}\n"
    ours = check(TICKETS, body + "inputs: {title: X, body: F}\ntarget: {priority: P, department: K}", by_keras)
    first, second = ours.model.output_names
    assert {f"{first}_loss", f"{second}_accuracy", f"val_{first}_loss", f"val_{second}_accuracy"} <= set(ours.history)
    shown = report(ours.ledger, training=True)
    charts = re.findall('<svg[^>]*class="s2s-chart".*?<title>(.*?)</title>', to_html(shown))
    for name, values in ours.history.items():
        assert f"\n{name}: {number_text(values[0])} → {number_text(values[-1])}\n" in to_text(shown)
        assert name.removeprefix("val_") in charts
    body = "validation: {inputs: [X, F], target: [P, K]}\nweights: [W, ONES]\n"
    check(TICKETS, body + "inputs: [X, F]\ntarget: [P, K]", by_keras, {"ONES": np.ones(N)})


SPARSE = "sparse_categorical_crossentropy"
TWINS = """
x = keras.Input([4])
one, other = L.Dense(3, activation="softmax")(x), L.Dense(3, activation="softmax")(L.Dense(2)(x))
model = keras.Model(x, {outputs})
model.compile("adam", {loss}, metrics={metrics}, loss_weights={weights})
"""
IN_ORDER = {"outputs": "[one, other]", "weights": "[1.0, 0.3]", "metrics": "[['accuracy'], ['accuracy']]"}
BY_NAME = {
    "outputs": "{'a': one, 'b': other}",
    "weights": "{'a': 1.0, 'b': 0.3}",
    "metrics": "{'a': ['accuracy'], 'b': ['accuracy']}",
}


@pytest.mark.parametrize("outputs", [IN_ORDER, BY_NAME], ids=["in order", "by name"])
def test_one_target_is_held_against_each_of_several_outputs_as_by_keras(outputs):
    def both(value, by_name=outputs is BY_NAME):
        """Return what is for both outputs; Keras 3 takes it for each of them."""
        return {"a": value, "b": value} if by_name else [value, value]

    each = both if KERAS3 else lambda value: value
    sparse = TWINS.format(loss=repr(each(SPARSE)), **outputs)
    by_keras = {"x": F, "y": each(C), "sample_weight": each(W), "validation_data": (F, each(C))}
    check(sparse, "source: F\ntarget: C\nweights: W\nvalidation: [F, C]", by_keras)
    check(TWINS.format(loss=repr(each("mse")), **outputs), "source: F\ntarget: K", {"x": F, "y": each(K)})


CLASS_WEIGHTS = "source: F\ntarget: C\nclass_weights: {0: 1.0, 1: 2.5, 2: 0.5}\nvalidation: 0.25"


@only_keras2("it takes class weights for a single output alone")
@pytest.mark.parametrize("outputs", [IN_ORDER, BY_NAME], ids=["in order", "by name"])
def test_class_weights_of_a_target_of_several_outputs_are_those_of_model_fit(outputs):
    by_keras = {"x": F, "y": C, "class_weight": {0: 1.0, 1: 2.5, 2: 0.5}, "validation_split": 0.25}
    check(TWINS.format(loss=repr(SPARSE), **outputs), CLASS_WEIGHTS, by_keras)


@only_keras3("Keras 2 takes them")
def test_class_weights_of_several_outputs_are_refused_where_keras_refuses_them():
    model = api.trace(HEAD + TWINS.format(loss=repr([SPARSE, SPARSE]), **IN_ORDER))
    with pytest.raises(DataError, match="class_weights are for one output"):
        api.fit(model, CLASS_WEIGHTS, NAMES)


def test_one_target_of_rows_goes_to_a_loss_of_ids_and_to_one_of_numbers():
    code = """
x = keras.Input([6], dtype="int32")
h = L.Embedding(20, 4)(x)
model = keras.Model(x, [L.Dense(20, activation="softmax", name="a")(h), L.Dense(1, name="b")(h)])
model.compile("adam", ["sparse_categorical_crossentropy", "mae"])
"""
    both = {"x": X, "y": [Y, Y]}
    check(code, "source: X\ntarget: Y", both if KERAS3 else {"x": X, "y": Y})
    check(code, "source: X\ntarget: Y\nweights: {a: WP}", both | {"sample_weight": [WP, for_positions(np.ones(N))]})
    alone = {"x": X, "y": {"a": Y} if KERAS3 else Y}
    check(code.replace("mae", "mse").replace('"mse"', "None"), "source: X\ntarget: Y", alone)


def test_outputs_in_a_dict_go_by_its_keys_and_an_output_without_a_loss_needs_no_target():
    check(KEYED, "inputs: [X, F]\ntarget: {p: P, d: K}", {"x": [X, F], "y": {"p": P, "d": K}})
    check(ONE_LOSS, "inputs: [X, F]\ntarget: K", {"x": [X, F], "y": [P, K]})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "target: P",
            r"P has shape \(24, 1\), and the output department \(None, 3\).*priority, department: name a variable for "
            r"each, 'target: \{priority: Y, department: Y\}'",
        ),
        ("target: {priority: P}", "nothing says what department is compared with"),
        ("target: {priorty: P, department: K}", "the model has no output 'priorty'; did you mean 'priority'"),
        ("target: [P]", "the loss compares 2 outputs, priority, department, and there are 1 variables"),
        ("target: [P, F]", r"F has shape \(24, 4\), and the output department \(None, 3\)"),
        ("target: [P, SHORT]", "SHORT has 3 rows, and the target P 24"),
        ("target: [P, K]\nweights: [W]", "the loss compares 2 outputs, priority, department, and there are 1"),
        ("target: [P, K]\nweights: {a: W}", "the model has no output 'a'"),
        ("target: [P, K]\nclass_weights: {0: 1}", "class_weights are for one output: give 'weights' by output"),
    ],
)
def test_what_does_not_name_the_targets_is_refused(body, words):
    model = api.trace(HEAD + TICKETS)
    with pytest.raises(DataError, match=words):
        api.fit(model, f"inputs: [X, F]\n{body}", NAMES | {"SHORT": K[:3]})
    assert model.evidence is None


ADDS_LOSS = """
class Small(L.Layer):
    def call(self, v):
        self.add_loss(tf.reduce_mean(v ** 2))
        return v
"""


@pytest.mark.parametrize(
    "added",
    [
        pytest.param(
            ("model.compile", "model.add_loss(tf.reduce_mean(y ** 2))\nmodel.compile"),
            id="by the model",
            marks=only_keras2("a wired model adds no loss of its symbols"),
        ),
        pytest.param(("model = keras.Model(x, y)", f"{ADDS_LOSS}model = keras.Model(x, Small()(y))"), id="by a layer"),
    ],
)
def test_where_no_loss_compares_anything_any_target_does_as_for_keras(added):
    code = DENSE.format(loss="mse").replace('"sgd", "mse"', '"adam"')
    code = code.replace(*added)
    check(code, "source: F\ntarget: P\nvalidation: [F, P]", {"x": F, "y": P, "validation_data": (F, P)})
    with pytest.raises(DataError, match="no loss compares any output, and there are 2 variables"):
        api.fit(api.trace(HEAD + code), "source: F\ntarget: [P, C]", NAMES)


def test_a_target_of_an_output_without_a_loss_is_refused():
    with pytest.raises(DataError, match="no loss compares the output 'priority'"):
        api.fit(api.trace(HEAD + ONE_LOSS), "inputs: [X, F]\ntarget: {priority: P, department: K}", NAMES)


def for_positions(weights):
    """Return weights of rows as Keras takes them for rows of positions: Keras 3 wants a column."""
    return weights[:, None] if KERAS3 and weights.ndim == 1 else weights


@pytest.mark.parametrize("weights", ["WP", "COLUMN"])
def test_weights_of_rows_and_of_positions_are_those_of_model_fit(weights):
    names = {"COLUMN": [float(number) for number in W]}
    value = for_positions(np.asarray(names.get(weights, NAMES.get(weights))))
    by_keras = {"x": X, "y": Y, "sample_weight": value, "validation_data": (X, Y, value)}
    body = f"source: X\ntarget: Y\nweights: {weights}\nvalidation: {{source: X, target: Y, weights: {weights}}}"
    check(TAGGER, body, by_keras, names)


def test_weights_are_split_with_their_rows():
    by_keras = {"x": X, "y": Y, "sample_weight": for_positions(W), "validation_split": 0.25}
    check(TAGGER, "source: X\ntarget: Y\nweights: W\nvalidation: 0.25", by_keras)
    column = {"x": F, "y": C, "sample_weight": W[:, None]}
    check(DENSE.format(loss="sparse_categorical_crossentropy"), "source: F\ntarget: C\nweights: COLUMN", column, {
        "COLUMN": W[:, None],
    })  # fmt: skip


def test_class_weights_are_those_of_model_fit():
    weights = {0: 1.0, 1: 2.5, 2: 0.5}
    body = "target: {}\nsource: F\nclass_weights: {{0: 1.0, 1: 2.5, 2: 0.5}}"
    code = DENSE.format(loss="sparse_categorical_crossentropy")
    check(code, body.format("C"), {"x": F, "y": C, "class_weight": weights})
    code = DENSE.format(loss="categorical_crossentropy")
    check(code, body.format("K"), {"x": F, "y": K, "class_weight": weights})
    check(SCALAR, "source: W\ntarget: P\nclass_weights: {1: 3}", {"x": W, "y": P, "class_weight": {0: 1, 1: 3}})


CLASSES_AND_ROWS = "source: F\ntarget: C\nclass_weights: {0: 1.0, 1: 2.5, 2: 0.5}\nweights: W"


@only_keras2("it takes one of them")
def test_class_weights_and_weights_of_rows_together_are_those_of_model_fit():
    by_keras = {"x": F, "y": C, "class_weight": {0: 1.0, 1: 2.5, 2: 0.5}, "sample_weight": W}
    check(DENSE.format(loss=SPARSE), CLASSES_AND_ROWS, by_keras)


@only_keras3("Keras 2 takes them")
def test_class_weights_and_weights_of_rows_are_refused_where_keras_refuses_them():
    with pytest.raises(DataError, match="do not go together with this Keras: give one of them"):
        api.fit(api.trace(HEAD + DENSE.format(loss=SPARSE)), CLASSES_AND_ROWS, NAMES)


def test_class_weights_of_rows_of_ids_weigh_each_position():
    """Keras itself would take each row of ids for the scores of a single class."""
    by_id = np.ones(20)
    by_id[[3, 5]] = [0.0, 4.0]
    check(TAGGER, "source: X\ntarget: Y\nclass_weights: {3: 0, 5: 4}", {"x": X, "y": Y, "sample_weight": by_id[Y]})


def test_weights_of_ragged_rows_weigh_their_ids():
    """The loss of a batch of ragged rows is the weighted mean of the losses of its single rows."""
    code = RECURRENT_PAIR.format(loss=SPARSE).replace('"adam"', "keras.optimizers.SGD(1e-12)")
    target = [row[: 1 + number % 6] for number, row in enumerate(Y.tolist())][:8]
    weights = [np.linspace(1, 2, len(row)).tolist() for row in target]
    model = api.trace(HEAD + code)
    alone = []
    for row, ids in enumerate(target):
        output = model.model([X[row : row + 1], np.array([[0, *ids[:-1]]])])
        alone.append(keras.losses.sparse_categorical_crossentropy(np.array([ids]), output).numpy()[0])
    for name, each in (
        ("weights: V", weights),
        ("weights: U", [[w] * len(r) for w, r in zip(W, target, strict=False)]),
    ):
        names = {"A": X[:8], "B": target, "V": weights, "U": W[:8]}
        api.fit(model, f"source: A\ntarget: B\n{name}\nbatch: 8", names, progress=lambda progress: None)
        expected = sum(float(np.dot(w, found)) for w, found in zip(each, alone, strict=True)) / sum(map(len, target))
        assert model.history["loss"][-1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("weights: V", "there is no variable 'V'"),
        ("weights: SHORT", "SHORT holds 3 weights, and the target 24 rows"),
        (
            "weights: F",
            r"F has shape \(24, 4\); expected a weight for each row, \(24,\), or for each position, \(24, 6\)",
        ),
        ("weights: T", "T holds text; expected weights"),
        ("weights: NAN", "NAN is nan at index 0"),
        ("weights: W\nclass_weights: {0: 1}", "'weights' and 'class_weights' do not go together"),
    ],
)
def test_weights_that_are_none_are_refused(line, words):
    with pytest.raises(DataError, match=words):
        api.fit(
            api.trace(HEAD + TAGGER), f"source: X\ntarget: Y\n{line}", NAMES | {"SHORT": W[:3], "NAN": [np.nan] * N}
        )


def test_texts_go_into_a_model_and_are_encoded_for_its_loss_by_its_own_layer():
    plain = run(TEXTS, NAMES)
    ids = next(layer for layer in plain.layers[::-1] if isinstance(layer, keras.layers.TextVectorization))(E).numpy()
    by_keras = {"x": [tf.constant(T), tf.constant(S)], "y": ids}
    check(TEXTS, "inputs: {encoder_inputs: T, decoder_inputs: S}\ntarget: E", by_keras)
    check(TEXTS, "inputs: [A, B]\ntarget: IDS", by_keras, {"IDS": ids, "A": np.array(T), "B": tf.constant(S)})
    with pytest.raises(DataError, match="X holds numbers, and the input it is for takes text"):
        api.fit(api.trace(HEAD + TEXTS, {"texts": T}), "inputs: [X, S]\ntarget: E", NAMES)
    with pytest.raises(
        DataError, match="T holds texts, and the loss compares ids; the program has no TextVectorization"
    ):
        api.fit(api.trace(HEAD + TAGGER), "source: X\ntarget: T", NAMES)


def test_a_subclassed_model_gets_its_data_as_they_are_named():
    by_keras = {"x": [X, D], "y": Y, "validation_data": ([X, D], Y)}
    ours = check(SUBCLASSED, "inputs: [X, D]\ntarget: Y\nvalidation: {inputs: [X, D], target: Y}", by_keras)
    assert len(ours.evidence.variables) == 9
    check(SUBCLASSED, "inputs: {x: X, d: D}\ntarget: Y", {"x": {"x": X, "d": D}, "y": Y})
    check(ALONE, "source: F\ntarget: C\nweights: W\nvalidation: 0.25", {
        "x": F, "y": C, "sample_weight": W, "validation_split": 0.25,
    })  # fmt: skip
    with pytest.raises(DataError, match="D has 3 rows, and the target Y 24"):
        api.fit(api.trace(HEAD + SUBCLASSED), "inputs: [X, D]\ntarget: Y", NAMES | {"D": D[:3]})
    with pytest.raises(FitError, match=r"its loss does not show from it\. Compile it, or give the key 'loss'"):
        api.fit(api.trace(HEAD + SUBCLASSED.rpartition("model.comp")[0]), "inputs: [X, D]\ntarget: Y", NAMES)


@only_keras2("recurrent layers take no ragged rows")
def test_ragged_inputs_are_fitted_as_such():
    check(RAGGED_IN, "source: RAGGED\ntarget: C", {"x": RAGGED, "y": C})
    check(RAGGED_IN, "source: LISTS\ntarget: C", {"x": RAGGED, "y": C})
    floats = tf.cast(RAGGED, "float32")[..., None]
    check(RAGGED_OUT, "source: RAGGED\ntarget: R", {"x": RAGGED, "y": floats}, {"R": floats})


def test_sparse_inputs_are_fitted_as_such():
    sparse = tf.sparse.from_dense(F * (F > 0.5))
    check(SPARSE_IN, "source: Z\ntarget: C\nvalidation: {source: Z, target: C}", {
        "x": sparse, "y": C, "validation_data": (sparse, C),
    }, {"Z": sparse})  # fmt: skip


def test_batches_of_the_user_go_to_keras_as_they_are():
    def batches(*parts):
        return tf.data.Dataset.from_tensor_slices(parts).shuffle(N, seed=3).batch(8)

    class Chunks(keras.utils.Sequence):
        def __len__(self):
            return 3

        def __getitem__(self, number):
            return X[8 * number : 8 * number + 8], Y[8 * number : 8 * number + 8]

    both = {"x": batches(X, Y), "validation_data": batches(X, Y), "batch_size": None}
    check(TAGGER, "data: S1\nvalidation: S2", both, {"S1": batches(X, Y), "S2": batches(X, Y)})
    by_row = for_positions(W)
    check(TAGGER, "data: S1", {"x": batches(X, Y, by_row), "batch_size": None}, {"S1": batches(X, Y, by_row)})
    check(TAGGER, "data: S1", {"x": Chunks(), "batch_size": None}, {"S1": Chunks()})
    check(SUBCLASSED, "data: S1", {"x": batches((X, D), Y), "batch_size": None}, {"S1": batches((X, D), Y)})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices((X, Y)), "gives single rows: give batches, B.batch\\(32\\)"),
        (lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).repeat(), "has no end: .*B.take\\(100\\)"),
        (
            lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).filter(lambda x, y: True),
            "does not know how many batches it has: say it, B.apply",
        ),
        (
            lambda: tf.data.Dataset.from_tensor_slices(X).batch(8),
            "gives elements of type TensorSpec; expected batches of",
        ),
        (lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).take(0), "holds no batches"),
        (lambda: tf.data.Dataset.from_tensor_slices(((X, D), Y)).batch(8), "gives 2 inputs, and the model has 1: x"),
        (
            lambda: tf.data.Dataset.from_tensor_slices((F, Y)).batch(8),
            r"gives x batches of shape \(None, 4\); the input",
        ),
        (
            lambda: tf.data.Dataset.from_tensor_slices((X, F)).batch(8),
            r"B has shape \(None, 4\), and the model's output",
        ),
        (lambda: X, "is of type ndarray; expected a tf.data.Dataset or a keras.utils.Sequence"),
        (lambda: iter([(X, Y)]), "is of type list_iterator; expected a tf.data.Dataset"),
        (lambda: None, "is of type NoneType; expected a tf.data.Dataset"),
    ],
)
def test_batches_that_a_fit_cannot_take_are_refused(make, words):
    model = api.trace(HEAD + TAGGER)
    before = model.model.get_weights()
    with pytest.raises(DataError, match=f"line 1, column 7: B {words}|line 1, column 7: {words}"):
        api.fit(model, "data: B", {"B": make()})
    assert all(np.array_equal(a, b) for a, b in zip(before, model.model.get_weights(), strict=True))


def test_parts_of_variables_are_looked_up_without_evaluating_anything():
    import types

    import pandas as pd

    class Trap:
        @property
        def data(self):
            raise AssertionError("a property ran")

        def __getitem__(self, key):
            raise AssertionError("a method ran")

    frame = pd.DataFrame({"a": list(X), "b": list(Y)})
    names = NAMES | {"df": frame, "d": {"x": X, "y": {"z": [0, Y]}}, "ns": types.SimpleNamespace(x=X), "trap": Trap()}
    by_keras = {"x": X[4:20], "y": Y[4:20]}
    check(TAGGER, "source: X[4:20]\ntarget: Y[4:20]", by_keras, names)
    for source in (
        'd["x"][4:20]',
        "df.a[4:20]",
        "df['a'][4:20]",
        "ns.x[4:20, :]",
        "X[4:-4, ...]",
        "d['y']['z'][1][4:20]",
    ):
        prepared = prepare(api.trace(HEAD + TAGGER), parse_fit(f"source: {source}\ntarget: Y[4:20]"), names)
        expected = Y if "'y'" in source else X
        assert [row.tolist() for row in prepared.train.inputs[0]] == expected[4:20].tolist()
    model = api.trace(HEAD + TAGGER)
    for part, words in (
        ("df.c", "df has no column 'c'"),
        ("df['aa']", "df has no column 'aa'; did you mean 'a'"),
        ("d['xx']", "d has no key 'xx'; did you mean 'x'"),
        ("ns.y", "ns holds no attribute 'y' of its own"),
        ("trap.data", "trap holds no attribute 'data' of its own; assign it to a name first: x = trap.data"),
        ("trap['x']", r"trap is of type Trap, whose parts are not read: x = trap\['x'\], and give x"),
        ("X[:, 99]", r"X cannot be read|X\[:, 99\] cannot be read: looking up X\[:, 99\] raised IndexError"),
        ("Q[3:]", "there is no variable 'Q'"),
    ):
        with pytest.raises(DataError, match=words):
            api.fit(model, f"source: {part}\ntarget: Y", names)


@pytest.mark.parametrize(
    ("ending", "probabilities"),
    [
        ("L.TimeDistributed(L.Dense(20, activation='softmax'))(h)", True),
        ("L.TimeDistributed(L.Dense(20))(h)", False),
        ("L.Reshape([6, 20])(L.Dense(20, activation='softmax')(h))", True),
        ("L.Activation('linear', dtype='float32')(L.Activation('softmax')(L.Dense(20)(h)))", True),
        ("tf.reshape(tf.nn.softmax(L.Dense(20)(h)), [-1, 6, 20])", True),
        ("tf.nn.softmax(L.Dense(20)(h))[:, :6]", True),
        ("tf.concat([L.Dense(20, activation='softmax')(h[:, :3]), tf.nn.softmax(L.Dense(20)(h[:, 3:]))], 1)", True),
        ("L.Concatenate(axis=1)([L.Dense(20, activation='softmax')(h[:, :3]), L.Dense(20)(h[:, 3:])])", False),
        ("L.Reshape([6, 20])(L.Dense(20)(h))", False),
        ("keras.Model(z, L.Dense(20, activation='softmax')(z))(h)", True),
        ("keras.Model(z, L.Dense(20)(z))(h)", False),
        ("keras.Sequential([L.Dense(4), L.Dense(20, activation='softmax'), L.Reshape([6, 20])])(h)", True),
        ("keras.Sequential([L.Dense(4), L.Dense(20)])(h)", False),
        ("L.LSTM(20, activation='softmax', return_sequences=True)(h)", False),
        ("L.Dense(20, activation='softmax')(h) * 2.0", False),
        ("L.Dense(20, activation='softmax')(h) * 1.0", True),
        ("L.Dense(20, activation='sigmoid')(h)", False),
        ("L.Dense(20, activation=tf.nn.softmax)(h)", True),
        ("L.Activation(tf.nn.softmax)(L.Dense(20)(h))", True),
        ("L.Dense(20, activation=L.Softmax())(h)", True),
        ("L.Dense(20, activation=lambda a: tf.nn.softmax(a))(h)", True),
        ("L.Dense(20, activation=lambda a: tf.nn.relu(a))(h)", False),
        ("L.Lambda(tf.nn.softmax)(L.Dense(20)(h))", True),
        ("L.Lambda(lambda a: 3.0 * a)(L.Dense(20)(h))", False),
        ("Ended(True)(h)", True),
        ("Ended(False)(h)", False),
        ("tf.exp(tf.nn.log_softmax(L.Dense(20)(h)))", True),
        ("tf.transpose(tf.transpose(tf.nn.softmax(L.Dense(20)(h)), [0, 2, 1]), [0, 2, 1])", True),
        ("tf.stack(tf.unstack(tf.nn.softmax(L.Dense(20)(h)), axis=1), axis=1)", True),
    ],
)
def test_probabilities_are_told_from_scores_through_what_changes_the_shape_and_through_the_users_own_functions(
    ending, probabilities
):
    from s2s_magic.training.probabilities import gives_probabilities

    code = """
class Ended(L.Layer):
    def __init__(self, by_softmax):
        super().__init__()
        self.dense, self.by_softmax = L.Dense(20), by_softmax
    def call(self, v):
        return tf.nn.softmax(self.dense(v)) if self.by_softmax else self.dense(v)
x = keras.Input([6, 4])
z = keras.Input([6, 5])
h = L.Dense(5)(x)
"""
    model = api.trace(f"{HEAD}{code}model = keras.Model(x, {ending})")
    names = {"A": numbers.random((N, 6, 4)), "Y": Y}
    table = prepare(model, parse_fit("source: A\ntarget: Y"), names).train
    assert gives_probabilities(model, table) is probabilities


def test_a_decoder_whose_output_layer_ends_in_a_softmax_is_not_given_another():
    code = by_hand(20, 4, 8).replace("Dense(20)", "Dense(20, activation='softmax')")
    code = code.replace("tf.nn.softmax(written.rnn_output)", "written.rnn_output")
    model = api.trace(code)
    api.fit(model, "source: X\ntarget: Y", NAMES, progress=lambda progress: None)
    assert model.model.loss.get_config()["from_logits"] is False


def test_a_target_says_which_output_it_cannot_be_compared_with():
    code = """
x = keras.Input([6], dtype="int32")
scores = L.Dense(20)(L.Embedding(20, 4)(x))
chosen = tf.argmax(scores, axis=-1)
first = keras.Model(x, scores)
second = keras.Model(x, chosen)
second.compile("adam", "sparse_categorical_crossentropy")
"""
    model = api.trace(HEAD + code)
    names = NAMES | {"B": Y[:, :5]}
    with pytest.raises(
        DataError, match=r"the output chosen \(None, 6\).*holds int64 values, no scores.*'model: first'"
    ):
        api.fit(model, "source: X\ntarget: B", names)


def test_a_target_says_so_where_the_length_of_the_output_is_not_known():
    ids = "chosen = keras.Model([source_ids, target_ids, target_lengths], written.sample_id)\n"
    code = by_hand(20, 4, 8) + ids + "chosen.compile('adam', 'sparse_categorical_crossentropy')\n"
    with pytest.raises(DataError) as error:
        api.fit(api.trace(code), "source: X\ntarget: Y", NAMES)
    (fault,) = error.value.faults
    assert (fault.line, fault.column) == (2, 9)
    assert fault.message == (
        "Y has shape (24, 6), and the output written.sample_id (None, None); its loss takes one id for each position, "
        "and written.sample_id holds int32 values, no scores: end the model in what it was chosen from. The model "
        "meant is chosen; 'model: model' means another of model"
    )
    fewer = TAGGER.replace("model = keras.Model(x, out)", "model = keras.Model(x, L.GlobalMaxPooling1D()(out))")
    with pytest.raises(
        DataError, match=r"Y has shape \(24, 6\), and the model's output \(None, 20\); its loss takes one"
    ):
        api.fit(api.trace(HEAD + fewer), "source: X\ntarget: Y", NAMES)


def test_letters_become_sounds_each_side_with_its_own_tokens():
    letters, sounds = ["cat", "act", "tac"] * 4, ["K AE T", "AE K T", "T AE K"] * 4
    spec = "vocab: {source: \"d['letters']\", target: SIZE}\nembed: 8\nencoder: gru(24)\ndecoder: gru(24)\n"
    spec += "tokens: {source: char, target: word}\nmax_length: 4\n"
    names = {"d": {"letters": letters}, "sounds": sounds}
    model = api.build(spec.replace("SIZE", "sounds"), namespace=names)
    body = "source: d['letters']\ntarget: sounds\nepochs: 60\nseed: 1\noptimizer: adam(0.02)"
    api.fit(model, body, names, progress=lambda progress: None)
    assert (model.tokenizers["source"].unit, model.tokenizers["target"].unit) == ("char", "word")
    assert api.decode(model, letters[:3]) == sounds[:3]
    later = api.build(spec.replace("SIZE", "9"), namespace=names)
    assert "target" not in later.tokenizers
    api.fit(later, "source: d['letters']\ntarget: sounds", names, progress=lambda progress: None)
    assert later.tokenizers["target"].tokens == ("K", "AE", "T")
    with pytest.raises(DataError, match="SOUNDS holds ids, and model was built with tokens: word"):
        api.fit(later, "source: d['letters']\ntarget: SOUNDS", names | {"SOUNDS": X[:12]})
