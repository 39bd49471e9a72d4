"""Show the steps and owners of a large report: compact tables, folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from s2s_magic.ledger.words import abridged, counted
from s2s_magic.view.html.markup import Markup, frame, join, table, tag
from s2s_magic.view.report import OwnerRow, Report, Step, TreeRow
from s2s_magic.view.tables import Cell, Table
from s2s_magic.view.text import cut

PAGE = 500
BRIEF = 20
_EXPRESSION = 60
_STEPS = ("Step", "Line", "Expression", "What it did", "Trainable so far")
_OWNERS = ("Owner", "Variables", "Parameters", "Calls", "State")


def large_steps_html(report: Report) -> Markup:
    """Show the steps as tables of 500, each folded."""
    pages = [report.steps[start : start + PAGE] for start in range(0, len(report.steps), PAGE)]
    return join(_folded(_summary(page), _steps(report, page)) for page in pages)


def _folded(summary: str, shown: Table) -> Markup:
    body = frame(table(shown, class_="s2s-compact"), str(shown.caption), "s2s-high")
    return tag("details", tag("summary", summary), body)


def _summary(page: Sequence[Step]) -> str:
    """Summarize a table's contents, to be read before it is opened."""
    created = sum(len(step.created) for step in page)
    return (
        f"Steps {page[0].index:,} to {page[-1].index:,}: {counted(created, 'new variable')}, "
        f"{page[-1].trainable:,} trainable parameters by then"
    )


def _steps(report: Report, page: Sequence[Step]) -> Table:
    rows = [
        (step.index, step.place.line, cut(step.place.source, _EXPRESSION), _did(report, step), f"{step.trainable:,}")
        for step in page
    ]
    return Table(f"Steps {page[0].index} to {page[-1].index}", _STEPS, rows)


def _did(report: Report, step: Step) -> str:
    """Summarize what a step did: ``call 2: ↻ embeddings``."""
    said = [f"call {step.call}"] if step.call is not None else [f"○ {step.layer}"]
    for sign, keys in (("+", step.created), ("↻", step.reused)):
        if keys:
            owners = list(dict.fromkeys(report.variables[key].owner_name for key in keys))
            said.append(f"{sign} {abridged(owners)}")
    return ": ".join(said)


def large_owners_html(report: Report) -> Markup:
    """Show one row per owner, with its variables in words."""
    return join([_folded(f"Show all {len(report.owners):,} owners", _owners(report)), tag("p", str(report.totals))])


def brief_owners_html(report: Report) -> Markup:
    """Show the same for where styles are removed, which else would hide it; past twenty owners folded."""
    shown = _owners(report)
    if len(shown.rows) > BRIEF:
        return tag("div", _folded(f"Show all {len(shown.rows):,} owners", shown), class_="s2s-brief")
    return tag("div", table(shown), class_="s2s-brief")


def first_owners_html(report: Report) -> Markup:
    """Show the first twenty owners, and say how many more there are."""
    shown = _owners(report)
    rest = len(shown.rows) - BRIEF
    more = tag("p", f"and {counted(rest, 'more owner')}") if rest > 0 else None
    return join([table(replace(shown, rows=shown.rows[:BRIEF])), more])


def _owners(report: Report) -> Table:
    rows = [_owner(report, line, line.row) for line in report.tree() if isinstance(line.row, OwnerRow)]
    return Table("Who owns what at the end", _OWNERS, rows)


def _owner(report: Report, line: TreeRow, owner: OwnerRow) -> list[Cell]:
    held = [report.variables[key] for key in owner.variables]
    return [
        tag("span", f"{owner.name} {owner.class_name}", style=f"padding-left:{line.depth}em"),
        ", ".join(f"{variable.name} {variable.shape}" for variable in held),
        f"{line.params:,}",
        f"{len(owner.steps):,}",
        line.state,
    ]
