"""Source lines of the running stack."""

from __future__ import annotations

from tensorflow.python.util import tf_stack


def original_lines() -> list[tuple[str, int]]:
    """Return (file name, line) of each frame, innermost first, mapping autograph's generated code to its origin."""
    return [(frame.filename, frame.lineno) for frame in reversed(list(tf_stack.extract_stack()))]
