"""The recurrent kernels compared with Keras's layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow import keras

from comparing import assert_same, values_and_gradients
from s2s_magic.kernels import gru, lstm

LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def made(kind: str, dtype: str, sizes: tuple[int, int, int, int], seed: int, **settings: Any) -> tuple[Any, Any, Any]:
    """Return a built layer with random weights, inputs and initial states."""
    batch, steps, features, units = sizes
    numbers = np.random.default_rng(seed)
    layer = LAYERS[kind](units, dtype=dtype, return_state=True, **settings)
    layer.build(tf.TensorShape([None, None, features]))
    for weight in layer.weights:
        weight.assign(numbers.normal(size=weight.shape))
    x = tf.constant(numbers.normal(size=[batch, steps, features]), dtype)
    states = [tf.constant(numbers.normal(size=[batch, units]), dtype) for _ in range(2 if kind == "lstm" else 1)]
    return layer, x, states


def kernel(layer: Any, x: Any, states: Any, mask: Any, weights: Any = None) -> Any:
    """Run the kernel with the layer's settings."""
    weights = weights or list(layer.weights)
    weights = [tf.convert_to_tensor(weight) for weight in weights]
    bias = weights[2] if len(weights) == 3 else None
    how = {"mask": mask, "reverse": layer.go_backwards, "sequences": layer.return_sequences}
    if isinstance(layer, keras.layers.LSTM):
        return lstm(x, weights[0], weights[1], bias, states, **how)
    start = None if states is None else states[0]
    return gru(x, weights[0], weights[1], bias, start, reset_after=layer.reset_after, **how)


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    batch, steps = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    kind = draw(st.sampled_from(["lstm", "gru"]))
    bits = st.lists(st.booleans(), min_size=batch * steps, max_size=batch * steps)
    settings = {"use_bias": draw(st.booleans()), "go_backwards": draw(st.booleans())}
    settings["return_sequences"] = draw(st.booleans())
    if kind == "gru":
        settings["reset_after"] = draw(st.booleans())
    return {
        "kind": kind,
        "dtype": draw(st.sampled_from(["float64", "float32"])),
        "sizes": (batch, steps, draw(st.integers(1, 4)), draw(st.integers(1, 5))),
        "mask": draw(st.none() | bits),
        "started": draw(st.booleans()),
        "seed": draw(st.integers(0, 1000)),
        "settings": settings,
    }


@settings(max_examples=60, deadline=None)
@given(cases())
def test_outputs_states_and_every_gradient_are_those_of_keras(case: dict[str, Any]) -> None:
    layer, x, states = made(case["kind"], case["dtype"], case["sizes"], case["seed"], **case["settings"])
    states = states if case["started"] else None
    mask = None if case["mask"] is None else tf.reshape(tf.constant(case["mask"]), case["sizes"][:2])
    watched = [x, *layer.weights, *(states or [])]
    ours = values_and_gradients(lambda: kernel(layer, x, states, mask), watched)
    theirs = values_and_gradients(lambda: layer(x, mask=mask, initial_state=states), watched)
    assert_same(ours, theirs, case["dtype"])


@pytest.mark.parametrize("settings", [{}, {"reset_after": True}, {"reset_after": False}])
@pytest.mark.parametrize("masked", [False, True])
def test_a_number_of_steps_known_only_at_run_time_gives_the_same(settings: dict[str, Any], masked: bool) -> None:
    layer, x, states = made(
        "gru" if settings else "lstm", "float64", (3, 6, 2, 4), 0, return_sequences=True, **settings
    )

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2], tf.float64), tf.TensorSpec([None, None], tf.bool)])
    def run(x: Any, mask: Any) -> Any:
        function = lambda: kernel(layer, x, states, mask if masked else None)  # noqa: E731
        return values_and_gradients(function, [x, *layer.weights, *states])

    for steps in (6, 1):
        real = tf.constant(np.random.default_rng(steps).random((3, steps)) < 0.6)
        some = x[:, :steps]
        theirs = values_and_gradients(
            lambda x=some, mask=real: layer(x, mask=mask if masked else None, initial_state=states),
            [some, *layer.weights, *states],
        )
        assert_same(run(some, real), theirs, "float64")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_half_precision_is_as_near_to_the_truth_as_keras_is(kind: str, dtype: str) -> None:
    layer, x, states = made(kind, "float64", (3, 5, 2, 4), 0, return_sequences=True)
    half = LAYERS[kind](4, dtype=keras.mixed_precision.Policy(f"mixed_{dtype}"), return_state=True)
    half.build(tf.TensorShape([None, None, 2]))
    half.set_weights(layer.get_weights())
    low = [tf.cast(value, dtype) for value in (x, *states, *layer.weights)]
    truth = layer(x, initial_state=states)[1]
    ours = kernel(layer, low[0], low[1 : 1 + len(states)], None, low[1 + len(states) :])[1]
    theirs = half(low[0], initial_state=low[1 : 1 + len(states)])[1]
    assert ours.dtype == dtype
    errors = [float(tf.reduce_max(tf.abs(tf.cast(value, tf.float64) - truth))) for value in (ours, theirs)]
    assert errors[0] <= max(2 * errors[1], 1e-3)


@pytest.mark.parametrize("settings", [{}, {"reset_after": True}, {"reset_after": False}])
def test_second_derivatives_are_those_of_keras(settings: dict[str, Any]) -> None:
    layer, x, states = made(
        "gru" if settings else "lstm", "float64", (2, 3, 2, 3), 1, return_sequences=True, **settings
    )
    mask = tf.constant([[True, False, True], [False, True, True]])
    watched = [x, *layer.weights, *states]

    def first(function: Any) -> Any:
        return values_and_gradients(function, watched)[1]

    ours = values_and_gradients(lambda: first(lambda: kernel(layer, x, states, mask)), watched)
    theirs = values_and_gradients(lambda: first(lambda: layer(x, mask=mask, initial_state=states)), watched)
    assert_same(ours, theirs, "float64")
    assert any(float(tf.reduce_max(tf.abs(value))) > 1e-3 for value in ours[1])
