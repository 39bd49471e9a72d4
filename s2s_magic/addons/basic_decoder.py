"""The basic decoder: a cell, an output layer, and a sampler that chooses the next inputs."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from tensorflow import keras

from s2s_magic import backend
from s2s_magic.addons.cell_decoder import CellDecoder
from s2s_magic.addons.keras_at_hand import (
    IS_KERAS_3,
    KerasTensor,
    cast_floats,
    compute_dtype,
    is_symbolic,
    registered,
    serialize,
    takes,
)
from s2s_magic.addons.samplers import Sampler


class BasicDecoderOutput(NamedTuple):
    """The outputs of a `BasicDecoder`.

    Attributes
    ----------
    rnn_output : tensor [batch, time, ids]
        The output layer's scores, or the cell's outputs ``[batch, time, units]`` if there is no output layer.
    sample_id : tensor [batch, time]
        The ids that the sampler chose from them.
    """

    rnn_output: Any
    sample_id: Any


@registered
class BasicDecoder(CellDecoder):
    """Runs a cell and an output layer step by step on the inputs that a sampler provides.

    Called as ``decoder(inputs, initial_state=..., **kwargs)``; ``inputs`` and ``kwargs`` go to the sampler's
    `initialize`. With symbolic tensors it becomes a layer of the functional model, which can be saved and cloned.
    Without ``initial_state`` the cell starts at zero.

    Parameters
    ----------
    cell : layer
        A recurrent cell, or an `AttentionWrapper` around one.
    sampler : Sampler
    output_layer : layer, optional
    **kwargs
        Passed to `BaseDecoder`.

    Raises
    ------
    TypeError
        If the cell, the sampler or the output layer is not of the required type.
    """

    def __init__(self, cell: Any, sampler: Sampler, output_layer: Any = None, **kwargs: Any) -> None:
        if not isinstance(sampler, Sampler):
            raise TypeError(f"sampler must be a Sampler, and is a {type(sampler).__name__}")
        super().__init__(cell, output_layer, **kwargs)
        self.sampler = sampler
        # Keras tracks the layers that the sampler calls, so that they are trained and saved with the decoder
        self.sampler_layers = [v for v in sampler.arguments().values() if isinstance(v, keras.layers.Layer)]

    @property
    def ends_by_itself(self) -> bool:  # type: ignore[override]
        """Whether every sequence ends with the sampler's inputs."""
        return self.sampler.ends_by_itself

    @property
    def batch_size(self) -> Any:  # noqa: D102
        return self.sampler.batch_size

    @property
    def output_size(self) -> BasicDecoderOutput:  # noqa: D102
        return BasicDecoderOutput(self.rnn_output_size, self.sampler.sample_ids_shape)

    @property
    def output_dtype(self) -> BasicDecoderOutput:  # noqa: D102
        return BasicDecoderOutput(self.rnn_output_dtype, self.sampler.sample_ids_dtype)

    def __call__(self, inputs: Any, initial_state: Any = None, **kwargs: Any) -> Any:
        """Decode, or record the decoding in the functional graph if the inputs are symbolic."""
        symbolic = is_symbolic(inputs, initial_state, kwargs)
        if symbolic:
            self._share_layers(inputs)
        return super().__call__(inputs, **{**self.passed_arguments(symbolic, initial_state), **kwargs})

    def _share_layers(self, inputs: Any) -> None:
        """Let the sampler of a loaded or cloned decoder call the layer behind the inputs, if it is that of its name.

        A sampler's embedding is usually that of the inputs, too. Keras makes both from their settings, each by itself.
        """
        if not (self.sampler.is_copy and self.sampler_layers and isinstance(inputs, KerasTensor)):
            return
        behind = {layer.name: layer for layer, _, _ in backend.calls_behind(inputs)}
        arguments = self.sampler.arguments()
        named = {name: value for name, value in arguments.items() if isinstance(value, keras.layers.Layer)}
        shared = {name: behind[layer.name] for name, layer in named.items() if layer.name in behind}
        if any(named[name] is not layer for name, layer in shared.items()):
            self.sampler = type(self.sampler)(**{**arguments, **shared})
            replaced = [shared.get(name, layer) for name, layer in named.items()]
            if IS_KERAS_3:  # it forgets what leaves a list, and not what a list is replaced for
                self.sampler_layers.clear()
                self.sampler_layers.extend(replaced)
            else:
                self.sampler_layers = replaced

    def call(
        self,
        inputs: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
        given_memories: Any = None,
        **kwargs: Any,
    ) -> tuple[BasicDecoderOutput, Any, Any]:
        """Decode.

        Parameters
        ----------
        inputs : tensor
            Passed to the sampler's `initialize`.
        initial_state : structure of tensors, optional
            The cell's initial state; for an `AttentionWrapper`, its own state or that of the wrapped cell.
        mask : bool tensor [batch, time], optional
        training : bool, optional
        given_memories : optional
            The memories of a functional model, passed by `__call__`.
        **kwargs
            Passed to the sampler's `initialize`.

        Returns
        -------
        tuple
            ``(BasicDecoderOutput, final state, lengths)``.
        """
        decode = partial(super().call, inputs, initial_state, mask, training, **kwargs)
        return self.decoded(given_memories, decode)  # type: ignore[no-any-return]

    def initialize(self, inputs: Any, initial_state: Any = None, **kwargs: Any) -> tuple[Any, Any, Any]:
        """Get the first inputs from the sampler.

        Returns
        -------
        tuple
            ``(finished, first inputs, first state)``; the state in the cell's compute dtype.
        """
        if "mask" in kwargs and not takes(self.sampler.initialize, "mask"):
            del kwargs["mask"]  # Keras passes masks on by itself, but only samplers of given inputs end by one
        finished, first_inputs = self.sampler.initialize(inputs, **kwargs)
        state = self.first_state(initial_state, self.sampler.batch_size)
        return finished, cast_floats(first_inputs, compute_dtype(self.cell)), state

    def step(
        self, time: Any, inputs: Any, state: Any, training: bool | None = None
    ) -> tuple[BasicDecoderOutput, Any, Any, Any]:
        """Run the cell, sample ids from its scores and get the next inputs from the sampler."""
        outputs, state = self.run_cell(inputs, state, training)
        ids = self.sampler.sample(time=time, outputs=outputs, state=state)
        finished, inputs, state = self.sampler.next_inputs(time=time, outputs=outputs, state=state, sample_ids=ids)
        return BasicDecoderOutput(outputs, ids), state, inputs, finished

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        return {**super().get_config(), "sampler": serialize(self.sampler)}
