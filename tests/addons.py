"""TensorFlow Addons, imported at first use; a test that uses it is skipped if it is not installed."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(import_module("tensorflow_addons"), name)
