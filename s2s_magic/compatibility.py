"""What differs between the versions of IPython and ipywidgets: 7.34 and 7.7.1, as Colab has them, up to today's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

Candidates = Callable[[str, str], tuple[Sequence[str], bool]]
"""From the text before the cursor and the word there: what it may become, and whether that is all there is to offer."""


def matcher(candidates: Candidates) -> Callable[..., Any]:
    """Make a matcher for IPython's ``Completer.custom_matchers``.

    Parameters
    ----------
    candidates
        Says what the word before the cursor may become.
    """
    from IPython.core import completer

    if not hasattr(completer, "context_matcher"):
        return _by_word(candidates)

    @completer.context_matcher(identifier="s2s_magic")  # type: ignore[untyped-decorator]
    def complete(context: Any) -> Any:
        before = _before(context.full_text, context.cursor_line, context.cursor_position)
        words, alone = candidates(before, context.token)
        return {"completions": [completer.SimpleCompletion(text=word) for word in words], "suppress": alone}

    matching: Callable[..., Any] = complete
    return matching


def _by_word(candidates: Candidates) -> Callable[[str], Sequence[str]]:
    """Make a matcher as IPython before 8.6 calls it: with the word alone; the cell is in its variables."""

    def complete(word: str) -> Sequence[str]:
        seen = sys._getframe(1).f_locals
        text = seen.get("full_text") or seen.get("line_buffer") or word
        return candidates(_before(text, seen.get("cursor_line", 0), seen.get("cursor_pos", len(text))), word)[0]

    return complete


def _before(text: str, line: int, position: int) -> str:
    """Give a cell's text up to the cursor."""
    lines = text.split("\n")[: line + 1]
    return "\n".join([*lines[:-1], lines[-1][:position]])


def named_by(shell: Any, code: CodeType) -> CodeType:
    """Give a cell's code the name by which tracebacks call it: an older IPython chooses one by its first line."""
    rename = getattr(shell, "_update_code_co_name", None)
    return code if rename is None else rename(code)
