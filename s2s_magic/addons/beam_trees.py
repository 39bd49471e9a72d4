"""Functions around a beam search: repeat a batch for it, and assemble whole sequences from its steps and parents."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.addons.keras_at_hand import is_symbolic, registered


@registered
class _Repeat(keras.layers.Layer):  # type: ignore[misc]
    """Repeats each entry of the batch, as a layer of a functional model."""

    def __init__(self, multiplier: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiplier = multiplier

    def call(self, inputs: Any) -> Any:
        return tf.repeat(inputs, self.multiplier, axis=0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiplier": self.multiplier}


def tile_batch(t: Any, multiplier: int, name: str | None = None) -> Any:
    """Repeat each entry of the batch: ``[a, b]`` becomes ``[a, a, b, b]`` for 2.

    Parameters
    ----------
    t : structure of tensors [batch, ...]
        Tensors may be symbolic.
    multiplier : int
        The beam width.
    name : str, optional
        Accepted for compatibility and ignored.

    Returns
    -------
    structure of tensors [batch * multiplier, ...]

    Raises
    ------
    ValueError
        If a tensor has no batch.
    """

    def repeat(value: Any) -> Any:
        if is_symbolic(value):
            return _Repeat(multiplier)(value)
        value = tf.convert_to_tensor(value)
        if not value.shape.rank:
            raise ValueError("t must be tensors of known rank with a batch as their first axis")
        return tf.repeat(value, multiplier, axis=0)

    return tf.nest.map_structure(repeat, t)


def _ancestors(parent_ids: Any, lengths: Any) -> Any:
    """Return the ancestor of each final beam at each step, int32 ``[time, batch, beam]``; past the length, itself."""
    parents = tf.cast(parent_ids, tf.int32)
    steps, itself = tf.shape(parents)[0], tf.range(tf.shape(parents)[2])
    following = tf.concat([parents[1:], parents[:1]], axis=0)
    in_bounds = tf.range(steps)[:, None] < tf.minimum(lengths, steps)[None, :] - 1
    following = tf.where(in_bounds[:, :, None], following, itself)
    last = tf.zeros_like(parents[0]) + itself
    return tf.scan(lambda beams, of: tf.gather(of, beams, batch_dims=1), following, initializer=last, reverse=True)


def gather_tree(step_ids: Any, parent_ids: Any, max_sequence_lengths: Any, end_token: Any) -> Any:
    """Return the ids of each final beam, by following its parents back.

    Parameters
    ----------
    step_ids, parent_ids : int tensor [time, batch, beam]
        The id that a beam chose at a step, and the beam of the previous step that it continues.
    max_sequence_lengths : int tensor [batch]
        The length of the longest beam.
    end_token : int or scalar tensor
        Fills the positions after a beam's first end id and after the longest beam.

    Returns
    -------
    int tensor [time, batch, beam]
        The ids of each final beam.
    """
    step_ids = tf.convert_to_tensor(step_ids)
    lengths = tf.cast(max_sequence_lengths, tf.int32)
    end = tf.cast(end_token, step_ids.dtype)
    ids = tf.gather(step_ids, _ancestors(parent_ids, lengths), batch_dims=2)
    beyond = tf.range(tf.shape(ids)[0])[:, None] >= lengths[None, :]
    ended = tf.cumsum(tf.cast(tf.equal(ids, end), tf.int32), axis=0) > 0
    return tf.where(beyond[:, :, None] | ended, end, ids)


def gather_tree_from_array(t: Any, parent_ids: Any, sequence_length: Any) -> Any:
    """Reorder values recorded by step and beam, such as alignments, so that they follow each final beam.

    Parameters
    ----------
    t : tensor [time, batch, beam, ...] or [time, batch * beam, ...], or a TensorArray of its steps
    parent_ids : int tensor [time, batch, beam]
    sequence_length : int tensor [batch, beam]
        Past its length, a beam keeps its own values.

    Returns
    -------
    tensor
        In the shape of ``t``.
    """
    values = t.stack() if isinstance(t, tf.TensorArray) else tf.convert_to_tensor(t)
    parents = tf.convert_to_tensor(parent_ids)
    lengths = tf.cast(sequence_length, tf.int32)
    beams = _ancestors(parents, tf.reduce_max(lengths, axis=1))
    in_bounds = tf.range(tf.shape(parents)[0])[:, None, None] < lengths[None]
    beams = tf.where(in_bounds, beams, tf.range(tf.shape(parents)[2]))
    split = tf.reshape(values, tf.concat([tf.shape(parents), [-1]], axis=0))
    sorted_values = tf.reshape(tf.gather(split, beams, batch_dims=2), tf.shape(values))
    sorted_values.set_shape(values.shape)
    return sorted_values
