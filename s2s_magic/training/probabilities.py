"""Find out whether a model's output holds probabilities or logits, to choose its cross-entropy accordingly."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.batches import Stream, Table
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Constructed, Wire
from s2s_magic.undoing import Changes

ROUNDING = 0.01
"""How far the sum of probabilities may differ from 1: half precision keeps three digits."""

_SOFTMAX = ("tf.nn.softmax", "tf.math.softmax", "tf.keras.activations.softmax", "tf.keras.backend.softmax", "Softmax")
_FUNCTIONS = (tf.nn.softmax, keras.activations.softmax, keras.backend.softmax)
_SHAPE_ONLY = ("Reshape", "Permute", "Flatten", "RepeatVector", "Cropping1D", "ZeroPadding1D")
_SHAPE_ONLY_OPERATIONS = (
    *("tf.reshape", "tf.expand_dims", "tf.squeeze", "tf.identity", "tf.cast", "tf.__operators__.getitem"),
    *("tf.slice", "tf.strided_slice", "tf.gather", "tf.stop_gradient", "tf.ensure_shape", "tf.unstack", "tf.split"),
)
_JOINING = ("Concatenate", "tf.concat", "tf.stack")
_ACTIVATED = ("Dense", "EinsumDense", "Activation", "Conv1D", "Conv2D")
"""Layers whose output is that of their ``activation``."""


def gives_probabilities(seq2seq: Seq2Seq, data: Table | Stream) -> bool:
    """Return whether the model's output holds probabilities rather than logits.

    The wires are followed back from the output, through operations that change only the shape and into nested models
    and ``TimeDistributed``, to the operation that computed the numbers. If that is a function or a layer written by
    the user, about which the wires say nothing, the model is run on one row of the data, and its output decides.
    """
    record = seq2seq.ledger.main_model
    if record is None or not record.outputs:
        return False
    told = _by_wires(seq2seq, record.outputs[0])
    return _by_numbers(seq2seq.model, data) if told is None and isinstance(data, Table) else bool(told)


def _by_numbers(model: Any, table: Table) -> bool:
    """Return whether a model's output on the first row sums to 1; the model's state is restored."""
    rows = table.select(np.zeros(model.inputs[0].shape[0] or 1, np.int64))
    inputs = tf.nest.map_structure(lambda value: value if tf.is_tensor(value) else tf.constant(value), rows.arrays()[0])
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, model)
        output = tf.nest.flatten(model(inputs, training=False))[0]
    numbers = np.asarray(tf.cast(output, tf.float64))
    return bool((numbers >= 0).all() and (np.abs(numbers.sum(-1) - 1) < ROUNDING).all())


def _by_wires(seq2seq: Seq2Seq, wire: Wire) -> bool | None:
    """Return whether a wire comes from a softmax; None if unknown."""
    if wire.from_event is None:
        return None
    event = seq2seq.ledger.events[wire.from_event]
    if isinstance(event, Constructed):
        return False
    layer = seq2seq.live.layers.get(event.object)
    while isinstance(layer, keras.layers.TimeDistributed):
        layer = layer.layer
    made_by = backend.operation(layer) or type(layer).__name__
    if isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.linear:
        return _by_wires(seq2seq, event.inputs[0])
    if isinstance(layer, keras.Sequential):
        return _by_last(layer)
    inner = next((model for model in seq2seq.ledger.models if model.object == event.object), None)
    if inner is not None:
        outputs = inner.outputs[wire.output : wire.output + 1]
        return _by_wires(seq2seq, outputs[0]) if outputs else None
    if made_by in (*_SHAPE_ONLY, *_SHAPE_ONLY_OPERATIONS):
        return _by_wires(seq2seq, event.inputs[0]) if event.inputs else None
    if made_by in _JOINING:
        told = [_by_wires(seq2seq, one) for one in event.inputs]
        return None if None in told and False not in told else all(told)
    return _by_layer(layer, made_by)


def _by_last(stack: Any) -> bool | None:
    """Return whether the last layer of a ``Sequential`` to change more than the shape is a softmax; None if unknown."""
    for one in reversed(stack.layers):
        last = one.layer if isinstance(one, keras.layers.TimeDistributed) else one
        if isinstance(last, keras.Sequential):
            return _by_last(last)
        kind = type(last).__name__
        linear = kind == "Activation" and last.activation is keras.activations.linear
        if kind not in _SHAPE_ONLY and not linear:
            return _by_layer(last, kind)
    return None


def _by_layer(layer: Any, made_by: str) -> bool | None:
    """Return whether a layer's output is a softmax; None unless layer and activation are Keras's own."""
    if made_by in _SOFTMAX:
        return True
    if made_by in _ACTIVATED:
        activation = layer.activation
        if any(activation is one for one in _FUNCTIONS) or isinstance(activation, keras.layers.Softmax):
            return True
        known = getattr(keras.activations, getattr(activation, "__name__", ""), None)
        return False if activation is None or activation is known else None
    return False if backend.stock_class(layer) not in ("", "Lambda") else None
