"""The variables of a layer: which are its own, their values, and their initializers."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from s2s_magic.backend import holding
from s2s_magic.backend.keras2 import objects
from s2s_magic.backend.keras2.private import private

initializers = private("initializers")

_LISTS = objects.Layer.trainable_weights


def bare(variable: Any) -> Any:
    """Return the variable inside Keras's mixed-precision wrapper, if any: identity is the bare one's."""
    return variable._variable if isinstance(variable, objects.AutoCastVariable) else variable


def name_of(variable: Any) -> str:
    """Return the name that Keras tells a variable apart by."""
    return str(variable.name)


def weights(layer: Any) -> tuple[list[Any], list[Any]]:
    """Return all variables listed by a layer and what it holds: the trainable ones, and the others."""
    if not getattr(layer, "_self_tracked_trackables", True) and type(layer).trainable_weights is _LISTS:
        own = meant_to_train(layer), meant_to_stay(layer)  # a leaf, as most layers are
        return own if layer.trainable else ([], [*own[0], *own[1]])
    try:
        return _variables(layer.trainable_weights), _variables(layer.non_trainable_weights)
    except ValueError:  # a nested model has no weights yet, and Keras then refuses to list any
        parts = [part for part in holding.reached(layer) if objects.is_ready(part)]
        trained = [v for part in parts if part.trainable for v in meant_to_train(part)]
        frozen = [v for part in parts if not part.trainable for v in meant_to_train(part)]
        return trained, [*frozen, *(v for part in parts for v in meant_to_stay(part))]


def meant_to_train(layer: Any) -> list[Any]:
    """Return the layer's own variables that would be trained if nothing was frozen."""
    return _variables(layer._trainable_weights)


def meant_to_stay(layer: Any) -> list[Any]:
    """Return the layer's own variables that are never trained, such as the averages of batch normalization."""
    return _variables(layer._non_trainable_weights)


def _variables(listed: list[Any]) -> list[Any]:
    """Leave out what Keras lists among weights but is not a variable, such as a vocabulary's table."""
    return [value for value in listed if hasattr(value, "shape")]


def attribute_of(layer: Any, variable: Any) -> str:
    """Find the attribute that holds a layer's variable, else return the last part of the variable's own name."""
    wanted = bare(variable)
    for name, value in holding.attributes(layer):
        if bare(value) is wanted:
            return name
        if isinstance(value, (list, tuple)):
            for number, part in enumerate(value):
                if bare(part) is wanted:
                    return f"{name}[{number}]"
        elif isinstance(value, objects.Metric) and any(bare(v) is wanted for v in value.variables):
            return f"{name}.{attribute_of(value, variable)}"
    return str(variable.name).rpartition("/")[2].partition(":")[0]


def initializer_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the name of a new variable's initializer, from the arguments of `Layer.add_weight`."""
    given = dict(zip(("name", "shape", "dtype", "initializer"), args, strict=False)) | kwargs
    found = initializers.get(given.get("initializer"))
    if found is None:
        dtype = given.get("dtype")
        return "GlorotUniform" if dtype is None or tf.as_dtype(dtype).is_floating else "Zeros"
    return str(getattr(found, "__name__", None) or type(found).__name__)


def in_tensorflow(variable: Any) -> Any:
    """Return TensorFlow's variable, which a gradient tape knows."""
    return variable


def value(variable: Any) -> Any:
    """Return a variable's current value as a tensor; None if it has no value yet or is not numeric.

    The tensor shares the variable's memory until the variable changes, and then keeps the old value.
    """
    if not (tf.executing_eagerly() and hasattr(variable, "numpy")):
        return None
    dtype = tf.as_dtype(variable.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_complex or dtype.is_bool):
        return None
    return bare(variable).value()


def regularized(layer: Any) -> list[Any]:
    """Return the layer's own variables whose regularizer adds a loss."""
    found = []
    for function in getattr(layer, "_callable_losses", ()):
        while isinstance(function, functools.partial):
            found += [value for value in function.args if isinstance(value, (tf.Variable, objects.AutoCastVariable))]
            function = next((value for value in function.args if isinstance(value, functools.partial)), None)
    return found
