"""What a live value is: a layer, a model, a variable, a tensor, or the layer object of an operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from s2s_magic.backend.keras2.private import PACKAGE, private
from s2s_magic.kinds import KIND_OF_CLASS, OF_ADDONS, LayerKind

base_layer, tf_op_layer = private("engine.base_layer"), private("layers.core.tf_op_layer")
Functional, Sequential = private("engine.functional").Functional, private("engine.sequential").Sequential
KerasTensor = private("engine.keras_tensor").KerasTensor
InputLayer = private("engine.input_layer").InputLayer
AutoCastVariable = private("mixed_precision.autocast_variable").AutoCastVariable
Metric = private("metrics.base_metric").Metric

Layer = base_layer.Layer
Model = private("engine.training").Model

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

_KIND_OF = {getattr(keras.layers, name): kind for name, kind in KIND_OF_CLASS.items() if hasattr(keras.layers, name)}
_KIND_OF[base_layer.AddLoss] = KIND_OF_CLASS["AddLoss"]


def is_layer(value: Any) -> bool:
    """Return whether a value can be a ledger's layer; metrics, though Keras layers too, cannot."""
    return isinstance(value, Layer) and not isinstance(value, Metric)


def flattened(layer: Any, *, direct: bool = False) -> Iterable[Any]:
    """Return a layer and everything Keras finds within it, or only what is directly within it."""
    return layer._flatten_layers(recursive=not direct, include_self=not direct)  # type: ignore[no-any-return]


def is_model(layer: Any) -> bool:
    """Return whether a layer is a model."""
    return isinstance(layer, Model)


def is_functional(layer: Any) -> bool:
    """Return whether a layer is a graph of layers wired by the user, which no attributes hold."""
    return isinstance(layer, Functional) and not isinstance(layer, Sequential)


def is_input(layer: Any) -> bool:
    """Return whether a layer is an input."""
    return isinstance(layer, InputLayer)


def is_attention(layer: Any) -> bool:
    """Return whether a layer is one of TensorFlow Addons' attention mechanisms, which keep a memory."""
    return type(layer).__module__.startswith(OF_ADDONS) and hasattr(layer, "setup_memory")


def is_written(layer: Any) -> bool:
    """Return whether the user wrote a layer: it is neither an input nor an operation."""
    return not is_input(layer) and operation(layer) is None


def kind_of(layer: Any) -> LayerKind:
    """Return a layer's kind, one of those in a ledger, by its exact class."""
    if operation(layer) is not None:
        return "operation"
    if is_input(layer):
        return "input"
    if type(layer).__module__.startswith(OF_ADDONS):
        return KIND_OF_CLASS.get(type(layer).__name__, "layer")
    return _KIND_OF.get(type(layer), "layer")


def stock_class(layer: Any) -> str:
    """Return the name of a layer's class if it is one of Keras's own; empty for a subclass of one, and for others."""
    name = type(layer).__name__
    return name if type(layer) is getattr(keras.layers, name, None) else ""


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


def is_tensor(value: Any) -> bool:
    """Return whether a value is a wire: symbolic, eager, ragged or sparse."""
    return isinstance(value, (KerasTensor, tf.Tensor, tf.RaggedTensor, tf.SparseTensor))


def is_keras_tensor(value: Any) -> bool:
    """Return whether a value is one of Keras's symbolic tensors, which remember the layer that made them."""
    return isinstance(value, KerasTensor)


def is_wire(value: Any) -> bool:
    """Return whether a value can be a wire into a call: a tensor, or an array of numbers."""
    return is_tensor(value) or isinstance(value, np.ndarray)


def is_wiring(arguments: Any) -> bool:
    """Return whether a call's arguments include symbolic tensors, so that no numbers flow."""
    return any(
        is_keras_tensor(leaf) or (isinstance(leaf, tf.Tensor) and not hasattr(leaf, "numpy"))
        for leaf in tf.nest.flatten(arguments)
    )


def shape_of(value: Any) -> tuple[int | None, ...] | None:
    """Return a wire's or a variable's shape; None if even the rank is unknown."""
    shape = value.shape
    if isinstance(shape, tf.TensorShape):
        return tuple(shape) if shape.rank is not None else None
    return tuple(shape)


def dtype_of(value: Any) -> str:
    """Return the name of a wire's or a variable's dtype."""
    return str(value.dtype.name)


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


def is_lambda(layer: Any) -> bool:
    """Return whether a layer runs a user function."""
    return isinstance(layer, keras.layers.Lambda)


def makes_ids(layer: Any) -> bool:
    """Return whether a layer turns text into rows of ids with its own vocabulary."""
    return isinstance(layer, keras.layers.TextVectorization) and layer.get_config()["output_mode"] == "int"
