"""From a decoder's scores to log-probabilities: the numbers tell whether they are probabilities or logits."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

ROUNDING = 0.01
"""How far probabilities may be from summing to 1: half precision keeps three digits."""
LEAST = 1e-30
"""The smallest probability, so that its logarithm is finite."""


def _are_probabilities(scores: Any) -> Any:
    return tf.reduce_all(scores >= 0) & tf.reduce_all(tf.abs(tf.reduce_sum(scores, axis=-1) - 1) < ROUNDING)


def log_probabilities(scores: Any, *, logits: bool | None = None) -> Any:
    """Return natural logarithms of probabilities, float32, for scores of shape (rows, classes).

    ``logits`` says that they are logits, which spares finding it out.
    """
    scores = tf.cast(scores, tf.float32)
    if logits:
        return tf.nn.log_softmax(scores)
    return tf.cond(
        _are_probabilities(scores),
        lambda: tf.math.log(tf.maximum(scores, LEAST)),
        lambda: tf.nn.log_softmax(scores),
    )


def log_probability_of(ids: Any, scores: Any, *, logits: bool | None = None) -> Any:
    """Return the log-probabilities of ids, float32 of shape (rows,), from scores as `log_probabilities` takes them.

    None is less than the logarithm of `LEAST`; an id that was chosen as the most probable one is far from that.
    """
    scores = tf.cast(scores, tf.float32)
    probabilities = tf.nn.softmax(scores)  # twice as fast on a CPU as the logarithm of the sum
    if not logits:
        probabilities = tf.where(_are_probabilities(scores), scores, probabilities)
    return tf.math.log(tf.maximum(tf.gather(probabilities, ids, batch_dims=1), LEAST))
