"""Samplers, which choose a decoder's next input and decide when a sequence has ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from s2s_magic.addons.keras_at_hand import deserialize, exchange_axes, registered, serialize


class Sampler(ABC):
    """Chooses ids from a `BasicDecoder`'s outputs at each step, then the next inputs.

    `initialize` receives the inputs of the decoder's call; the batch size is known from then on.
    """

    ends_by_itself = False
    """Whether every sequence ends with the inputs; otherwise the decoder limits the number of steps."""
    is_copy = False
    """Whether it was made from a saved or cloned sampler's settings."""

    _batch_size: Any = None

    @abstractmethod
    def initialize(self, inputs: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Take a call's inputs.

        Returns
        -------
        tuple
            ``(finished, first inputs)``: a boolean tensor ``[batch]``, and tensors ``[batch, ...]``.
        """

    @abstractmethod
    def sample(self, time: Any, outputs: Any, state: Any) -> Any:
        """Choose ids ``[batch, ...]`` from a step's outputs."""

    @abstractmethod
    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any) -> tuple[Any, Any, Any]:
        """Return ``(finished, next inputs, state)`` for the next step."""

    @property
    def batch_size(self) -> Any:
        """The number of sequences, an integer scalar tensor; known after `initialize`."""
        if self._batch_size is None:
            raise ValueError("batch_size is known once initialize was called")
        return self._batch_size

    @property
    def sample_ids_shape(self) -> tf.TensorShape:
        """The shape of the sample of one sequence at one step."""
        return tf.TensorShape([])

    @property
    def sample_ids_dtype(self) -> tf.DType:
        """The dtype of the samples."""
        return tf.int32

    def arguments(self) -> dict[str, Any]:
        """Return the constructor arguments by name."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        return {
            name: serialize(value) if callable(value) else tf.nest.map_structure(_plain, value)
            for name, value in self.arguments().items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sampler:
        """Create a sampler from the result of `get_config`."""
        made = cls(**{name: deserialize(value) for name, value in config.items()})
        made.is_copy = True
        return made


def _plain(value: Any) -> Any:
    if isinstance(value, (tf.Tensor, tf.Variable)):
        return value.numpy().tolist()
    return value.name if isinstance(value, tf.DType) else value


def one_tensor(outputs: Any) -> Any:
    """Return outputs as a tensor, and refuse structures: ids are chosen from one tensor of scores.

    Raises
    ------
    TypeError
        If the outputs are a list, a tuple or a dictionary.
    """
    if tf.nest.is_nested(outputs):
        raise TypeError(f"a sampler chooses from one tensor of scores, and was given a {type(outputs).__name__}")
    return tf.convert_to_tensor(outputs)


def _vector(sequence_length: Any) -> Any:
    lengths = tf.convert_to_tensor(sequence_length)
    if lengths.shape.rank not in (None, 1):
        raise ValueError(f"sequence_length must be a vector, [batch], and has the shape {tuple(lengths.shape)}")
    return tf.cast(lengths, tf.int32)


def _followed_by_zeros(inputs: Any) -> Any:
    """Return time-major inputs as a TensorArray of steps, with a step of zeros appended."""
    padded = tf.pad(inputs, [[0, 1], *[[0, 0]] * (inputs.shape.rank - 1)])
    size, shape = tf.shape(padded)[0], padded.shape[1:]
    return tf.TensorArray(padded.dtype, size=size, element_shape=shape, clear_after_read=False).unstack(padded)


@registered
class TrainingSampler(Sampler):
    """Teacher forcing: the next input is the given one, whatever the decoder output.

    Parameters
    ----------
    time_major : bool
        Whether inputs are ``[time, batch, ...]`` rather than ``[batch, time, ...]``.
    """

    ends_by_itself = True

    def __init__(self, time_major: bool = False) -> None:
        self.time_major = time_major
        self._inputs: Any = None
        self.sequence_length: Any = None
        self._steps: Any = None

    def arguments(self) -> dict[str, Any]:  # noqa: D102
        return {"time_major": self.time_major}

    def initialize(  # type: ignore[override]
        self, inputs: Any, sequence_length: Any = None, mask: Any = None
    ) -> tuple[Any, Any]:
        """Take the inputs ``[batch, time, ...]`` and the length of each sequence.

        Parameters
        ----------
        inputs : tensor or structure of tensors
        sequence_length : integer tensor [batch], optional
            Lengths are capped at the number of steps in the inputs.
        mask : boolean tensor [batch, time], optional
            A sequence ends after its last True; an earlier False does not end it. If ``sequence_length`` is given too,
            the earlier end counts.

        Raises
        ------
        ValueError
            If ``sequence_length`` is not a vector.
        """
        inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
        if not self.time_major:
            inputs = tf.nest.map_structure(exchange_axes, inputs)
        first = tf.nest.flatten(inputs)[0]
        steps, self._batch_size = tf.shape(first)[0], tf.shape(first)[1]
        self._steps = steps
        self._inputs = tf.nest.map_structure(_followed_by_zeros, inputs)
        lengths = tf.fill([self._batch_size], steps)
        if sequence_length is not None:
            lengths = tf.minimum(lengths, _vector(sequence_length))
        if mask is not None:
            mask = tf.cast(mask, tf.int32)
            mask = tf.transpose(mask) if self.time_major else mask
            lengths = tf.minimum(lengths, tf.reduce_max(mask * (tf.range(steps) + 1), axis=1))
        self.sequence_length = lengths
        return tf.equal(lengths, 0), self._inputs_at(0)

    def _inputs_at(self, time: Any) -> Any:
        """Return the inputs of a step, or zeros past the end of the longest sequence."""
        index = tf.where(time < tf.reduce_max(self.sequence_length), time, self._steps)
        return tf.nest.map_structure(lambda array: array.read(index), self._inputs)

    def sample(self, time: Any, outputs: Any, state: Any) -> Any:
        """Return the ids of the highest scores, int32 ``[batch]``; the inputs do not depend on them."""
        return tf.argmax(one_tensor(outputs), axis=-1, output_type=tf.int32)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any) -> tuple[Any, Any, Any]:
        """Return the inputs of the next step; a sequence is finished when its length is reached."""
        return time + 1 >= self.sequence_length, self._inputs_at(time + 1), state


@registered
class GreedyEmbeddingSampler(Sampler):
    """Chooses the id with the highest score; its embedding is the next input.

    Parameters
    ----------
    embedding_fn : callable, optional
        Maps int32 ids ``[batch]`` to inputs ``[batch, depth]``; a Keras layer is saved with the decoder. Without it,
        the decoder's call needs a table ``[ids, depth]`` as its inputs.
    """

    def __init__(self, embedding_fn: Callable[..., Any] | None = None) -> None:
        self.embedding_fn = embedding_fn
        self._embed: Callable[..., Any] | None = embedding_fn
        self._start_inputs: Any = None
        self._end_token: Any = None

    def arguments(self) -> dict[str, Any]:  # noqa: D102
        return {"embedding_fn": self.embedding_fn}

    def initialize(  # type: ignore[override]
        self, embedding: Any, start_tokens: Any = None, end_token: Any = None
    ) -> tuple[Any, Any]:
        """Take the table ``[ids, depth]`` or None, the start ids ``[batch]`` and the end id.

        Raises
        ------
        ValueError
            If there is neither a table nor an ``embedding_fn``, ``start_tokens`` is missing or not a vector, or
            ``end_token`` is missing or not a scalar.
        """
        if self.embedding_fn is None:
            if embedding is None:
                raise ValueError("an embedding table or the sampler's embedding_fn is needed")
            self._embed = table_lookup(embedding)
        if start_tokens is None or end_token is None:
            raise ValueError("start_tokens and end_token are needed")
        start_tokens = tf.cast(start_tokens, tf.int32)
        if start_tokens.shape.rank not in (None, 1):
            raise ValueError(f"start_tokens must be a vector, and has the shape {tuple(start_tokens.shape)}")
        self._end_token = scalar_id(end_token)
        self._batch_size = tf.shape(start_tokens)[0]
        assert self._embed is not None
        self._start_inputs = self._embed(start_tokens)
        return tf.fill([self._batch_size], False), self._start_inputs

    def sample(self, time: Any, outputs: Any, state: Any) -> Any:
        """Return the ids of the highest scores, int32 ``[batch]``."""
        return tf.argmax(one_tensor(outputs), axis=-1, output_type=tf.int32)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any) -> tuple[Any, Any, Any]:
        """Return the embeddings of the chosen ids; a sequence is finished when the end id is chosen."""
        finished = tf.equal(sample_ids, self._end_token)
        assert self._embed is not None
        return finished, self._embed(sample_ids), state


def table_lookup(table: Any) -> Callable[[Any], Any]:
    """Return a function that looks ids up in a table's rows."""
    return lambda ids: tf.gather(tf.convert_to_tensor(table), ids)


def scalar_id(end_token: Any) -> Any:
    """Return an id as an int32 scalar.

    Raises
    ------
    ValueError
        If it is not a scalar.
    """
    end = tf.cast(end_token, tf.int32)
    if end.shape.rank not in (None, 0):
        raise ValueError(f"end_token must be a scalar, and has the shape {tuple(end.shape)}")
    return end
