"""The base class of attention mechanisms: a memory that is queried at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras

from s2s_magic.addons.keras_at_hand import cast_floats, compute_dtype, deserialize, is_symbolic, registered
from s2s_magic.backend.graphs import is_masked


class Memory(NamedTuple):
    """The values that a mechanism attends to, with their keys and mask.

    Attributes
    ----------
    values : tensor [batch, memory, depth]
        Zero where the mask is False.
    keys : tensor [batch, memory, units]
    mask : bool tensor [batch, memory] or None
    """

    values: Any
    keys: Any
    mask: Any


class Held:
    """A memory, wrapped so that Keras does not track it; in a functional model, its symbolic tensors as arguments."""

    def __init__(self, memory: Memory | None = None, symbolic: dict[str, Any] | None = None) -> None:
        self.memory = memory
        self.symbolic = symbolic or {}


@registered
class _MaskOf(keras.layers.Layer):  # type: ignore[misc]
    """Returns the Keras mask of its input as a tensor."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return tf.ones(tf.shape(inputs)[:2], tf.bool) if mask is None else mask

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


class AttentionMechanism(keras.layers.Layer):  # type: ignore[misc]
    """A memory with keys; querying it returns alignments.

    The memory is set by the constructor, by `setup_memory`, or by ``mechanism(memory, setup_memory=True)``. A symbolic
    memory becomes an input of every decoder called in the same functional model.

    Subclasses define ``_calculate_attention(query, state) -> (alignments, next state)``.

    Parameters
    ----------
    memory : tensor [batch, memory, depth] or None
    probability_fn : callable
        ``scores -> alignments``, both ``[batch, memory]``.
    query_layer, memory_layer : layer, optional
        Project queries and the memory to a common depth.
    memory_sequence_length : integer tensor [batch], optional
    **kwargs
        Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        memory: Any,
        probability_fn: Callable[..., Any],
        query_layer: Any = None,
        memory_layer: Any = None,
        memory_sequence_length: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.query_layer = query_layer
        self.memory_layer = memory_layer
        self.probability_fn = probability_fn
        self.held = Held()
        if memory is not None:
            self.setup_memory(memory, memory_sequence_length)

    def setup_memory(self, memory: Any, memory_sequence_length: Any = None, memory_mask: Any = None) -> None:
        """Set the memory, replacing the previous one.

        Parameters
        ----------
        memory : tensor [batch, memory, depth]
        memory_sequence_length : integer tensor [batch], optional
        memory_mask : bool tensor [batch, memory], optional
            If both are given, a position counts only where both include it.
        """
        given = {"memory": memory, "memory_sequence_length": memory_sequence_length, "memory_mask": memory_mask}
        given = {name: value for name, value in given.items() if value is not None}
        if is_symbolic(given):
            if "memory_mask" not in given and is_masked(memory):
                given["memory_mask"] = _MaskOf(name=f"mask_of_{self.name}")(memory)
            self.held = Held(symbolic=given)
        else:
            self.held = Held(self.prepared(**given))

    def prepared(self, memory: Any, memory_sequence_length: Any = None, memory_mask: Any = None) -> Memory:
        """Return the memory with its keys and mask; takes the arguments of `setup_memory`."""
        values = cast_floats(memory, compute_dtype(self))
        mask = None
        if memory_sequence_length is not None:
            mask = tf.sequence_mask(tf.cast(memory_sequence_length, tf.int32), tf.shape(values)[1])
        if memory_mask is not None:
            memory_mask = tf.cast(memory_mask, tf.bool)
            mask = memory_mask if mask is None else mask & memory_mask
        if mask is not None:
            values = tf.where(mask[..., None], values, tf.zeros_like(values))
        return Memory(values, values if self.memory_layer is None else self.memory_layer(values), mask)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Query the memory, or set it with ``setup_memory=True``; a symbolic memory is stored and returned."""
        if kwargs.get("setup_memory") and is_symbolic(inputs, kwargs):
            self._set(inputs, kwargs.get("mask"), kwargs)
            return inputs
        return super().__call__(inputs, *args, **kwargs)

    def _set(self, inputs: Any, mask: Any, given: dict[str, Any]) -> None:
        memory, *lengths = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        lengths = lengths or [given.get("memory_sequence_length")]
        self.setup_memory(memory, lengths[0], given.get("memory_mask") if mask is None else mask)

    def call(self, inputs: Any, mask: Any = None, setup_memory: bool = False, **kwargs: Any) -> Any:
        """Query the memory.

        Parameters
        ----------
        inputs : list
            ``[query, state]``: tensors ``[batch, depth]`` and ``[batch, memory]``; with ``setup_memory``, the memory.
        mask : bool tensor [batch, memory], optional
            The memory's mask, with ``setup_memory``.
        setup_memory : bool
            Set the memory to ``inputs``; ``memory_sequence_length`` may be passed as a keyword.

        Returns
        -------
        tuple or tensor
            ``(alignments, next state)``; with ``setup_memory``, the memory's values.

        Raises
        ------
        ValueError
            If no memory is set, or ``inputs`` is not a query and a state.
        """
        if setup_memory:
            self._set(inputs, mask, kwargs)
            return self.values
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ValueError("an attention mechanism is queried with [query, state]")
        self.current_memory()
        query, state = inputs
        return self._calculate_attention(query, state)

    def _calculate_attention(self, query: Any, state: Any) -> tuple[Any, Any]:
        raise NotImplementedError(f"{type(self).__name__} has no _calculate_attention")

    def compute_mask(self, inputs: Any, mask: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return no mask: alignments cover every position."""
        return

    def masked(self, score: Any) -> Any:
        """Return scores ``[batch, memory]`` with the dtype's minimum at masked positions."""
        mask = self.current_memory().mask
        return score if mask is None else tf.where(mask, score, score.dtype.min)

    def current_memory(self) -> Memory:
        """Return the memory.

        Raises
        ------
        ValueError
            If none was set, or only a symbolic one.
        """
        if self.held.memory is None:
            if self.held.symbolic:
                raise ValueError(
                    f"the memory of {self.name} is symbolic: it has values where a decoder, or an AttentionWrapper, is "
                    "called on symbolic tensors in the same functional model"
                )
            raise ValueError(f"{self.name} has no memory yet: call setup_memory first")
        return self.held.memory

    @property
    def symbolic_memory(self) -> dict[str, Any]:
        """The symbolic memory of a functional model, as arguments of `setup_memory`; empty if there is none."""
        return self.held.symbolic

    @property
    def memory_initialized(self) -> bool:
        """Whether a memory is set."""
        return self.held.memory is not None or bool(self.held.symbolic)

    @property
    def values(self) -> Any:
        """The memory ``[batch, memory, depth]``, zero where masked; in a functional model, the symbolic tensor."""
        if self.held.memory is None and self.held.symbolic:
            return self.held.symbolic["memory"]
        return self.current_memory().values

    @property
    def keys(self) -> Any:
        """The keys ``[batch, memory, units]``."""
        return self.current_memory().keys

    @property
    def batch_size(self) -> Any:
        """The memory's batch size: an int if statically known, else a tensor."""
        values = self.values
        return tf.shape(values)[0] if values.shape[0] is None else values.shape[0]

    @property
    def alignments_size(self) -> Any:
        """The number of positions in the memory: an int if statically known, else a tensor."""
        values = self.values
        return tf.shape(values)[1] if values.shape[1] is None else values.shape[1]

    @property
    def state_size(self) -> Any:
        """The size of the mechanism's state, which is that of its alignments."""
        return self.alignments_size

    def check_batch(self, batch_size: Any) -> None:
        """Check that a batch size equals the memory's, if both are statically known.

        Raises
        ------
        ValueError
            If they differ.
        """
        known = [size for size in (self.batch_size, batch_size) if not tf.is_tensor(size)]
        if len(known) == 2 and known[0] != known[1]:
            raise ValueError(
                f"the memory of {self.name} has {known[0]} sequences, and the state should have {known[1]}: for a beam "
                "search, repeat the memory by tile_batch"
            )

    def initial_alignments(self, batch_size: Any, dtype: Any) -> Any:
        """Return the alignments before the first step, zeros ``[batch, memory]``."""
        return tf.zeros([batch_size, self.alignments_size], dtype)

    def initial_state(self, batch_size: Any, dtype: Any) -> Any:
        """Return the state before the first step: the initial alignments."""
        return self.initial_alignments(batch_size, dtype)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Create a mechanism from the result of `get_config`; its memory is not saved."""
        return cls(**{name: deserialize(value, custom_objects) for name, value in config.items()})
