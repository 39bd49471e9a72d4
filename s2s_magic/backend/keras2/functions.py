"""TensorFlow's functions on symbolic tensors: Keras 2 turns them into layers by itself."""

from __future__ import annotations

from typing import Literal

from s2s_magic.undoing import Changes

OPERATIONS: Literal["tf", "keras.ops"] = "tf"
"""Where functions on symbolic tensors come from in generated code."""


def take_symbols(changes: Changes) -> None:
    """Let TensorFlow's functions accept symbolic tensors until changes are undone; with Keras 2 they already do."""
