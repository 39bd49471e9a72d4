"""Decoders made of Keras layers return what their training model does when fed its own output step by step."""

import numpy as np
import pytest

from own_output import own_output
from s2s_magic import api, backend
from s2s_magic.decoding import inference_model
from s2s_magic.errors import DecodeError, LookupFailed
from s2s_magic.ledger import Called
from shown_decodings import shown

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
X = numbers.integers(1, 12, size=(16, 5))

BEGIN = """
import numpy as np
import tensorflow as tf
from tensorflow import keras

L = keras.layers
source = keras.Input([None], dtype="int32")
target = keras.Input([None], dtype="int32")
words = L.Embedding(12, 4)
reader = L.LSTM(6, return_sequences=True, return_state=True)
read, h, c = reader(words(source))
written = words(target)
"""
END = """
scores = L.Dense(12)(written)
model = keras.Model([source, target], scores)
"""
MASKED = BEGIN.replace("L.Embedding(12, 4)", "L.Embedding(12, 4, mask_zero=True)")

DECODERS = {
    "LSTM": BEGIN + "written = L.LSTM(6, return_sequences=True)(written, initial_state=[h, c])" + END,
    "LSTM that returns its state": (
        BEGIN
        + "written, _, _ = L.LSTM(6, return_sequences=True, return_state=True)(written, initial_state=[h, c])"
        + END
    ),
    "GRU": BEGIN + "written = L.GRU(6, return_sequences=True)(written, initial_state=h)" + END,
    "GRU, reset before": (
        BEGIN + "written = L.GRU(6, return_sequences=True, reset_after=False)(written, initial_state=[h])" + END
    ),
    "SimpleRNN": BEGIN + "written = L.SimpleRNN(6, return_sequences=True)(written, initial_state=[h])" + END,
    "a cell": BEGIN + "written = L.RNN(L.LSTMCell(6), return_sequences=True)(written, initial_state=[h, c])" + END,
    "stacked cells": (
        BEGIN
        + "stack = L.RNN([L.LSTMCell(6), L.GRUCell(6)], return_sequences=True)\n"
        + "written = stack(written, initial_state=[[h, c], c])"
        + END
    ),
    "stacked layers, normalized": (
        BEGIN
        + "for number in range(2):\n"
        + "    written = L.LSTM(6, return_sequences=True, dropout=0.3)(written, initial_state=[h, c])\n"
        + "    written = L.LayerNormalization()(L.Dropout(0.2)(written))\n"
        + "written = L.BatchNormalization()(written)\n"
        + "written = L.TimeDistributed(L.Dense(5, 'relu'))(written)"
        + END
    ),
    "bidirectional encoder": (
        BEGIN
        + "both = L.Bidirectional(L.LSTM(3, return_state=True))\n"
        + "_, fh, fc, bh, bc = both(words(source))\n"
        + "begin = [L.Concatenate()([fh, bh]), tf.concat([fc, bc], axis=-1)]\n"
        + "written = L.LSTM(6, return_sequences=True)(written, initial_state=begin)"
        + END
    ),
    "attention": (
        BEGIN
        + "written = L.LSTM(6, return_sequences=True)(written, initial_state=[h, c])\n"
        + "written = tf.concat([written, L.Attention(use_scale=True)([written, read])], -1)"
        + END
    ),
    "attention before the decoder, which starts from nothing": (
        BEGIN
        + "seen = L.AdditiveAttention()([L.Dense(6)(written), read])\n"
        + "written = L.GRU(6, return_sequences=True)(L.Concatenate()([written, seen]))"
        + END
    ),
    "attention of many heads": (
        BEGIN
        + "written = L.GRU(6, return_sequences=True)(written, initial_state=h)\n"
        + "written = L.LayerNormalization()(written + L.MultiHeadAttention(2, 3)(written, read))"
        + END
    ),
    "attention by products": (
        BEGIN
        + "written = L.LSTM(6, return_sequences=True)(written, initial_state=[h, c])\n"
        + "weights = L.Activation('softmax')(L.Dot(axes=[2, 2])([written, read]))\n"
        + "written = L.Concatenate()([L.Dot(axes=[2, 1])([weights, read]), written])"
        + END
    ),
    "masked, with attention": (
        MASKED
        + "written = L.LSTM(6, return_sequences=True)(written, initial_state=[h, c])\n"
        + "written = L.GRU(6, return_sequences=True)(written, initial_state=h)\n"
        + "written = L.Concatenate()([written, L.Attention()([written, read])])"
        + END
    ),
    "masked, with many heads": (
        MASKED
        + "written = L.GRU(6, return_sequences=True)(written, initial_state=h)\n"
        + "written = L.MultiHeadAttention(2, 3)(query=written, value=read)"
        + END
    ),
    "models within the model": (
        BEGIN
        + "encoder = keras.Model(source, [read, h])\n"
        + "memory, begin, so_far = keras.Input([None, 6]), keras.Input([6]), keras.Input([None], dtype='int32')\n"
        + "said = L.GRU(6, return_sequences=True)(L.Embedding(12, 4)(so_far), initial_state=begin)\n"
        + "said = L.Concatenate()([said, L.Attention()([said, memory])])\n"
        + "head = keras.Sequential([keras.Input([None, 12]), L.Dense(5), L.ReLU()])\n"
        + "decoder = keras.Model([so_far, memory, begin], head(said))\n"
        + "kept, state = encoder(source)\n"
        + "written = decoder([target, kept, state])"
        + END
    ),
    "a last layer with softmax, in rows of a fixed length": (
        BEGIN.replace("target = keras.Input([None]", "target = keras.Input([7]")
        + "written = L.LSTM(6, return_sequences=True)(written, initial_state=[h, c])\n"
        + "scores = tf.nn.softmax(L.Dense(12)(written))\n"
        + "model = keras.Model([source, target], scores)"
    ),
}


def shaken(model, seed=1):
    """Set a model's weights so that its output differs for each source."""
    random = np.random.default_rng(seed)
    for variable in filter(lambda variable: hasattr(variable, "shape"), model.model.weights):
        scale = 1.5 if len(variable.shape) > 1 else 0.3
        variable.assign(
            np.abs(random.normal(size=variable.shape, scale=scale))
            if "var" in variable.name
            else (random.normal(size=variable.shape, scale=scale))
        )
    return model


def answering(model, rows, length):
    """Set a model's weights so that its outputs for the sources differ, and return these outputs."""
    for seed in range(30):
        expected = step_by_step(shaken(model, seed), rows, length)
        if len(set(map(tuple, expected))) > 2 and any(len(set(row)) > 1 for row in expected):
            return model, expected
    raise AssertionError("all sources are answered alike, whatever the weights")


def step_by_step(model, rows, length, start=0, end=None):
    """Decode with the training model, feeding back the most probable id; pad rows if their length is fixed."""
    fixed = model.model.inputs[1].shape[1]

    def scores(sources, ids):
        return model.model([sources, ids if fixed is None else np.pad(ids, [(0, 0), (0, fixed - ids.shape[1])])])

    return own_output(scores, rows, length, start=start, end=end)


@pytest.mark.parametrize("code", DECODERS.values(), ids=DECODERS)
def test_a_decoder_of_keras_layers_is_the_training_model_fed_with_its_own_output(code):
    model, expected = answering(api.trace(code), X[:5], 6)
    assert api.decode(model, X[:5], max_length=6) == expected
    ledger = model.inference.ledger
    assert ledger.variables.keys() == model.ledger.variables.keys()
    calls = [event for event in ledger.events[len(model.ledger.events) :] if isinstance(event, Called)]
    assert calls
    assert all(call.created == () for call in calls)


def test_a_decoder_that_computes_in_half_precision_is_one_step_by_step_too():
    policy = "keras.mixed_precision.set_global_policy('{}')\n"
    code = DECODERS["masked, with attention"].replace(
        "L = keras.layers\n", "L = keras.layers\n" + policy.format("mixed_float16")
    )
    model, expected = answering(api.trace(code + policy.format("float32")), X[:5], 4)
    assert api.decode(model, X[:5], max_length=4) == expected
    assert "dtype='mixed_float16'" in model.inference.source


def test_rows_of_any_length_end_at_their_end_id_and_never_see_filling():
    model = shaken(api.trace(DECODERS["attention"]), seed=4)
    rows = [row[:size].tolist() for row, size in zip(X, (3, 1, 5, 3, 2), strict=False)]
    expected = step_by_step(model, rows, 8, start=3, end=5)
    assert api.decode(model, rows, max_length=8, start=3, end=5) == expected
    assert [api.decode(model, [row], max_length=8, start="3", end="5")[0] for row in rows] == expected
    assert len(set(map(len, expected))) > 1


def test_masked_padding_is_not_looked_at():
    model = shaken(api.trace(DECODERS["masked, with attention"]))
    padded = np.array([[3, 4, 0, 0], [5, 6, 7, 0], [8, 9, 10, 11]])
    alone = [[3, 4], [5, 6, 7], [8, 9, 10, 11]]
    found = api.decode(model, padded, max_length=6)
    assert found == api.decode(model, alone, max_length=6) == step_by_step(model, padded, 6)
    model = shaken(api.trace(DECODERS["attention"]))
    assert api.decode(model, padded, max_length=6) != api.decode(model, alone, max_length=6)


def test_the_code_of_a_pair_is_in_the_users_names_and_the_notebook_keeps_its_own():
    namespace = {}
    model = api.trace(DECODERS["LSTM that returns its state"] + "decoder_model = 3\n", namespace)
    before = dict(namespace)
    code = inference_model(model, max_length=9).source
    assert "encoder_model = keras.models.Model(inputs=source, outputs=[h, c])" in code
    assert "words_step = words(last_ids)" in code
    assert "decoder_model_ = keras.models.Model(" in code
    assert "while step < 9" in code
    assert namespace == before


ONE_HOT = """
from tensorflow import keras

L = keras.layers
source = keras.Input([None, 7])
target = keras.Input([None, 9])
_, h, c = L.LSTM(6, return_state=True)(source)
written, _, _ = L.LSTM(6, return_sequences=True, return_state=True)(target, initial_state=[h, c])
scores = L.Dense(9, activation="softmax")(written)
model = keras.Model([source, target], scores)
"""


def test_one_hot_vectors_are_an_encoding_of_ids():
    model = shaken(api.trace(ONE_HOT))
    ids = numbers.integers(7, size=(5, 4))
    expected = []
    for row in np.eye(7, dtype="float32")[ids]:
        said = [2]
        for _ in range(6):
            chances = model.model.predict([row[None], np.eye(9, dtype="float32")[[said]]], verbose=0)
            said.append(int(chances[0, -1].argmax()))
        expected.append(said[1:])
    assert api.decode(model, ids, max_length=6, start=2) == expected
    assert api.decode(model, np.eye(7)[ids], max_length=6, start=2) == expected
    assert api.decode(model, [row[:2].tolist() for row in ids], max_length=6, start=2) != expected
    assert len(set(map(tuple, expected))) > 2
    text = repr(shown(model, np.eye(7)[ids], expected))
    assert text.startswith(" ".join(map(str, ids[0])) + "  ->  ")
    with pytest.raises(DecodeError, match=r"source 0, position 1 .* is id 7, outside the vocabulary of 7"):
        api.decode(model, [[1, 7]])
    with pytest.raises(DecodeError, match=r"the sources have shape \(2, 4, 6\); model reads \(None, None, 7\)"):
        api.decode(model, np.zeros([2, 4, 6]))


FEATURES = """
from tensorflow import keras

L = keras.layers
picture = keras.Input([10])
caption = keras.Input([None], dtype="int32")
begin = L.Dense(6, "tanh")(picture)
written = L.GRU(6, return_sequences=True)(L.Embedding(8, 4)(caption), initial_state=begin)
model = keras.Model([picture, caption], L.Dense(8)(written))
"""


def test_an_encoder_of_numbers_reads_them_as_they_are():
    model = shaken(api.trace(FEATURES))
    pictures = numbers.normal(size=(5, 10))
    assert api.decode(model, pictures, max_length=5, start=1) == step_by_step(model, pictures, 5, start=1)
    with pytest.raises(DecodeError, match=r"the sources have shape \(5, 9\); model reads \(None, 10\)"):
        api.decode(model, pictures[:, :9])
    pictures[1, 2] = np.nan
    with pytest.raises(DecodeError, match=r"the sources are nan at index \(1, 2\)"):
        api.decode(model, pictures)


def test_what_rows_start_and_end_with_is_what_the_fitted_data_showed_and_is_said():
    model = api.trace(DECODERS["GRU"] + "model.compile('sgd', keras.losses.SparseCategoricalCrossentropy(True))\n")
    answers = np.c_[numbers.integers(3, 12, size=(16, 4)), np.full(16, 2)]
    names = {"X": X, "Y": answers, "D": np.c_[np.full(16, 1), answers[:, :-1]]}
    before = repr(shown(model, X[:1], api.decode(model, X[:1], max_length=2)))
    assert before.endswith("rows start with id 0, as no fit has shown another; --start gives it")
    api.fit(model, "source: X\ntarget: Y\ndecoder_input: D\n", names, progress=lambda progress: None)
    assert (model.ids.begins[1], model.ids.end, model.fitted.longest) == (1, 2, 5)
    shaken(model, seed=3)
    assert api.decode(model, X) == step_by_step(model, X, 5, start=1, end=2)
    assert repr(shown(model, X[:1], [[3]])).endswith("rows end with id 2, as those fitted did; --end gives another")
    assert api.decode(model, X, end=4) == step_by_step(model, X, 5, start=1, end=4)


CAUSAL = "L.Attention(causal=True)([written, L.Dense(4)(read)])"
if backend.active() == "keras3":  # there it is an argument of the call alone
    CAUSAL = "L.Attention()([written, L.Dense(4)(read)], use_causal_mask=True)"
BETWEEN = BEGIN + "written = {between}\nwritten = L.GRU(6, return_sequences=True)(written, initial_state=h)" + END


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (BETWEEN.format(between="L.Conv1D(4, 3, padding='same')(written)"), r"conv1d\S* \(Conv1D\) stands between"),
        (BETWEEN.format(between="tf.reverse(written, axis=[1])"), r"tf\.reverse stands between"),
        (BETWEEN.format(between="tf.concat([written, written], axis=1)"), r"tf\.concat stands between"),
        (BETWEEN.format(between="L.Lambda(lambda x: x[:, ::-1])(written)"), r"\(Lambda\) stands between"),
        (
            BETWEEN.replace("keras.Input([None]", "keras.Input([5]").format(
                between="L.LayerNormalization(axis=1)(written)"
            ),
            r"\(LayerNormalization\) stands between",
        ),
        (BETWEEN.format(between="L.Attention()([written, written])"), r"\(Attention\) looks at more than one position"),
        (BETWEEN.format(between="L.Bidirectional(L.LSTM(2, return_sequences=True))(written)"), r"\(Bidirectional\)"),
        (BETWEEN.format(between="L.LSTM(4, return_sequences=True, go_backwards=True)(written)"), "from the end"),
        (
            BEGIN.replace("keras.Input([None]", "keras.Input([5], batch_size=16").replace("L = ", "L = ")
            + "written = L.GRU(6, return_sequences=True, stateful=True)(written, initial_state=h)"
            + END,
            "keeps its state from batch to batch",
        ),
        (
            BEGIN
            + "written = L.GRU(6, return_sequences=True)(L.Concatenate()([written, read]), initial_state=h)"
            + END,
            r"and .* both feed the decoder|comes from",
        ),
        (
            BEGIN
            + "said = L.GRU(6)(written, initial_state=h)\n"
            + "model = keras.Model([source, target], L.Dense(12)(said))",
            "gives the state after its last step alone",
        ),
        (
            BEGIN.replace("words(target)", "words(target)\nmore = keras.Input([6])")
            + "written = L.GRU(6, return_sequences=True)(written, initial_state=h + more)\n"
            + "model = keras.Model([source, target, more], L.Dense(12)(written))",
            "it has 3 inputs, source, target and more, and what the third, beside a source and the ids",
        ),
        (
            BEGIN + "model = keras.Model([source, target], [L.Dense(12)(written), read])",
            "none of its outputs has scores .* that depend on source and on ids",
        ),
        (BEGIN + "model = keras.Model(source, L.Dense(12)(read))", "its model has one input and no decoder"),
        (BEGIN + "model = keras.Model([source, target], L.Dense(12)(words(target)))", "it has no decoder"),
        ("from tensorflow import keras\nmodel = keras.Sequential([keras.layers.Dense(2)])", "has no shapes yet"),
    ],
)
def test_what_cannot_be_decoded_is_refused_in_one_line_that_names_it(code, words):
    with pytest.raises(DecodeError, match=words) as refused:
        api.decode(api.trace(code), X)
    assert "\n" not in str(refused.value)
    assert "cannot be decoded" in str(refused.value)


def test_a_length_that_the_encoder_does_not_take_is_named():
    code = DECODERS["GRU"].replace("source = keras.Input([None]", "source = keras.Input([5]")
    model = api.trace(code)
    with pytest.raises(DecodeError, match=r"source 1 has 3 ids, and the input input_\w*\d+ takes rows of 5"):
        api.decode(model, [[1, 2, 3, 4, 5], [1, 2, 3]])
    with pytest.raises(DecodeError, match="--start is 'begin', and model works on ids: expected a whole number"):
        api.decode(model, X, start="begin")
    with pytest.raises(LookupFailed, match="no model 'writer'"):
        api.decode(model, X, which="writer")
