"""Accelerated recurrent layers and decoders compared with the same objects of Keras and TFA, unaccelerated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tensorflow import keras
from tensorflow.keras import layers

import addons as tfa
from addons_golden import HAS_TFA
from comparing import assert_same, values_and_gradients
from kerases import KERAS3
from s2s_magic.acceleration import accelerate

ACCELERATED = "accelerated"
SEQUENCES = {"return_sequences": True, "return_state": True}


def compare(model: Any, inputs: list[Any], *, names: int = 1, dtype: str = "float64", graph: bool = False) -> None:
    """Compare a model's outputs and gradients with and without acceleration."""
    floats = [value for value in inputs if value.dtype.is_floating]
    watched = [*floats, *model.trainable_weights]

    def run() -> Any:
        return values_and_gradients(lambda: model(inputs), watched)

    theirs = run()
    with accelerate(model) as found:
        assert [why for name, why in found.items() if name not in ("loss", "optimizer")] == [ACCELERATED] * names
        assert_same(run(), theirs, dtype)
        if graph:
            assert_same(tf.function(run)(), theirs, dtype)
    assert_same(run(), theirs, dtype)


def sequences(dtype: str = "float64", sizes: tuple[int, int, int] = (3, 5, 4), seed: int = 0) -> Any:
    return tf.constant(np.random.default_rng(seed).normal(size=sizes), dtype)


ONE_LAYER: dict[str, Callable[[], Any]] = {
    "lstm": lambda: layers.LSTM(3, dtype="float64", **SEQUENCES),
    "lstm, last output only": lambda: layers.LSTM(3, dtype="float64"),
    "lstm backwards, no bias": lambda: layers.LSTM(3, dtype="float64", go_backwards=True, use_bias=False, **SEQUENCES),
    "lstm, masked outputs zero": lambda: layers.LSTM(3, dtype="float64", zero_output_for_mask=True, **SEQUENCES),
    "lstm, masked last output zero": lambda: layers.LSTM(3, dtype="float64", zero_output_for_mask=True),
    "gru": lambda: layers.GRU(3, dtype="float64", **SEQUENCES),
    "gru, reset before": lambda: layers.GRU(3, dtype="float64", reset_after=False, **SEQUENCES),
    "stacked cells": lambda: layers.RNN(
        layers.StackedRNNCells(
            [layers.LSTMCell(3, dtype="float64"), layers.GRUCell(2, dtype="float64")], dtype="float64"
        ),
        dtype="float64",
        **SEQUENCES,
    ),
    **{
        f"bidirectional, {mode}": lambda mode=mode: layers.Bidirectional(
            layers.LSTM(3, return_sequences=True, dtype="float64"), merge_mode=mode, dtype="float64"
        )
        for mode in ("concat", "sum", "mul", "ave", None)
    },
    "bidirectional with states": lambda: layers.Bidirectional(
        layers.GRU(3, dtype="float64", return_state=True), dtype="float64"
    ),
    "bidirectional, two kinds": lambda: layers.Bidirectional(
        layers.LSTM(3, return_sequences=True, dtype="float64"),
        backward_layer=layers.GRU(3, return_sequences=True, go_backwards=True, dtype="float64"),
        dtype="float64",
    ),
}


@pytest.mark.parametrize("masked", [False, True], ids=["all real", "masked"])
@pytest.mark.parametrize("title", ONE_LAYER)
def test_a_layer_gives_the_same_outputs_and_gradients(title: str, masked: bool) -> None:
    x = keras.Input([None, 4], dtype="float64")
    read = layers.Masking(0.0, dtype="float64")(x) if masked else x
    model = keras.Model(x, ONE_LAYER[title]()(read))
    real = tf.constant([[1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]], tf.float64)
    compare(model, [sequences() * real[:, :, None]] if masked else [sequences()])


@pytest.mark.parametrize("title", ["lstm", "gru", "bidirectional with states", "stacked cells"])
def test_initial_states_count(title: str) -> None:
    x = keras.Input([None, 4], dtype="float64")
    layer = ONE_LAYER[title]()
    units = {"lstm": [3, 3], "gru": [3], "bidirectional with states": [3, 3], "stacked cells": [3, 3, 2]}[title]
    states = [keras.Input([count], dtype="float64") for count in units]
    given_states = [states[:2], states[2]] if title == "stacked cells" else states
    model = keras.Model([x, *states], layer(x, initial_state=given_states))
    values = [sequences(sizes=(3, count, 1), seed=count)[:, :, 0] for count in units]
    compare(model, [sequences(), *values], graph=True)


def test_dropout_of_inputs_draws_the_same_numbers() -> None:
    x = keras.Input([5, 4])
    model = keras.Model(x, layers.LSTM(3, dropout=0.5)(x))
    data = sequences("float32")

    def run() -> Any:
        tf.keras.utils.set_random_seed(7)
        return tf.function(lambda: model(data, training=True))()

    theirs = [run() for _ in range(2)]
    with accelerate(model) as found:
        assert set(found.values()) == {ACCELERATED}
        ours = run()
    assert float(tf.reduce_max(tf.abs(theirs[0] - model(data)))) > 1e-3
    if float(tf.reduce_max(tf.abs(theirs[0] - theirs[1]))) == 0:
        assert_same(ours, theirs[0], "float32")


def test_mixed_precision_gives_half_precision_states_and_whole_gradients() -> None:
    x = keras.Input([5, 4])
    model = keras.Model(x, layers.LSTM(3, dtype=keras.mixed_precision.Policy("mixed_bfloat16"), **SEQUENCES)(x))
    data = sequences("float32")
    by_keras = values_and_gradients(lambda: model(data), model.trainable_weights)
    with accelerate(model):
        ours = values_and_gradients(lambda: model(data), model.trainable_weights)
    for mine, other in zip(tf.nest.flatten(ours), tf.nest.flatten(by_keras), strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(tf.cast(mine, tf.float32), tf.cast(other, tf.float32), atol=0.1)


def decoding(
    cell: Any,
    output_layer: Any,
    states: list[int],
    nest: Callable[[list[Any]], Any],
    batch: int | None = None,
    **settings: Any,
) -> Any:
    """Return a model of a decoder only: it takes inputs, lengths and states, and returns everything."""
    x, lengths = keras.Input([None, 4], batch, dtype="float64"), keras.Input([], batch, dtype="int32")
    first = [keras.Input([units], batch, dtype="float64") for units in states]
    decoder = tfa.seq2seq.BasicDecoder(cell, tfa.seq2seq.TrainingSampler(), output_layer, dtype="float64", **settings)
    output, last, ended = decoder(x, initial_state=nest(first), sequence_length=lengths)
    return keras.Model([x, lengths, *first], [output.rnn_output, output.sample_id, *tf.nest.flatten(last), ended])


def stack() -> Any:
    cells = [layers.LSTMCell(3, dtype="float64"), layers.GRUCell(2, dtype="float64")]
    return layers.StackedRNNCells(cells, dtype="float64")


DECODERS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: decoding(layers.LSTMCell(3, dtype="float64"), layers.Dense(5, dtype="float64"), [3, 3], list),
    "lstm, no output layer": lambda: decoding(layers.LSTMCell(3, dtype="float64"), None, [3, 3], list),
    "gru, softmax": lambda: decoding(
        layers.GRUCell(3, dtype="float64"), layers.Dense(5, "softmax", dtype="float64"), [3], lambda s: s[0]
    ),
    "gru, reset before, no biases": lambda: decoding(
        layers.GRUCell(3, dtype="float64", reset_after=False, use_bias=False),
        layers.Dense(5, use_bias=False, dtype="float64"),
        [3],
        lambda s: s[0],
    ),
    "stack": lambda: decoding(stack(), layers.Dense(5, dtype="float64"), [3, 3, 2], lambda s: ((s[0], s[1]), s[2])),
}


@pytest.fixture(scope="module")
def decoders() -> dict[str, Any]:
    return {title: make() for title, make in DECODERS.items()}


# Tracing is slow, so failing examples are not shrunk.
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.sampled_from(list(DECODERS)), st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 2))
def test_a_decoder_gives_what_tfa_gives_whatever_the_lengths(
    decoders: dict[str, Any], title: str, lengths: list[int], spare: int
) -> None:
    """Output length, ids, final states and lengths agree; also for rows of length 0 and batches of only such rows."""
    model = decoders[title]
    batch, steps = len(lengths), max(1, *lengths) + spare if len(lengths) > 1 else max(1, lengths[0]) + spare
    states = [sequences(sizes=(batch, units.shape[1], 1), seed=9)[:, :, 0] for units in model.inputs[2:]]
    inputs = [sequences(sizes=(batch, steps, 4), seed=batch), tf.constant(lengths), *states]
    watched = [inputs[0], *states, *model.trainable_weights]

    def run() -> Any:
        # In a batch without any steps, TFA has nothing to differentiate.
        return values_and_gradients(lambda: model(inputs), watched) if max(lengths) else model(inputs)

    theirs = tf.function(run)()
    with accelerate(model) as found:
        assert list(found.values()) == [ACCELERATED]
        assert_same(run(), theirs, "float64")


@pytest.mark.parametrize("lengths", [[2, 0, 4], [3, 3, 3], [1, 5, 0]])
def test_finished_rows_are_imputed_as_by_tfa(lengths: list[int]) -> None:
    """Outputs and ids are zero, and states are kept; TFA can do that only for batches of known size."""
    dense = layers.Dense(5, dtype="float64")
    model = decoding(stack(), dense, [3, 3, 2], lambda s: ((s[0], s[1]), s[2]), batch=3, impute_finished=True)
    states = [sequences(sizes=(3, units.shape[1], 1), seed=9)[:, :, 0] for units in model.inputs[2:]]
    inputs = [sequences(sizes=(3, 6, 4), seed=1), tf.constant(lengths), *states]
    watched = [inputs[0], *states, *model.trainable_weights]
    theirs = values_and_gradients(lambda: model(inputs), watched)
    assert not theirs[0][0][1, lengths[1] :].numpy().any()
    with accelerate(model) as found:
        assert list(found.values()) == [ACCELERATED]
        assert_same(values_and_gradients(lambda: model(inputs), watched), theirs, "float64")


@pytest.mark.skipif(not HAS_TFA, reason="ours ends with its inputs")
def test_lengths_beyond_the_inputs_are_an_error(decoders: dict[str, Any]) -> None:
    inputs = [sequences(sizes=(2, 3, 4)), tf.constant([3, 4]), *[tf.zeros([2, 3], tf.float64)] * 2]
    with pytest.raises(tf.errors.OpError):
        decoders["lstm"](inputs)
    with accelerate(decoders["lstm"]), pytest.raises(tf.errors.OpError):
        decoders["lstm"](inputs)


def _refused(layer: Any, **call: Any) -> Any:
    x = keras.Input([5, 4], batch_size=2)
    return keras.Model(x, layer(x, **call))


REFUSED = {
    "recurrent_dropout": lambda: layers.LSTM(3, recurrent_dropout=0.1),
    "activation=relu": lambda: layers.LSTM(3, activation="relu"),
    "recurrent_activation=hard_sigmoid": lambda: layers.GRU(3, recurrent_activation="hard_sigmoid"),
    "stateful": lambda: layers.LSTM(3, stateful=True),
    "unroll": lambda: layers.LSTM(3, unroll=True),
    "SimpleRNN": lambda: layers.SimpleRNN(3),
    "SimpleRNNCell": lambda: layers.RNN(layers.SimpleRNNCell(3)),
    "Own": lambda: type("Own", (layers.LSTM,), {})(3),
}
if not KERAS3:
    REFUSED["time_major"] = lambda: layers.LSTM(3, time_major=True)
    REFUSED["reverse_state_order"] = lambda: layers.RNN(
        layers.StackedRNNCells([layers.LSTMCell(3)], reverse_state_order=True)
    )


@pytest.mark.parametrize("word", REFUSED)
def test_what_is_not_understood_is_left_alone_and_the_reason_names_it(word: str) -> None:
    model = _refused(REFUSED[word]())
    with accelerate(model) as found:
        (why,) = found.values()
        assert word in why
        assert not any("call" in layer.__dict__ for layer in model._flatten_layers())


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"maximum_iterations": 3}, "maximum_iterations"), ({"output_time_major": True}, "output_time_major")],
)
def test_settings_of_a_decoder_that_are_left_to_tfa_are_named(settings: dict[str, Any], word: str) -> None:
    model = decoding(layers.LSTMCell(3, dtype="float64"), None, [3, 3], list, **settings)
    with accelerate(model) as found:
        (why,) = found.values()
        assert word in why


def test_layers_inside_models_inside_models_are_found() -> None:
    x = keras.Input([None, 4], dtype="float64")
    inner = keras.Sequential([layers.LSTM(3, return_sequences=True, dtype="float64", name="deep")])
    middle_input = keras.Input([None, 4], dtype="float64")
    middle = keras.Model(middle_input, inner(middle_input))
    model = keras.Model(x, layers.GRU(2, dtype="float64", name="top")(middle(x)))
    with accelerate(model) as found:
        assert dict(found) == {"deep": ACCELERATED, "top": ACCELERATED}
    compare(model, [sequences()], names=2)


def test_configuration_summary_weights_and_clones_are_the_same_inside_the_block(tmp_path: Any) -> None:
    x = keras.Input([None, 4])
    model = keras.Model(x, layers.Bidirectional(layers.LSTM(3))(x))

    def seen() -> Any:
        lines: list[str] = []
        model.summary(print_fn=lines.append)
        return model.get_config(), lines, [w.name for w in model.weights], len(list(model._flatten_layers()))

    before = seen()
    with accelerate(model):
        assert seen() == before
        model.save_weights(tmp_path / "kept.weights.h5")
        clone = keras.models.clone_model(model)
        assert not any("call" in layer.__dict__ for layer in clone._flatten_layers())
    clone.load_weights(tmp_path / "kept.weights.h5")
    assert_same(clone(sequences("float32")), model(sequences("float32")), "float32")
    assert seen() == before


def test_everything_is_as_it_was_after_the_block_and_after_an_exception(decoders: dict[str, Any]) -> None:
    model = decoders["stack"]
    model.compile("adam", "mse")
    attributes = [dict(layer.__dict__) for layer in [model, *model._flatten_layers(), model.optimizer]]

    def same() -> bool:
        now = [layer.__dict__ for layer in [model, *model._flatten_layers(), model.optimizer]]
        return all(a.keys() == b.keys() for a, b in zip(attributes, now, strict=True))

    with pytest.raises(ZeroDivisionError), accelerate(model):  # noqa: PT012
        assert not same()
        model.make_train_function()
        raise ZeroDivisionError
    assert same()
    assert (model.train_function, model.test_function, model.predict_function) == (None, None, None)


def test_an_override_of_the_users_own_stays() -> None:
    x = keras.Input([None, 4])
    layer = layers.LSTM(3)
    model = keras.Model(x, layer(x))
    own = layer.__dict__["call"] = lambda inputs, **_: tf.zeros([tf.shape(inputs)[0], 3]) + 5.0
    with accelerate(model) as found:
        assert "overridden" in found[layer.name]
        assert float(model(sequences("float32"))[0, 0]) == 5.0
    assert layer.__dict__["call"] is own
