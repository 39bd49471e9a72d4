"""Render a report as short Markdown (GitHub's, with tables), for notebooks that are converted to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from s2s_magic.ledger.words import counted, steps_text
from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.evidence_words import courses, measured, told
from s2s_magic.view.report import Report, Step
from s2s_magic.view.summary import summary
from s2s_magic.view.text import cut

LONGEST, ROWS = 60, 60
"""A longer expression is cut to so many characters, and a longer table to so many rows."""


def to_markdown(report: Report) -> str:
    """Render a report as Markdown: what matters of it, since a page has the rest.

    The steps are those that make or reuse variables; an owner has one row.
    """
    until = f", after step {report.after}" if report.after < len(report.ledger.events) - 1 else ""
    blocks = [[f"**{_plain(report.name)}**{until}: {_plain(summary(report))}"]]
    if report.fitted:
        blocks += _training(report)
    blocks += [_steps(report), _owners(report), [f"- {_plain(f'{f.kind}: {f.text}')}" for f in report.findings]]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _steps(report: Report) -> list[str]:
    telling = [step for step in report.steps if step.kind == "called" and (step.created or step.reused)]
    rows = [(str(step.index), str(step.place.line), _code(step.place.source), _what(report, step)) for step in telling]
    return [*_table(("Step", "Line", "Call", "Variables"), rows), "", _others(report, telling)] if rows else []


def _others(report: Report, telling: Sequence[Step]) -> str:
    rest = len(report.steps) - len(telling)
    return f"{counted(rest, 'other step')} without variables." if rest else ""


def _what(report: Report, step: Step) -> str:
    """Say whose variables a call makes and reuses."""
    parts = []
    for said, keys in (("new", step.created), ("reused", step.reused)):
        owners = dict.fromkeys(report.variables[key].owner_name for key in keys)
        parts += [f"{said}: {', '.join(owners)}"] if owners else []
    return _plain("; ".join(parts))


def _owners(report: Report) -> list[str]:
    rows = []
    for owner in report.owners.values():
        own = [report.variables[key] for key in owner.variables]
        if own:
            states = dict.fromkeys(row.state for row in own)
            params = f"{sum(row.params for row in own):,}"
            used = steps_text(owner.steps) if owner.steps else "–"
            names = ", ".join(row.name for row in own)
            rows.append((_plain(owner.name), _plain(names), params, used, _plain(", ".join(states))))
    return _table(("Owner", "Owns", "Parameters", "Used by", "State"), rows) if rows else []


def _training(report: Report) -> Iterator[list[str]]:
    evidence = report.training
    if evidence is None or not evidence.runs:
        yield ["Nothing was fitted yet."]
        return
    yield [f"- {_plain(text)}" for text in told(report, evidence)]
    names = ("Variable", "Gradient norm", "On steps", "Distance", "Verdict")
    rows = measured(report, evidence).columns(*names)
    yield _table(names, [[_plain(str(cell)) for cell in row] for row in rows])
    yield [_plain(", ".join(f"{name} {course}" for name, course in courses(evidence.history)))]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"|{'|'.join(row)}|" for row in (head, *rows[:ROWS])]
    rest = len(rows) - ROWS
    return [lines[0], "|".join(["", *["-"] * len(head), ""]), *lines[1:], *([f"|… {rest:,} more|"] if rest > 0 else [])]


def _plain(text: str) -> str:
    """Return text on one line without anything that Markdown or HTML would take for markup."""
    safe = re.sub(r"([\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", in_a_line(text))
    return safe.replace("&", "&amp;").replace("<", "&lt;")


def _code(source: str) -> str:
    """Return an expression as a code span; as plain text where it has what cannot stand in a code span of a table."""
    text = in_a_line(cut(source, LONGEST))
    return _plain(text) if not text or "|" in text or "`" in text else f"`{text}`"
