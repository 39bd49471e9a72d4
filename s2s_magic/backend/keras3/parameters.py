"""The variables of a layer: which are its own, their values, and their initializers."""

from __future__ import annotations

import random
from typing import Any

import keras
import tensorflow as tf

from s2s_magic.backend import holding
from s2s_magic.backend.keras3 import objects


def bare(variable: Any) -> Any:
    """Return the object that identifies a variable: Keras's own variable, whatever holds its value."""
    return variable


def name_of(variable: Any) -> str:
    """Return the name that Keras tells a variable apart by: its path, since layers give the same names."""
    return str(getattr(variable, "path", None) or variable.name)


def weights(layer: Any) -> tuple[list[Any], list[Any]]:
    """Return all variables listed by a layer and what it holds: the trainable ones, and the others."""
    if not isinstance(layer, objects.Layer):
        return [], []
    return list(layer.trainable_weights), _weights(layer.non_trainable_weights)


def meant_to_train(layer: Any) -> list[Any]:
    """Return the layer's own variables that would be trained if nothing was frozen."""
    return list(getattr(layer, "_trainable_variables", ()))


def meant_to_stay(layer: Any) -> list[Any]:
    """Return the layer's own variables that are never trained, such as the averages of batch normalization."""
    return _weights(getattr(layer, "_non_trainable_variables", ()))


def _weights(listed: Any) -> list[Any]:
    return [variable for variable in listed if not objects.is_seed(variable)]


def attribute_of(layer: Any, variable: Any) -> str:
    """Find the attribute that holds a layer's variable, else return the last part of the variable's own name.

    If a public property exposes a private attribute, as ``Dense.kernel`` does, return the public name.
    """
    for name, value in holding.attributes(layer):
        if value is variable:
            public = name.lstrip("_")
            return public if isinstance(getattr(type(layer), public, None), property) else name
        if isinstance(value, (list, tuple)):
            for number, part in enumerate(value):
                if part is variable:
                    return f"{name}[{number}]"
        elif isinstance(value, objects.Metric) and any(one is variable for one in value.variables):
            return f"{name}.{attribute_of(value, variable)}"
    return str(variable.name).rpartition("/")[2].partition(":")[0]


def initializer_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the name of a new variable's initializer, from the arguments of `Layer.add_weight`."""
    given = dict(zip(("shape", "initializer", "dtype"), args, strict=False)) | kwargs
    found = given.get("initializer")
    if found is None:
        dtype = given.get("dtype")
        return "GlorotUniform" if dtype is None or "float" in str(dtype) else "Zeros"
    state = random.getstate()
    found = keras.initializers.get(found)  # which draws a seed if it makes an initializer from its name
    random.setstate(state)
    return str(getattr(found, "__name__", None) or type(found).__name__)


def in_tensorflow(variable: Any) -> Any:
    """Return TensorFlow's variable, which a gradient tape knows."""
    return variable._value if isinstance(variable, objects.KerasVariable) else variable


def value(variable: Any) -> Any:
    """Return a variable's current value as a tensor; None if it has no value yet or is not numeric.

    The tensor shares the variable's memory until the variable changes, and then keeps the old value.
    """
    held = in_tensorflow(variable)
    if held is not None and keras.backend.backend() != "tensorflow" and isinstance(variable, objects.KerasVariable):
        return tf.convert_to_tensor(keras.ops.convert_to_numpy(variable))
    if not (tf.executing_eagerly() and hasattr(held, "numpy")):
        return None
    dtype = tf.as_dtype(held.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_complex or dtype.is_bool):
        return None
    return held.value() if isinstance(held, tf.Variable) else tf.convert_to_tensor(held)


def regularized(layer: Any) -> list[Any]:
    """Return the layer's own variables whose regularizer adds a loss."""
    return [variable for variable in meant_to_train(layer) if getattr(variable, "regularizer", None) is not None]
