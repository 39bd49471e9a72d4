"""The state of a cell with attention, and its conversion to structures that Keras accepts."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from s2s_magic.addons.keras_at_hand import cast_floats


class AttentionWrapperState(NamedTuple):
    """The state of an `AttentionWrapper`.

    A field that is None takes its initial value when the decoder runs. `AttentionWrapper.get_initial_state` returns
    such fields in a functional model, where the memory has no values yet.

    Attributes
    ----------
    cell_state : structure of tensors
        The wrapped cell's state.
    attention : tensor [batch, attention]
        The previous step's attention.
    alignments : tensor [batch, memory]
        The previous step's alignments. With several mechanisms this and the next two fields are tuples.
    alignment_history : TensorArray
        The alignments of all steps if the wrapper keeps them, else ``()``. The output of a functional model has a
        tensor ``[time, batch, memory]`` instead.
    attention_state : tensor [batch, memory]
        The mechanism's own state.
    """

    cell_state: Any
    attention: Any
    alignments: Any
    alignment_history: Any
    attention_state: Any

    def clone(self, **kwargs: Any) -> AttentionWrapperState:
        """Return a copy of the state with some fields replaced.

        Raises
        ------
        ValueError
            If a new value differs in structure or shape from the one it replaces.
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
    """Return the fields by name."""
    return dict(zip(state._fields, state, strict=True))


def given_fields(state: AttentionWrapperState) -> dict[str, Any]:
    """Return the fields that are set, as a dict: Keras saves no named tuples and refuses None among tensors."""
    return {name: value for name, value in fields_of(state).items() if tf.nest.flatten(value) not in ([], [None])}


class Whole:
    """Wraps a state so that it passes through a layer's call unchanged: Keras 3 refuses a TensorArray among tensors."""

    def __init__(self, state: Any) -> None:
        self.state = state


def history_of(alignments: Any, dtype: tf.DType) -> tf.TensorArray:
    """Return a TensorArray of alignments: empty for None, else unstacked from a tensor ``[time, batch, memory]``."""
    if isinstance(alignments, tf.TensorArray):
        return alignments
    if alignments is None:
        return tf.TensorArray(dtype, size=0, dynamic_size=True)
    alignments = cast_floats(alignments, dtype)
    return tf.TensorArray(dtype, size=tf.shape(alignments)[0], dynamic_size=True).unstack(alignments)


def stacked_histories(state: Any) -> Any:
    """Return a state whose histories are tensors ``[time, batch, memory]``, which a model can return."""
    return tf.nest.map_structure(lambda v: v.stack() if isinstance(v, tf.TensorArray) else v, state)
