"""Keras 3 from within."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def private(module: str) -> Any:
    """Return a module of Keras's own source, such as ``ops.operation``."""
    return import_module(f"keras.src.{module}")
