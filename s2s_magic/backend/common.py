"""Questions about layers, tensors, variables and optimizers that every Keras answers in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from inspect import getattr_static
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.kinds import KIND_OF_CLASS, OF_ADDONS, LayerKind

ATTENTION_SCORES = "_calculate_scores"
"""The method of Keras's attention layers that compares queries with keys."""


def is_model(layer: Any) -> bool:
    """Return whether a layer is a model."""
    return isinstance(layer, backend.Model)


def is_input(layer: Any) -> bool:
    """Return whether a layer is an input."""
    return isinstance(layer, backend.InputLayer)


def is_tensor(value: Any) -> bool:
    """Return whether a value is a wire: symbolic, eager, ragged or sparse."""
    return isinstance(value, (backend.KerasTensor, tf.Tensor, tf.RaggedTensor, tf.SparseTensor))


def is_keras_tensor(value: Any) -> bool:
    """Return whether a value is one of Keras's symbolic tensors, which remember the layer that made them."""
    return isinstance(value, backend.KerasTensor)


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


def fits(one: Any, other: Any) -> bool:
    """Return whether two wires, or a wire and an array, can have the same shape."""
    shapes = shape_of(one), shape_of(other)
    return bool(tf.TensorShape(shapes[0]).is_compatible_with(tf.TensorShape(shapes[1])))


def dtype_of(value: Any) -> str:
    """Return the name of a wire's or a variable's dtype."""
    return str(getattr(value.dtype, "name", value.dtype))


def is_lambda(layer: Any) -> bool:
    """Return whether a layer runs a user function."""
    return isinstance(layer, keras.layers.Lambda)


def stock_class(layer: Any) -> str:
    """Return the name of a layer's class if it is one of Keras's own; empty for a subclass of one, and for others."""
    name = type(layer).__name__
    return name if type(layer) is getattr(keras.layers, name, None) else ""


def makes_ids(layer: Any) -> bool:
    """Return whether a layer turns text into rows of ids with its own vocabulary."""
    return isinstance(layer, keras.layers.TextVectorization) and layer.get_config()["output_mode"] == "int"


def built_for(model: Any) -> Any:
    """Return the shapes, nested as a model's inputs are, that a model was built for; None if it was not built."""
    return (model.get_build_config() or {}).get("input_shape")


def declares(value: Any, name: str) -> bool:
    """Return whether an object or its class has an attribute; a property is found and not computed."""
    return getattr_static(value, name, None) is not None


def is_attention(layer: Any) -> bool:
    """Return whether a layer is one of TensorFlow Addons' attention mechanisms, which keep a memory."""
    return type(layer).__module__.startswith(OF_ADDONS) and hasattr(layer, "setup_memory")


def kind_of(layer: Any) -> LayerKind:
    """Return a layer's kind, one of those in a ledger, by its exact class."""
    if backend.operation(layer) is not None:
        return "operation"
    if is_input(layer):
        return "input"
    if type(layer).__module__.startswith(OF_ADDONS):
        return KIND_OF_CLASS.get(type(layer).__name__, "layer")
    return backend.KIND_OF.get(type(layer), "layer")


def floats(variable: Any) -> bool:
    """Return whether a variable holds floating-point numbers."""
    return bool(tf.as_dtype(variable.dtype).is_floating)


def norm(value: Any) -> float:
    """Return the Euclidean norm of a numeric tensor."""
    return float(np.linalg.norm(value.numpy().astype(np.float32, copy=False).ravel()))


def item_size(variable: Any) -> int:
    """Return the size of one element of a variable, in bytes."""
    return int(tf.as_dtype(variable.dtype).size)


def size_of(variable: Any) -> int:
    """Return the number of elements of a variable."""
    return math.prod(size or 0 for size in shape_of(variable) or ())


def direct_weights(layer: Any) -> list[Any]:
    """Return the layer's own variables, without those of layers it holds."""
    return [*backend.meant_to_train(layer), *backend.meant_to_stay(layer)]


def direct_owner(layer: Any, variable: Any) -> Any:
    """Find the layer within ``layer`` that lists a variable as its own."""
    wanted = backend.bare(variable)
    for part in backend.reached(layer):
        if any(backend.bare(v) is wanted for v in direct_weights(part)):
            return part
    return layer


def values_of(variables: Iterable[Any]) -> Callable[[], None]:
    """Save the values of variables in host memory; return a function that restores them."""
    values = [(variable, variable.numpy()) for variable in variables]

    def put_back() -> None:
        for variable, value in values:
            variable.assign(value)

    return put_back


def loss_settings(loss: Any) -> dict[str, Any]:
    """Return the keyword arguments that a loss object passes to its function."""
    return dict(getattr(loss, "_fn_kwargs", {}))


def logits_behind(probabilities: Any) -> Any:
    """Return the logits of a softmax, if Keras noted them on its output."""
    return getattr(probabilities, "_keras_logits", None)


def is_on_a_mesh(optimizer: Any) -> bool:
    """Return whether an optimizer's variables are on a device mesh."""
    return getattr(optimizer, "_mesh", None) is not None


def metric_function(name: str) -> Any:
    """Return the function of target and output that a metric averages, by its name."""
    found = keras.metrics.get(name)  # in Keras 3 a metric object, in Keras 2 the function
    return getattr(found, "_fn", found)
