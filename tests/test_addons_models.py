"""Features that only our decoders have: models that are saved, cloned and masked, and decodings that always end."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from addons_cases import BATCH, DEPTH, IDS, TIME, UNITS, built, cell, first_state, numbers
from s2s_magic.addons import keras_at_hand, seq2seq

SOURCE = np.abs(numbers("source", 8, 5) * 7).astype("int32") % IDS
TARGET = np.abs(numbers("target", 8, TIME) * 7).astype("int32") % IDS
LENGTHS = np.full([8], TIME, "int32")


@keras_at_hand.registered
def written_by_the_user(value: object) -> object:
    return value


def encoder_decoder(mask_zero: bool = False, **options: object) -> keras.Model:
    source = keras.Input([None], dtype="int32")
    shifted = keras.Input([None], dtype="int32")
    lengths = keras.Input([], dtype="int32")
    embedding = keras.layers.Embedding(IDS, DEPTH, mask_zero=mask_zero)
    _, h, c = keras.layers.LSTM(UNITS, return_state=True)(embedding(source))
    decoder = seq2seq.BasicDecoder(
        keras.layers.LSTMCell(UNITS), seq2seq.TrainingSampler(), output_layer=keras.layers.Dense(IDS), **options
    )
    outputs, _, ends = decoder(embedding(shifted), initial_state=[h, c], sequence_length=lengths)
    return keras.Model([source, shifted, lengths], [outputs.rnn_output, outputs.sample_id, ends])


def answers(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(output) for output in model([SOURCE, TARGET, LENGTHS])]


def assert_same_answers(one: keras.Model, other: keras.Model) -> None:
    for a, b in zip(answers(one), answers(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_functional_model_is_trained():
    model = encoder_decoder()
    model = keras.Model(model.inputs, model.outputs[0])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    losses = model.fit([SOURCE, TARGET, LENGTHS], TARGET, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights(), strict=True))


def test_a_model_is_saved_and_loaded(tmp_path):
    model = encoder_decoder(impute_finished=True, maximum_iterations=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same_answers(model, loaded)
    assert answers(loaded)[0].shape == (8, 3, IDS)


def test_a_model_is_cloned():
    model = encoder_decoder()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert_same_answers(model, clone)
    assert not {id(v) for v in clone.weights} & {id(v) for v in model.weights}


@pytest.mark.parametrize(
    "sampler",
    [
        seq2seq.TrainingSampler(time_major=True),
        seq2seq.GreedyEmbeddingSampler(),
        seq2seq.GreedyEmbeddingSampler(keras.layers.Embedding(IDS, DEPTH)),
        seq2seq.SampleEmbeddingSampler(softmax_temperature=0.5, seed=3),
        seq2seq.ScheduledEmbeddingTrainingSampler(0.3, seed=1, scheduling_seed=2),
        seq2seq.ScheduledOutputTrainingSampler(tf.constant(0.25), seed=1),
        seq2seq.CustomSampler(written_by_the_user, written_by_the_user, written_by_the_user, [2], tf.int64),
        seq2seq.InferenceSampler(written_by_the_user, [IDS], tf.float32, written_by_the_user),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_sampler_is_made_again_from_its_config(sampler):
    decoder = seq2seq.BasicDecoder(cell("lstm"), sampler, keras.layers.Dense(IDS), output_time_major=True, name="one")
    again = seq2seq.BasicDecoder.from_config(decoder.get_config())
    assert type(again.sampler) is type(sampler)
    assert again.get_config() == decoder.get_config()


def test_a_layer_in_a_sampler_is_a_part_of_the_decoder():
    embedding = built(keras.layers.Embedding(IDS, DEPTH), None, None)
    decoder = seq2seq.BasicDecoder(cell("lstm"), seq2seq.GreedyEmbeddingSampler(embedding))
    assert any(v is embedding.weights[0] for v in decoder.trainable_weights)


def test_mixed_precision_computes_in_halves_and_keeps_whole_weights():
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = encoder_decoder()
    finally:
        keras.mixed_precision.set_global_policy(before)
    outputs, _, _ = answers(model)
    assert outputs.dtype == np.float16
    assert {str(v.dtype).replace("<dtype: '", "").strip("'>") for v in model.weights} == {"float32"}
    whole = encoder_decoder()
    whole.set_weights(model.get_weights())
    np.testing.assert_allclose(outputs, answers(whole)[0], atol=2e-2)


def test_a_mask_and_lengths_end_a_sequence_at_the_nearer_of_the_two():
    decoder = seq2seq.BasicDecoder(cell("lstm"), seq2seq.TrainingSampler())
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    mask = tf.sequence_mask([4, 1, 3], TIME)
    _, _, lengths = decoder(inputs, initial_state=first_state("lstm"), mask=mask, sequence_length=[2, 3, 3])
    assert lengths.numpy().tolist() == [2, 1, 3]


def test_a_masked_start_does_not_end_a_sequence():
    """An embedding with ``mask_zero`` masks a start id of 0, which precedes all others."""
    model = encoder_decoder(mask_zero=True)
    shifted = np.concatenate([np.zeros([8, 1], "int32"), 1 + TARGET[:, 1:] % (IDS - 1)], axis=1)
    lengths = np.array([TIME, TIME, 3, 2, 1, TIME, 2, 3], "int32")
    assert np.asarray(model([SOURCE, shifted, lengths])[2]).tolist() == lengths.tolist()


@pytest.mark.parametrize(
    "lengths", [np.array([2.0, 9.0, 4.0]), np.array([2, 9, 4], "int64"), [2, 9, 4]], ids=["floats", "int64", "a list"]
)
def test_lengths_are_whole_numbers_within_the_inputs(lengths):
    decoder = seq2seq.BasicDecoder(cell("lstm"), seq2seq.TrainingSampler())
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    outputs, _, ends = decoder(inputs, initial_state=first_state("lstm"), sequence_length=lengths)
    assert ends.numpy().tolist() == [2, 4, 4]
    assert outputs.rnn_output.shape == (BATCH, TIME, UNITS)


@pytest.mark.parametrize("traced", [False, True])
def test_sequences_without_a_step_give_outputs_without_a_step(traced):
    decoder = seq2seq.BasicDecoder(cell("lstm"), seq2seq.TrainingSampler(), built(keras.layers.Dense(IDS), UNITS))
    call = tf.function(decoder) if traced else decoder
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    outputs, _, _ = call(inputs, initial_state=first_state("lstm"), sequence_length=tf.zeros([BATCH], tf.int32))
    assert outputs.rnn_output.shape == (BATCH, 0, IDS)
    assert outputs.sample_id.shape == (BATCH, 0)


def test_a_decoding_whose_end_never_comes_is_bounded():
    table = tf.constant(numbers("table", IDS, DEPTH))
    decoder = seq2seq.BasicDecoder(
        cell("lstm"), seq2seq.GreedyEmbeddingSampler(), built(keras.layers.Dense(IDS), UNITS)
    )
    call = tf.function(lambda: decoder(table, start_tokens=tf.constant([1]), end_token=IDS))
    _, _, lengths = call()
    assert lengths.numpy().tolist() == [1000]


def test_given_inputs_are_not_bounded():
    decoder = seq2seq.BasicDecoder(cell("lstm"), seq2seq.TrainingSampler())
    _, _, lengths = tf.function(decoder)(tf.zeros([1, 1003, DEPTH]))
    assert lengths.numpy().tolist() == [1003]


@pytest.mark.parametrize("kind", ["lstm", "gru", "stacked"])
def test_a_cell_starts_at_zero_where_no_state_is_given(kind):
    decoder = seq2seq.BasicDecoder(cell(kind), seq2seq.TrainingSampler())
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    zero = tf.nest.map_structure(tf.zeros_like, first_state(kind))
    without, given = decoder(inputs), decoder(inputs, initial_state=zero)
    np.testing.assert_array_equal(without[0].rnn_output, given[0].rnn_output)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_dropout_is_drawn_in_training_alone(kind):
    made = {"lstm": keras.layers.LSTMCell, "gru": keras.layers.GRUCell}[kind](UNITS, dropout=0.5, recurrent_dropout=0.5)
    decoder = seq2seq.BasicDecoder(built(made, DEPTH), seq2seq.TrainingSampler())
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    # one function, called twice: two functions with equal graphs draw the same after `tf.random.set_seed`
    call = tf.function(decoder)
    outputs = [
        call(inputs, initial_state=first_state(kind), training=training)[0].rnn_output
        for training in (True, True, False, False)
    ]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
    np.testing.assert_array_equal(outputs[2], outputs[3])


def test_drawn_ids_follow_the_scores():
    logits = tf.math.log(tf.constant([[0.1, 0.2, 0.7]]))
    sampler = seq2seq.SampleEmbeddingSampler()
    counts = np.bincount(sampler.sample(0, tf.repeat(logits, 20000, axis=0), None), minlength=3)
    np.testing.assert_allclose(counts / 20000, [0.1, 0.2, 0.7], atol=0.02)


def test_outputs_are_used_as_often_as_scheduled():
    sampler = seq2seq.ScheduledEmbeddingTrainingSampler(0.3)
    sampler.initialize(tf.zeros([20000, 2, 1]), embedding=tf.zeros([3, 1]))
    ids = sampler.sample(0, tf.zeros([20000, 3]), None).numpy()
    assert abs(np.mean(ids >= 0) - 0.3) < 0.02


class Counting(seq2seq.BaseDecoder):
    """A custom decoder that counts up from its input by one at each step."""

    output_size = tf.TensorShape([])
    output_dtype = tf.int32
    batch_size = 2

    def initialize(self, inputs, initial_state=None, **kwargs):
        return tf.equal(inputs, 0), inputs, initial_state

    def step(self, time, inputs, state, training):
        return inputs, state + inputs, inputs + 1, inputs >= 3


def test_a_decoder_of_the_users_own_runs():
    counted, state, lengths = Counting()(tf.constant([1, 2]), initial_state=tf.constant([0, 0]))
    assert counted.numpy().tolist() == [[1, 2, 3], [2, 3, 4]]
    assert state.numpy().tolist() == [6, 9]
    assert lengths.numpy().tolist() == [3, 2]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: seq2seq.BasicDecoder(keras.layers.LSTM(3), seq2seq.TrainingSampler()), "is no recurrent cell"),
        (lambda: seq2seq.BasicDecoder(cell("lstm"), len), "sampler must be a Sampler"),
        (lambda: seq2seq.BasicDecoder(cell("lstm"), seq2seq.TrainingSampler(), len), "must be a Keras layer"),
        (lambda: seq2seq.GreedyEmbeddingSampler().initialize(None, [1], 2), "embedding table"),
        (lambda: seq2seq.GreedyEmbeddingSampler().initialize(tf.eye(3), [[1]], 2), "start_tokens must be a vector"),
        (lambda: seq2seq.GreedyEmbeddingSampler().initialize(tf.eye(3), [1], [2]), "end_token must be a scalar"),
        (lambda: seq2seq.GreedyEmbeddingSampler().initialize(tf.eye(3)), "start_tokens and end_token"),
        (lambda: seq2seq.GreedyEmbeddingSampler().batch_size, "once initialize was called"),
        (lambda: seq2seq.TrainingSampler().sample(0, [1], None), "one tensor of scores"),
        (lambda: seq2seq.TrainingSampler().initialize(tf.zeros([2, 3, 1]), [[1], [2]]), "must be a vector"),
        (lambda: seq2seq.ScheduledOutputTrainingSampler(1.5), "between 0 and 1"),
        (lambda: seq2seq.ScheduledOutputTrainingSampler([0.5]), "must be a scalar"),
        (lambda: seq2seq.ScheduledEmbeddingTrainingSampler(0.5).initialize(tf.eye(3)[None]), "embedding table"),
        (lambda: Counting(maximum_iterations=0)(tf.constant([1])), "at least 1"),
        (lambda: Counting(maximum_iterations=[3])(tf.constant([1])), "must be a scalar"),
        (lambda: seq2seq.dynamic_decode(Counting(), inputs=3), "no argument 'inputs'"),
        (lambda: seq2seq.sequence_loss(tf.eye(3), tf.eye(3), tf.eye(3)), "logits must be"),
        (lambda: seq2seq.sequence_loss(tf.eye(3)[None], [0], [[1]]), "targets must be"),
        (lambda: seq2seq.sequence_loss(tf.eye(3)[None], [[0]], [1]), "weights must be"),
        (lambda: seq2seq.SequenceLoss(average_across_batch=True)([[0]], tf.eye(1)[None]), "and not both"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, said):
    with pytest.raises((TypeError, ValueError), match=said):
        wrong()


def test_names_stand_where_programs_look_for_them():
    assert seq2seq.basic_decoder.BasicDecoder is seq2seq.BasicDecoder
    assert seq2seq.sampler.TrainingSampler is seq2seq.TrainingSampler
    assert seq2seq.decoder.dynamic_decode is seq2seq.dynamic_decode
    assert seq2seq.loss.sequence_loss is seq2seq.sequence_loss
