"""A recurrent cell with attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.addons import memories
from s2s_magic.addons.attention_mechanisms import attend
from s2s_magic.addons.attention_state import (
    AttentionWrapperState,
    Whole,
    fields_of,
    given_fields,
    history_of,
    stacked_histories,
)
from s2s_magic.addons.keras_at_hand import (
    cast_floats,
    compute_dtype,
    deserialize,
    is_symbolic,
    registered,
    serialize,
    zero_state,
)


@registered
class AttentionWrapper(keras.layers.Layer):  # type: ignore[misc]
    """Adds attention to a recurrent cell: its input includes the previous attention, its output queries a memory.

    Parameters
    ----------
    cell : layer
        A recurrent cell.
    attention_mechanism : AttentionMechanism or list of them
    attention_layer_size : int or list of int, optional
        The depth of the attention, which a layer without bias computes from the cell's output and the context (the
        memory averaged by alignments). Without this and ``attention_layer``, the context is the attention.
    alignment_history : bool
        Keep the alignments of all steps in the state.
    cell_input_fn : callable, optional
        ``(inputs, attention) -> cell inputs``; concatenates them by default.
    output_attention : bool
        Output the attention (Luong) rather than the cell's output (Bahdanau).
    initial_cell_state : structure of tensors, optional
        The cell state that `get_initial_state` returns. It is a value, so it is not saved with the layer.
    name : str, optional
    attention_layer : layer or list of layers, optional
        Used instead of the layers that ``attention_layer_size`` creates.
    attention_fn : callable, optional
        Replaces `attend`; called with the same arguments.
    **kwargs
        Passed to `keras.layers.Layer`.

    Raises
    ------
    ValueError
        If the number of sizes or layers is not the number of mechanisms, or both are given.
    """

    def __init__(
        self,
        cell: Any,
        attention_mechanism: Any,
        attention_layer_size: Any = None,
        alignment_history: bool = False,
        cell_input_fn: Callable[..., Any] | None = None,
        output_attention: bool = True,
        initial_cell_state: Any = None,
        name: str | None = None,
        attention_layer: Any = None,
        attention_fn: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.several = isinstance(attention_mechanism, (list, tuple))
        mechanisms = list(attention_mechanism) if self.several else [attention_mechanism]
        if attention_layer_size is not None and attention_layer is not None:
            raise ValueError("give attention_layer_size or attention_layer, not both")
        self.attention_layer_size = attention_layer_size
        self.attention_layers = None
        if attention_layer_size is not None:
            sizes = _as_many(attention_layer_size, mechanisms, "attention_layer_size")
            self.attention_layers = [
                keras.layers.Dense(size, use_bias=False, name="attention_layer", dtype=kwargs.get("dtype"))
                for size in sizes
            ]
        elif attention_layer is not None:
            self.attention_layers = _as_many(attention_layer, mechanisms, "attention_layer")
        self.cell = cell
        self.attention_mechanisms = mechanisms
        self.alignment_history = alignment_history
        self.cell_input_fn = cell_input_fn
        self.output_attention = output_attention
        self.attention_fn = attention_fn
        self.start = Whole(initial_cell_state)
        # Keras 3 otherwise refuses positional states that hold anything but tensors
        self._allow_non_tensor_positional_args = True

    def build(self, input_shape: Any = None) -> None:
        """Create no variables: the cell, the mechanisms and the attention layers own them all."""
        self.built = True

    @property
    def attention_size(self) -> int:
        """The total depth of the attention of all mechanisms."""
        if self.attention_layer_size is not None:
            return sum(tf.nest.flatten(self.attention_layer_size))
        if self.attention_layers is None:
            return sum(mechanism.values.shape[-1] for mechanism in self.attention_mechanisms)
        cell = tf.TensorShape(self.cell.output_size)[-1]
        return sum(
            int(layer.compute_output_shape((None, cell + mechanism.values.shape[-1]))[-1])
            for layer, mechanism in zip(self.attention_layers, self.attention_mechanisms, strict=True)
        )

    @property
    def output_size(self) -> Any:
        """The depth of the output."""
        return self.attention_size if self.output_attention else self.cell.output_size

    @property
    def state_size(self) -> AttentionWrapperState:
        """The sizes of the state's tensors."""
        alignments = self._one_or_all([mechanism.alignments_size for mechanism in self.attention_mechanisms])
        return AttentionWrapperState(
            cell_state=self.cell.state_size,
            attention=self.attention_size,
            alignments=alignments,
            alignment_history=alignments if self.alignment_history else (),
            attention_state=self._one_or_all([mechanism.state_size for mechanism in self.attention_mechanisms]),
        )

    def _one_or_all(self, values: list[Any]) -> Any:
        return tuple(values) if self.several else values[0]

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> AttentionWrapperState:
        """Return the initial state; ``.clone(cell_state=...)`` replaces the cell's.

        In a functional model only the cell's state is set, and only if ``initial_cell_state`` was given; the other
        fields get their values when the decoder runs.

        Parameters
        ----------
        inputs : tensor [batch, ...], optional
            Gives batch size and dtype instead of the next two arguments.
        batch_size : int or scalar tensor, optional
        dtype : optional
            The layer's compute dtype by default.

        Raises
        ------
        ValueError
            If a memory has a different batch size.
        """
        symbolic = [m for m in self.attention_mechanisms if m.symbolic_memory]
        if symbolic or is_symbolic(inputs, batch_size, self.start.state):
            return AttentionWrapperState(self.start.state, None, None, (), None)
        if inputs is not None:
            inputs = tf.convert_to_tensor(inputs)
            batch_size, dtype = tf.shape(inputs)[0] if inputs.shape[0] is None else inputs.shape[0], inputs.dtype
        dtype = tf.as_dtype(dtype or compute_dtype(self))
        for mechanism in self.attention_mechanisms:
            mechanism.check_batch(batch_size)
        cell_state = self.start.state
        if cell_state is None:
            cell_state = zero_state(self.cell, batch_size, dtype)
        alignments = [mechanism.initial_alignments(batch_size, dtype) for mechanism in self.attention_mechanisms]
        states = [mechanism.initial_state(batch_size, dtype) for mechanism in self.attention_mechanisms]
        histories = self._one_or_all([history_of(None, dtype) for _ in alignments]) if self.alignment_history else ()
        return AttentionWrapperState(
            cell_state=tf.nest.map_structure(tf.identity, cell_state),
            attention=tf.zeros([batch_size, self.attention_size], dtype),
            alignments=self._one_or_all(alignments),
            alignment_history=histories,
            attention_state=self._one_or_all(states),
        )

    def whole_state(self, given: Any, batch_size: Any) -> AttentionWrapperState:
        """Return a complete state from one with some fields, from the cell's state alone, or from None.

        Floats are cast to the layer's compute dtype.
        """
        given = given.state if isinstance(given, Whole) else given
        dtype = compute_dtype(self)
        if isinstance(given, AttentionWrapperState):
            given = given_fields(given)
        elif given is not None and not isinstance(given, dict):
            given = {"cell_state": given}
        given = dict(given or {})
        if self.alignment_history:
            histories = given.pop("alignment_history", [None] * len(self.attention_mechanisms))
            histories = histories if isinstance(histories, (list, tuple)) else [histories]
            given["alignment_history"] = self._one_or_all([history_of(history, dtype) for history in histories])
        missing = [name for name in AttentionWrapperState._fields if name not in given]
        if missing == ["alignment_history"] or not missing:
            begun = {"alignment_history": ()}
        else:
            begun = fields_of(self.get_initial_state(batch_size=batch_size, dtype=dtype))
        whole = AttentionWrapperState(**{**begun, **given})
        return cast_floats(whole, dtype)  # type: ignore[no-any-return]

    def __call__(self, inputs: Any, state: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run one step; with symbolic tensors, the memories become additional inputs."""
        if is_symbolic(inputs, state, kwargs):
            kwargs.setdefault("given_memories", memories.symbolic(self))
            state = given_fields(state) if isinstance(state, AttentionWrapperState) else state
        else:
            state = Whole(state)
        return super().__call__(inputs, state, *args, **kwargs)

    def call(
        self, inputs: Any, state: Any = None, training: bool | None = None, given_memories: Any = None
    ) -> tuple[Any, AttentionWrapperState]:
        """Run one step.

        Parameters
        ----------
        inputs : tensor [batch, depth]
        state : AttentionWrapperState
            From `get_initial_state` or the previous step.
        training : bool, optional
        given_memories : optional
            The memories of a functional model, passed by `__call__`.

        Returns
        -------
        tuple
            ``(output [batch, output_size], next state)``.
        """

        def step() -> tuple[Any, AttentionWrapperState]:
            return self._step(inputs, self.whole_state(state, tf.shape(inputs)[0]), training)

        if given_memories is None:
            return step()
        return stacked_histories(memories.used(self, given_memories, step))  # type: ignore[no-any-return]

    def _step(
        self, inputs: Any, state: AttentionWrapperState, training: bool | None
    ) -> tuple[Any, AttentionWrapperState]:
        join = self.cell_input_fn or (lambda inputs, attention: tf.concat([inputs, attention], axis=-1))
        cell_output, cell_state = self.cell(
            join(inputs, state.attention), state.cell_state, **memories.training_argument(self.cell, training)
        )
        layers = self.attention_layers or [None] * len(self.attention_mechanisms)
        states = state.attention_state if self.several else [state.attention_state]
        attended = [
            (self.attention_fn or attend)(mechanism, cell_output, attention_state, layer)
            for mechanism, attention_state, layer in zip(self.attention_mechanisms, states, layers, strict=True)
        ]
        attentions, alignments, attention_states = zip(*attended, strict=True)
        attention = tf.concat(attentions, axis=-1)
        histories: Any = ()
        if self.alignment_history:
            histories = state.alignment_history if self.several else [state.alignment_history]
            written = [array.write(array.size(), new) for array, new in zip(histories, alignments, strict=True)]
            histories = self._one_or_all(written)
        next_state = AttentionWrapperState(
            cell_state=tf.nest.pack_sequence_as(state.cell_state, tf.nest.flatten(cell_state)),
            attention=attention,
            alignments=self._one_or_all(list(alignments)),
            alignment_history=histories,
            attention_state=self._one_or_all(list(attention_states)),
        )
        return (attention if self.output_attention else cell_output), next_state

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        config = {
            **super().get_config(),
            "cell": serialize(self.cell),
            "attention_mechanism": self._one_or_all([serialize(m) for m in self.attention_mechanisms]),
            "attention_layer_size": self.attention_layer_size,
            "alignment_history": self.alignment_history,
            "output_attention": self.output_attention,
        }
        if self.attention_layer_size is None and self.attention_layers is not None:
            config["attention_layer"] = self._one_or_all([serialize(layer) for layer in self.attention_layers])
        functions = {"cell_input_fn": self.cell_input_fn, "attention_fn": self.attention_fn}
        return {**config, **{name: serialize(value) for name, value in functions.items() if value is not None}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Create a wrapper from the result of `get_config`."""
        return cls(**{name: deserialize(value, custom_objects) for name, value in config.items()})


def _as_many(given: Any, mechanisms: list[Any], name: str) -> list[Any]:
    values = list(given) if isinstance(given, (list, tuple)) else [given]
    if len(values) != len(mechanisms):
        raise ValueError(f"{name} must be one for each attention mechanism: {len(values)} for {len(mechanisms)}")
    return values
