"""TensorFlow's functions on symbolic tensors: Keras makes layers of them by itself."""

from __future__ import annotations

from s2s_magic.undoing import Changes


def take_symbols(changes: Changes) -> None:
    """Let TensorFlow's functions take symbolic tensors until changes are undone: they do already."""
