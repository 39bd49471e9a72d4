"""What a search may not say next: the end too early, an n-gram again, anything else than the given prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from s2s_magic.decoding.settings import SearchSettings

NEVER = tf.float32.min
"""The log-probability of what may not be said."""
IMPOSSIBLE = -1e30
"""A hypothesis less probable than this is none: some of its ids were ruled out."""

Constraint = Callable[[Any, Any, Any], Any]
"""From log-probabilities (rows, classes), the ids so far (rows, longest) and their number to log-probabilities."""


def constraints(settings: SearchSettings, end: Any) -> Constraint:
    """Return a function that rules out what the settings, with the ids of a prefix, forbid.

    The ids of the prefix keep their own log-probabilities, so that scores are those of whole outputs.
    """
    prefix = settings.prefix or ()

    def allowed(log_probs: Any, said: Any, time: Any) -> Any:
        classes = tf.shape(log_probs)[-1]
        if settings.no_repeat_ngram:
            repeats = _repeating(said, time, settings.no_repeat_ngram, classes)
            log_probs = tf.where(repeats & (time >= len(prefix)), NEVER, log_probs)
        if settings.min_length:
            is_end = tf.equal(tf.range(classes), end)[None]
            log_probs = tf.where(is_end & (time < settings.min_length), NEVER, log_probs)
        if prefix:
            forced = tf.constant(prefix, tf.int32)[tf.minimum(time, len(prefix) - 1)]
            others = tf.not_equal(tf.range(classes), forced)[None]
            log_probs = tf.where(others & (time < len(prefix)), NEVER, log_probs)
        return log_probs

    return allowed


def _repeating(said: Any, time: Any, size: int, classes: Any) -> Any:
    """Return which ids, (rows, classes), would end an n-gram of this size that a row has said before."""
    rows, longest = tf.unstack(tf.shape(said))
    places = tf.range(tf.maximum(longest - size + 1, 0))
    same = tf.fill([rows, tf.size(places)], True)
    for offset in range(size - 1):
        recent = tf.gather(said, tf.maximum(time - size + 1 + offset, 0), axis=1)
        same &= tf.equal(tf.gather(said, places + offset, axis=1), recent[:, None])
    same &= (places <= time - size)[None]
    last = tf.gather(said, places + size - 1, axis=1)
    found = tf.where(same)
    ids = tf.gather_nd(last, found)
    where = tf.stack([tf.cast(found[:, 0], tf.int32), ids], axis=1)
    return tf.scatter_nd(where, tf.ones_like(ids), [rows, classes]) > 0
