"""The scores of additive attention on the kernel, compared with TensorFlow's own operations and with Keras's layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow import keras

from comparing import assert_same, values_and_gradients
from s2s_magic.acceleration import ACCELERATED, accelerate
from s2s_magic.kernels import additive_scores


def by_tensorflow(query: Any, key: Any, weights: Any) -> Any:
    return tf.reduce_sum(weights * tf.tanh(query[:, :, None] + key[:, None]), axis=-1)


def made(sizes: tuple[int, int, int, int], dtype: str, seed: int) -> list[Any]:
    rows, queries, keys, depth = sizes
    numbers = np.random.default_rng(seed)
    shapes = ([rows, queries, depth], [rows, keys, depth], [depth])
    return [tf.constant(2 * numbers.normal(size=shape), dtype) for shape in shapes]


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 5), st.integers(1, 6)),
    st.sampled_from(["float64", "float32"]),
    st.integers(0, 99),
)
def test_scores_and_gradients_are_tensorflows(sizes: tuple[int, int, int, int], dtype: str, seed: int) -> None:
    values = made(sizes, dtype, seed)
    shares = tf.constant(np.random.default_rng(seed + 1).normal(size=[*sizes[:3]]), dtype)
    theirs = values_and_gradients(lambda: tf.reduce_sum(shares * by_tensorflow(*values)), values)
    assert_same(values_and_gradients(lambda: tf.reduce_sum(shares * additive_scores(*values)), values), theirs, dtype)


def test_second_derivatives_are_tensorflows() -> None:
    values = made((2, 3, 4, 5), "float64", 1)

    def second(function: Any) -> Any:
        with tf.GradientTape() as outside:
            outside.watch(values)
            with tf.GradientTape() as inside:
                inside.watch(values)
                total = tf.reduce_sum(tf.sin(function(*values)))
            steep = sum(tf.reduce_sum(tf.square(one)) for one in inside.gradient(total, values))
        return outside.gradient(steep, values)

    for ours, theirs in zip(second(additive_scores), second(by_tensorflow), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_the_number_of_steps_stays_known_and_none_is_needed() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 3, 4]), tf.TensorSpec([None, None, 4]), tf.TensorSpec([4])])
    def scores(query: Any, key: Any, weights: Any) -> Any:
        found = additive_scores(query, key, weights)
        assert found.shape.as_list() == [None, 3, None]
        return found

    values = made((2, 3, 5, 4), "float32", 2)
    np.testing.assert_allclose(scores(*values), by_tensorflow(*values), rtol=1e-5, atol=1e-6)


def attending(**settings: Any) -> Any:
    source, fed = keras.Input([None, 4]), keras.Input([None, 4])
    masked = keras.layers.Masking()
    found = keras.layers.AdditiveAttention(**settings)([masked(fed), masked(source)])
    model = keras.Model([source, fed], keras.layers.Dense(2)(found))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}])
def test_a_fit_on_the_kernel_gives_the_numbers_of_keras(settings: dict[str, Any]) -> None:
    numbers = np.random.default_rng(0)
    source, fed = numbers.normal(size=(8, 6, 4)), numbers.normal(size=(8, 3, 4))
    source[:4, 4:] = 0
    data = ([source, fed], numbers.normal(size=(8, 3, 2)))
    found = []
    for fast in (False, True):
        keras.utils.set_random_seed(4)
        model = attending(**settings)
        (layer,) = (one for one in model.layers if isinstance(one, keras.layers.AdditiveAttention))
        if fast:
            with accelerate(model) as said:
                assert said[layer.name] == ACCELERATED
                history = model.fit(*data, epochs=3, batch_size=4, shuffle=False, verbose=0)
        else:
            history = model.fit(*data, epochs=3, batch_size=4, shuffle=False, verbose=0)
        assert "_calculate_scores" not in vars(layer)
        found.append([*history.history["loss"], *(float(np.sum(one)) for one in model.get_weights())])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


class Doubled(keras.layers.AdditiveAttention):  # type: ignore[misc]
    """One's own scores."""

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        return 2 * super()._calculate_scores(query=query, key=key)


def test_what_is_not_keras_own_layer_is_left_alone() -> None:
    with accelerate(attending(use_scale=False)) as said:
        assert "use_scale=False is left to Keras" in said.values()
    source = keras.Input([3, 4])
    layer = Doubled()
    model = keras.Model(source, layer([source, source]))
    before = model(np.ones([2, 3, 4]))
    with accelerate(model) as said:
        assert said[layer.name] == "Doubled is a class of one's own"
        np.testing.assert_array_equal(model(np.ones([2, 3, 4])), before)
    layer = keras.layers.AdditiveAttention(dtype="mixed_float16")
    model = keras.Model(source, layer([source, source]))
    with accelerate(model) as said:
        assert said[layer.name] == "it computes in float16"
