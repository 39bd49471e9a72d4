"""Completion in ``%seq2seq`` lines and ``%%seq2seq`` cells: verbs, NAMEs, options, keys of a spec and of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from s2s_magic.options import CELL_VERBS, LINE_VERBS, VERBS, flags_of

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

_LINE, _CELL = "%seq2seq", "%%seq2seq"


def candidates(text_before: str, names: Callable[[], Iterable[str]]) -> list[str] | None:
    """List what could stand at the cursor.

    Parameters
    ----------
    text_before
        The cell up to the cursor.
    names
        Gives the names bound to models.

    Returns
    -------
    list of str or None
        Whole words, not yet filtered by what is typed; None where the cursor is not ours.
    """
    lines = text_before.split("\n")
    here = lines[-1]
    if len(lines) > 1 and lines[0].lstrip().startswith(_CELL):
        return _body_keys(lines[0], here)
    stripped = here.lstrip()
    magic = _CELL if stripped.startswith(_CELL + " ") else _LINE if stripped.startswith(_LINE + " ") else None
    if magic is None:
        return None
    given = stripped[len(magic) :].split(" ")[1:]
    if len(given) <= 1:
        return [*(CELL_VERBS if magic == _CELL else LINE_VERBS), "--help"]
    verb, typed, before = given[0], given[-1], [word for word in given[1:-1] if word]
    if verb not in VERBS:
        return None
    if typed.startswith("-"):
        return [flag for flag in flags_of(verb) if flag not in before]
    positional = sum(not word.startswith("-") for word in before)
    return list(names()) if positional == 0 or (verb == "compare" and positional == 1) else []


def _body_keys(first_line: str, here: str) -> list[str] | None:
    verb = [*first_line.split(), "", ""][1]
    if verb not in ("build", "fit") or ":" in here:
        return None
    from s2s_magic.spec import FIT_KEYS, SPEC_KEYS

    return [f"{key}: " for key in (SPEC_KEYS if verb == "build" else FIT_KEYS)]


def matcher(names: Callable[[], Iterable[str]]) -> Callable[[CompletionContext], Any]:
    """Make a matcher for IPython's completer (``context_matcher``, the second version of its API)."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier="s2s_magic")  # type: ignore[untyped-decorator]
    def complete(context: CompletionContext) -> Any:
        before = "\n".join(context.full_text.split("\n")[: context.cursor_line + 1])
        before = before[: len(before) - len(before.split("\n")[-1]) + context.cursor_position]
        found = candidates(before, names)
        if found is None:
            return {"completions": [], "suppress": False}
        typed = before.rpartition("\n")[2].rpartition(" ")[2]
        # IPython replaces `context.token`, which stops at characters such as "-"
        kept = len(typed) - len(context.token) if typed.endswith(context.token) else 0
        fitting = [SimpleCompletion(text=word[kept:]) for word in found if word.startswith(typed)]
        return {"completions": fitting, "suppress": bool(fitting)}

    matching: Callable[[CompletionContext], Any] = complete
    return matching
