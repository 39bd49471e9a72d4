"""Sums of squares of tensors of any type, and the norms that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.sequences import Numbers

TRUSTED = (1e-20, 1e30)


def squarable(dtype: Any) -> Any:
    """Return the type in which numbers of a type are squared."""
    if dtype.is_integer or dtype.is_bool:
        return tf.float64
    real = tf.as_dtype(dtype).real_dtype
    return real if real in (tf.float32, tf.float64) else tf.float32


def real(value: Any) -> Any:
    """Return the numbers of a tensor or a variable in a type in which they can be squared."""
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype.is_complex:
        return tf.stack([tf.math.real(tensor), tf.math.imag(tensor)])
    dtype = squarable(tensor.dtype)
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)


def half_squares(tensors: Sequence[Any]) -> Any:
    """Return half the sum of squares of each of some tensors, as it comes out in their own types, in float64."""
    sums = [tf.nn.l2_loss(tensor) for tensor in tensors]
    if len({value.dtype for value in sums}) == 1:
        return tf.cast(tf.stack(sums), tf.float64)
    return tf.stack([tf.cast(value, tf.float64) for value in sums])


def norms_of(values: Sequence[Any], origins: Sequence[Any] | None = None) -> Numbers:
    """Measure the norms of variables or tensors, or their distances from others, one after the other.

    That is done eagerly: once an epoch it is cheap, no graph stays behind, and one difference at a time is in memory.
    """

    def numbers(place: int) -> Any:
        return real(values[place]) if origins is None else real(values[place]) - real(origins[place])

    halves = np.array([float(tf.nn.l2_loss(numbers(place))) for place in range(len(values))])
    for place in np.flatnonzero(~((halves > TRUSTED[0]) & (halves < TRUSTED[1]))):
        halves[place] = tf.nn.l2_loss(tf.cast(numbers(place), tf.float64))
    return np.asarray(np.sqrt(2.0 * halves))


def numbers_of(gradient: Any) -> Any:
    """Return the numbers of a gradient, dense or by rows."""
    return real(gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient)


def rows_summed(gradient: Any, variable: Any) -> Any:
    """Return the numbers of a sparse gradient; rows that mean the same row of the variable are added up."""
    return real(tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0]))
