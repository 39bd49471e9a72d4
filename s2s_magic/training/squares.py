"""Compute sums of squares of tensors of any dtype, and norms from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.sequences import Numbers

TRUSTED = (1e-20, 1e30)
"""Sums of float32 squares between these are exact to rounding; others are computed again in float64."""


def squarable(dtype: Any) -> Any:
    """Return the dtype in which numbers of ``dtype`` are squared."""
    if dtype.is_integer or dtype.is_bool:
        return tf.float64
    real = tf.as_dtype(dtype).real_dtype
    return real if real in (tf.float32, tf.float64) else tf.float32


def real(value: Any) -> Any:
    """Return the numbers of a tensor or a variable, in a real dtype in which they can be squared."""
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype.is_complex:
        return tf.stack([tf.math.real(tensor), tf.math.imag(tensor)])
    dtype = squarable(tensor.dtype)
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)


def half_squares(tensors: Sequence[Any]) -> Any:
    """Return half the sum of squares of each tensor, computed in its own dtype, as float64."""
    sums = [tf.nn.l2_loss(tensor) for tensor in tensors]
    if len({value.dtype for value in sums}) == 1:
        return tf.cast(tf.stack(sums), tf.float64)
    return tf.stack([tf.cast(value, tf.float64) for value in sums])


def half_squares_at_any_scale(tensors: Sequence[Any]) -> Any:
    """Return half the sum of squares of each tensor as float64, without underflow or overflow; not for XLA."""
    if not tensors:
        return tf.zeros([0], tf.float64)
    sums = half_squares(tensors)
    trusted = (sums > TRUSTED[0]) & (sums < TRUSTED[1])

    def exactly() -> Any:
        # slicing from the first number copies nothing, and an empty slice costs nothing
        counts = [tensor.shape.num_elements() or tf.size(tensor, tf.int64) for tensor in tensors]
        sizes = tf.where(trusted, tf.constant(0, tf.int64), tf.convert_to_tensor(counts, tf.int64))
        start, flat = tf.constant([0], tf.int64), tf.constant([-1])
        parts = [
            tf.slice(tf.reshape(tensor, flat), start, size)
            for tensor, size in zip(tensors, tf.split(sizes, len(tensors)), strict=True)
        ]
        return tf.where(trusted, sums, half_squares([tf.cast(part, tf.float64) for part in parts]))

    return tf.cond(tf.reduce_all(trusted), lambda: sums, exactly)


def half_squares_exactly(tensors: Sequence[Any]) -> Any:
    """Return half the sum of squares of each tensor, computed and returned in float64."""
    if not tensors:
        return tf.zeros([0], tf.float64)
    return tf.stack([tf.nn.l2_loss(tf.cast(tensor, tf.float64)) for tensor in tensors])


def norms_of(values: Sequence[Any], origins: Sequence[Any] | None = None) -> Numbers:
    """Return the norms of variables or tensors, or their distances from ``origins``.

    They are computed eagerly, one by one: cheap once an epoch, without a graph, with one difference in memory.
    """

    def numbers(place: int) -> Any:
        return real(values[place]) if origins is None else real(values[place]) - real(origins[place])

    halves = np.array([float(tf.nn.l2_loss(numbers(place))) for place in range(len(values))])
    for place in np.flatnonzero(~((halves > TRUSTED[0]) & (halves < TRUSTED[1]))):
        halves[place] = tf.nn.l2_loss(tf.cast(numbers(place), tf.float64))
    return np.asarray(np.sqrt(2.0 * halves))


def numbers_of(gradient: Any) -> Any:
    """Return the numbers of a gradient, dense or sparse."""
    return real(gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient)


def rows_summed(gradient: Any, variable: Any) -> Any:
    """Return the numbers of a sparse gradient, with duplicate rows summed."""
    return real(tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0]))
