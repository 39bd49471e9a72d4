"""The greedy loop, which drops finished rows, returns what TFA's decoder returns."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

import addons as tfa
from s2s_magic import addons as ours
from s2s_magic import backend
from s2s_magic.acceleration import ACCELERATED
from s2s_magic.decoding.fast_decoder import accelerate_greedy

VOCAB, UNITS, ROWS, END = 7, 16, 60, 2

CELLS: dict[str, tuple[Callable[[], Any], int]] = {
    "lstm": (lambda: keras.layers.LSTMCell(UNITS), 2),
    "lstm without bias": (lambda: keras.layers.LSTMCell(UNITS, use_bias=False), 2),
    "gru": (lambda: keras.layers.GRUCell(UNITS), 1),
    "gru without bias": (lambda: keras.layers.GRUCell(UNITS, use_bias=False), 1),
    "gru, reset before": (lambda: keras.layers.GRUCell(UNITS, reset_after=False), 1),
    "stacked": (lambda: keras.layers.StackedRNNCells([keras.layers.GRUCell(12), keras.layers.LSTMCell(UNITS)]), 3),
}


def greedy_model(
    cell: Any, states: int, *, longest: int = 12, seed: int = 0, home: Any = tfa, **settings: Any
) -> keras.Model:
    """Return a model of a decoder that reads its own ids, with weights that give a different output for each start."""
    sizes = tf.nest.flatten(cell.state_size)
    given = [keras.layers.Input(shape=[sizes[number]]) for number in range(states)]
    start = keras.layers.Input(shape=[], dtype="int32")
    settings.setdefault("output_layer", keras.layers.Dense(VOCAB))
    sampler = home.seq2seq.GreedyEmbeddingSampler(keras.layers.Embedding(VOCAB, 4))
    decoder = home.seq2seq.BasicDecoder(cell, sampler, maximum_iterations=longest, **settings)
    decoder.embedding = sampler.embedding_fn
    stacked = isinstance(cell, keras.layers.StackedRNNCells)
    first = tf.nest.pack_sequence_as(cell.state_size, given) if stacked else given
    outputs, _, lengths = decoder(None, initial_state=first, start_tokens=start, end_token=END)
    model = keras.Model([*given, start], [outputs.sample_id, lengths])
    draws = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(draws.normal(size=weight.shape, scale=2.5))
    return model


def inputs_of(model: keras.Model) -> list[Any]:
    draws = np.random.default_rng(1)
    states = [draws.normal(size=(ROWS, tensor.shape[1])).astype("float32") for tensor in model.inputs[:-1]]
    return [*states, draws.integers(VOCAB, size=ROWS).astype("int32")]


def assert_same_ids(model: keras.Model) -> Any:
    inputs = inputs_of(model)
    theirs, lengths = (value.numpy() for value in tf.function(lambda: model(inputs, training=False))())
    with accelerate_greedy(model) as found:
        assert set(found.values()) == {ACCELERATED}
        traced = tf.function(lambda: model(inputs, training=False))
        traced.get_concrete_function()
    for found_ids, counted in (traced(),):
        np.testing.assert_array_equal(counted, lengths)
        assert found_ids.dtype == tf.int32
        assert found_ids.shape == theirs.shape
        for row, other, length in zip(found_ids.numpy(), theirs, lengths, strict=True):
            np.testing.assert_array_equal(row[:length], other[:length])
            assert (row[length:] == END).all()
    return lengths


@pytest.mark.parametrize("cell", CELLS)
def test_ids_lengths_and_steps_are_tfas_up_to_each_rows_end(cell: str) -> None:
    make, states = CELLS[cell]
    seed = 1 if cell in ("lstm without bias", "stacked") else 0  # with these weights, rows end at many different steps
    lengths = assert_same_ids(greedy_model(make(), states, seed=seed))
    assert len(set(lengths)) > 3


def test_our_decoder_gives_the_same_ids_on_the_kernels() -> None:
    assert len(set(assert_same_ids(greedy_model(*_lstm(), home=ours)))) > 3


def test_a_softmax_in_the_output_layer_changes_nothing() -> None:
    layer = keras.layers.Dense(VOCAB, activation="softmax", use_bias=False)
    assert_same_ids(greedy_model(*_lstm(), output_layer=layer))


def test_a_cells_outputs_can_be_the_scores() -> None:
    cell = keras.layers.LSTMCell(VOCAB)
    assert_same_ids(greedy_model(cell, 2, output_layer=None))


@pytest.mark.parametrize(("bias", "length"), [(100.0, 1), (-100.0, 12)], ids=["at once", "never"])
def test_rows_that_end_at_once_and_rows_that_never_do(bias: float, length: int) -> None:
    model = greedy_model(*_lstm())
    decoder = next(layer for layer in model.layers if isinstance(layer, tfa.seq2seq.BasicDecoder))
    decoder.output_layer.bias.assign(tf.one_hot(END, VOCAB) * bias)
    assert set(assert_same_ids(model)) == {length}


def _lstm() -> tuple[Any, int]:
    make, states = CELLS["lstm"]
    return make(), states


def test_outputs_are_tfas_too_where_they_are_asked_for() -> None:
    model = greedy_model(*_lstm())
    decoder = next(layer for layer in model.layers if isinstance(layer, tfa.seq2seq.BasicDecoder))
    scores, _, *state, lengths = backend.outputs_of(decoder, 0)
    asked = keras.Model(model.inputs, [scores, *state, lengths])
    inputs = inputs_of(model)
    theirs, *_, counted = asked(inputs, training=False)
    with accelerate_greedy(asked):
        ours, *after, lengths = asked(inputs, training=False)
    real = np.arange(theirs.shape[1]) < counted.numpy()[:, None]
    np.testing.assert_array_equal(lengths, counted)
    np.testing.assert_allclose(ours.numpy()[real], theirs.numpy()[real], atol=1e-4)
    assert (ours.numpy()[~real] == 0).all()
    last = tf.gather(ours, lengths - 1, batch_dims=1)
    np.testing.assert_allclose(decoder.output_layer(after[0]), last, atol=1e-4)


def test_another_sampler_is_left_to_tfa_and_named() -> None:
    model = greedy_model(*_lstm())
    decoder = next(layer for layer in model.layers if isinstance(layer, tfa.seq2seq.BasicDecoder))
    decoder.sampler = tfa.seq2seq.SampleEmbeddingSampler(decoder.embedding)
    with accelerate_greedy(model) as found:
        assert found == {decoder.name: "its SampleEmbeddingSampler does not choose the most probable id"}
        assert "call" not in decoder.__dict__
