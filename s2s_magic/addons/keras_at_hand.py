"""Helpers that work alike on whichever Keras TensorFlow uses: Keras 2, `tf_keras` or Keras 3."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

IS_KERAS_3 = hasattr(keras, "Operation")
KerasTensor = keras.KerasTensor if IS_KERAS_3 else keras.__internal__.KerasTensor
# with Keras 3, `tf.keras` has these in `utils` only
saving = keras.utils if IS_KERAS_3 else keras.saving
registered = saving.register_keras_serializable(package="s2s_magic")
serialize = saving.serialize_keras_object


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Create an object, or a list of objects, from the result of `serialize`; return anything else unchanged."""
    if isinstance(config, (list, tuple)):
        return [deserialize(one, custom_objects) for one in config]
    if isinstance(config, dict) and "class_name" in config:
        return saving.deserialize_keras_object(config, custom_objects=custom_objects)
    return config


def is_symbolic(*values: Any) -> bool:
    """Whether any of the values is, or contains, a symbolic tensor of the functional API."""
    return any(isinstance(value, KerasTensor) for value in tf.nest.flatten(values))


def takes(function: Callable[..., Any], argument: str) -> bool:
    """Whether a function has a parameter of that name."""
    return argument in inspect.signature(function).parameters


def numbers_to_tensors(structure: Any) -> Any:
    """Convert the Python and NumPy numbers in a structure to tensors; leave everything else unchanged."""

    def convert(value: Any) -> Any:
        return tf.convert_to_tensor(value) if isinstance(value, (bool, int, float, np.generic, np.ndarray)) else value

    return tf.nest.map_structure(convert, structure)


def compute_dtype(layer: Any, otherwise: Any = None) -> tf.DType:
    """Return the dtype that a layer computes in: with mixed precision, the lower one."""
    return tf.as_dtype(getattr(layer, "compute_dtype", None) or otherwise or keras.backend.floatx())


def cast_floats(structure: Any, dtype: tf.DType) -> Any:
    """Cast the floating-point tensors in a structure; leave everything else unchanged."""

    def cast(value: Any) -> Any:
        if isinstance(value, tf.TensorArray):
            return value
        value = tf.convert_to_tensor(value)
        return tf.cast(value, dtype) if value.dtype.is_floating else value

    return tf.nest.map_structure(cast, structure)


def exchange_axes(value: Any) -> Any:
    """Swap the first two axes, time and batch."""
    return tf.transpose(value, [1, 0, *range(2, value.shape.rank)])


def zero_state(cell: Any, batch_size: Any, dtype: tf.DType) -> Any:
    """Return a recurrent cell's default initial state."""
    if hasattr(cell, "get_initial_state"):
        dtyped = {"dtype": dtype} if takes(cell.get_initial_state, "dtype") else {}
        return cell.get_initial_state(batch_size=batch_size, **dtyped)
    return tf.nest.map_structure(lambda size: tf.zeros([batch_size, *tf.TensorShape(size)], dtype), cell.state_size)


def forget_dropout(cell: Any) -> None:
    """Reset the dropout masks of a cell and the cells in it: a mask made in a loop's body is invalid outside it."""
    for inner in (cell, *getattr(cell, "cells", ()), *([cell.cell] if hasattr(cell, "cell") else [])):
        for method in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
            getattr(inner, method, bool)()
        if inner is not cell:
            forget_dropout(inner)
