"""Functions that turn attention scores into alignments: hardmax and monotonic attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def hardmax(logits: Any, name: str | None = None) -> Any:
    """Return 1 at the maximum of the last axis (the first, if tied) and 0 elsewhere, in the shape of the logits."""
    logits = tf.convert_to_tensor(logits)
    return tf.one_hot(tf.argmax(logits, axis=-1), tf.shape(logits)[-1], dtype=logits.dtype, name=name)


def safe_cumprod(x: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the cumulative product of values in [0, 1], with gradients that stay finite at 0.

    Parameters
    ----------
    x : tensor
    *args, **kwargs
        Passed to `tf.math.cumsum`: ``axis``, ``exclusive``, ``reverse``.
    """
    x = tf.convert_to_tensor(x)
    smallest = np.finfo(x.dtype.as_numpy_dtype).tiny
    return tf.exp(tf.cumsum(tf.math.log(tf.clip_by_value(x, smallest, 1)), *args, **kwargs))


def monotonic_attention(p_choose_i: Any, previous_attention: Any, mode: str) -> Any:
    """Return the alignments of a step that never attends before the position of the previous step.

    Raffel et al., 2017, https://arxiv.org/abs/1704.00784.

    Parameters
    ----------
    p_choose_i : tensor [batch, memory]
        The probability that each position is chosen once it is reached.
    previous_attention : tensor [batch, memory]
        The previous step's alignments; before the first step, 1 at the first position.
    mode : str
        ``"recursive"`` (exact, position by position), ``"parallel"`` (by cumulative sums, which may lose precision),
        or ``"hard"`` (for probabilities of 0 or 1, such as samples at inference).

    Returns
    -------
    tensor [batch, memory]
        1 minus the sum over the memory is the probability that no position was chosen.

    Raises
    ------
    ValueError
        If the mode is unknown.
    """
    chosen = tf.convert_to_tensor(p_choose_i)
    before = tf.convert_to_tensor(previous_attention)
    if mode == "recursive":
        passed = tf.pad(1 - chosen[:, :-1], [[0, 0], [1, 0]], constant_values=1)
        reached = tf.scan(
            lambda reached, at: at[0] * reached + at[1],
            (tf.transpose(passed), tf.transpose(before)),
            initializer=tf.zeros_like(before[:, 0]),
        )
        return chosen * tf.transpose(reached)
    if mode == "parallel":
        passed = safe_cumprod(1 - chosen, axis=1, exclusive=True)
        # 1e-10, as in TensorFlow Addons, bounds the divisor for positions that cannot be reached
        return chosen * passed * tf.cumsum(before / tf.clip_by_value(passed, 1e-10, 1), axis=1)
    if mode == "hard":
        chosen *= tf.cumsum(before, axis=1)
        return chosen * tf.math.cumprod(1 - chosen, axis=1, exclusive=True)
    raise ValueError(f"mode must be 'recursive', 'parallel' or 'hard', and is {mode!r}")


def monotonic_probability(
    score: Any, previous_alignments: Any, sigmoid_noise: float, mode: str, seed: int | None
) -> Any:
    """Return monotonic alignments from scores: a position is chosen with the sigmoid of its score plus any noise."""
    if sigmoid_noise > 0:
        score += sigmoid_noise * tf.random.normal(tf.shape(score), dtype=score.dtype, seed=seed)
    chosen = tf.cast(score > 0, score.dtype) if mode == "hard" else tf.sigmoid(score)
    return monotonic_attention(chosen, previous_alignments, mode)


def probability_function(given: str | Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the function of that name, or a given function unchanged.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    known: dict[str, Callable[[Any], Any]] = {"softmax": tf.nn.softmax, "hardmax": hardmax}
    if callable(given):
        return given
    if given not in known:
        raise ValueError(f"probability_fn must be 'softmax', 'hardmax' or a function, and is {given!r}")
    return known[given]
