"""The beam search of `s2s_magic.addons.seq2seq`, compared with TensorFlow Addons' and with exhaustive search."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from addons_beam_cases import BEAMS, sharp
from addons_cases import BATCH, DEPTH, IDS, UNITS, cell, first_state, numbers
from addons_golden import HAS_TFA, OTHER_TENSORFLOW, assert_equal, kept, store, stored, theirs
from s2s_magic.addons import seq2seq


def test_the_values_of_tensorflow_addons_are_stored(request):
    if not request.config.getoption("--update-golden"):
        pytest.skip("run with --update-golden where TensorFlow Addons is")
    store("beams", {name: theirs(BEAMS[name]) for name in kept(BEAMS, 2)})


@pytest.mark.parametrize("name", BEAMS)
@pytest.mark.skipif(not HAS_TFA, reason="TensorFlow Addons is not here")
def test_a_search_is_that_of_tensorflow_addons(name):
    assert_equal(BEAMS[name], theirs(BEAMS[name]))


@pytest.mark.parametrize("name", kept(BEAMS, 2))
def test_a_search_is_the_stored_one(name):
    assert_equal(BEAMS[name], stored("beams", name), within=OTHER_TENSORFLOW)


def exhaustive(step: Any, state: Any, start: int, end: int, most: int, weight: float) -> list[tuple[float, list[int]]]:
    """Return every sequence that ends or has the maximum length with its score, best first.

    As in TensorFlow Addons, the length in the penalty excludes an end id in the last possible step.
    """
    found = []
    for ids in itertools.product(range(IDS), repeat=most):
        length = ids.index(end) + 1 if end in ids else most
        if end in ids[: length - 1] or any(i != end for i in ids[length:]):
            continue
        total, previous, now = 0.0, start, state
        for token in ids[:length]:
            log_probs, now = step(previous, now)
            total, previous = total + log_probs[token], token
        counted = length - (ids[-1] == end and length == most)
        found.append((total / ((5 + counted) / 6) ** weight, list(ids)))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("weight", [0.0, 0.8])
def test_a_beam_as_wide_as_all_sequences_finds_what_exhaustive_search_finds(weight):
    inner, layer = cell("lstm"), sharp(keras.layers.Dense(IDS))
    table, most, width = tf.constant(numbers("table", IDS, DEPTH)), 3, IDS**3
    decoder = seq2seq.BeamSearchDecoder(
        inner, width, output_layer=layer, maximum_iterations=most, length_penalty_weight=weight
    )
    start = [1, 2, 4]
    outputs, _, _ = decoder(table, start, 3, seq2seq.tile_batch(first_state("lstm"), width))

    def step(token: int, state: Any) -> tuple[np.ndarray, Any]:
        output, state = inner(table[token][None], state)
        return tf.nn.log_softmax(layer(output))[0].numpy(), state

    for i in range(BATCH):
        first = [tensor[i : i + 1] for tensor in first_state("lstm")]
        best = exhaustive(step, first, start[i], 3, most, weight)[:20]
        ids, scores = outputs.predicted_ids[i].numpy().T, outputs.beam_search_decoder_output.scores[i, -1]
        assert ids[:20].tolist() == [sequence for _, sequence in best]
        np.testing.assert_allclose(scores[:20], [score for score, _ in best], rtol=1e-5, atol=1e-5)


def test_a_beam_of_one_is_greedy():
    inner, layer = cell("gru"), sharp(keras.layers.Dense(IDS))
    table, given = tf.constant(numbers("table", IDS, DEPTH)), {"start_tokens": tf.constant([1, 2, 4]), "end_token": 3}
    beam = seq2seq.BeamSearchDecoder(inner, 1, output_layer=layer, maximum_iterations=7)
    greedy = seq2seq.BasicDecoder(inner, seq2seq.GreedyEmbeddingSampler(), output_layer=layer, maximum_iterations=7)
    searched, _, _ = beam(table, initial_state=first_state("gru"), **given)
    taken, _, lengths = greedy(table, initial_state=first_state("gru"), **given)
    for found, expected, length in zip(searched.predicted_ids[..., 0], taken.sample_id, lengths, strict=True):
        assert found[:length].numpy().tolist() == expected[:length].numpy().tolist()


def test_a_search_is_a_part_of_a_functional_model_and_is_saved(tmp_path):
    width = 3
    source, start = keras.Input([None], dtype="int32"), keras.Input([], dtype="int32")
    embedding, of_targets = keras.layers.Embedding(IDS, DEPTH), keras.layers.Embedding(IDS, DEPTH)
    encoded, h, c = keras.layers.LSTM(UNITS, return_sequences=True, return_state=True)(embedding(source))
    mechanism = seq2seq.LuongAttention(UNITS)
    mechanism.setup_memory(seq2seq.tile_batch(encoded, width))
    wrapper = seq2seq.AttentionWrapper(keras.layers.LSTMCell(UNITS), mechanism, alignment_history=True)
    state = wrapper.get_initial_state(encoded).clone(cell_state=seq2seq.tile_batch([h, c], width))
    decoder = seq2seq.BeamSearchDecoder(
        wrapper, width, of_targets, output_layer=keras.layers.Dense(IDS), maximum_iterations=4
    )
    outputs, final_state, _ = decoder(None, start_tokens=start, end_token=0, initial_state=state)
    model = keras.Model(
        [source, start],
        [outputs.predicted_ids, outputs.beam_search_decoder_output.scores, final_state.cell_state.alignment_history],
    )
    given = [np.array([[1, 2, 3], [3, 2, 1]], "int32"), np.array([1, 2], "int32")]
    ids, scores, history = [np.asarray(output) for output in model(given)]
    assert ids.shape == scores.shape == (2, ids.shape[1], width)
    assert history.shape == (ids.shape[1], 2 * width, 3)
    encoder = next(layer for layer in model.layers if isinstance(layer, keras.layers.LSTM))
    encoded, *state = encoder(embedding(given[0]))
    mechanism.setup_memory(seq2seq.tile_batch(encoded, width))
    expected, _, _ = decoder(None, given[1], 0, seq2seq.tile_batch(state, width))
    np.testing.assert_array_equal(ids, expected.predicted_ids)
    model.save(tmp_path / "model.keras")
    for got, before in zip(
        keras.models.load_model(tmp_path / "model.keras")(given), (ids, scores, history), strict=True
    ):
        np.testing.assert_array_equal(got, before)


def test_a_search_that_imputes_is_the_same_search():
    given = (tf.constant(numbers("table", IDS, DEPTH)), [1, 2, 4], 3, seq2seq.tile_batch(first_state("lstm"), 3))
    layer = sharp(keras.layers.Dense(IDS))
    one, other = (
        seq2seq.BeamSearchDecoder(cell("lstm"), 3, output_layer=layer, maximum_iterations=5, impute_finished=imputed)
        for imputed in (False, True)
    )
    np.testing.assert_array_equal(one(*given)[0].predicted_ids, other(*given)[0].predicted_ids)


def test_a_decoder_is_made_again_from_its_config():
    embedding = keras.layers.Embedding(IDS, DEPTH)
    one = seq2seq.BeamSearchDecoder(
        cell("lstm"), 3, embedding, keras.layers.Dense(IDS), 0.5, 0.25, reorder_tensor_arrays=False
    )
    assert seq2seq.BeamSearchDecoder.from_config(one.get_config()).get_config() == one.get_config()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"embedding": None}, "embedding table"),
        ({"start_tokens": [[1]]}, "start_tokens must be a vector"),
        ({"end_token": [3]}, "end_token must be a scalar"),
    ],
)
def test_what_cannot_be_searched_is_said(given, said):
    decoder = seq2seq.BeamSearchDecoder(cell("lstm"), 3)
    with pytest.raises(ValueError, match=said):
        decoder(**{"embedding": tf.eye(3), "start_tokens": [1], "end_token": 2, **given})


def test_what_cannot_be_tiled_or_covered_is_said():
    with pytest.raises(ValueError, match="with a batch"):
        seq2seq.tile_batch(tf.constant(1), 2)
    with pytest.raises(ValueError, match="needs a cell with attention"):
        seq2seq.BeamSearchDecoder(cell("lstm"), 3, coverage_penalty_weight=1.0)(tf.eye(3), [1], 2)
