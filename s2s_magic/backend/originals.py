"""What TensorFlow knows of the code that runs: its source lines, and whether a model is being saved."""

from __future__ import annotations

from tensorflow.python.saved_model import save_context
from tensorflow.python.util import tf_stack


def original_lines() -> list[tuple[str, int]]:
    """Return (file name, line) of each frame, innermost first, mapping autograph's generated code to its origin."""
    return [(frame.filename, frame.lineno) for frame in reversed(list(tf_stack.extract_stack()))]


def is_saving() -> bool:
    """Return whether a SavedModel is being traced."""
    return bool(save_context.in_save_context())
