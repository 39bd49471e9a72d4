"""Comparing the results of two computations of the same thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

CLOSE = {"float64": 1e-10, "float32": 1e-5}
"""The largest allowed difference of two results, relative to the largest number in them."""


def assert_same(one: Any, other: Any, dtype: str) -> None:
    """Compare tensor by tensor: shape, dtype and values."""
    ours, theirs = tf.nest.flatten(one), tf.nest.flatten(other)
    assert len(ours) == len(theirs)
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert (a is None) == (b is None), f"tensor {number}: one of the two is missing"
        if a is None:
            continue
        a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
        assert (a.dtype, a.shape.as_list()) == (b.dtype, b.shape.as_list()), f"tensor {number}"
        floating = a.dtype.is_floating
        a, b = a.numpy(), b.numpy()
        assert _apart(a, b, floating) <= CLOSE[dtype], f"tensor {number}: {a} against {b}"


def _apart(a: Any, b: Any, floating: bool) -> float:
    """Return the difference of arrays relative to the largest number; other than floats must be equal."""
    if not floating:
        return 0.0 if np.array_equal(a, b) else np.inf
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.abs(a - b).max(initial=0.0) / max(np.abs(b).max(initial=0.0), 1e-3))


def values_and_gradients(function: Callable[[], Any], watched: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return a function's outputs, and the gradients of a fixed weighted sum of all floats in them."""
    watched = [each if isinstance(each, tf.Tensor | tf.Variable) else each.value for each in watched]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs = tf.nest.flatten(function())
        total = 0.0
        for number, value in enumerate(outputs):
            if value.dtype.is_floating:
                places = tf.reshape(tf.range(tf.size(value)), tf.shape(value))
                weights = tf.cast(tf.cos(tf.cast(places, tf.float64) + float(number)), value.dtype)
                total += tf.reduce_sum(tf.cast(weights * value, tf.float64))
    return outputs, tape.gradient(total, watched, unconnected_gradients=tf.UnconnectedGradients.ZERO)
