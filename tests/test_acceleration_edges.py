"""Acceleration in special cases: saving, wrapping, masks, ragged rows, interrupts."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

import addons as tfa
from addons_golden import HAS_TFA
from kerases import KERAS3, only_keras2
from s2s_magic import addons as ours
from s2s_magic.acceleration import ACCELERATED, accelerate

pytestmark = pytest.mark.once

VOCAB, EMBED, UNITS = 11, 4, 6
EXACT = 1e-10


@pytest.fixture(autouse=True)
def _fresh() -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(3)


SOFTMAX = keras.ops.softmax if KERAS3 else tf.nn.softmax


def snippet(vocab: int = VOCAB, embed: int = EMBED, units: int = UNITS, dtype: str = "float32") -> keras.Model:
    """Return the book's encoder-decoder."""
    how = {"dtype": dtype}
    encoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
    decoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
    sequence_lengths = keras.layers.Input(shape=[], dtype="int32")
    embeddings = keras.layers.Embedding(vocab, embed, **how)
    encoder = keras.layers.LSTM(units, return_state=True, name="encoder", **how)
    _, state_h, state_c = encoder(embeddings(encoder_inputs))
    decoder = tfa.seq2seq.basic_decoder.BasicDecoder(
        keras.layers.LSTMCell(units, **how),
        tfa.seq2seq.sampler.TrainingSampler(),
        output_layer=keras.layers.Dense(vocab, **how),
        name="decoder",
        **how,
    )
    outputs, _, _ = decoder(
        embeddings(decoder_inputs), initial_state=[state_h, state_c], sequence_length=sequence_lengths
    )
    probabilities = SOFTMAX(outputs.rnn_output)
    return keras.models.Model([encoder_inputs, decoder_inputs, sequence_lengths], [probabilities])


def batch(size: int = 5, source: int = 4, target: int = 6, vocab: int = VOCAB, seed: int = 0) -> tuple[Any, Any]:
    draws = np.random.default_rng(seed)
    X, Y = draws.integers(vocab, size=(size, source)), draws.integers(vocab, size=(size, target))
    return [X, np.c_[np.zeros((size, 1), int), Y[:, :-1]], np.full([size], target)], Y


def decoder_model(
    cells: Callable[[], Any],
    states: int,
    *,
    lengths: bool = True,
    mask: bool = False,
    home: Any = tfa,
    output: Callable[[], Any] | None = lambda: keras.layers.Dense(VOCAB, dtype="float64"),
    **settings: Any,
) -> keras.Model:
    """Return a model of a decoder only, in float64, with all of the decoder's outputs."""
    inputs = keras.layers.Input(shape=[None, EMBED], dtype="float64")
    starts = [keras.layers.Input(shape=[UNITS], dtype="float64") for _ in range(states)]
    extra = keras.layers.Input(shape=[None] if mask else [], dtype="bool" if mask else "int32")
    cell = cells()
    decoder = home.seq2seq.BasicDecoder(
        cell, home.seq2seq.TrainingSampler(), output_layer=output and output(), dtype="float64", **settings
    )
    how = {"mask": extra} if mask else {"sequence_length": extra} if lengths else {}
    state = tf.nest.pack_sequence_as(tf.nest.map_structure(lambda _: 0, cell.state_size), starts)
    state = state if tf.nest.is_nested(state) else [state]
    outputs, after, counted = decoder(inputs, initial_state=state, **how)
    given = [inputs, *starts, *([extra] if how else [])]
    return keras.Model(given, [outputs.rnn_output, outputs.sample_id, *tf.nest.flatten(after), counted])


CELLS: dict[str, tuple[Callable[[], Any], int]] = {"lstm": (lambda: keras.layers.LSTMCell(UNITS, dtype="float64"), 2)}


def decoder_inputs(states: int, lengths: list[int], steps: int) -> list[Any]:
    draws = np.random.default_rng(len(lengths))
    starts = [draws.normal(size=(len(lengths), UNITS)) for _ in range(states)]
    return [draws.normal(size=(len(lengths), steps, EMBED)), *starts, np.array(lengths, np.int32)]


def forward_and_gradients(model: keras.Model, inputs: list[Any], *, graph: bool = True) -> list[Any]:
    """Return the outputs, and the gradients of a function of them for all weights and all float inputs."""
    inputs = [tf.convert_to_tensor(value) for value in inputs]
    sources = [value for value in inputs if value.dtype.is_floating]

    def run() -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = tf.nest.flatten(model(inputs, training=True))
            real = [output for output in outputs if output.dtype.is_floating]
            loss = tf.add_n([(place + 1.0) * tf.reduce_sum(tf.sin(output)) for place, output in enumerate(real)])
        gradients = tape.gradient(loss, [*sources, *model.trainable_weights], unconnected_gradients="zero")
        return [*outputs, *map(tf.convert_to_tensor, gradients)]

    return (tf.function(run, autograph=False) if graph else run)()


def assert_same(ours: list[Any], theirs: list[Any], tolerance: float = EXACT) -> None:
    assert len(ours) == len(theirs)
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one.dtype == other.dtype, place
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        assert one.shape == other.shape, place
        assert np.linalg.norm(one - other) <= tolerance * max(np.linalg.norm(other), 1e-3), place


def assert_accelerated(model: keras.Model, inputs: list[Any], tolerance: float = EXACT) -> None:
    for graph in (True, False):
        theirs = forward_and_gradients(model, inputs, graph=graph)
        with accelerate(model) as found:
            assert found
            assert set(found.values()) == {ACCELERATED}
            ours = forward_and_gradients(model, inputs, graph=graph)
        assert_same(ours, theirs, tolerance)


def test_a_decoder_with_a_right_padded_mask_takes_its_lengths_from_it() -> None:
    model = decoder_model(*CELLS["lstm"], mask=True)
    inputs = decoder_inputs(2, [3, 1], 4)
    inputs[-1] = tf.sequence_mask([3, 1], 4)
    assert_accelerated(model, inputs)


@pytest.mark.parametrize("settings", [{}, {"impute_finished": True}])
@pytest.mark.parametrize("lengths", [[3, 1], [0, 7]])
def test_our_decoder_which_ends_with_its_inputs_gives_the_same_on_the_kernels(
    lengths: list[int], settings: dict[str, Any]
) -> None:
    assert_accelerated(decoder_model(*CELLS["lstm"], home=ours, **settings), decoder_inputs(2, lengths, 4))


def test_our_decoder_which_ends_a_row_after_its_last_true_gives_the_same_on_the_kernels() -> None:
    inputs = decoder_inputs(2, [3, 1], 4)
    inputs[-1] = tf.constant([[False, True, False, True], [True, False, True, False]])
    assert_accelerated(decoder_model(*CELLS["lstm"], mask=True, home=ours), inputs)


@pytest.mark.skipif(not HAS_TFA, reason="ours ends a row after its last True")
def test_a_mask_that_is_not_right_padded_is_an_error_as_it_is_for_tfa() -> None:
    model = decoder_model(*CELLS["lstm"], mask=True)
    inputs = decoder_inputs(2, [3, 1], 4)
    inputs[-1] = tf.constant([[False, True, True, True], [True, True, True, True]])
    for run in (lambda: forward_and_gradients(model, inputs), lambda: _inside(model, inputs)):
        with pytest.raises((tf.errors.InvalidArgumentError, AssertionError)):
            run()


def _inside(model: keras.Model, inputs: list[Any]) -> list[Any]:
    with accelerate(model):
        return forward_and_gradients(model, inputs)


@only_keras2("recurrent layers take no ragged rows")
def test_ragged_inputs_still_work() -> None:
    x = keras.layers.Input(shape=[None, EMBED], ragged=True)
    model = keras.Model(x, keras.layers.LSTM(UNITS)(x))
    rows = tf.RaggedTensor.from_row_lengths(tf.random.normal([5, EMBED]), [2, 3])
    theirs = model(rows)
    with accelerate(model):
        np.testing.assert_allclose(model(rows), theirs, rtol=1e-6)


def test_dropout_of_a_decoders_cell_draws_a_mask_for_each_step() -> None:
    make = lambda: keras.layers.LSTMCell(UNITS, dropout=0.5, dtype="float64")  # noqa: E731
    model = decoder_model(make, 2, output=None)
    inputs = [np.ones((200, 8, EMBED)), *np.zeros((2, 200, UNITS)), np.full([200], 8, np.int32)]
    theirs = forward_and_gradients(model, inputs)[0]
    with accelerate(model) as found:
        assert set(found.values()) == {ACCELERATED}
        ours = forward_and_gradients(model, inputs)[0]
        np.testing.assert_allclose(model(inputs)[0], model(inputs)[0])
    np.testing.assert_allclose(np.std(ours, axis=0).mean(), np.std(theirs, axis=0).mean(), rtol=0.15)


def fit(model: keras.Model, *, inside: bool, epochs: int = 5, **settings: Any) -> tuple[list[float], list[Any]]:
    inputs, targets = batch(40)
    with accelerate(model) if inside else nullcontext({}) as found:
        history = model.fit(inputs, targets, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **settings)
    assert (ACCELERATED in found.values()) == inside
    return history.history["loss"], model.get_weights()


def test_targets_of_another_shape_than_the_output_are_an_error() -> None:
    model = snippet()
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    inputs, targets = batch(8)
    with accelerate(model), pytest.raises(tf.errors.InvalidArgumentError):
        model.fit(inputs, np.c_[targets, targets], verbose=0)


def test_whoever_wraps_apply_gradients_sees_the_gradients_that_keras_shows() -> None:
    seen: list[list[Any]] = []
    for inside in (False, True):
        keras.utils.set_random_seed(1)
        model = snippet()
        model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(clipnorm=0.01))
        norms = [tf.Variable(0.0, trainable=False) for _ in model.trainable_variables]
        apply = model.optimizer.apply_gradients

        def watch(pairs: Any, *args: Any, apply: Any = apply, norms: Any = norms, **kwargs: Any) -> Any:
            pairs = list(pairs)
            for norm, (gradient, _) in zip(norms, pairs, strict=True):
                norm.assign_add(tf.norm(tf.convert_to_tensor(gradient)))
            return apply(pairs, *args, **kwargs)

        model.optimizer.apply_gradients = watch
        fit(model, inside=inside, epochs=1)
        seen.append([float(norm) for norm in norms])
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-4)


def test_a_frozen_cell_stays_frozen() -> None:
    model = snippet()
    model.get_layer("decoder").cell.trainable = False
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    before = [weight.numpy() for weight in model.get_layer("decoder").cell.weights]
    fit(model, inside=True, epochs=1)
    for weight, value in zip(model.get_layer("decoder").cell.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def instance_state(model: keras.Model) -> dict[int, set[str]]:
    objects = [*model._flatten_layers(), model.optimizer]
    return {id(thing): set(thing.__dict__) for thing in objects}


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_everything_is_taken_back_after_success_error_and_interrupt(error: type[BaseException] | None) -> None:
    model = snippet()
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    fit(model, inside=False, epochs=1)
    before, step = instance_state(model), model.train_function
    calls = {layer.name: layer.call for layer in model.layers}
    with pytest.raises(error) if error else nullcontext(), accelerate(model):
        assert "call" in model.get_layer("decoder").__dict__
        fit(model, inside=False, epochs=1)
        if error is not None:
            raise error
    assert instance_state(model) == before
    assert {layer.name: layer.call for layer in model.layers} == calls
    assert model.train_function is step
    fit(model, inside=False, epochs=1)


def test_a_step_traced_before_or_inside_is_not_run_on_the_other_side() -> None:
    model = snippet()
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    inputs, targets = batch(8)
    functions = []
    model.fit(inputs, targets, verbose=0)
    functions.append(model.train_function)
    with accelerate(model):
        model.fit(inputs, targets, verbose=0)
        functions.append(model.train_function)
    model.fit(inputs, targets, verbose=0)
    functions.append(model.train_function)
    assert functions[0] is functions[2]
    assert functions[1] is not functions[0]


def test_saving_cloning_and_summaries_do_not_see_it(tmp_path: Any) -> None:
    x = keras.layers.Input(shape=[None, EMBED])
    read = keras.layers.Bidirectional(keras.layers.LSTM(UNITS, return_sequences=True))(x)
    model = keras.Model(x, keras.layers.Dense(VOCAB, activation="softmax")(keras.layers.GRU(UNITS)(read)))
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    ones = tf.ones([2, 3, EMBED])
    folder = "model.h5" if KERAS3 else "saved"  # Keras 3 saves no folders

    def seen() -> list[Any]:
        lines: list[str] = []
        model.summary(print_fn=lines.append)
        return [
            lines,
            model.get_config(),
            model.to_json(),
            [layer.name for layer in model.layers],
            model.count_params(),
        ]

    model.save(tmp_path / f"plain_{folder}")  # Keras 3 writes another configuration from then on
    output, before = model(ones), seen()
    with accelerate(model):
        assert seen() == before
        model.save_weights(tmp_path / "kept.weights.h5")
        model.save(tmp_path / "model.keras")
        model.save(tmp_path / folder)
        clone = keras.models.clone_model(model)
        clone.load_weights(tmp_path / "kept.weights.h5")
    assert seen() == before
    for copy in (clone, *(keras.models.load_model(tmp_path / name) for name in ("model.keras", folder))):
        np.testing.assert_allclose(copy(ones), output, atol=1e-6)
        assert not any("call" in layer.__dict__ for layer in copy.layers if isinstance(layer, keras.layers.RNN))


def test_rows_padded_from_end_to_end_give_keras_gradients_row_by_row_where_those_are_no_numbers_too() -> None:
    """Ids with masked zeros; states from a pooled vector, which is 0 / 0 for a row of padding; a GRU after the LSTM."""
    ids = keras.Input([4], dtype="int32")
    read = keras.layers.Embedding(VOCAB, EMBED, mask_zero=True, dtype="float64")(ids)
    pooled = keras.layers.GlobalAveragePooling1D(dtype="float64")(read)
    states = [keras.layers.Dense(UNITS, "tanh", dtype="float64")(pooled) for _ in range(2)]
    read = keras.layers.LSTM(UNITS, return_sequences=True, dtype="float64")(read, initial_state=states)
    read = keras.layers.GRU(UNITS, return_sequences=True, dtype="float64")(read)
    model = keras.Model(ids, keras.layers.Dense(VOCAB, dtype="float64")(read))
    rows = tf.constant([[1, 2, 3, 4], [5, 6, 0, 0], [0, 0, 7, 8], [0, 0, 0, 0], [0, 9, 0, 1]])

    def by_row() -> list[Any]:
        found = []
        for row in rows:
            with tf.GradientTape() as tape:
                output = model(row[None], training=True)
                total = tf.reduce_sum(tf.cos(output))
            found += [output, *map(tf.convert_to_tensor, tape.gradient(total, model.trainable_weights))]
        return [value.numpy() for value in found]

    theirs = by_row()
    with accelerate(model) as told:
        assert set(told.values()) == {ACCELERATED}
        ours = by_row()
    assert any(np.isnan(value).any() for value in theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=EXACT, atol=EXACT, equal_nan=True)


@pytest.mark.parametrize("package", ["at hand", "ours"])
def test_a_loss_gets_probabilities_of_a_decoder_as_it_does_of_the_loop(package: str) -> None:
    """Keras computes with the logits behind a softmax that it sees, and clips probabilities otherwise."""
    module = {"at hand": tfa.seq2seq, "ours": ours.seq2seq}[package]
    keras.utils.set_random_seed(3)
    read, given = keras.Input([5], dtype="int32"), keras.Input([5], dtype="int32")
    embedding = keras.layers.Embedding(7, 4)
    _, h, c = keras.layers.LSTM(4, return_state=True)(embedding(read))
    decoder = module.BasicDecoder(
        keras.layers.LSTMCell(4),
        module.TrainingSampler(),
        keras.layers.Dense(7, kernel_initializer="ones", activation="softmax"),
    )
    outputs = decoder(embedding(given), initial_state=[h, c])[0].rnn_output
    model = keras.Model([read, given], outputs)
    model.set_weights([40 * np.random.default_rng(1).normal(size=weight.shape) for weight in model.get_weights()])
    model.compile("sgd", "sparse_categorical_crossentropy")
    rows = np.random.default_rng(0).integers(1, 7, size=(16, 5))
    plain = model.evaluate([rows, rows], rows, verbose=0)
    with accelerate(model) as said:
        model.compile("sgd", "sparse_categorical_crossentropy")
        assert ACCELERATED in said.values()
        np.testing.assert_allclose(model.evaluate([rows, rows], rows, verbose=0), plain, rtol=1e-5)
    assert plain > 5


def test_lengths_of_a_decoder_may_be_an_array() -> None:
    class Teaching(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = keras.layers.Embedding(7, 3)
            self.decoder = ours.seq2seq.BasicDecoder(
                keras.layers.LSTMCell(4), ours.seq2seq.TrainingSampler(), keras.layers.Dense(7)
            )

        def call(self, x: Any) -> Any:
            state = [tf.zeros([6, 4]), tf.zeros([6, 4])]
            lengths = np.full(6, 5, "int32")
            return self.decoder(self.embedding(x), initial_state=state, sequence_length=lengths)[0].rnn_output

    model, rows = Teaching(), np.ones((6, 5), "int32")
    plain = model(rows)
    with accelerate(model) as said:
        assert ACCELERATED in said.values()
        np.testing.assert_allclose(model(rows), plain, atol=1e-6)
