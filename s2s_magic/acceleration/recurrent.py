"""Running Keras's recurrent layers on the kernels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.acceleration.keras_cells import cell_obstacle, run_cells
from s2s_magic.acceleration.overriding import override
from s2s_magic.acceleration.understood import strangeness
from s2s_magic.undoing import Changes


def halves(layer: Any) -> list[Any]:
    """Return the two layers in a Bidirectional layer, or the layer itself, as a list."""
    if backend.kind_of(layer) == "bidirectional":
        return [layer.forward_layer, layer.backward_layer]
    return [layer]


def recurrent_obstacle(layer: Any) -> str | None:
    """Return why a layer cannot run on the kernels; None if it can."""
    return strangeness(layer) or next((why for why in map(_obstacle, halves(layer)) if why), None)


def _obstacle(layer: Any) -> str | None:
    if backend.kind_of(layer) != "recurrent":
        return f"{type(layer).__name__} is none of the layers understood: LSTM, GRU, RNN, Bidirectional, BasicDecoder"
    if (odd := strangeness(layer)) is not None:
        return odd
    if tf.config.list_logical_devices("GPU") and backend.has_fused_kernel(layer):
        return "cuDNN's own kernel runs it on the GPU"
    for setting in ("stateful", "unroll", "time_major"):
        if getattr(layer, setting, False):
            return f"{setting}=True is left to Keras"
    if backend.takes_constants(layer):
        return "it takes constants beside its states"
    if backend.gives_runtime(layer):
        return "it gives the name of what ran it beside its outputs"
    if layer.compute_dtype != layer.cell.compute_dtype:
        return f"it computes in {layer.compute_dtype}, and its cell in {layer.cell.compute_dtype}"
    why = cell_obstacle(layer.cell)
    if why is None and backend.ignores_its_cell(layer):
        return "a setting of its cell was changed after it was made, which its own loop does not look at"
    return why


def accelerate_recurrent(changes: Changes, layer: Any, unrolled: int) -> None:
    """Run an LSTM, GRU or RNN layer that has no `recurrent_obstacle` on the kernels, with short loops unrolled."""
    by_keras = layer.call

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        x, mask, states, given, training = backend.recurrent_call(layer, *args, **kwargs)
        types = {value.dtype for value in (x, *(tf.nest.flatten(states) if given else ()))}
        if (
            not isinstance(x, tf.Tensor)
            or x.shape.rank != 3
            or (mask is not None and mask.shape.rank != 2)
            or types != {tf.as_dtype(layer.compute_dtype)}
        ):
            return by_keras(*args, **kwargs)
        output, after = run_cells(
            layer.cell,
            x,
            tf.nest.flatten(states) if given else None,
            training,
            layer=layer,
            sequences=layer.return_sequences,
            mask=None if mask is None else tf.cast(mask, tf.bool),
            reverse=layer.go_backwards,
            unrolled=unrolled,
        )
        if mask is not None and layer.zero_output_for_mask:
            real = tf.reverse(mask, [1]) if layer.go_backwards else mask
            real = tf.cast(real[:, :, None] if layer.return_sequences else real[:, -1:], tf.bool)
            output = tf.where(real, output, tf.zeros_like(output))
        return backend.recurrent_result(layer, output, tf.nest.pack_sequence_as(states, after))

    override(changes, layer, "call", call)
