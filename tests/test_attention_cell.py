"""Attention inside a decoder's cell: input feeding in specs, and functional models with an AttentionWrapper."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from kerases import KERAS3
from s2s_magic import api
from s2s_magic.acceleration import ACCELERATED
from s2s_magic.errors import SpecError
from s2s_magic.source import Dialect, generate
from s2s_magic.spec import parse_spec
from spec_grid import check
from test_decoding import shaken

pytestmark = pytest.mark.once

BASE = "vocab: 9\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\nattention: {kind}\ninput_feeding: true\n"
PADDED = "padding: 0\nstart: 1\nend: 2\nmax_length: 5\n"
KINDS = (
    "luong(6, scale=true)",
    "bahdanau(5)",
    "bahdanau(5, normalize=true)",
    "[luong, bahdanau(5)]",
    "luong\nmonotonic: true",
)
rng = np.random.default_rng(0)
X, Y = rng.integers(3, 9, size=(16, 5)), rng.integers(3, 9, size=(16, 4))
FED = np.c_[np.zeros([16, 1], int), Y[:, :-1]]


class Loop(keras.Model):
    """Luong's attention with input feeding, one step after the other, written with Keras's layers alone."""

    def __init__(self, added, tied):
        super().__init__()
        self.embed = keras.layers.Embedding(9, 6 if tied else 4)
        self.encoder = keras.layers.LSTM(6, return_sequences=True, return_state=True)
        self.memory = keras.layers.Dense(5 if added else 6, use_bias=False)
        self.cell = keras.layers.LSTMCell(6)
        self.query = keras.layers.Dense(5, use_bias=False)
        self.sum = self.add_weight(shape=[5], initializer="glorot_uniform", name="v") if added else None
        self.join = keras.layers.Dense(6, activation="tanh", use_bias=False)
        self.out = None if tied else keras.layers.Dense(9, activation="softmax")

    def scores(self, attended):
        if self.out is None:
            return tf.nn.softmax(tf.matmul(attended, self.embed.embeddings, transpose_b=True))
        return self.out(attended)

    def steps(self, source, fed):
        read, *state = self.encoder(self.embed(source))
        keys, attended, said, looked = self.memory(read), tf.zeros([tf.shape(source)[0], 6]), [], []
        for step in range(4):
            made, state = self.cell(tf.concat([self.embed(fed[:, step]), attended], -1), state)
            if self.sum is None:
                scores = tf.einsum("bu,bmu->bm", made, keys)
            else:
                scores = tf.reduce_sum(self.sum * tf.tanh(keys + self.query(made)[:, None]), -1)
            weights = tf.nn.softmax(scores)
            attended = self.join(tf.concat([made, tf.einsum("bm,bmu->bu", weights, read)], -1))
            said.append(self.scores(attended))
            looked.append(weights)
        return tf.stack(said, 1), tf.stack(looked, 1)

    def call(self, inputs):
        return self.steps(*inputs)[0]


def same(kind, wide=False):
    """Return a spec's model, and the same written by hand with equal weights, which may be drawn from a wide range."""
    tied = "tie_output" in kind
    ours = api.build(BASE.format(kind=kind).replace("embed: 4", "embed: 6" if tied else "embed: 4"))
    if wide:
        shaken(ours)
    theirs = Loop(added=kind.startswith("bahdanau"), tied=tied)
    theirs([X, FED])
    mine = {variable.owner: [] for variable in ours.ledger.variables.values()}
    for key, variable in ours.ledger.variables.items():
        mine[variable.owner].append(np.array(ours.live.variables[key]))
    parts = {
        "embeddings": theirs.embed,
        "encoder.cell": theirs.encoder,
        "attention_mechanism.memory_layer": theirs.memory,
        "attention_mechanism.query_layer": theirs.query,
        "decoder_cell": theirs.cell,
        "attention_layer": theirs.join,
        "output_layer": theirs.out,
    }
    for owner, values in mine.items():
        if owner == "attention_mechanism":
            theirs.sum.assign(values[0])
        else:
            parts[owner].set_weights(values)
    return ours, theirs


@pytest.mark.parametrize("kind", ["luong", "bahdanau(5)", "luong\ntie_output: true", "bahdanau(5)\ntie_output: true"])
def test_losses_are_those_of_a_loop_written_by_hand(kind):
    ours, theirs = same(kind)
    theirs.compile("adam", "sparse_categorical_crossentropy")
    body = "source: S\ntarget: T\nepochs: 3\nbatch: 8\nshuffle: false\nseed: 2\n"
    api.fit(ours, body, {"S": X, "T": Y}, progress=lambda _: None)
    plainly = theirs.fit([X, FED], Y, epochs=3, batch_size=8, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(ours.history["loss"], plainly, rtol=1e-5)


@pytest.mark.parametrize("kind", ["luong", "bahdanau(5)"])
def test_alignments_are_the_weights_of_the_loop_written_by_hand(kind):
    ours, theirs = same(kind, wide=True)
    found = api.decode(ours, X[:2].tolist(), max_length=4, beam=2)
    for source, ids, (looked,) in zip(X[:2], found.ids, found.alignments, strict=True):
        fed = [0, *ids[:-1], *[0] * (4 - len(ids))]
        _, expected = theirs.steps(tf.constant(source[None]), tf.constant([fed]))
        assert looked.source == tuple(map(str, source))
        np.testing.assert_allclose(np.array(looked.weights)[: len(ids)], np.array(expected)[0, : len(ids)], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_built_fitted_decoded_and_saved(kind, tmp_path):
    model = check(BASE.format(kind=kind).replace("vocab: 9", "vocab: 12") + PADDED, tmp_path)
    found = api.decode(model, [[3, 4, 5], [7, 8]], beam=2)
    for row in found.alignments:
        assert len(row) == (2 if kind.startswith("[") else 1)
        for one in row:
            totals = np.sum(one.weights, axis=1)
            assert (totals <= 1 + 1e-5).all()
            if "monotonic" not in kind:
                np.testing.assert_allclose(totals, 1, atol=1e-5)


@pytest.mark.parametrize("lines", ["dropout: 0.3", "dropout: {outputs: 0.3}\ntie_output: true", "tie_output: true"])
def test_what_a_cell_attended_to_is_scored_outside_of_its_decoder(lines, tmp_path):
    text = BASE.format(kind=f"luong\n{lines}").replace("vocab: 9\nembed: 4", "vocab: 12\nembed: 6") + PADDED
    model = check(text, tmp_path)
    assert model.namespace["decoder"].output_layer is None
    assert ("output_layer" in model.namespace) == ("tie_output" not in lines)
    given = [X, FED, np.full(16, 4)]
    moving = [np.asarray(model.model(given, training=True)) for _ in range(2)]
    assert (np.abs(moving[0] - moving[1]).max() > 0) == ("dropout" in lines)
    losses = []
    for accelerate in ("true", "false"):
        model = shaken(api.build(text))
        body = f"source: S\ntarget: T\nepochs: 2\nbatch: 8\nshuffle: false\nseed: 2\naccelerate: {accelerate}\n"
        api.fit(model, body, {"S": X, "T": Y}, progress=lambda _: None)
        losses.append(model.history["loss"])
        assert (model.evidence.runs[-1].accelerated.get("decoder") == ACCELERATED) == (accelerate == "true")
    assert np.isfinite(losses).all()
    assert np.allclose(*losses, rtol=1e-5) or "dropout" in lines


def test_padding_is_not_attended_to():
    model = shaken(api.build(BASE.format(kind="luong") + PADDED))
    fed, lengths = np.array([[1, 3, 4]]), np.array([3])
    found = [model.model([np.array([row]), fed, lengths]) for row in ([3, 4, 5], [3, 4, 5, 0, 0])]
    np.testing.assert_allclose(*found, atol=1e-5)


WRITTEN = """
import tensorflow as tf
{keras}
from s2s_magic.addons import seq2seq
source, fed = keras.Input([None], dtype="int32"), keras.Input([None], dtype="int32")
embedding = keras.layers.Embedding(9, 4, mask_zero={mask})
encoded, h, c = keras.layers.LSTM(6, return_sequences=True, return_state=True)(embedding(source))
mechanism = seq2seq.LuongAttention(6)
mechanism.setup_memory(encoded)
cell = seq2seq.AttentionWrapper(keras.layers.LSTMCell(6), mechanism, attention_layer_size=6, alignment_history={kept})
state = cell.get_initial_state(encoded).clone(cell_state=[h, c])
decoder = seq2seq.BasicDecoder(cell, seq2seq.TrainingSampler(), output_layer=keras.layers.Dense(9))
outputs, last, lengths = decoder(embedding(fed), initial_state=state)
model = keras.Model([source, fed], outputs.rnn_output)
"""


@pytest.mark.parametrize(("mask", "kept"), [(False, False), (True, False), (False, True)])
def test_a_model_with_a_wrapper_written_by_hand_is_decoded(mask, kept):
    imported = "import keras" if KERAS3 else "from tensorflow import keras"
    model = shaken(api.trace(WRITTEN.format(keras=imported, mask=mask, kept=kept)))
    assert "not in the model" not in [finding.kind for finding in model.ledger.findings]
    memory = model.namespace["mechanism"].symbolic_memory["memory"]
    rows = [[3, 4, 5], [7, 8]]
    best = api.decode(model, rows, start=1, end=2, max_length=4, beam=3, n_best=2)
    for source, row in zip(rows, best.n_best, strict=True):
        for one in row:
            ids = [*one.ids, 2][:4]
            logits = np.asarray(model.model([np.array([source]), np.array([[1, *ids[:-1]]])]), float)[0]
            chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            expected = sum(math.log(chances[step, number]) for step, number in enumerate(ids))
            assert one.log_probability == pytest.approx(expected, abs=1e-4)
    greedy = api.decode(model, rows, start=1, end=2, max_length=4)
    assert list(greedy) == list(api.decode(model, rows, start=1, end=2, max_length=4, beam=1, n_best=1))
    assert model.namespace["mechanism"].symbolic_memory["memory"] is memory
    assert [event for event in model.inference.ledger.events if event.cell == 2 and getattr(event, "created", ())] == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("attention: none", "line 6, column 16: there is no attention: give 'attention: luong'"),
        (
            "attention: luong\nresidual: true\nencoder: 2 * lstm(6)\nbridge: dense",
            "'residual' is written with layers",
        ),
        (
            "attention: luong\ncode: keras",
            "line 7, column 7: input_feeding is written with a decoder that runs step by step",
        ),
        (
            "attention: luong\ndropout: 0.2\nfeeding: scheduled(0.2)",
            "line 7, column 10: 'dropout' is written with layers over whole sequences, and feeding with a decoder",
        ),
        (
            "attention: [luong, bahdanau]\ntie_output: true",
            "line 7, column 13: the table of the embeddings, of size 4, is multiplied with what 2 attention mechanisms "
            "give, of 12 units: give 'embed: 12'",
        ),
        ("attention: [luong(5)]", "luong multiplies the decoder's outputs, of 6 units"),
        ("attention: [luong(6, scale=true), lung]", "unknown kind 'lung'"),
    ],
)
def test_what_does_not_fit_is_told(lines, words):
    base = "vocab: 9\nembed: 4\n" + ("" if "encoder" in lines else "encoder: lstm(6)\n") + "decoder: lstm(6)\n"
    first, _, rest = lines.partition("\n")
    with pytest.raises(SpecError) as caught:
        parse_spec(f"{base}{first}\ninput_feeding: true\n{rest}\n")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("monotonic: true\nattention: luong", "line 5, column 12: 'monotonic' is written with an AttentionWrapper"),
        ("attention: [luong, bahdanau]", "line 5, column 12: a list of attention mechanisms is written with"),
        ("attention: bahdanau(4, normalize=true)", "line 5, column 12: normalize=true is written with"),
        ("monotonic: true", "line 5, column 12: there is no attention"),
    ],
)
def test_what_needs_input_feeding_says_so(lines, words):
    with pytest.raises(SpecError) as caught:
        parse_spec(f"vocab: 9\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\n{lines}\n")
    assert words in str(caught.value)


@pytest.mark.parametrize("operations", ["tf", "keras.ops"])
def test_the_source_is_the_golden_file(operations, golden):
    spec = parse_spec(BASE.format(kind="[luong(6, scale=true), bahdanau(5, normalize=true)]") + PADDED)
    golden(f"source/input_feeding_{operations}.txt", generate(spec, Dialect("tfa", operations, addons=False)))


def test_the_source_with_dropout_and_a_tied_table_is_the_golden_file(golden):
    text = BASE.format(kind="luong\ndropout: 0.2\ntie_output: true").replace("embed: 4", "embed: 6") + PADDED
    golden("source/input_feeding_tied.txt", generate(parse_spec(text), Dialect("tfa", "tf", addons=False)))
