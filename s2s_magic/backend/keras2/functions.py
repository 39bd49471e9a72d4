"""TensorFlow's functions on symbolic tensors: Keras 2 turns them into layers by itself."""

from __future__ import annotations

from s2s_magic.undoing import Changes


def take_symbols(changes: Changes) -> None:
    """Let TensorFlow's functions accept symbolic tensors until changes are undone; with Keras 2 they already do."""
