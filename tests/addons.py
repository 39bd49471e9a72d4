"""TensorFlow Addons; whoever asks for something of it where it is not installed is a test that is skipped for that."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(import_module("tensorflow_addons"), name)
