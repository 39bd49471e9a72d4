"""Adam with one fused operation for each variable."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.acceleration.overriding import override
from s2s_magic.acceleration.understood import strangeness
from s2s_magic.undoing import Changes

_NEGLIGIBLE = 2e-6
_RATES = ("beta_1", "beta_2", "epsilon")


def optimizer_obstacle(optimizer: Any) -> str | None:
    """Return why an optimizer must keep Keras's own update; None if the fused operation is equivalent."""
    if type(optimizer) is not keras.optimizers.Adam:
        return f"{type(optimizer).__name__}: understood is Adam"
    if optimizer.amsgrad:
        return "amsgrad=True is left to Keras"
    if getattr(optimizer, "jit_compile", False):
        return "Keras compiles its update for the GPU"
    if any(type(getattr(optimizer, name)) not in (int, float) for name in _RATES):
        return f"{', '.join(_RATES)} are not all plain numbers"
    if backend.is_on_a_mesh(optimizer):
        return "its variables lie on a mesh of devices"
    return strangeness(optimizer)


def accelerate_step(changes: Changes, optimizer: Any) -> None:
    """Update each variable by one operation, with the same slots and numbers, until the changes are undone.

    Only the innermost step of Adam changes: clipping, weight decay, moving averages and wrappers of
    ``apply_gradients`` are not affected.
    """
    by_keras = optimizer.update_step

    def update_step(self: Any, gradient: Any, variable: Any, *given_rate: Any) -> None:
        if isinstance(gradient, tf.IndexedSlices) and not backend.SUMS_REPEATED_ROWS:
            by_keras(gradient, variable, *given_rate)  # which squares each of the repeated rows by itself
            return
        first, second = backend.adam_moments(optimizer, variable)
        dtype = variable.dtype
        step = tf.cast(optimizer.iterations + 1, dtype)
        # For the powers Keras rounds the rates to float32, whatever the variable's dtype; for the moments it does not.
        beta_1, beta_2 = tf.cast(optimizer.beta_1, dtype), tf.cast(optimizer.beta_2, dtype)
        if isinstance(gradient, tf.IndexedSlices):
            # Keras's sparse Adam equals the dense one: it decays the moments of rows without a gradient, too.
            gradient = tf.math.unsorted_segment_sum(gradient.values, gradient.indices, tf.shape(variable)[0])
        gradient = tf.cast(gradient, dtype)
        rate = tf.cast(given_rate[0] if given_rate else optimizer.learning_rate, dtype)
        epsilon = optimizer.epsilon
        excess = _excess(optimizer.beta_2, dtype)
        if abs(excess - 1) > _NEGLIGIBLE:
            gradient *= tf.constant(excess ** (1 / 3), dtype)
            rate, epsilon = rate / tf.constant(excess**0.5, dtype), epsilon / excess**0.5
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=rate,
            beta1=tf.constant(optimizer.beta_1, dtype),
            beta2=tf.constant(optimizer.beta_2, dtype),
            epsilon=tf.constant(epsilon, dtype),
            grad=gradient,
        )

    override(changes, optimizer, "update_step", update_step)
    if backend.SUMS_REPEATED_ROWS:  # they are summed above, in the same pass
        override(changes, optimizer, backend.SUMS_REPEATED_ROWS, lambda self, gradients: gradients)


def _excess(beta_2: float, dtype: Any) -> float:
    """Return the ratio of the weights that Keras and the fused operation give a squared gradient.

    Keras rounds ``1 - beta_2``; the operation subtracts the rounded ``beta_2`` from 1. In float32, at 0.999, its
    velocities would be too small by a relative 1.3e-5. Scaling gradients by the cube root of the ratio leaves a third
    of that error in each moment, and adjusting the learning rate and epsilon removes it from the update.
    """
    kind = tf.as_dtype(dtype).as_numpy_dtype
    return float(kind(1.0 - beta_2)) / (float(kind(1) - kind(beta_2)) or 1.0)
