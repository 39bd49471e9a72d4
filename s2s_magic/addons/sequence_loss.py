"""Weighted cross-entropy of sequences of scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.addons.keras_at_hand import registered


def sequence_loss(
    logits: Any,
    targets: Any,
    weights: Any,
    average_across_timesteps: bool = True,
    average_across_batch: bool = True,
    sum_over_timesteps: bool = False,
    sum_over_batch: bool = False,
    softmax_loss_function: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Any:
    """Return the weighted cross-entropy of targets under logits.

    Parameters
    ----------
    logits : float tensor [batch, time, ids]
    targets : tensor [batch, time] of ids, or [batch, time, ids] of probabilities
    weights : float tensor [batch, time]
        1 for positions that count, 0 for padding.
    average_across_timesteps, average_across_batch : bool
        Divide the sum over these axes by the sum of the weights.
    sum_over_timesteps, sum_over_batch : bool
        Divide the sum over these axes by the number of nonzero weights.
    softmax_loss_function : callable, optional
        ``(labels, logits) -> losses``, used instead of softmax cross-entropy. It is called with keywords: ids
        ``[batch * time]`` and scores ``[batch * time, ids]``.
    name : str, optional
        Accepted for compatibility and ignored.

    Returns
    -------
    tensor
        A scalar, ``[batch]``, ``[time]``, or ``[batch, time]`` if no axis is reduced.

    Raises
    ------
    ValueError
        If an argument has the wrong rank, or losses are to be both averaged and summed.
    """
    logits, targets, weights = (tf.convert_to_tensor(value) for value in (logits, targets, weights))
    if logits.shape.rank != 3:
        raise ValueError("logits must be [batch, time, ids]")
    if targets.shape.rank not in (2, 3):
        raise ValueError("targets must be [batch, time], or [batch, time, ids]")
    if weights.shape.rank != 2:
        raise ValueError("weights must be [batch, time]")
    averaged = average_across_timesteps or average_across_batch
    if averaged and (sum_over_timesteps or sum_over_batch):
        raise ValueError("a loss is averaged (average_across_...) or summed (sum_over_...), and not both")
    targets = tf.reshape(targets, tf.concat([[-1], tf.shape(targets)[2:]], axis=0))
    flat_logits = tf.reshape(logits, [-1, tf.shape(logits)[2]])
    if softmax_loss_function is not None:
        losses = softmax_loss_function(labels=targets, logits=flat_logits)
    elif targets.shape.rank == 2:
        losses = tf.nn.softmax_cross_entropy_with_logits(labels=tf.cast(targets, logits.dtype), logits=flat_logits)
    else:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=flat_logits)
    weights = tf.cast(weights, losses.dtype)
    losses = tf.reshape(losses, tf.shape(weights)) * weights
    axes = [
        axis
        for axis, reduced in enumerate(
            (average_across_batch or sum_over_batch, average_across_timesteps or sum_over_timesteps)
        )
        if reduced
    ]
    if not axes:
        return losses
    counts = weights if averaged else tf.cast(tf.not_equal(weights, 0), weights.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(losses, axes), tf.reduce_sum(counts, axes))


@registered
class SequenceLoss(keras.losses.Loss):  # type: ignore[misc]
    """`sequence_loss` as a Keras loss, weighted by ``sample_weight`` ``[batch, time]``; without it, by 1.

    Parameters
    ----------
    average_across_timesteps, average_across_batch, sum_over_timesteps, sum_over_batch, softmax_loss_function
        As for `sequence_loss`.
    name : str, optional
    """

    def __init__(
        self,
        average_across_timesteps: bool = False,
        average_across_batch: bool = False,
        sum_over_timesteps: bool = True,
        sum_over_batch: bool = True,
        softmax_loss_function: Callable[..., Any] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.options: dict[str, Any] = {
            "average_across_timesteps": average_across_timesteps,
            "average_across_batch": average_across_batch,
            "sum_over_timesteps": sum_over_timesteps,
            "sum_over_batch": sum_over_batch,
            "softmax_loss_function": softmax_loss_function,
        }

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of targets ``[batch, time]`` under logits ``[batch, time, ids]``."""
        weights = tf.ones(tf.shape(y_true)[:2]) if sample_weight is None else sample_weight
        return sequence_loss(y_pred, y_true, weights, **self.options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss with all weights 1."""
        return self(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        return {"name": self.name, **self.options}
