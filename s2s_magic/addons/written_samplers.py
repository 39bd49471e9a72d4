"""Samplers made of functions that the user writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from s2s_magic.addons.keras_at_hand import registered
from s2s_magic.addons.samplers import Sampler


@registered
class CustomSampler(Sampler):
    """A sampler made of three functions.

    Parameters
    ----------
    initialize_fn : callable
        ``(inputs, **kwargs) -> (finished, first inputs)``.
    sample_fn : callable
        ``(time, outputs, state) -> sample ids``.
    next_inputs_fn : callable
        ``(time, outputs, state, sample_ids) -> (finished, next inputs, state)``.
    sample_ids_shape, sample_ids_dtype : optional
        Shape and dtype of the sample of one sequence at one step; by default a scalar, int32.
    """

    def __init__(
        self,
        initialize_fn: Callable[..., Any],
        sample_fn: Callable[..., Any],
        next_inputs_fn: Callable[..., Any],
        sample_ids_shape: Any = None,
        sample_ids_dtype: Any = None,
    ) -> None:
        self.initialize_fn = initialize_fn
        self.sample_fn = sample_fn
        self.next_inputs_fn = next_inputs_fn
        self._shape = tf.TensorShape([] if sample_ids_shape is None else sample_ids_shape)
        self._dtype = tf.as_dtype(sample_ids_dtype or tf.int32)

    def arguments(self) -> dict[str, Any]:  # noqa: D102
        return {
            "initialize_fn": self.initialize_fn,
            "sample_fn": self.sample_fn,
            "next_inputs_fn": self.next_inputs_fn,
            "sample_ids_shape": list(self._shape),
            "sample_ids_dtype": self._dtype.name,
        }

    @property
    def sample_ids_shape(self) -> tf.TensorShape:  # noqa: D102
        return self._shape

    @property
    def sample_ids_dtype(self) -> tf.DType:  # noqa: D102
        return self._dtype

    def initialize(self, inputs: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Call ``initialize_fn``."""
        finished, first_inputs = self.initialize_fn(inputs, **kwargs)
        self._batch_size = tf.size(finished)
        return finished, first_inputs

    def sample(self, time: Any, outputs: Any, state: Any) -> Any:
        """Call ``sample_fn``, and cast its ids to ``sample_ids_dtype``."""
        return tf.cast(self.sample_fn(time=time, outputs=outputs, state=state), self._dtype)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any) -> tuple[Any, Any, Any]:
        """Call ``next_inputs_fn``."""
        finished, inputs, state = self.next_inputs_fn(time=time, outputs=outputs, state=state, sample_ids=sample_ids)
        return finished, inputs, state


@registered
class InferenceSampler(Sampler):
    """A sampler for inference, made of functions.

    Parameters
    ----------
    sample_fn : callable
        ``outputs -> sample ids``.
    sample_shape, sample_dtype
        Shape and dtype of the sample of one sequence at one step.
    end_fn : callable
        ``sample ids -> finished``, bool ``[batch]``.
    next_inputs_fn : callable, optional
        ``sample ids -> next inputs``; without it, samples are used as inputs unchanged.
    """

    def __init__(
        self,
        sample_fn: Callable[..., Any],
        sample_shape: Any,
        sample_dtype: Any = "int32",
        end_fn: Callable[..., Any] | None = None,
        next_inputs_fn: Callable[..., Any] | None = None,
    ) -> None:
        if end_fn is None:
            raise TypeError("end_fn is needed: it says where a sequence ends")
        self.sample_fn = sample_fn
        self.end_fn = end_fn
        self.next_inputs_fn = next_inputs_fn
        self._shape = tf.TensorShape(sample_shape)
        self._dtype = tf.as_dtype(sample_dtype or tf.int32)

    def arguments(self) -> dict[str, Any]:  # noqa: D102
        return {
            "sample_fn": self.sample_fn,
            "sample_shape": list(self._shape),
            "sample_dtype": self._dtype.name,
            "end_fn": self.end_fn,
            "next_inputs_fn": self.next_inputs_fn,
        }

    @property
    def sample_ids_shape(self) -> tf.TensorShape:  # noqa: D102
        return self._shape

    @property
    def sample_ids_dtype(self) -> tf.DType:  # noqa: D102
        return self._dtype

    def initialize(self, start_inputs: Any) -> tuple[Any, Any]:  # type: ignore[override]
        """Take the first step's inputs ``[batch, ...]``."""
        start_inputs = tf.convert_to_tensor(start_inputs)
        self._batch_size = tf.shape(start_inputs)[0]
        return tf.fill([self._batch_size], False), start_inputs

    def sample(self, time: Any, outputs: Any, state: Any) -> Any:
        """Call ``sample_fn``."""
        return self.sample_fn(outputs)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any) -> tuple[Any, Any, Any]:
        """Call ``end_fn`` and ``next_inputs_fn``."""
        inputs = sample_ids if self.next_inputs_fn is None else self.next_inputs_fn(sample_ids)
        return self.end_fn(sample_ids), inputs, state
