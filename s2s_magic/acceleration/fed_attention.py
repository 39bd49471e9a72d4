"""Running the cell with attention of a decoder of `s2s_magic.addons` on the kernels."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.acceleration.keras_cells import cell_obstacle, kernel_cell, regularized_output, weights_of
from s2s_magic.acceleration.understood import is_known_activation, is_known_function, strangeness
from s2s_magic.kernels.attending import Attended, Drawing, attend

_TYPES = ("float32", "float64")
_LINEAR = (None, keras.activations.linear)


def _ours() -> Any:
    """Return our replacement of TFA's module, if it was imported; TFA's own wrapper cannot be wired."""
    return sys.modules.get("s2s_magic.addons.seq2seq")


def is_attending(cell: Any) -> bool:
    """Return whether a cell is our cell with attention."""
    return _ours() is not None and isinstance(cell, _ours().AttentionWrapper)


def attending_obstacle(decoder: Any) -> str | None:
    """Return why a decoder over a cell with attention cannot run on the kernels; None if it can."""
    wrapper = decoder.cell
    if (odd := strangeness(wrapper) or regularized_output(wrapper)) is not None:
        return f"of its AttentionWrapper, {odd}"
    if wrapper.several or len(wrapper.attention_layers or ()) != 1:
        return "understood is one attention mechanism with an attention layer"
    settings = {"cell_input_fn": None, "attention_fn": None, "output_attention": True, "alignment_history": False}
    changed = [name for name, usual in settings.items() if getattr(wrapper, name) is not usual]
    if changed:
        return f"{changed[0]} is left to the AttentionWrapper"
    if decoder.impute_finished:
        return "impute_finished=True is left to a decoder with attention"
    (mechanism,), (layer,) = wrapper.attention_mechanisms, wrapper.attention_layers
    why = _mechanism_obstacle(mechanism) or _dense_obstacle(layer, (*_LINEAR, keras.activations.tanh))
    if why is not None:
        return why
    if type(wrapper.cell) is keras.layers.StackedRNNCells:
        return "understood is attention over one cell"
    if getattr(wrapper.cell, "dropout", 0):
        return "with attention, dropout has a new mask at each step"
    if {part.compute_dtype for part in (wrapper, mechanism, layer)} != {wrapper.cell.compute_dtype}:
        return "its parts compute in different types"
    if wrapper.cell.compute_dtype not in _TYPES:
        return f"it computes in {wrapper.cell.compute_dtype}"
    return cell_obstacle(wrapper.cell)


def _mechanism_obstacle(mechanism: Any) -> str | None:
    name = type(mechanism).__name__
    if type(mechanism) not in (_ours().LuongAttention, _ours().BahdanauAttention):
        return f"its mechanism is a {name}; understood are LuongAttention and BahdanauAttention"
    if (odd := strangeness(mechanism) or regularized_output(mechanism)) is not None:
        return f"of its {name}, {odd}"
    if mechanism.probability_fn is not tf.nn.softmax or not is_known_function(mechanism.probability_fn):
        return "the alignments are not the softmax of the scores"
    return None if mechanism.query_layer is None else _dense_obstacle(mechanism.query_layer, _LINEAR)


def _dense_obstacle(layer: Any, activations: tuple[Any, ...]) -> str | None:
    name = getattr(layer, "name", type(layer).__name__)
    if type(layer) is not keras.layers.Dense:
        return f"{name} is a {type(layer).__name__}; understood is Dense"
    if (odd := strangeness(layer) or regularized_output(layer)) is not None:
        return f"of {name}, {odd}"
    if layer.activation not in activations or not is_known_activation(layer.activation):
        return f"of {name}, the activation is none that is understood"
    if layer.use_bias or getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        return f"{name} does more than to multiply by its kernel"
    return None


def run_attending(
    wrapper: Any, x: Any, state: Any, *, unrolled: int, drawing: Drawing | None = None
) -> tuple[Any, list[Any], Any]:
    """Run a cell with attention, which has no `attending_obstacle`, over a whole sequence.

    Parameters
    ----------
    wrapper
        The cell, whose mechanism has its memory.
    x
        Shape (batch, steps, features).
    state
        The wrapper's state, complete.
    unrolled, drawing
        As for the kernels.

    Returns
    -------
    output : tensor
        What each step attended to, of shape (batch, steps, attention).
    state : list of tensors
        The wrapper's state after the last step, flat.
    ids : tensor or None
        With ``drawing``, the drawn ids, of shape (batch, steps).
    """
    (mechanism,), (layer,) = wrapper.attention_mechanisms, wrapper.attention_layers
    memory = mechanism.current_memory()
    # gradients of what normalizes weights, or scales them, are TensorFlow's own
    keys, *more = _scored(mechanism, memory.keys)
    attended = Attended(keys, memory.values, _kernel(layer, x.dtype), *more)
    output, cell_state, attention, ids = attend(
        kernel_cell(wrapper.cell),
        x,
        *weights_of(wrapper.cell),
        tf.nest.flatten(state.cell_state),
        state.attention,
        attended,
        mask=memory.mask,
        squashed=layer.activation is keras.activations.tanh,
        unrolled=unrolled,
        drawing=drawing,
    )
    # those of the last step, computed once more: the kernel keeps none for the outside
    alignments = tf.cond(
        tf.shape(x)[1] > 0,
        lambda: attended.alignments(cell_state[0], memory.mask, attended.turned),
        lambda: state.alignments,
    )
    return output, [*cell_state, attention, alignments, alignments], ids


def _scored(mechanism: Any, keys: Any) -> list[Any]:
    """Return the keys that queries are multiplied with; or, of additive scores, keys, query kernel and weights."""
    if mechanism.query_layer is None:
        scale = mechanism.attention_g
        return [keys if scale is None else keys * tf.cast(tf.convert_to_tensor(scale), keys.dtype)]
    weights = tf.cast(tf.convert_to_tensor(mechanism.attention_v), keys.dtype)
    if mechanism.attention_g is not None:
        size = tf.cast(tf.convert_to_tensor(mechanism.attention_g), keys.dtype)
        weights = size * weights * tf.math.rsqrt(tf.reduce_sum(tf.square(weights)))
        keys += tf.cast(tf.convert_to_tensor(mechanism.attention_b), keys.dtype)
    return [keys, _kernel(mechanism.query_layer, keys.dtype), weights]


def _kernel(layer: Any, dtype: Any) -> Any:
    return tf.cast(tf.convert_to_tensor(layer.kernel), dtype)


def built(wrapper: Any) -> bool:
    """Return whether all weights exist; the first call creates them, and so does not run on the kernels."""
    parts = (wrapper.cell, *wrapper.attention_mechanisms, *wrapper.attention_layers)
    queries = [part.query_layer for part in wrapper.attention_mechanisms if part.query_layer is not None]
    return all(part.built for part in (*parts, *queries))
