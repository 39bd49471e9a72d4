"""Where the stack stands."""

from __future__ import annotations

from tensorflow.python.util import tf_stack


def original_lines() -> list[tuple[str, int]]:
    """Return (file name, line) of the stack from within, with autograph's generated code traced back to its origin."""
    return [(frame.filename, frame.lineno) for frame in reversed(list(tf_stack.extract_stack()))]
