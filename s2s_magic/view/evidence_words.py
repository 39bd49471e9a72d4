"""What is said of the variables of a fit, in the words that text and HTML share."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_magic.ledger import Evidence, Run, VariableEvidence
from s2s_magic.ledger.verdict_words import title
from s2s_magic.ledger.words import abridged, listing, number_text
from s2s_magic.view.report import Report

NAMED = 3
"""So many variables of one fate are named, the rest are counted."""


def told(report: Report, evidence: Evidence) -> list[str]:
    """Give the sentences about what needs saying; variables of which the same is true have one together."""
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
    """Say whether a variable was trained, on every step of every fit, as a whole."""
    if seen.verdict != "trained":
        return False
    whole = all(effect.verdict == "trained" and effect.with_gradient == effect.steps for effect in seen.fits)
    return whole and seen.rows_moved is None and "regularizer alone" not in seen.text


def gradient_steps_text(seen: VariableEvidence) -> str:
    """Say on how many steps of all fits there was a gradient."""
    if not seen.fits or not any(effect.given for effect in seen.fits):
        return "–"
    steps, live = seen.steps, seen.with_gradient
    return f"all {steps:,}" if live == steps else f"{live:,} of {steps:,}"


def gradient_text(seen: VariableEvidence) -> str:
    """Give the gradient's norm in the first epoch and in the last; a dash where the optimizer was given none."""
    if not seen.gradient_norm or (seen.fits and not any(effect.given for effect in seen.fits)):
        return "–"
    return f"{number_text(seen.gradient_norm[0])} → {number_text(seen.gradient_norm[-1])}"


def rows_text(report: Report, key: str, seen: VariableEvidence) -> str:
    """Say how many of a variable's rows moved; a dash for one that is not read by rows."""
    variable = report.ledger.variables.get(key)
    if seen.rows_moved is None or variable is None or not variable.shape:
        return "–"
    return f"{seen.rows_moved:,} of {variable.shape[0]:,}"


def kernels_text(run: Run) -> str:
    """Say what ran on faster kernels in a fit, and why the rest did not; the empty string where that is not known."""
    fast = [name for name, said in run.accelerated.items() if said == "accelerated"]
    slow = [f"{name} did not: {said}" for name, said in run.accelerated.items() if said != "accelerated"]
    told = [f"{abridged(fast, most=12)} ran on faster kernels"] if fast else []
    return "; ".join([*told, *slow])
