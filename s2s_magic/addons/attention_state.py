"""The state of a cell with attention, and how it passes through Keras."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from s2s_magic.addons.keras_at_hand import cast_floats


class AttentionWrapperState(NamedTuple):
    """The state of an `AttentionWrapper`.

    A field that is None begins as the wrapper begins: in a functional model, where the memory has no values yet,
    `AttentionWrapper.get_initial_state` gives such fields.

    Attributes
    ----------
    cell_state : structure of tensors
        The wrapped cell's.
    attention : tensor [batch, attention]
        The last step's attention.
    alignments : tensor [batch, memory]
        The last step's alignments; a tuple of them for several mechanisms, as for the two below.
    alignment_history : TensorArray
        All steps' alignments, if it was asked for; else ``()``. What a model gives is a tensor ``[time, batch,
        memory]``.
    attention_state : tensor [batch, memory]
        The mechanism's own state.
    """

    cell_state: Any
    attention: Any
    alignments: Any
    alignment_history: Any
    attention_state: Any

    def clone(self, **kwargs: Any) -> AttentionWrapperState:
        """Give the state with other values in some fields.

        Raises
        ------
        ValueError
            If a value has another structure or shape than the one in its place.
        """
        for name, new in kwargs.items():
            old = getattr(self, name)
            if old is not None and name != "alignment_history":
                _check_same_shapes(name, old, new)
        return AttentionWrapperState(**{**fields_of(self), **kwargs})


def _check_same_shapes(name: str, old: Any, new: Any) -> None:
    tensors = [tf.nest.flatten(old), tf.nest.flatten(new)]
    if len(tensors[0]) != len(tensors[1]):
        raise ValueError(f"{name} has {len(tensors[0])} tensors, and was given {len(tensors[1])}")
    for a, b in zip(*tensors, strict=True):
        if not tf.TensorShape(a.shape).is_compatible_with(b.shape):
            raise ValueError(f"{name} has the shape {tuple(a.shape)}, and was given {tuple(b.shape)}")


def fields_of(state: AttentionWrapperState) -> dict[str, Any]:
    """Give the fields by name."""
    return dict(zip(state._fields, state, strict=True))


def given_fields(state: AttentionWrapperState) -> dict[str, Any]:
    """Give the fields that are set, as a dictionary: Keras saves no named tuples, and refuses a None among tensors."""
    return {name: value for name, value in fields_of(state).items() if tf.nest.flatten(value) not in ([], [None])}


class Whole:
    """A state that passes through a layer's call as it is: Keras 3 refuses a history among tensors."""

    def __init__(self, state: Any) -> None:
        self.state = state


def history_of(alignments: Any, dtype: tf.DType) -> tf.TensorArray:
    """Give an array of alignments: empty for None, else that of a tensor ``[time, batch, memory]``."""
    if isinstance(alignments, tf.TensorArray):
        return alignments
    if alignments is None:
        return tf.TensorArray(dtype, size=0, dynamic_size=True)
    alignments = cast_floats(alignments, dtype)
    return tf.TensorArray(dtype, size=tf.shape(alignments)[0], dynamic_size=True).unstack(alignments)


def stacked_histories(state: Any) -> Any:
    """Give a state with each history as a tensor ``[time, batch, memory]``, as a model can give it."""
    return tf.nest.map_structure(lambda v: v.stack() if isinstance(v, tf.TensorArray) else v, state)
