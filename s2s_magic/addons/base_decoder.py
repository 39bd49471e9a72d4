"""The base classes of decoders; calling a decoder layer runs the decoding loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.addons.decoding_loop import dynamic_decode
from s2s_magic.addons.keras_at_hand import IS_KERAS_3, numbers_to_tensors


class Decoder(ABC):
    """The interface that `dynamic_decode` needs of a decoder that is not a layer."""

    tracks_own_finished = False

    @property
    @abstractmethod
    def batch_size(self) -> Any:
        """The number of sequences."""

    @property
    @abstractmethod
    def output_size(self) -> Any:
        """The structure of shapes of one step's outputs, without the batch."""

    @property
    @abstractmethod
    def output_dtype(self) -> Any:
        """The structure of dtypes of one step's outputs."""

    @abstractmethod
    def initialize(self, name: str | None = None) -> tuple[Any, Any, Any]:
        """Return ``(finished, first inputs, first state)``."""

    @abstractmethod
    def step(
        self, time: Any, inputs: Any, state: Any, training: bool | None = None, name: str | None = None
    ) -> tuple[Any, Any, Any, Any]:
        """Return ``(outputs, next state, next inputs, finished)``."""

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Any) -> tuple[Any, Any]:
        """Return ``(outputs, final state)`` as the loop is to return them; outputs are time-major."""
        raise NotImplementedError


class BaseDecoder(keras.layers.Layer):  # type: ignore[misc]
    """A decoder that is a Keras layer; its call runs `dynamic_decode`.

    A subclass defines `initialize`, `step`, ``output_size``, ``output_dtype`` and ``batch_size``.

    Parameters
    ----------
    output_time_major, impute_finished, maximum_iterations, parallel_iterations, swap_memory
        As for `dynamic_decode`.
    **kwargs
        Passed to `keras.layers.Layer`: ``name``, ``dtype``, ``trainable``.
    """

    ends_by_itself = False
    tracks_own_finished = False

    def __init__(
        self,
        output_time_major: bool = False,
        impute_finished: bool = False,
        maximum_iterations: Any = None,
        parallel_iterations: int = 32,
        swap_memory: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_time_major = output_time_major
        self.impute_finished = impute_finished
        self.maximum_iterations = maximum_iterations
        self.parallel_iterations = parallel_iterations
        self.swap_memory = swap_memory
        self.supports_masking = True
        self.supports_jit = False  # XLA compiles no loop whose outputs grow
        # Keras 3 otherwise refuses positional states that hold a TensorArray or a structure without tensors
        self._allow_non_tensor_positional_args = True

    def build(self, input_shape: Any = None) -> None:
        """Create no variables: the cell and the output layer own them all and create them when first called."""
        self.built = True

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the loop, or record it in the functional graph if the inputs are symbolic."""
        if IS_KERAS_3:  # it refuses numbers among tensors in keyword arguments
            kwargs = {
                name: value if name == "training" else numbers_to_tensors(value) for name, value in kwargs.items()
            }
        return super().__call__(inputs, *args, **kwargs)

    def call(
        self, inputs: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None, **kwargs: Any
    ) -> tuple[Any, Any, Any]:
        """Decode.

        Returns
        -------
        tuple
            ``(outputs, final state, lengths)``, as `dynamic_decode` returns them.
        """
        if mask is not None:
            kwargs["mask"] = mask
        return self._decode(inputs, dict(kwargs, initial_state=initial_state), training)

    def _decode(self, inputs: Any, init_kwargs: dict[str, Any], training: bool | None) -> tuple[Any, Any, Any]:
        return dynamic_decode(
            self,
            output_time_major=self.output_time_major,
            impute_finished=self.impute_finished,
            maximum_iterations=self.maximum_iterations,
            parallel_iterations=self.parallel_iterations,
            swap_memory=self.swap_memory,
            training=training,
            decoder_init_input=inputs,
            decoder_init_kwargs=init_kwargs,
        )

    def compute_mask(self, inputs: Any, mask: Any = None, *args: Any, **kwargs: Any) -> None:
        """Return no mask: the lengths are an output, and outputs are as long as the longest sequence."""
        return

    @property
    def batch_size(self) -> Any:
        """The number of sequences."""
        raise NotImplementedError

    @property
    def output_size(self) -> Any:
        """The structure of shapes of one step's outputs, without the batch."""
        raise NotImplementedError

    @property
    def output_dtype(self) -> Any:
        """The structure of dtypes of one step's outputs."""
        raise NotImplementedError

    def initialize(self, inputs: Any, initial_state: Any = None, **kwargs: Any) -> tuple[Any, Any, Any]:
        """Return ``(finished, first inputs, first state)`` for a call's inputs."""
        raise NotImplementedError

    def step(self, time: Any, inputs: Any, state: Any, training: bool | None) -> tuple[Any, Any, Any, Any]:
        """Return ``(outputs, next state, next inputs, finished)``."""
        raise NotImplementedError

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Any) -> tuple[Any, Any]:
        """Return ``(outputs, final state)`` as the loop is to return them; outputs are time-major."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        most = self.maximum_iterations
        return {
            **super().get_config(),
            "output_time_major": self.output_time_major,
            "impute_finished": self.impute_finished,
            "maximum_iterations": int(most) if tf.is_tensor(most) else most,
            "parallel_iterations": self.parallel_iterations,
            "swap_memory": self.swap_memory,
        }
