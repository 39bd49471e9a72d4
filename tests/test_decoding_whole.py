"""Decoders that cannot be run for one id at a time: the whole model reads what was said, again at each step."""

from functools import partial

import numpy as np
import pytest

import addons
from kerases import KERAS3
from own_output import own_output
from s2s_magic import api
from s2s_magic.errors import DecodeError
from s2s_magic.ledger import Called
from shown_decodings import shown
from test_decoding_layers import BEGIN, BETWEEN, CAUSAL, END, X, answering, shaken, step_by_step

pytestmark = pytest.mark.once

NOTE = "decoded by running the whole model again at each step: "
ATTENDING = "L.Attention(causal=True)([{0}, {0}])" if not KERAS3 else "L.Attention()([{0}, {0}], use_causal_mask=True)"

WRAPPED = """
class Attentive(L.Layer):
    \"\"\"Teacher forcing with attention, as one layer.\"\"\"

    def __init__(self, units, ids):
        super().__init__()
        self.units = units
        self.mechanism = seq2seq.{mechanism}(units)
        self.cell = seq2seq.AttentionWrapper(L.LSTMCell(units), self.mechanism, attention_layer_size=units)
        self.decoder = seq2seq.BasicDecoder(self.cell, seq2seq.TrainingSampler(), output_layer=L.Dense(ids))

    def call(self, inputs):
        memory, x, h, c = inputs
        rows, steps = tf.shape(x)[0], tf.shape(x)[1]
        self.mechanism(memory, setup_memory=True)
        state = self.cell.get_initial_state(batch_size=rows, dtype=tf.float32)
        begun = state.clone(cell_state=[h, c])
        outputs, _, _ = self.decoder(x, initial_state=begun, sequence_length=tf.fill([rows], steps))
        return outputs.rnn_output

scores = Attentive(6, 12)([read, written, h, c])
model = keras.Model([source, target], scores)
"""

TRANSFORMER = """
class Placed(L.Layer):
    \"\"\"Embeddings of ids and of their places.\"\"\"

    def __init__(self):
        super().__init__()
        self.words, self.places = L.Embedding(12, 8), L.Embedding(40, 8)

    def call(self, ids):
        return self.words(ids) + self.places(tf.range(tf.shape(ids)[1]))

class Block(L.Layer):
    \"\"\"Self-attention, attention to a memory if there is one, and two dense layers.\"\"\"

    def __init__(self, causal):
        super().__init__()
        self.causal = causal
        self.own, self.other = L.MultiHeadAttention(2, 4), L.MultiHeadAttention(2, 4)
        self.wide, self.narrow = L.Dense(16, "relu"), L.Dense(8)
        self.norms = [L.LayerNormalization() for _ in range(3)]

    def call(self, x, memory=None):
        steps = tf.shape(x)[1]
        before = tf.linalg.band_part(tf.ones([1, steps, steps]), -1, 0) if self.causal else None
        x = self.norms[0](x + self.own(x, x, attention_mask=before))
        if memory is not None:
            x = self.norms[1](x + self.other(x, memory))
        return self.norms[2](x + self.narrow(self.wide(x)))

memory = Block(False)(Placed()(source))
scores = L.Dense(12)(Block(True)(Placed()(target), memory))
model = keras.Model([source, target], scores)
"""
IDS = 'source = keras.Input([None], dtype="int32")\ntarget = keras.Input([None], dtype="int32")\n'
IMPORTS = "import tensorflow as tf\nfrom tensorflow import keras\n\nL = keras.layers\n"
FIXED = BETWEEN.replace("target = keras.Input([None]", "target = keras.Input([7]")

DECODERS = {
    "a causal convolution": BETWEEN.format(between="L.Conv1D(4, 3, padding='causal')(written)"),
    "a running sum": BETWEEN.format(between="tf.cumsum(written, axis=1)"),
    "causal self-attention": BETWEEN.format(between=ATTENDING.format("written")),
    "causal attention to the encoder": BETWEEN.format(between=CAUSAL),
    "of a fixed length": FIXED.format(between="L.Conv1D(4, 3, padding='causal')(written)"),
    "one-hot vectors": (
        BETWEEN.replace('target = keras.Input([None], dtype="int32")', "target = keras.Input([None, 12])")
        .replace("written = words(target)", "written = target")
        .format(between="L.Conv1D(4, 3, padding='causal')(written)")
    ),
    "the source as the second input": (
        BETWEEN.format(between="tf.cumsum(written, axis=1)") + "model = keras.Model([target, source], scores)\n"
    ),
    "inputs by name": (
        BETWEEN.format(between="tf.cumsum(written, axis=1)")
        + "model = keras.Model({'question': source, 'answer': target}, scores)\n"
    ),
    "a layer of one's own": (
        "import tensorflow as tf\n" + BEGIN
        + "class Scaled(L.Layer):\n    def call(self, x):\n        return 2 * x\n\n"
        + "written = L.GRU(6, return_sequences=True)(Scaled()(written), initial_state=h)" + END
    ),
    "a Transformer": IMPORTS + IDS + TRANSFORMER,
    "a decoder that is a model of its own": (
        BEGIN
        + "ids, kept = keras.Input([None], dtype='int32'), keras.Input([None, 6])\n"
        + f"x = L.Embedding(12, 6)(ids)\nx = x + {ATTENDING.format('x')}\nx = x + L.Attention()([x, kept])\n"
        + "decoder = keras.Model([ids, kept], L.Dense(12)(x))\n"
        + "scores = decoder([target, read])\nmodel = keras.Model([source, target], scores)\n"
    ),
    "a layer that reads its static length": (
        "import tensorflow as tf\n" + FIXED.partition("written =")[0]
        + "class Placed(L.Layer):\n    def __init__(self):\n        super().__init__()\n"
        + "        self.places = L.Embedding(20, 4)\n"
        + "    def call(self, x):\n        return x + self.places(tf.range(x.shape[1]))\n\n"
        + "written = Placed()(words(target))\nwritten = L.GRU(6, return_sequences=True)(written, initial_state=h)" + END
    ),
}  # fmt: skip


def telling(code, rows=X[:5], length=6):
    """Return a model whose outputs for the rows differ, and these outputs."""
    model = api.trace(code)
    for seed in range(30):
        expected = own_output(partial(scores_of, shaken(model, seed)), rows, length)
        if len({tuple(row) for row in expected}) > 2:
            return model, expected
    raise AssertionError("all sources are answered alike, whatever the weights")


def scores_of(model, sources, ids):
    """Call a model with sources and ids, whatever the order and the structure of its inputs."""
    names = model.namespace
    taken = {id(names["source"]): sources, id(names["target"]): padded(names["target"], ids)}
    given = model.model.input
    if isinstance(given, dict):
        return model.model({name: taken[id(tensor)] for name, tensor in given.items()})
    return model.model([taken[id(tensor)] for tensor in given])


def padded(target, ids):
    filled = ids if target.shape[1] is None else np.pad(ids, [(0, 0), (0, target.shape[1] - ids.shape[1])])
    return filled if len(target.shape) == 2 else np.eye(target.shape[2], dtype="float32")[filled]


@pytest.mark.parametrize("code", DECODERS.values(), ids=DECODERS)
def test_it_says_what_the_training_model_says_when_fed_its_own_output(code):
    model, expected = telling(code)
    decoded = api.decode(model, X[:5], max_length=6)
    assert decoded == expected
    assert NOTE in repr(shown(model, X[:5], decoded))
    ledger = model.inference.ledger
    assert ledger.variables.keys() == model.ledger.variables.keys()
    assert ledger.models[-1].total == model.ledger.models[-1].total


SUBCLASSED = (
    IMPORTS
    + """
class Translator(keras.Model):
    \"\"\"An encoder and a decoder as one class.\"\"\"

    def __init__(self):
        super().__init__()
        self.words = L.Embedding(12, 8)
        self.reader = L.GRU(8, return_sequences=True, return_state=True)
        self.writer = L.GRU(8, return_sequences=True)
        self.attention, self.scores = L.Attention(), L.Dense(12)

    def call(self, inputs):
        source, target = TAKEN
        read, state = self.reader(self.words(source))
        written = self.writer(self.words(target), initial_state=state)
        return self.scores(tf.concat([written, self.attention([written, read])], -1))

translator = Translator()
"""
)
TAKEN = {
    "a tuple": ("inputs", lambda source, target: (source, target)),
    "the target first": ("inputs[1], inputs[0]", lambda source, target: (target, source)),
    "by name": (
        "inputs['question'], inputs['answer']",
        lambda source, target: {"question": source, "answer": target},
    ),
}


@pytest.mark.parametrize("taken", TAKEN)
def test_a_subclassed_model_is_decoded_once_it_was_called(taken):
    unpacked, packed = TAKEN[taken]
    model = api.trace(SUBCLASSED.replace("TAKEN", unpacked), name="m")
    with pytest.raises(DecodeError, match="is of class Translator, no functional model with wires"):
        api.decode(model, X[:3])
    model.model(packed(X, X[:, :4]))
    for seed in range(30):
        generator = np.random.default_rng(seed)
        model.model.set_weights([generator.normal(size=weight.shape) for weight in model.model.get_weights()])
        expected = []
        for row in X[:5]:
            ids = [0]
            while len(ids) <= 6:
                scores = np.asarray(model.model(packed(np.array([row]), np.array([ids]))))
                ids.append(int(scores[0, -1].argmax()))
            expected.append(ids[1:])
        if len({tuple(row) for row in expected}) > 2:
            break
    decoded = api.decode(model, X[:5], max_length=6)
    assert decoded == expected
    assert "its model is of class Translator, without wires to follow" in repr(shown(model, X[:5], decoded))
    assert api.decode(model, X[:5], max_length=6, beam=2).n_best[0][0].log_probability < 0
    ledger = model.inference.ledger
    calls = [event for event in ledger.events[len(model.ledger.events) :] if isinstance(event, Called)]
    assert all(call.created == () for call in calls)
    assert ledger.variables.keys() >= model.ledger.variables.keys()


@pytest.mark.parametrize("mechanism", ["LuongAttention", "BahdanauAttention"])
@pytest.mark.parametrize("package", ["at hand", "ours"])
def test_an_attention_wrapper_within_a_layer_is_decoded(mechanism, package):
    imports = {"at hand": addons.seq2seq.__name__, "ours": "s2s_magic.addons.seq2seq"}[package]
    first = f"from importlib import import_module\n\nseq2seq = import_module({imports!r})\n"
    model, expected = answering(api.trace(first + BEGIN + WRAPPED.format(mechanism=mechanism)), X[:5], 6)
    assert api.decode(model, X[:5], max_length=6) == expected == step_by_step(model, X[:5], 6)


def test_beams_and_samples_have_the_chances_that_the_training_model_gives():
    model, _ = telling(DECODERS["a Transformer"])
    for options in ({"beam": 4, "n_best": 4}, {"sample": True, "seed": 3, "n_best": 3}):
        for hypothesis in api.decode(model, X[:1], max_length=4, **options).n_best[0]:
            given = np.array([[0, *hypothesis.ids[:-1]]])
            scores = np.asarray(scores_of(model, X[:1], given), np.float64)[0]
            chances = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
            wanted = sum(chances[step, number] for step, number in enumerate(hypothesis.ids))
            assert hypothesis.log_probability == pytest.approx(wanted, abs=1e-3)


def test_a_beam_of_all_is_an_exhaustive_search():
    model, _ = telling(DECODERS["a Transformer"])
    best = api.decode(model, X[:1], max_length=2, beam=12, n_best=1).n_best[0][0]
    pairs = [(one, other) for one in range(12) for other in range(12)]
    first = np.asarray(scores_of(model, X[:1], np.array([[0]])), np.float64)[0, 0]
    begun = np.array([[0, one] for one in range(12)])
    after = np.asarray(scores_of(model, np.repeat(X[:1], 12, axis=0), begun), np.float64)[:, 1]
    rated = {}
    for one, other in pairs:
        chances = [scores - np.log(np.exp(scores).sum()) for scores in (first, after[one])]
        rated[one, other] = chances[0][one] + chances[1][other]
    assert best.ids == max(rated, key=rated.get)


def test_sources_may_differ_in_length_and_an_unknown_id_is_told():
    model, _ = telling(DECODERS["a Transformer"])
    rows = [[3, 4], [5, 6, 7, 8, 9, 9, 1], [2, 2]]
    assert api.decode(model, rows, max_length=4) == own_output(partial(scores_of, model), rows, 4)
    with pytest.raises(DecodeError, match=r"^m\w* looks up 40 in a table of 12: an id of the sources, of start"):
        api.decode(model, [[3, 40]])
    with pytest.raises(DecodeError, match=r"looks up 40 in a table of 40: .* or a position"):
        api.decode(model, [[3, 4]], max_length=41)
    with pytest.raises(DecodeError, match="is id -1; ids begin at 0"):
        api.decode(model, [[3, -1]])
    with pytest.raises(DecodeError, match="source 1 is empty"):
        api.decode(model, [[3, 4], []])


def test_a_fixed_length_is_the_most_that_is_said():
    model, _ = telling(DECODERS["of a fixed length"])
    assert {len(row) for row in api.decode(model, X[:2])} == {7}
    with pytest.raises(DecodeError, match="gives rows of 7 ids"):
        api.decode(model, X[:2], max_length=8)


LOOKING_AHEAD = {
    "by one": "tf.concat([written[:, 1:], written[:, :1]], axis=1)",
    "at the mean": "written - tf.reduce_mean(written, axis=1, keepdims=True)",
    "at how many there are": "written * tf.cast(tf.shape(written)[1], tf.float32)",
    "far": "written + tf.concat([written[:, 9:], tf.zeros_like(written[:, :9])], axis=1)",
    "a little": "written + 1e-4 * tf.reduce_mean(written, axis=1, keepdims=True)",
    "at other rows": "written - tf.reduce_mean(written, axis=0, keepdims=True)",
}


@pytest.mark.parametrize("between", LOOKING_AHEAD.values(), ids=LOOKING_AHEAD)
def test_a_decoder_that_looks_ahead_is_refused_as_before(between):
    code = BETWEEN.format(between="L.Lambda(lambda written: " + between + ")(written)")
    code = code.replace("L = keras", "tf.random.set_seed(1)\nL = keras")
    if KERAS3:
        code = code.replace("(lambda", "(output_shape=(None, 4), function=lambda")
    model, _ = telling(code)
    with pytest.raises(DecodeError, match="stands between the ids and the output"):
        api.decode(model, X[:2])
