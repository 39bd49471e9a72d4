"""Keras 2's internals: the `keras` that comes with TensorFlow up to 2.15, else `tf_keras`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tensorflow import keras

_ROOT = str(keras.Model.__module__).partition(".engine")[0]
PACKAGE = _ROOT.partition(".")[0]
"""The name that Keras is imported as: keras, or tf_keras."""


def private(module: str) -> Any:
    """Return an internal Keras module, such as ``engine.base_layer``."""
    return import_module(f"{_ROOT}.{module}")
