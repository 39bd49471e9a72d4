"""Bridge the versions of IPython and ipywidgets, from Colab's 7.34 and 7.7.1 to today's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

Candidates = Callable[[str, str], Sequence[str]]
"""Maps the text before the cursor and the word at it to completions; empty outside ``%seq2seq`` lines and cells."""


def matchers(shell: Any) -> list[Any]:
    """Return a shell completer's list of the matchers whose results suppress all others."""
    completer = shell.Completer
    found: list[Any] = completer.custom_matchers if _has_contexts() else completer.magic_arg_matchers
    return found


def matcher(candidates: Candidates) -> Callable[..., Any]:
    """Return a matcher for the list that `matchers` returns."""
    if not _has_contexts():
        return _by_line(candidates)
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier="s2s_magic")  # type: ignore[untyped-decorator]
    def complete(context: Any) -> Any:
        before = _before(context.full_text, context.cursor_line, context.cursor_position)
        words = candidates(before, context.token)
        return {"completions": [SimpleCompletion(text=word) for word in words], "suppress": bool(words)}

    matching: Callable[..., Any] = complete
    return matching


def _has_contexts() -> bool:
    """Return whether matchers receive the whole cell (IPython 8.6 and later)."""
    from IPython.core import completer

    return hasattr(completer, "context_matcher")


def _by_line(candidates: Candidates) -> Callable[[str], Sequence[str]]:
    """Return a matcher that receives only its line; cell, cursor and word are read from its caller's variables."""

    def complete(line: str) -> Sequence[str]:
        seen = sys._getframe(1).f_locals
        text = seen.get("full_text") or line
        before = _before(text, seen.get("cursor_line", 0), seen.get("cursor_pos", len(text)))
        return candidates(before, seen.get("text", ""))

    return complete


def _before(text: str, line: int, position: int) -> str:
    """Return a cell's text up to the cursor."""
    lines = text.split("\n")[: line + 1]
    return "\n".join([*lines[:-1], lines[-1][:position]])


def named_by(shell: Any, code: CodeType) -> CodeType:
    """Return a cell's code renamed for tracebacks: an older IPython derives the name from its first line."""
    rename = getattr(shell, "_update_code_co_name", None)
    return code if rename is None else rename(code)
