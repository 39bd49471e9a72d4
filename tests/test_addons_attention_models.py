"""Training, saving, cloning and masking functional models with attention, which TensorFlow Addons refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from addons_attention_cases import MEMORY, VALUES, memory
from addons_cases import BATCH, DEPTH, IDS, TIME, UNITS, built, numbers
from s2s_magic.addons import seq2seq

pytestmark = pytest.mark.once

SOURCE = 1 + np.abs(numbers("source", 8, MEMORY) * 7).astype("int32") % (IDS - 1)
TARGET = 1 + np.abs(numbers("target", 8, TIME) * 7).astype("int32") % (IDS - 1)
LENGTHS = np.array([5, 3, 1, 5, 2, 4, 5, 3], "int32")
KINDS = ("Luong", "Bahdanau", "LuongMonotonic", "BahdanauMonotonic")


def translator(kind: str = "Luong", memory_given: str = "setup", mask_zero: bool = False, **options: Any) -> Any:
    """Return a training model, and a greedy decoding model over the same layers."""
    source = keras.Input([None], dtype="int32")
    shifted = keras.Input([None], dtype="int32")
    lengths = keras.Input([], dtype="int32")
    embedding = keras.layers.Embedding(IDS, DEPTH, mask_zero=mask_zero)
    encoded, h, c = keras.layers.LSTM(UNITS, return_sequences=True, return_state=True)(embedding(source))
    make = getattr(seq2seq, f"{kind}Attention")
    ends = {} if mask_zero else {"memory_sequence_length": lengths}
    mechanism = make(UNITS, encoded, **ends) if memory_given == "constructor" else make(UNITS)
    if memory_given == "setup":
        mechanism.setup_memory(encoded, **ends)
    elif memory_given == "call":
        mechanism(encoded, setup_memory=True, **ends)
    wrapper = seq2seq.AttentionWrapper(
        keras.layers.LSTMCell(UNITS), mechanism, attention_layer_size=4, alignment_history=True
    )
    layer = keras.layers.Dense(IDS)
    state = wrapper.get_initial_state(encoded).clone(cell_state=[h, c])
    decoder = seq2seq.BasicDecoder(wrapper, seq2seq.TrainingSampler(), output_layer=layer, **options)
    outputs, final_state, _ = decoder(embedding(shifted), initial_state=state)
    inputs = [source, shifted] if mask_zero else [source, shifted, lengths]
    training = keras.Model(inputs, [outputs.rnn_output, final_state.alignment_history, final_state.cell_state[0]])
    greedy = seq2seq.BasicDecoder(
        wrapper, seq2seq.GreedyEmbeddingSampler(embedding), output_layer=layer, maximum_iterations=6
    )
    decoded, _, ends = greedy(None, initial_state=state, start_tokens=shifted[:, 0], end_token=0)
    return training, keras.Model(inputs, [decoded.sample_id, ends])


def answers(model: Any) -> list[np.ndarray]:
    return [np.asarray(output) for output in model([SOURCE, TARGET, LENGTHS])]


def by_hand(model: Any, source: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Decode with the layers of a functional model, on values and outside any model."""
    embedding, encoder = (
        next(x for x in model.layers if isinstance(x, t)) for t in (keras.layers.Embedding, keras.layers.LSTM)
    )
    decoder = next(x for x in model.layers if isinstance(x, seq2seq.BasicDecoder))
    mechanism = decoder.cell.attention_mechanisms[0]
    encoded, h, c = encoder(embedding(source))
    mechanism.setup_memory(encoded, lengths)
    state = decoder.cell.get_initial_state(batch_size=len(source), dtype=tf.float32).clone(cell_state=[h, c])
    outputs, final_state, _ = decoder(embedding(TARGET), initial_state=state)
    return [
        np.asarray(v) for v in (outputs.rnn_output, final_state.alignment_history.stack(), final_state.cell_state[0])
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_functional_model_attends_as_its_layers_do_on_values(kind):
    model, _ = translator(kind)
    for got, expected in zip(answers(model), by_hand(model, SOURCE, LENGTHS), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    history = answers(model)[1]
    assert history.shape == (TIME, 8, MEMORY)
    beyond = np.arange(MEMORY) >= LENGTHS[:, None]
    assert history[:, beyond].max() == 0
    assert history[:, ~beyond].min() > 0


@pytest.mark.parametrize("memory_given", ["setup", "call", "constructor"])
def test_a_symbolic_memory_is_given_in_any_of_the_ways(memory_given):
    model, _ = translator(memory_given=memory_given)
    one, _ = translator()
    one.set_weights(model.get_weights())
    for got, expected in zip(answers(model), answers(one), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_every_variable_of_a_functional_model_is_trained():
    model, _ = translator("Bahdanau")
    model = keras.Model(model.inputs, model.outputs[0])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    losses = model.fit([SOURCE, TARGET, LENGTHS], TARGET, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_with_attention_is_saved_and_loaded(kind, tmp_path):
    model, _ = translator(kind)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for got, expected in zip(answers(loaded), answers(model), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_model_with_attention_is_cloned():
    model, _ = translator()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for got, expected in zip(answers(clone), answers(model), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_second_decoder_uses_the_same_memory_and_weights():
    training, inference = translator()
    ids, lengths = answers(inference)
    assert ids.shape[0] == 8
    assert lengths.max() <= 6
    teacher = np.concatenate([TARGET[:, :1], ids], axis=1)[:, :-1]
    scores = np.asarray(training([SOURCE, teacher, LENGTHS])[0])
    assert all(scores[i, : lengths[i]].argmax(-1).tolist() == ids[i, : lengths[i]].tolist() for i in range(len(ids)))


def test_the_mask_of_the_encoders_embedding_reaches_the_memory():
    model, _ = translator(mask_zero=True)
    padded = np.where(np.arange(MEMORY) < LENGTHS[:, None], SOURCE, 0)
    history = np.asarray(model([padded, TARGET])[1])
    assert history[:, padded == 0].max() == 0
    assert history[:, padded != 0].min() > 0


def test_mixed_precision_attends_in_halves():
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model, _ = translator("Bahdanau")
    finally:
        keras.mixed_precision.set_global_policy(before)
    outputs, history, _ = answers(model)
    assert outputs.dtype == history.dtype == np.float16
    whole, _ = translator("Bahdanau")
    whole.set_weights(model.get_weights())
    np.testing.assert_allclose(outputs, answers(whole)[0], atol=2e-2)


def test_a_wrapper_steps_in_a_functional_model():
    encoded, inputs = keras.Input([MEMORY, VALUES]), keras.Input([TIME, DEPTH])
    mechanism = seq2seq.LuongAttention(UNITS)
    mechanism.setup_memory(encoded)
    wrapper = seq2seq.AttentionWrapper(keras.layers.LSTMCell(UNITS), mechanism, alignment_history=True)
    state = wrapper.get_initial_state(inputs[:, 0])
    outputs = []
    for time in range(TIME):
        output, state = wrapper(inputs[:, time], state)
        outputs.append(output)
    model = keras.Model([encoded, inputs], [*outputs, state.alignment_history])
    values = [memory(), tf.constant(numbers("inputs", BATCH, TIME, DEPTH))]
    *stepped, history = model(values)
    decoder = seq2seq.BasicDecoder(wrapper, seq2seq.TrainingSampler())
    mechanism.setup_memory(values[0])
    decoded, final_state, _ = decoder(values[1])
    np.testing.assert_allclose(np.stack(stepped, axis=1), decoded.rnn_output, atol=1e-6)
    np.testing.assert_allclose(history, final_state.alignment_history.stack(), atol=1e-6)


def wrapped(*kinds: str, **options: Any) -> Any:
    mechanisms = [getattr(seq2seq, f"{kind}Attention")(UNITS, memory()) for kind in kinds]
    return seq2seq.AttentionWrapper(
        keras.layers.LSTMCell(UNITS), mechanisms[0] if len(kinds) == 1 else mechanisms, **options
    )


def test_a_cells_own_state_does_as_a_decoders_first_state():
    wrapper = wrapped("Luong")
    decoder = seq2seq.BasicDecoder(wrapper, seq2seq.TrainingSampler())
    inputs, cell_state = tf.constant(numbers("inputs", BATCH, TIME, DEPTH)), [tf.ones([BATCH, UNITS])] * 2
    whole = wrapper.get_initial_state(batch_size=BATCH).clone(cell_state=cell_state)
    got, expected = (decoder(inputs, initial_state=state)[0].rnn_output for state in (cell_state, whole))
    np.testing.assert_array_equal(got, expected)


def test_a_decoding_goes_on_from_its_last_state():
    wrapper = wrapped("Luong", alignment_history=True)
    decoder = seq2seq.BasicDecoder(wrapper, seq2seq.TrainingSampler())
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    whole, final_state, _ = decoder(inputs)
    first, state, _ = decoder(inputs[:, :2])
    second, state, _ = decoder(inputs[:, 2:], initial_state=state)
    np.testing.assert_allclose(tf.concat([first[0], second[0]], axis=1), whole.rnn_output, atol=1e-6)
    np.testing.assert_allclose(state.alignment_history.stack(), final_state.alignment_history.stack(), atol=1e-6)


def test_two_mechanisms_in_one_decoding_of_a_traced_function():
    wrapper = wrapped("Luong", "Bahdanau", attention_layer_size=[2, 2], alignment_history=True)
    decoder = seq2seq.BasicDecoder(wrapper, seq2seq.TrainingSampler())
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    traced, traced_state, _ = tf.function(decoder)(inputs)
    eager, state, _ = decoder(inputs)
    np.testing.assert_allclose(traced.rnn_output, eager.rnn_output, atol=1e-6)
    assert len(state.alignment_history) == 2
    assert traced_state.alignments[1].shape == (BATCH, MEMORY)


def test_a_memory_masked_everywhere_gives_finite_attention():
    mechanism = seq2seq.LuongAttention(UNITS)
    mechanism.setup_memory(memory(), memory_sequence_length=[0, 5, 2])
    alignments, _ = mechanism([tf.ones([BATCH, UNITS]), mechanism.initial_state(BATCH, tf.float32)])
    assert np.isfinite(alignments).all()


def test_a_mask_and_lengths_of_a_memory_count_both():
    mechanism = seq2seq.LuongAttention(UNITS)
    mask = tf.constant([[False, True, True, True, True]] * BATCH)
    mechanism.setup_memory(memory(), memory_sequence_length=[2, 5, 3], memory_mask=mask)
    alignments, _ = mechanism([tf.ones([BATCH, UNITS]), mechanism.initial_state(BATCH, tf.float32)])
    assert (alignments.numpy() > 0).astype(int).tolist() == [[0, 1, 0, 0, 0], [0, 1, 1, 1, 1], [0, 1, 1, 0, 0]]


def test_noise_is_added_to_the_scores_of_monotonic_attention():
    mechanism = seq2seq.LuongMonotonicAttention(UNITS, memory(), sigmoid_noise=1.0)
    state = mechanism.initial_state(BATCH, tf.float32)
    one, other = (mechanism([tf.ones([BATCH, UNITS]), state])[0] for _ in range(2))
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_mechanism_is_made_again_from_its_config(kind):
    option = {"scale": True} if kind.startswith("Luong") else {"normalize": True, "kernel_initializer": "he_normal"}
    mechanism = getattr(seq2seq, f"{kind}Attention")(UNITS, memory(), **option)
    again = type(mechanism).from_config(mechanism.get_config())
    assert again.get_config() == mechanism.get_config()
    assert not again.memory_initialized


@pytest.mark.parametrize(
    "wrapper",
    [
        lambda: wrapped("Luong", attention_layer_size=3, alignment_history=True),
        lambda: wrapped("Luong", "BahdanauMonotonic", attention_layer_size=[3, 2], output_attention=False),
        lambda: wrapped("Luong", attention_layer=keras.layers.Dense(3, activation="tanh")),
        lambda: wrapped("Luong", "Luong", attention_layer=[keras.layers.Dense(3), keras.layers.Dense(2)]),
    ],
)
def test_a_wrapper_is_made_again_from_its_config(wrapper):
    one = wrapper()
    again = type(one).from_config(one.get_config())
    assert again.get_config() == one.get_config()
    assert len(again.attention_mechanisms) == len(one.attention_mechanisms)


def unset() -> Any:
    return seq2seq.LuongAttention(UNITS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: unset()([tf.ones([1, UNITS]), tf.ones([1, 2])]), "has no memory yet"),
        (lambda: unset().alignments_size, "has no memory yet"),
        (lambda: seq2seq.LuongAttention(UNITS, memory())(tf.ones([1, UNITS])), r"with \[query, state\]"),
        (lambda: seq2seq.LuongAttention(2, memory())([tf.ones([1, 9])] * 2), "have the depths 9 and 2"),
        (lambda: seq2seq.LuongAttention(UNITS, keras.Input([5, 4])).keys, "is symbolic"),
        (lambda: seq2seq.LuongAttention(UNITS, probability_fn="soft"), "'softmax', 'hardmax' or a function"),
        (lambda: seq2seq.LuongMonotonicAttention(UNITS, mode="soft"), "'recursive', 'parallel' or 'hard'"),
        (lambda: seq2seq.monotonic_attention([[0.1]], [[1.0]], "soft"), "'recursive', 'parallel' or 'hard'"),
        (lambda: wrapped("Luong", "Luong", attention_layer_size=3), "1 for 2"),
        (lambda: wrapped("Luong", attention_layer=[keras.layers.Dense(1)] * 2), "2 for 1"),
        (lambda: wrapped("Luong", attention_layer_size=3, attention_layer=keras.layers.Dense(3)), "not both"),
        (lambda: wrapped("Luong").get_initial_state(batch_size=2 * BATCH), "3 sequences, and the state should have 6"),
        (lambda: wrapped("Luong").get_initial_state(batch_size=BATCH).clone(attention=tf.ones([3, 9])), "was given"),
        (lambda: wrapped("Luong").get_initial_state(batch_size=BATCH).clone(cell_state=[]), "was given 0"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()


def test_a_mechanism_of_the_users_own_attends():
    class Even(seq2seq.AttentionMechanism):
        def __init__(self, memory):
            super().__init__(memory, tf.nn.softmax)

        def _calculate_attention(self, query, state):
            alignments = self.probability_fn(tf.zeros_like(state))
            return alignments, alignments

    wrapper = seq2seq.AttentionWrapper(built(keras.layers.GRUCell(UNITS), DEPTH + VALUES), Even(memory()))
    outputs, _, _ = seq2seq.BasicDecoder(wrapper, seq2seq.TrainingSampler())(tf.zeros([BATCH, 2, DEPTH]))
    np.testing.assert_allclose(outputs.rnn_output[:, 1], tf.reduce_mean(memory(), axis=1), atol=1e-6)
