"""Adam by one fused operation a variable."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.acceleration.overriding import override
from s2s_magic.undoing import Changes


def optimizer_obstacle(optimizer: Any) -> str | None:
    """Say in words why an optimizer's update stays Keras's own; None where the fused operation does the same."""
    if type(optimizer) is not keras.optimizers.Adam:
        return f"{type(optimizer).__name__}: understood is Adam"
    if optimizer.amsgrad:
        return "amsgrad=True is left to Keras"
    if optimizer.jit_compile:
        return "Keras compiles its update for the GPU"
    if "update_step" in optimizer.__dict__:
        return "its update is overridden on the object, and that override stays"
    return None


def accelerate_step(changes: Changes, optimizer: Any) -> None:
    """Update each variable by one operation, with the same slots and the same numbers, until changes are undone.

    Only the innermost part of Adam changes: clipping, weight decay, moving averages and whoever wraps
    ``apply_gradients`` see what they always see.
    """

    def update_step(self: Any, gradient: Any, variable: Any) -> None:
        place = optimizer._index_dict[optimizer._var_key(variable)]
        first, second = optimizer._momentums[place], optimizer._velocities[place]
        dtype = variable.dtype
        step = tf.cast(optimizer.iterations + 1, dtype)
        # Keras takes the powers of rates that went through float32, whatever the variable's type, and the rates as
        # they are for the moments.
        beta_1, beta_2 = tf.cast(optimizer.beta_1, dtype), tf.cast(optimizer.beta_2, dtype)
        if isinstance(gradient, tf.IndexedSlices):
            # Keras decays the moments of every row too, those without a gradient included: its sparse Adam is the
            # dense one.
            gradient = tf.math.unsorted_segment_sum(gradient.values, gradient.indices, tf.shape(variable)[0])
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=tf.cast(optimizer.learning_rate, dtype),
            beta1=tf.constant(optimizer.beta_1, dtype),
            beta2=tf.constant(optimizer.beta_2, dtype),
            epsilon=tf.constant(optimizer.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )

    override(changes, optimizer, "update_step", update_step)
    # The sum over repeated rows is made above, in the same pass.
    override(changes, optimizer, "_deduplicate_sparse_grad", lambda self, gradients: gradients)
