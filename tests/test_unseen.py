"""Layers and variables that Keras does not track are found, as confirmed by what a fit changes."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from tensorflow import keras

from addons_golden import HAS_TFA
from s2s_magic import Seq2Seq, api
from s2s_magic.ledger import Called, Ledger
from s2s_magic.tracing import Traced
from s2s_magic.view import report, to_html, to_text
from s2s_magic.view.wiring.from_ledger import graph_of
from test_roles import traced
from test_trace_ledger import check

BLOCK = """
class Att{base}:
    def __init__(self):
        {init}
        self.dense = layers.Dense(3)
    def __call__(self, x):
        return self.dense(x)
class Block(layers.Layer):
    def __init__(self):
        super().__init__()
        self.att = Att()
    def call(self, x):
        return self.att(x)
block = Block()
{more}
x = keras.Input([4])
y = block(x)
model = keras.Model(x, layers.Dense(1)(y))
model.compile("adam", "mse")
"""
DECODER = """
source, starts = keras.Input([5], dtype="int32"), keras.Input([], dtype="int32")
emb, other = layers.Embedding(10, 4), layers.Embedding(10, 4)
_, h, c = layers.LSTM(4, return_state=True)(emb(source))
cell, head = layers.LSTMCell(4), layers.Dense(10)
"""
GREEDY = """
sampler = tfa.seq2seq.GreedyEmbeddingSampler({emb})
decoder = tfa.seq2seq.BasicDecoder(cell, sampler, output_layer=head, maximum_iterations=5)
out, _, _ = decoder(None, initial_state=[h, c], start_tokens=starts, end_token=2)
model = keras.Model([source, starts], out.rnn_output)
"""
SCHEDULED = """
sampler = tfa.seq2seq.ScheduledEmbeddingTrainingSampler(0.5, other)
decoder = tfa.seq2seq.BasicDecoder(cell, sampler, output_layer=head)
out, _, _ = decoder(emb(source), initial_state=[h, c], sequence_length=starts)
model = keras.Model([source, starts], out.rnn_output)
"""


ADDONS = "\nimport tensorflow_addons as tfa"
OURS = "\nfrom s2s_magic import addons as tfa"


def untracked(seen: Seq2Seq) -> dict[str, str]:
    return {f.about: f.text for f in api.current_ledger(seen).findings if f.kind == "untracked"}


def told(seen: Seq2Seq, what: str) -> str:
    return " ".join(api.explain(seen, what).sentences)


def unseen_key(seen: Seq2Seq) -> str:
    return next(key for key, layer in seen.ledger.layers.items() if layer.unseen_in is not None)


def moves(seen: Seq2Seq, layer: Any) -> bool:
    """Fit the model by Keras, and return whether a layer's weights moved."""
    before = [weight.numpy() for weight in layer.weights]
    random = np.random.default_rng(0)
    seen.model.fit(random.random([8, 4]), random.random([8, 1]), epochs=2, verbose=0)
    return any((weight.numpy() != old).any() for weight, old in zip(layer.weights, before, strict=True))


def test_a_layer_held_by_a_plain_object_is_untracked_and_does_not_move() -> None:
    seen = traced(BLOCK.format(base="", init="pass", more=""))
    assert list(untracked(seen)) == ["block.att.dense"]
    for asked in ("block.att.dense", "att.dense"):
        said = told(seen, asked)
        assert "block.att.dense owns 2 variables" in said
        assert "never called by the cell itself; block calls it inside (line 21)" in said
        assert "untracked: it is used inside block (line 21) and listed by no layer of the model" in said
        assert "make the class of block.att a keras.layers.Layer, or set block.dense = block.att.dense" in said
    assert "This call created 2 variables of block.att.dense, which block does not hold." in told(seen, "y")
    states = {row.name: row.state for row in report(seen.ledger).variables.values() if "att" in row.owner_name}
    assert set(states.values()) == {"untracked: never trained"}
    assert seen.ledger.events[-1].layer == "model"
    assert [e.trainable_params for e in seen.ledger.events if isinstance(e, Called)][-1] == 4
    check(Traced(seen.ledger, seen.live, seen.namespace), seen.model)
    assert not moves(seen, seen.namespace["block"].att.dense)


@pytest.mark.parametrize(
    "remedy",
    [
        {"base": "(layers.Layer)", "init": "super().__init__()", "more": ""},
        {"base": "", "init": "pass", "more": "block.dense = block.att.dense"},
    ],
)
def test_both_remedies_make_it_tracked_and_it_moves(remedy: dict[str, str]) -> None:
    seen = traced(BLOCK.format(**remedy))
    assert not untracked(seen)
    assert moves(seen, seen.namespace["block"].att.dense)


def test_a_layer_made_in_call_is_untracked_and_told_to_be_made_in_init() -> None:
    code = "class Block(layers.Layer):\n    def call(self, x):\n        return layers.Dense(3)(x)\n"
    seen = traced(code + "block = Block()\nx = keras.Input([4])\ny = block(x)\nmodel = keras.Model(x, y)")
    ((name, text),) = untracked(seen).items()
    assert "Block.call makes it, anew each time: make it in __init__ (self." in text
    assert f"made by a call in line 10: block(x). {name} owns 2 variables" in told(seen, name).replace(
        f"{name} is a Dense layer object, ", ""
    )
    check(Traced(seen.ledger, seen.live, seen.namespace), seen.model)


@pytest.mark.skipif(not HAS_TFA, reason="our decoder holds what its sampler calls")
def test_an_embedding_that_a_sampler_calls_is_used_again_by_the_decoders_call() -> None:
    seen = traced(ADDONS + DECODER + GREEDY.format(emb="emb"))
    call = next(e for e in seen.ledger.events if isinstance(e, Called) and e.layer == "decoder")
    emb = next(key for key, layer in seen.ledger.layers.items() if layer.name == "emb")
    (table,) = seen.ledger.layers[emb].own_weights
    assert (call.inside, table in call.reused) == ((emb,), True)
    (shared,) = [f.text for f in seen.ledger.findings if f.kind == "shared"]
    assert shared == (
        "emb is called once and used again by decoder (line 14); it owns 1 variable: both uses have the same weights."
    )
    assert "It is used again by decoder (line 14): the same weights." in told(seen, "emb")
    assert "used by 2 calls (emb in line 9 and decoder in line 14)" in told(seen, "emb.embeddings")
    assert not untracked(seen)
    row = next(row for row in report(seen.ledger).variables.values() if row.owner_name == "emb")
    assert row.steps == tuple(
        e.index for e in seen.ledger.events if e.layer in ("emb", "decoder") and e.kind == "called"
    )
    check(Traced(seen.ledger, seen.live, seen.namespace), seen.model)


@pytest.mark.skipif(not HAS_TFA, reason="our decoder holds what its sampler calls")
@pytest.mark.parametrize("decoder", [GREEDY.format(emb="other"), SCHEDULED])
def test_an_embedding_that_only_a_sampler_has_is_untracked_until_the_decoder_has_it_too(decoder: str) -> None:
    seen = traced(ADDONS + DECODER + decoder)
    assert list(untracked(seen)) == ["other"]
    assert "Set decoder.other = other, for Keras looks into a layer's attributes" in untracked(seen)["other"]
    assert "decoder calls it inside" in told(seen, "other")
    assert "untracked" in told(seen, "decoder.sampler.embedding_fn")
    assert graph_of(seen.ledger).nodes[unseen_key(seen)].trainable == 0
    seen.namespace["decoder"].other = seen.namespace["other"]
    assert not untracked(seen)
    assert "It is part of model" in told(seen, "other")


@pytest.mark.parametrize("decoder", [GREEDY.format(emb="other"), SCHEDULED])
def test_our_decoder_holds_the_embedding_that_its_sampler_calls(decoder: str) -> None:
    seen = traced(OURS + DECODER + decoder)
    assert not untracked(seen)
    assert "It is held by decoder" in told(seen, "other")
    assert "It is part of model" in told(seen, "other")
    (table,) = seen.namespace["other"].weights
    assert any(weight is table for weight in seen.model.trainable_weights)
    check(Traced(seen.ledger, seen.live, seen.namespace), seen.model)


@pytest.mark.parametrize("home", [OURS, pytest.param(ADDONS, marks=pytest.mark.skipif(not HAS_TFA, reason="ours"))])
def test_an_embedding_that_the_cell_and_the_decoders_sampler_call_exists_once(home: str) -> None:
    seen = traced(home + DECODER + GREEDY.format(emb="emb"))
    call = next(e for e in seen.ledger.events if isinstance(e, Called) and e.layer == "decoder")
    emb = next(layer for layer in seen.ledger.layers.values() if layer.name == "emb")
    assert {*emb.own_weights} <= {*call.reused}
    assert "used by 2 calls (emb in line 9 and decoder in line 14) and exists once" in told(seen, "emb.embeddings")


def test_an_output_tied_to_the_embedding_by_an_operation_uses_it_in_both_steps() -> None:
    code = (
        "x = keras.Input([6], dtype='int32')\nemb = layers.Embedding(20, 8)\n"
        "h = layers.LSTM(8, return_sequences=True)(emb(x))\n"
        "out = tf.matmul(h, emb.embeddings, transpose_b=True)\nmodel = keras.Model(x, out)"
    )
    seen = traced(code)
    (shared,) = [f.text for f in seen.ledger.findings if f.kind == "shared"]
    assert shared.startswith("emb is called once and used again by tf.linalg.matmul (line 8)")
    assert "used by 2 calls (emb in line 7 and tf.linalg.matmul in line 8) and exists once" in told(
        seen, "emb.embeddings"
    )
    assert "which owns no variables and uses emb.embeddings" in told(seen, "out")
    step = next(step for step in report(seen.ledger).steps if step.layer == "tf.linalg.matmul")
    assert "it uses emb.embeddings again" in step.sentence
    assert step.reused == ("v0",)
    seen.model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ids = np.random.default_rng(0).integers(0, 20, (8, 6))
    api.fit(seen, "source: X\ntarget: X", {"X": ids}, progress=lambda _: None)
    shares = {seen.ledger.events[share.event].source: share.share for share in seen.evidence.by_call}
    assert list(shares) == ["emb(x)", "tf.matmul(h, emb.embeddings, transpose_b=True)"]
    for source, share in shares.items():
        assert 0.01 < share < 0.99
        assert f"{share:.0%} of its gradient" in to_text(report(seen.ledger, training=True)), source
    check(Traced(seen.ledger, seen.live, seen.namespace), seen.model)


def test_what_is_unseen_is_drawn_and_read_again_from_a_document() -> None:
    seen = traced(BLOCK.format(base="", init="pass", more=""))
    again = Ledger.from_dict(seen.ledger.to_dict())
    assert again == seen.ledger
    for text in (to_text(report(again)), to_html(report(again), page=True)):
        assert "block.att.dense" in text
        assert "untracked" in text
