"""What a live value is: a layer, a model, a variable, a tensor, or the layer object of an operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.backend import common
from s2s_magic.backend.keras2.private import PACKAGE, private
from s2s_magic.kinds import KIND_OF_CLASS

base_layer, tf_op_layer = private("engine.base_layer"), private("layers.core.tf_op_layer")
Functional, Sequential = private("engine.functional").Functional, private("engine.sequential").Sequential
KerasTensor = private("engine.keras_tensor").KerasTensor
InputLayer = private("engine.input_layer").InputLayer
AutoCastVariable = private("mixed_precision.autocast_variable").AutoCastVariable
Metric = private("metrics.base_metric").Metric

Layer: Any = base_layer.Layer
Model: Any = private("engine.training").Model

# Keras's bookkeeping attributes, which refer to the same objects a second time.
BOOKKEEPING = frozenset({
    *("_self_tracked_trackables", "_layers", "_metrics", "_obj_reference_counts_dict", "_thread_local", "_call_spec"),
    *("_inbound_nodes", "_outbound_nodes", "_inbound_nodes_value", "_outbound_nodes_value", "_network_nodes"),
    *("_trainable_weights", "_non_trainable_weights", "_input_layers", "_output_layers", "_nodes_by_depth"),
    *("_layers_by_depth", "_self_unconditional_checkpoint_dependencies", "_self_unconditional_dependency_names"),
})  # fmt: skip


_IMPLICIT = (
    tf_op_layer.TFOpLambda,
    tf_op_layer.ClassMethod,
    tf_op_layer.InstanceProperty,
    base_layer.TensorFlowOpLayer,
)

KIND_OF = {getattr(keras.layers, name): kind for name, kind in KIND_OF_CLASS.items() if hasattr(keras.layers, name)}
KIND_OF[base_layer.AddLoss] = KIND_OF_CLASS["AddLoss"]


def is_layer(value: Any) -> bool:
    """Return whether a value can be a ledger's layer; metrics, though Keras layers too, cannot."""
    return isinstance(value, Layer) and not isinstance(value, Metric)


def flattened(layer: Any, *, direct: bool = False) -> Iterable[Any]:
    """Return a layer and everything Keras finds within it, or only what is directly within it."""
    return layer._flatten_layers(recursive=not direct, include_self=not direct)  # type: ignore[no-any-return]


def is_functional(layer: Any) -> bool:
    """Return whether a layer is a graph of layers wired by the user, which no attributes hold."""
    return isinstance(layer, Functional) and not isinstance(layer, Sequential)


def is_written(layer: Any) -> bool:
    """Return whether the user wrote a layer: it is neither an input nor an operation."""
    return not common.is_input(layer) and operation(layer) is None


def is_variable(value: Any) -> bool:
    """Return whether a value is a variable."""
    return isinstance(value, (tf.Variable, AutoCastVariable))


def is_ready(layer: Any) -> bool:
    """Return whether a layer's base constructor has finished."""
    return "_trainable_weights" in vars(layer)


def operation(layer: Any) -> str | None:
    """Return the name of the TensorFlow operation that a layer represents; None for a layer the user wrote."""
    if not isinstance(layer, _IMPLICIT):
        return None
    symbol = getattr(layer, "symbol", None)
    if symbol:
        return f"tf.{symbol}"
    attribute = getattr(layer, "attr_name", None) or getattr(layer, "method_name", None)
    function = getattr(layer, "function", None)
    return str(attribute or getattr(function, "__name__", None) or layer.name)


def is_copied(layer: Any, holders: Iterable[Any]) -> bool:
    """Return whether one of the holders copied a layer and uses the copies instead."""
    return any(
        isinstance(holder, keras.layers.Bidirectional)
        and holder.layer is layer
        and layer is not holder.forward_layer
        and layer is not holder.backward_layer
        for holder in holders
    )


def is_stock(layer: Any) -> bool:
    """Return whether a layer's class is Keras's or TFA's, and the object does not override ``call``."""
    packages = (PACKAGE, "tensorflow", "tensorflow_addons")
    return type(layer).__module__.partition(".")[0] in packages and "call" not in vars(layer)
