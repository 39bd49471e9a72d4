"""On Keras 3, a fit has the numbers of plain Keras 3, and drift is what Keras 3 would ignore."""

import re
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from kerases import makes_models_that_lack_inputs, only_keras3
from models import by_hand
from plainly import (
    COMPILED,
    HEAD,
    NAMES,
    TAGGER,
    X,
    Y,
    assert_close,
    assert_fits_alike,
    plain,
    quiet,
    traced,
    trained_state,
)
from s2s_magic import api, backend
from s2s_magic.acceleration import accelerate
from s2s_magic.errors import FitError
from s2s_magic.handle import drift
from s2s_magic.source import Dialect, generate
from s2s_magic.spec import parse_spec
from s2s_magic.training.shares import gradient_parts

pytestmark = [pytest.mark.late, only_keras3("this process runs Keras 2")]

MEASURED = 'model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])\n'
OWN_STEP = """
class Own(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = 0.5 * self.compute_loss(x, y, self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"loss": loss, "twice": 2.0 * loss}
model = Own"""
SUBCLASSED = """
class Tagger(keras.Model):
    def __init__(self):
        super().__init__()
        self.emb, self.lstm = L.Embedding(20, 8), L.LSTM(8, return_sequences=True)
        self.head = L.Dense(20, activation="softmax")
    def call(self, x):
        return self.head(self.lstm(self.emb(x)))
model = Tagger()
"""
HALF = TAGGER.replace('activation="softmax"', 'activation="softmax", dtype="float32"')


def with_lstm(change: str) -> str:
    return TAGGER.replace("L.LSTM(8, return_sequences=True)", change) + MEASURED


def over_lstm(change: str) -> str:
    return TAGGER.replace("head(lstm(emb(x)))", f"head({change})") + MEASURED


def by(optimizer: str, **settings: object) -> str:
    given = "".join(f", {name}={value!r}" for name, value in settings.items())
    return TAGGER + f'model.compile({optimizer}, "sparse_categorical_crossentropy"{given})\n'


ALL = {"lstm", "loss", "optimizer"}
PROGRAMS = {
    "plain": (TAGGER + MEASURED, ALL),
    "masked": (TAGGER.replace("L.Embedding(20, 8)", "L.Embedding(20, 8, mask_zero=True)") + MEASURED, ALL),
    "gru": (with_lstm("L.GRU(8, return_sequences=True)"), ALL),
    "gru, reset before": (with_lstm("L.GRU(8, reset_after=False, return_sequences=True)"), ALL),
    "bidirectional": (with_lstm("L.Bidirectional(L.LSTM(8, return_sequences=True))"), ALL),
    "dropout in the cell": (with_lstm("L.LSTM(8, dropout=0.3, return_sequences=True)"), ALL),
    "stack": (with_lstm("L.RNN([L.LSTMCell(8, dropout=0.2), L.GRUCell(8)], return_sequences=True)"), ALL),
    "recurrent dropout": (
        with_lstm("L.LSTM(8, recurrent_dropout=0.3, return_sequences=True)"),
        {"loss", "optimizer"},
    ),
    "dropout layer": (over_lstm("L.Dropout(0.4)(lstm(emb(x)))"), ALL),
    "batch normalization": (over_lstm("L.BatchNormalization()(lstm(emb(x)))"), ALL),
    "called twice": (over_lstm("lstm(emb(x)) + lstm(emb(x))"), ALL),
    "regularized": (with_lstm('L.LSTM(8, kernel_regularizer="l2", return_sequences=True)'), ALL),
    "clipped": (by("keras.optimizers.Adam(0.01, clipnorm=0.01)"), ALL),
    "moving averages": (by("keras.optimizers.Adam(0.01, use_ema=True)"), ALL),
    "accumulated gradients": (by("keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)"), ALL),
    "sgd": (by("keras.optimizers.SGD(0.1, momentum=0.9)"), {"lstm", "loss"}),
    "several steps at once": (by('"adam"', steps_per_execution=3), ALL),
    "eager": (by('"adam"', run_eagerly=True), set()),
    "compiled by XLA": (by('"adam"', jit_compile=True), set()),
    "weighted": (by('"adam"', loss_weights=0.3, weighted_metrics=["accuracy"]), ALL),
    "a step of its own": (TAGGER.replace("model = keras.Model", OWN_STEP) + COMPILED, {"lstm", "optimizer"}),
    "frozen": (TAGGER.replace("model =", "emb.trainable = False\nmodel =") + MEASURED, ALL),
    "half precision": (
        f'keras.mixed_precision.set_global_policy("mixed_float16")\n{HALF}{MEASURED}'
        'keras.mixed_precision.set_global_policy("float32")\n',
        {"lstm", "loss"},
    ),
    "subclassed": (SUBCLASSED + COMPILED, {"model.lstm", "optimizer"}),
}


@pytest.mark.parametrize("title", PROGRAMS)
def test_two_fits_have_the_numbers_of_plain_keras_accelerated_or_not(title: str) -> None:
    code, expected = PROGRAMS[title]
    assert_fits_alike(code)
    model = assert_fits_alike(code, accelerate="on", close=1e-3 if title == "half precision" else 1e-5)
    found = model.evidence.runs[-1].accelerated
    assert {name for name, said in found.items() if said == "accelerated"} == expected


def test_rows_of_an_embedding_that_repeat_are_squared_one_by_one_as_keras_3_does() -> None:
    repeated = {"X": np.ones_like(X), "Y": Y}
    assert_fits_alike(TAGGER + MEASURED, accelerate="on", names=repeated)


@pytest.mark.parametrize("accelerate", ["off", "on"])
def test_a_model_with_our_decoder_fits_as_by_plain_keras(accelerate: str) -> None:
    code = by_hand(20, 4, 8) + 'model.compile("adam", "sparse_categorical_crossentropy")\n'
    keras.utils.set_random_seed(1)
    ours = api.trace(code)
    keras.utils.set_random_seed(1)
    theirs = api.trace(code).model
    inputs = [X, np.c_[np.zeros((64, 1), int), Y[:, :-1]], np.full(64, 6)]
    api.fit(ours, f"source: X\ntarget: Y\nepochs: 3\nshuffle: false\naccelerate: {accelerate}", NAMES, progress=quiet)
    history = theirs.fit(inputs, Y, epochs=3, shuffle=False, verbose=0).history
    np.testing.assert_allclose(ours.history["loss"], history["loss"], rtol=1e-5)
    for one, other in zip(ours.model.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)
    said = ours.evidence.runs[-1].accelerated
    assert (said.get("writer") == "accelerated") == (accelerate == "on")


@pytest.mark.parametrize(
    "cell", ["LSTMCell(8, dropout=0.5)", "StackedRNNCells([keras.layers.LSTMCell(8, dropout=0.5)])"]
)
def test_a_decoder_on_the_kernels_draws_a_mask_for_each_step(cell: str) -> None:
    code = by_hand(20, 4, 8).replace("LSTMCell(8)", cell)
    state = "[memory, carry]" if cell.startswith("LSTM") else "[[memory, carry]]"
    code = code.replace("initial_state=[memory, carry]", f"initial_state={state}")
    keras.utils.set_random_seed(1)
    model = api.trace(code.replace("words(target_ids)", "tf.ones_like(words(target_ids))")).model
    inputs = [tf.constant(each) for each in (X, Y, np.full(64, 6))]
    drawn, put_back = [], backend.values_of(backend.running_state(model))
    for block in (nullcontext(), accelerate(model)):
        with block:
            put_back()
            drawn.append(tf.function(lambda: model(inputs, training=True))().numpy())
    np.testing.assert_allclose(drawn[0], drawn[1], rtol=1e-4, atol=1e-6)


def test_the_parts_of_a_shared_layers_gradient_add_up_to_the_whole() -> None:
    model = api.trace(by_hand(20, 4, 8) + 'model.compile("adam", "sparse_categorical_crossentropy")\n')
    inputs = [tf.constant(each) for each in (X, np.c_[np.zeros((64, 1), int), Y[:, :-1]], np.full(64, 6))]
    (by_event,) = gradient_parts(model, (inputs, tf.constant(Y))).values()
    embeddings = model.layers["words"].embeddings
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y, model.model(inputs)))
    whole = tf.convert_to_tensor(tape.gradient(loss, embeddings.value))
    assert len(by_event) == 2
    assert float(tf.norm(tf.add_n(list(by_event.values())) - whole)) < 1e-5 * float(tf.norm(whole))


FITTED = "data = np.ones([16, 6], int)\nmodel.fit(data, data, verbose=0)\n"
SWITCHED = {
    "frozen after a fit": (TAGGER + COMPILED + FITTED + "lstm.trainable = False\n", "lstm", "still trains 3 variables"),
    "unfrozen after a fit": (
        TAGGER + "emb.trainable = False\n" + COMPILED + FITTED + "emb.trainable = True\n",
        "emb",
        "still does not train 1 variable",
    ),
    "all frozen after a fit": (TAGGER + COMPILED + FITTED + "model.trainable = False\n", "model", "trains 6 variables"),
}


@pytest.mark.parametrize("title", SWITCHED)
def test_what_is_switched_after_a_fit_is_found_and_fitted_as_by_keras(title: str) -> None:
    code, about, words = SWITCHED[title]
    (finding,) = drift(traced(code))
    assert (finding.kind, finding.about) == ("changed since compile", about)
    assert words in finding.text
    assert_fits_alike(code)
    assert "changed since compile" not in [found.kind for found in drift(traced(code + COMPILED))]


@pytest.mark.parametrize(
    "code",
    [
        TAGGER + COMPILED + "lstm.trainable = False\n",
        TAGGER + COMPILED + FITTED,
        over_lstm("keras.ops.stop_gradient(lstm(emb(x)))") + FITTED,
    ],
    ids=["before the first fit", "nothing switched", "variables without a gradient"],
)
def test_what_keras_heeds_or_nobody_switched_is_no_drift(code: str) -> None:
    assert not drift(traced(code))


@pytest.mark.parametrize("accelerate", ["on", "off"])
@pytest.mark.parametrize("plainly_first", [False, True], ids=["", "a fit by Keras first"])
def test_a_switch_is_heeded_by_the_step_that_keras_traces_for_batches_of_another_shape(
    accelerate: str, plainly_first: bool
) -> None:
    """64 rows in batches of 16 or 8 have that shape, in batches of 10 any; from the second shape on, a step takes any.

    Which fit trains the layer is for Keras's own numbers to say, and a warning says where that is not what is meant.
    """
    code = TAGGER + COMPILED
    ours, theirs = traced(code), plain(code)
    history: list[float] = []
    if plainly_first:
        for model in (ours.model, theirs):
            model.fit(X, Y, batch_size=16, verbose=0, shuffle=False)
    warned: list[bool] = []
    moved: list[bool] = []
    for batch, switch in ((16, True), (16, False), (8, False), (16, False), (10, False), (4, True), (16, True)):
        before = theirs.layers[2].get_weights()[0]
        for model in (ours.model, theirs):
            model.layers[2].trainable = switch
        body = f"source: X\ntarget: Y\nbatch: {batch}\nshuffle: false\naccelerate: {accelerate}\n"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            api.fit(ours, body, NAMES, progress=quiet)
        warned.append(any("lstm.trainable was" in str(each.message) for each in caught))
        history += theirs.fit(X, Y, batch_size=batch, verbose=0, shuffle=False).history["loss"]
        assert_close(trained_state(ours.model), trained_state(theirs))
        moved.append(bool(np.any(theirs.layers[2].get_weights()[0] != before)) != switch)
    np.testing.assert_allclose(ours.history["loss"], history, rtol=1e-5)
    assert warned == moved
    assert any(warned)
    assert not all(warned[1:5])


def test_a_switch_after_a_fit_of_ours_is_found_and_heeded_from_the_next_compile_on() -> None:
    def freeze(model: object) -> None:
        model.layers[2].trainable = False  # type: ignore[attr-defined]

    model = assert_fits_alike(TAGGER + COMPILED, between=freeze)
    assert [finding.about for finding in drift(model)] == ["lstm"]
    assert {said.verdict for said in model.evidence.variables.values()} == {"trained"}
    model.model.compile("adam", "sparse_categorical_crossentropy")
    assert not drift(model)
    api.fit(model, "source: X\ntarget: Y", NAMES, progress=quiet)
    given = {
        model.ledger.variables[key].owner: bool(said.fits[-1].given) for key, said in model.evidence.variables.items()
    }
    assert given == {"emb": True, "lstm.cell": False, "head": True}


SPECS = {
    "lstm": "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\n",
    "padded gru stacks": "vocab: 20\nembed: 4\nencoder: 2 * gru(8)\ndecoder: 2 * gru(8)\npadding: 0\nstart: 1\n",
    "zeros for a third layer": "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: 3 * lstm(8)\nbridge: zero\n",
    "bridged": "vocab: 20\nembed: 4\nencoder: bidirectional(lstm(4))\ndecoder: gru(8)\nbridge: dense\n",
}


@pytest.mark.parametrize("title", SPECS)
def test_both_codes_of_a_spec_have_equal_losses_and_decode_alike(title: str) -> None:
    plain, addons = api.build(SPECS[title]), api.build(SPECS[title] + "code: tfa\n")
    assert "s2s_magic" not in plain.source
    assert "keras.layers" in plain.source
    assert "seq2seq.BasicDecoder" in addons.source
    layers = {name: part for name, part in plain.namespace.items() if isinstance(part, keras.Layer) and part.weights}
    for name, part in layers.items():
        if part is not plain.model:
            twin = re.sub("^decoder", "decoder_cell", name)
            addons.namespace[twin].set_weights(part.get_weights())
    for model in (plain, addons):
        api.fit(model, "source: X\ntarget: Y\nepochs: 2\nshuffle: false", NAMES, progress=quiet)
    np.testing.assert_allclose(plain.history["loss"], addons.history["loss"], rtol=1e-5)
    assert api.decode(plain, X[:8], max_length=7) == api.decode(addons, X[:8], max_length=7)


def test_the_plain_code_of_a_spec_runs_by_itself() -> None:
    names: dict[str, object] = {}
    exec(generate(parse_spec(SPECS["padded gru stacks"]), Dialect("keras", "keras.ops", addons=False)), names)
    model = names["model"]
    history = model.fit([X, Y], Y, verbose=0).history  # type: ignore[attr-defined]
    assert set(history) == {"loss", "masked_accuracy"}


def test_a_metric_of_the_body_leaves_padding_out() -> None:
    target = np.where(np.arange(6) < np.arange(64)[:, None] % 5 + 1, Y, 0)
    model = api.build(SPECS["padded gru stacks"])
    given = {"X": X, "Y": target}
    api.fit(model, "source: X\ntarget: Y\nmetrics: [accuracy]\noptimizer: sgd(1e-9)", given, progress=quiet)
    shifted = np.c_[np.ones((64, 1), int), target[:, :-1]]
    right = model.model([X, shifted]).numpy().argmax(-1) == target
    assert model.history["accuracy"][0] == pytest.approx(right[target != 0].mean(), abs=1e-6)


def test_numbers_times_symbols_are_dense_and_single_slices_are_taken() -> None:
    code = "h = L.Dense(3)(tf.cast(x, tf.float32))\ny = tf.concat([0.5 * h, h * 2.0], -1)\nrows = tf.shape(x)[:1]\n"
    model = api.trace(HEAD + code + "model = keras.Model(x, [y, rows])")
    made, rows = model.model(X[:4])
    assert made.shape == (4, 6)
    assert rows.numpy().tolist() == [4]


def test_rows_of_different_lengths_are_fitted_without_a_warning_of_keras() -> None:
    rows = [[1 + number % 9] * (2 + number % 5) for number in range(40)]
    model = api.build(SPECS["padded gru stacks"])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        api.fit(model, "source: R\ntarget: R", {"R": rows}, progress=quiet)
    assert len(model.history["loss"]) == 1


def test_variables_of_different_layers_are_told_apart_by_their_paths() -> None:
    seen = api.build(SPECS["lstm"])
    names = [variable.name for variable in seen.ledger.variables.values()]
    assert len({*names}) == len(names)
    assert all(name.endswith(("/embeddings", "/kernel", "/recurrent_kernel", "/bias")) for name in names)
    assert "name" not in [finding.kind for finding in seen.ledger.findings]


@pytest.mark.skipif(not makes_models_that_lack_inputs(), reason="this Keras refuses to make it: see test_advice")
def test_a_model_that_lacks_an_input_is_named_when_it_is_made_and_its_fit_refused_before_the_first_step() -> None:
    """Until 3.14, Keras 3 makes it if another output does not need the input, and fails when it is called."""
    code = (
        "a, b = keras.Input([2], name='a'), keras.Input([2], name='b')\nhidden = L.Dense(3)(b)\n"
        "model = keras.Model(a, [L.Dense(1, name='one')(a), L.Dense(1, name='two')(hidden)])\n"
        "model.compile('sgd', ['mse', 'mse'])\n"
    )
    seen = traced(code)
    (finding,) = (found for found in seen.ledger.findings if found.kind == "missing input")
    line = HEAD.count("\n") + 2
    assert finding.text == (
        "model cannot be called: its outputs also depend on b, which is not among its inputs: "
        f"b goes into L.Dense(3)(b) in line {line}. Write inputs=[a, b]."
    )
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    before = [value.copy() for value in seen.model.get_weights()]
    with pytest.raises(FitError, match=r"^model cannot be called: .*Write inputs=\[a, b\]"):
        api.fit(seen, "source: x\ntarget: y", {"x": x, "y": y})
    assert all(map(np.array_equal, before, seen.model.get_weights()))
    fixed = traced(code.replace("keras.Model(a,", "keras.Model([a, b],"))
    assert not [found for found in fixed.ledger.findings if found.kind == "missing input"]
    api.fit(fixed, "inputs: {a: x, b: x}\ntarget: y", {"x": x, "y": y})


@pytest.mark.parametrize("named", ["L.AdditiveAttention()([h, h])", "Named()(h)"])
def test_a_trace_draws_no_seed_where_a_layer_names_its_initializer(named: str) -> None:
    """Keras 3 draws a seed from Python's generator whenever an initializer is made from its name."""
    code = f"""
class Named(L.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="random_normal")
        self.built = True
    def call(self, x):
        return x * self.scale
h = L.Embedding(20, 8)(x)
model = keras.Model(x, L.Dense(3)({named}))
"""
    drawn = [each.get_weights() for each in (plain(code), traced(code).model)]
    assert len(drawn[0]) == 4
    assert all(map(np.array_equal, *drawn))
