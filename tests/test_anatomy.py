"""The parts of an encoder-decoder are found by kind, however it is written."""

from html import unescape

import pytest

from models import by_hand
from s2s_magic import api
from s2s_magic.ledger.anatomy import anatomy_of
from s2s_magic.view.wiring.drawing import to_svg

BEGIN = """
from tensorflow import keras

L = keras.layers
source = keras.Input([None], dtype="int32")
target = keras.Input([None], dtype="int32")
heard, said = L.Embedding(12, 4), L.Embedding(12, 4)
"""
LAYERS = """
reader = L.LSTM(6, return_sequences=True, return_state=True)
memory, h, c = reader(heard(source))
writer = L.LSTM(6, return_sequences=True)
written = writer(said(target), initial_state=[h, c])
looks = L.Attention()
scores = L.Dense(12, activation="softmax")
model = keras.Model([source, target], scores(L.Concatenate()([written, looks([written, memory])])))
"""
CELLS = """
reader = L.RNN(L.GRUCell(6), return_state=True)
_, state = reader(heard(source))
below = L.RNN(L.GRUCell(6), return_sequences=True)
writer_cell = L.GRUCell(6)
writer = L.RNN(writer_cell, return_sequences=True)
written = writer(below(said(target), initial_state=[state]), initial_state=[state])
scores = L.Dense(12)
model = keras.Model([source, target], scores(written))
"""
TUTORIAL = """
source, target = keras.Input([None, 12]), keras.Input([None, 12])
reader = L.LSTM(6, return_state=True)
_, h, c = reader(source)
writer = L.LSTM(6, return_sequences=True, return_state=True)
written, _, _ = writer(target, initial_state=[h, c])
scores = L.Dense(12, activation="softmax")
model = keras.Model([source, target], scores(written))
"""


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (by_hand(12, 4, 8), ("source_ids", "target_ids", "words", "reader", "writer_cell", "")),
        (BEGIN + LAYERS, ("source", "target", "said", "reader", "writer.cell", "looks")),
        (BEGIN + CELLS, ("source", "target", "said", "reader", "writer_cell", "")),
        (BEGIN + TUTORIAL, ("source", "target", "", "reader", "writer.cell", "")),
    ],
    ids=["BasicDecoder", "layers with attention", "cells", "one-hot symbols"],
)
def test_the_parts_are_found_by_kind(code, names):
    ledger = api.trace(code).ledger
    parts = anatomy_of(ledger)

    def named(keys):
        return " ".join(ledger.layers[key].name for key in keys)

    def begun(events):
        return " ".join(ledger.events[index].outputs[0].name for index in sorted(events))

    source, target, embedding, encoder, cell, attention = names
    assert (begun(parts.source), begun(parts.target)) == (source, target)
    assert (named(parts.embeddings), named(call.object for call in parts.encoder)) == (embedding, encoder)
    assert (named([parts.decoder.object]), named([parts.cell])) == ("writer", cell)
    assert (named([parts.output_layer]), named(call.object for call in parts.attention)) == ("scores", attention)


def test_a_model_without_a_decoder_has_no_parts():
    assert anatomy_of(api.trace(f"{BEGIN}model = keras.Model(source, L.Dense(2)(heard(source)))").ledger) is None


def test_answers_and_the_wiring_name_the_parts():
    seq2seq = api.trace(BEGIN + LAYERS)

    def said(name):
        return " ".join(api.explain(seq2seq, name).sentences)

    assert "In model, it is the source input." in said("source")
    assert "In model, it is the target input." in said("target")
    assert "In model, it is the encoder's embedding." in said("heard")
    assert "In model, it is the memory that looks looks at." in said("memory")
    assert "In model, it is the decoder's attention." in said("looks")
    assert "Its owner is writer.cell, the decoder's cell." in said("writer.cell.kernel")
    drawn = unescape(to_svg(seq2seq.ledger))
    for name, part in (("reader: LSTM", "the encoder"), ("scores: Dense", "the output layer")):
        assert f"<title>{name}, {part}, owns" in drawn or f"<title>{name}, {part}, holds" in drawn
    assert "<title>cell: LSTMCell, the decoder's cell, 264 parameters of its own</title>" in drawn


def test_a_shared_embedding_and_a_stack_say_so():
    shared = api.trace(by_hand(12, 4, 8))
    assert "In model, it is the embedding of source and target." in api.explain(shared, "words").sentences
    stacked = api.trace(BEGIN + CELLS)
    assert "In model, it is part of the decoder." in api.explain(stacked, "below").sentences
