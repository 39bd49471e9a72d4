"""Describe the variables of a fit, in the words that text and HTML share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from s2s_magic.ledger import CallShare, Evidence, Run, VariableEvidence
from s2s_magic.ledger.verdict_words import title
from s2s_magic.ledger.words import abridged, listing, number_text
from s2s_magic.view.linked import where
from s2s_magic.view.report import Report, VariableRow
from s2s_magic.view.tables import Table

NAMED = 3
"""Of the variables with the same outcome, this many are named and the rest counted."""


def told(report: Report, evidence: Evidence) -> list[str]:
    """Return the sentences about noteworthy variables; those with the same outcome share one sentence."""
    same: dict[str, list[str]] = {}
    for key, seen in evidence.variables.items():
        if not _goes_without_saying(seen):
            name = title(report.ledger.variables[key]) if key in report.ledger.variables else ""
            known = bool(name) and seen.text.startswith(f"{name} ")
            same.setdefault(seen.text.removeprefix(f"{name} ") if known else seen.text, []).append(
                name if known else ""
            )
    return [_together(names, words) for words, names in same.items()]


def _together(names: Sequence[str], words: str) -> str:
    if not any(names):
        return words
    if len(names) == 1:
        return f"{names[0]} {words}"
    return f"Each of {listing(names, most=NAMED)} {words}"


def _goes_without_saying(seen: VariableEvidence) -> bool:
    """Return whether a whole variable was trained on every step of every fit."""
    if seen.verdict != "trained":
        return False
    whole = all(effect.verdict == "trained" and effect.with_gradient == effect.steps for effect in seen.fits)
    return whole and seen.rows_moved is None and "regularizer alone" not in seen.text


def measured(report: Report, evidence: Evidence, *, lines: bool = False) -> Table:
    """Return the table of all variables, with ``lines`` beside the steps that made them.

    It has a column of rows only if some variable is read by rows.
    """
    by_rows = any(seen.rows_moved is not None for seen in evidence.variables.values())
    head = (
        *("Variable", "Made in", "Gradient norm", "On steps", "Update", "Update / weight", "Distance"),
        *(("Rows moved",) if by_rows else ()),
        "Verdict",
    )
    rows = []
    for key, seen in evidence.variables.items():
        if key in report.variables:
            variable = report.variables[key]
            step = where(report, [variable.born]) if lines and variable.born >= 0 else f"step {variable.born}"
            made_in = step if variable.born >= 0 else "elsewhere"
            numbers = [series[-1:] for series in (seen.update_norm, seen.update_ratio, seen.distance)]
            last = [number_text(*number) if number else "–" for number in numbers]
            moved = (_rows_moved(report, key, seen),) if by_rows else ()
            rows.append((variable.full_name, made_in, _gradient(seen), _on_steps(seen), *last, *moved, seen.verdict))
    return Table("What training did to each variable", head, rows, right=range(4, len(head) - 1))


def _on_steps(seen: VariableEvidence) -> str:
    """Say on how many steps of all fits there was a gradient."""
    if not seen.fits or not any(effect.given for effect in seen.fits):
        return "–"
    steps, live = seen.steps, seen.with_gradient
    return f"all {steps:,}" if live == steps else f"{live:,} of {steps:,}"


def _gradient(seen: VariableEvidence) -> str:
    """Return the gradient's norm in the first and the last epoch; a dash if the optimizer received no gradient."""
    if not seen.gradient_norm or (seen.fits and not any(effect.given for effect in seen.fits)):
        return "–"
    return f"{number_text(seen.gradient_norm[0])} → {number_text(seen.gradient_norm[-1])}"


def _rows_moved(report: Report, key: str, seen: VariableEvidence) -> str:
    """Say how many of a variable's rows moved; a dash if it is not read by rows."""
    variable = report.ledger.variables.get(key)
    if seen.rows_moved is None or variable is None or not variable.shape:
        return "–"
    return f"{seen.rows_moved:,} of {variable.shape[0]:,}"


def shares(report: Report, evidence: Evidence) -> Iterator[tuple[CallShare, VariableRow, str]]:
    """Yield the share of a shared variable's gradient through each call, with the variable and the call's text."""
    sources = {step.index: step.place.source for step in report.steps}
    for share in evidence.by_call:
        if share.variable in report.variables and share.event in sources:
            yield share, report.variables[share.variable], sources[share.event]


def courses(history: Mapping[str, Sequence[float | None]]) -> Iterator[tuple[str, str]]:
    """Yield each loss and metric with its first and its last number: ``4.66 → 1.76``."""
    for name, numbers in history.items():
        known = [number for number in numbers if number is not None]
        if known:
            yield name, f"{number_text(known[0])} → {number_text(known[-1])}"


def run_name(run: Run, number: int) -> str:
    """Name a fit by its number, and by its model if several were fitted."""
    return f"{number} of {run.model}" if run.model else f"{number}"


def batch_text(run: Run) -> str:
    """Say how many rows a step of a fit had, and how many steps made an update if one did not."""
    rows = f"{run.batch}" if run.batch else "as given"
    return rows if run.accumulate == 1 else f"{rows} ({run.accumulate} to an update)"


def end_text(run: Run) -> str:
    """Say how a fit ended; the empty string if it ran to its end."""
    return "interrupted" if run.interrupted else f"stopped: {run.stopped}" if run.stopped else ""


def kernels_text(run: Run) -> str:
    """Say what ran on faster kernels in a fit, and why the rest did not; the empty string if unknown."""
    fast = [name for name, said in run.accelerated.items() if said == "accelerated"]
    slow = [f"{name} did not: {said}" for name, said in run.accelerated.items() if said != "accelerated"]
    told = [f"{abridged(fast, most=12)} ran on faster kernels"] if fast else []
    return "; ".join([*told, *slow])
