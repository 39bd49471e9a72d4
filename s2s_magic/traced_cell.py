"""Run a cell under capture, and return the handle for its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s2s_magic import backend
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.tracing import Traced


def trace_cell(
    code: str,
    namespace: dict[str, Any],
    *,
    name: str,
    before: Seq2Seq | None = None,
    shell: Any = None,
    first_line: int = 1,
    keep: Callable[[Seq2Seq, BaseException | None], None] | None = None,
) -> tuple[Seq2Seq, BaseException | None]:
    """Run code under capture; return the ledger up to where it ended, and the exception it raised, or None.

    Parameters
    ----------
    code, namespace, name, before
        As for `trace`.
    shell
        The InteractiveShell that runs the cell, so that magics and ``await`` work.
    first_line
        The gutter's line number of the first line of code.
    keep
        Called with both as soon as they exist, even if an interrupt then stops this function; possibly repeatedly.

    Raises
    ------
    SetupError
        If no Keras that can be traced is installed.
    """
    backend.active()
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.tracing import Tracing, advised

    earlier = _as_traced(before) if before is not None else None
    tracing = Tracing(code, namespace, name=name, shell=shell, before=earlier, first_line=first_line)
    made: list[Seq2Seq] = []

    def seen() -> Seq2Seq:
        if not made:
            traced = tracing.traced()
            new = Seq2Seq(name=name, ledger=traced.ledger, live=traced.live, source=code, namespace=traced.namespace)
            made.append(new if before is None else _going_on(new, before))
        return made[0]

    with Changes() as changes, changes, changes:
        if keep is not None:
            changes.undo_by(lambda: keep(seen(), tracing.error) if tracing.began else None)
        tracing.go()
    return seen(), advised(tracing.traced()) or tracing.error


def _going_on(seen: Seq2Seq, before: Seq2Seq) -> Seq2Seq:
    """Return the new handle with the source, ids, tokenizers and evidence of the one that it continues."""
    return replace(
        seen,
        ledger=seen.ledger.with_training(before.evidence),
        source=f"{before.source}\n\n{seen.source}",
        ids=replace(before.ids, padding=None, unknown=None, tokens={}, added=False),  # the main model may have changed
        tokenizers=before.tokenizers,
        evidence=before.evidence,
        fitted=before.fitted,
    )


def _as_traced(seen: Seq2Seq) -> Traced:
    from s2s_magic.tracing import Traced

    return Traced(ledger=seen.ledger, live=seen.live, namespace=seen.namespace)
