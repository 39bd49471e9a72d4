"""Keras 3's internals."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def private(module: str) -> Any:
    """Return an internal Keras module, such as ``ops.operation``."""
    return import_module(f"keras.src.{module}")
