"""The cross-entropy of an output layer, compared with TensorFlow's own operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from comparing import assert_same, values_and_gradients
from s2s_magic.kernels import loss as kernel


def by_tensorflow(rows: Any, weight: Any, bias: Any, labels: Any, shares: Any) -> Any:
    logits = tf.matmul(rows, weight)
    logits = logits if bias is None else logits + bias
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_sum(losses * shares)


def made(rows: int, units: int, classes: int, dtype: str, seed: int) -> tuple[Any, ...]:
    numbers = np.random.default_rng(seed)
    shares = numbers.random(rows) * (numbers.random(rows) < 0.7)
    return (
        tf.constant(numbers.normal(size=[rows, units]), dtype),
        tf.constant(numbers.normal(size=[units, classes]), dtype),
        tf.constant(numbers.normal(size=[classes]), dtype),
        tf.constant(numbers.integers(classes, size=rows), tf.int64),
        tf.constant(shares, dtype),
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 9),
    st.integers(1, 4),
    st.integers(1, 7),
    st.sampled_from(["float64", "float32"]),
    st.booleans(),
    st.integers(0, 99),
    st.sampled_from([1, 100, 1 << 20]),
)
def test_loss_and_gradients_are_tensorflows_however_many_blocks(
    rows: int, units: int, classes: int, dtype: str, biased: bool, seed: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "BLOCK_BYTES", block)
        read, weight, bias, labels, shares = made(rows, units, classes, dtype, seed)
        bias = bias if biased else None
        watched = [value for value in (read, weight, bias) if value is not None]
        arguments = (read, weight, bias, labels, shares)
        theirs = values_and_gradients(lambda: by_tensorflow(*arguments), watched)
        assert_same(values_and_gradients(lambda: kernel.projected_cross_entropy(*arguments), watched), theirs, dtype)
        late = values_and_gradients(lambda: kernel.projected_cross_entropy(*arguments, with_gradient=False), watched)
        assert_same(late, theirs, dtype)


def test_logits_beyond_what_exp_can_hold_give_finite_losses() -> None:
    read, weight, bias, labels, shares = made(5, 3, 6, "float32", 0)
    arguments = (read * 300.0, weight, bias, labels, shares)
    ours = values_and_gradients(lambda: kernel.projected_cross_entropy(*arguments), [weight, bias])
    assert np.isfinite(ours[0][0])
    assert_same(ours, values_and_gradients(lambda: by_tensorflow(*arguments), [weight, bias]), "float32")


def test_gradients_stay_exact_where_the_right_class_is_almost_certain() -> None:
    """Probability minus one is a difference of nearly equal numbers, so it must not be computed from two sums."""
    labels = tf.constant([0, 1, 2, 3] * 50, tf.int64)
    read = tf.one_hot(labels, 4) * 9.0
    weight, bias, shares = tf.eye(4), tf.zeros([4]), tf.ones([200])
    ours = values_and_gradients(lambda: kernel.projected_cross_entropy(read, weight, bias, labels, shares), [weight])
    wide = [tf.cast(value, tf.float64) for value in (read, weight, bias)]
    truth = values_and_gradients(lambda: by_tensorflow(*wide, labels, tf.ones([200], tf.float64)), [wide[1]])
    assert float(tf.reduce_max(tf.abs(tf.cast(ours[1][0], tf.float64) - truth[1][0]))) < 1e-3 * float(
        tf.reduce_max(tf.abs(truth[1][0]))
    )


def test_second_derivatives_are_tensorflows() -> None:
    read, weight, bias, labels, shares = made(4, 3, 5, "float64", 3)
    watched = [read, weight, bias]

    def first(function: Any) -> Any:
        return values_and_gradients(function, watched)[1]

    ours = values_and_gradients(
        lambda: first(lambda: kernel.projected_cross_entropy(read, weight, bias, labels, shares)), watched
    )
    theirs = values_and_gradients(lambda: first(lambda: by_tensorflow(read, weight, bias, labels, shares)), watched)
    assert_same(ours, theirs, "float64")


def test_a_label_outside_the_classes_is_an_error() -> None:
    read, weight, bias, _, shares = made(2, 3, 4, "float32", 0)
    with pytest.raises(tf.errors.InvalidArgumentError):
        kernel.projected_cross_entropy(read, weight, bias, tf.constant([0, 4], tf.int64), shares)
