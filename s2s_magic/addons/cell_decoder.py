"""The base class of decoders over a recurrent cell: the cell, output layer, memories and initial state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.addons import memories
from s2s_magic.addons.attention_state import AttentionWrapperState, Whole, given_fields, stacked_histories
from s2s_magic.addons.attention_wrapper import AttentionWrapper
from s2s_magic.addons.base_decoder import BaseDecoder
from s2s_magic.addons.keras_at_hand import (
    cast_floats,
    compute_dtype,
    deserialize,
    forget_dropout,
    serialize,
    zero_state,
)


class CellDecoder(BaseDecoder):
    """A decoder over a recurrent cell.

    Parameters
    ----------
    cell : layer
        Has ``state_size`` and ``output_size``, as Keras's cells do.
    output_layer : layer, optional
        Maps the cell's output ``[batch, units]`` to scores ``[batch, ids]``.
    **kwargs
        Passed to `BaseDecoder`.

    Raises
    ------
    TypeError
        If the cell has no ``state_size`` or ``output_size``, or the output layer is not a Keras layer.
    """

    def __init__(self, cell: Any, output_layer: Any = None, **kwargs: Any) -> None:
        missing = [name for name in ("output_size", "state_size") if name not in dir(cell)]
        if missing:
            raise TypeError(f"{type(cell).__name__} is no recurrent cell: it has no {' and no '.join(missing)}")
        if output_layer is not None and not isinstance(output_layer, keras.layers.Layer):
            raise TypeError(f"output_layer must be a Keras layer, and is a {type(output_layer).__name__}")
        super().__init__(**kwargs)
        self.cell = cell
        self.output_layer = output_layer

    def passed_arguments(self, symbolic: bool, initial_state: Any) -> dict[str, Any]:
        """Return the initial state in a form that Keras accepts, and the memories of a functional model."""
        if not symbolic:
            wrapped = isinstance(initial_state, AttentionWrapperState)
            return {"initial_state": Whole(initial_state) if wrapped else initial_state}
        if initial_state is None and isinstance(self.cell, AttentionWrapper):
            initial_state = self.cell.get_initial_state()
        if isinstance(initial_state, AttentionWrapperState):
            initial_state = given_fields(initial_state)
        return {"initial_state": initial_state, "given_memories": memories.symbolic(self.cell)}

    def first_state(self, given: Any, batch_size: Any) -> Any:
        """Return the initial state, in the cell's compute dtype."""
        if isinstance(self.cell, AttentionWrapper):
            return self.cell.whole_state(given, batch_size)
        dtype = compute_dtype(self.cell)
        return zero_state(self.cell, batch_size, dtype) if given is None else cast_floats(given, dtype)

    def decoded(self, given_memories: Any, decode: Callable[[], Any]) -> Any:
        """Decode; in a functional model, with its memories, and with histories returned as tensors."""
        if given_memories is None:
            return decode()
        return stacked_histories(memories.used(self.cell, given_memories, decode))

    @property
    def rnn_output_size(self) -> tf.TensorShape:
        """The shape of the scores of one sequence at one step."""
        size = tf.TensorShape(self.cell.output_size)
        if self.output_layer is None:
            return size
        return tf.TensorShape(self.output_layer.compute_output_shape((None, *size))[1:])

    @property
    def rnn_output_dtype(self) -> tf.DType:
        """The dtype of the scores."""
        return compute_dtype(self.output_layer if self.output_layer is not None else self.cell)

    def run_cell(self, inputs: Any, state: Any, training: bool | None) -> tuple[Any, Any]:
        """Return the scores, in `rnn_output_dtype`, and the next state."""
        forget_dropout(self.cell)
        outputs, state = self.cell(inputs, state, **memories.training_argument(self.cell, training))
        forget_dropout(self.cell)
        if self.output_layer is not None:
            outputs = self.output_layer(outputs)
        return tf.cast(outputs, self.rnn_output_dtype), state

    def single_steps(self, initial_state: Any, given_memories: Any = None) -> tuple[list[Any], Callable[..., Any]]:
        """Return the state before the first step, and a function that runs one step on any rows of it.

        Parameters
        ----------
        initial_state : structure of tensors
            As the decoder is called with; a dict holds some fields of an `AttentionWrapperState`.
        given_memories : list of dict, optional
            For each mechanism in the cell, the arguments of `setup_memory`.

        Returns
        -------
        state : list of tensors [batch, ...]
            The last ones, which no step changes, are the values, the keys and the mask, if any, of each memory.
        step : callable
            ``(inputs [batch, depth], state) -> (scores [batch, ids], next state, alignments)``, where ``alignments``
            has a tensor ``[batch, memory]`` for each mechanism. Histories are not kept.
        """
        mechanisms = memories.mechanisms_in(self.cell)
        prepared = [m.prepared(**given) for m, given in zip(mechanisms, given_memories or (), strict=True)]
        rows = tf.shape(tf.nest.flatten([initial_state, given_memories])[0])[0]
        first = memories.holding(mechanisms, prepared, lambda: _bare(self.first_state(initial_state, rows)))
        own = tf.nest.flatten(first)
        kept = [part for memory in prepared for part in memory if part is not None]

        def step(inputs: Any, state: Any) -> tuple[Any, list[Any], list[Any]]:
            rest = iter(state[len(own) :])
            now = [type(memory)(*(None if part is None else next(rest) for part in memory)) for memory in prepared]
            before = tf.nest.pack_sequence_as(first, state[: len(own)])
            scores, after = memories.holding(mechanisms, now, lambda: self.run_cell(inputs, before, False))
            alignments = tf.nest.flatten(after.alignments) if isinstance(after, AttentionWrapperState) else []
            return scores, [*tf.nest.flatten(_bare(after)), *state[len(own) :]], alignments

        return [*own, *kept], step

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        layers = {"cell": serialize(self.cell)}
        if self.output_layer is not None:
            layers["output_layer"] = serialize(self.output_layer)
        return {**super().get_config(), **layers}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Create a decoder from the result of `get_config`."""
        parts = ("cell", "output_layer", "sampler", "embedding_fn")
        made = {name: deserialize(config[name], custom_objects) for name in parts if name in config}
        return cls(**{**config, **made})


def _bare(state: Any) -> Any:
    """Return a state without its alignment history."""
    return state.clone(alignment_history=()) if isinstance(state, AttentionWrapperState) else state
