"""Steps and owners of a large report: compact tables, folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from s2s_magic.ledger.words import abridged, counted
from s2s_magic.view.escaping import escape
from s2s_magic.view.html.markup import Markup, frame, join, tag
from s2s_magic.view.report import OwnerRow, Report, Step, VariableRow
from s2s_magic.view.text import cut

PAGE = 500
_EXPRESSION = 60


def large_steps_html(report: Report) -> Markup:
    """Show the steps as tables of 500, each folded."""
    pages = [report.steps[start : start + PAGE] for start in range(0, len(report.steps), PAGE)]
    return join(
        tag(
            "details",
            tag("summary", _summary(page)),
            _table(
                f"Steps {page[0].index} to {page[-1].index}",
                ("Step", "Line", "Expression", "What it did", "Trainable so far"),
                "".join(_step(report, step) for step in page),
            ),
        )
        for page in pages
    )


def _summary(page: Sequence[Step]) -> str:
    """Say what a table holds before it is opened."""
    created = sum(len(step.created) for step in page)
    return (
        f"Steps {page[0].index:,} to {page[-1].index:,}: {counted(created, 'new variable')}, "
        f"{page[-1].trainable:,} trainable parameters by then"
    )


def _table(caption: str, head: tuple[str, ...], rows: str) -> Markup:
    heads = (tag("th", name, scope="col") for name in head)
    body = tag("table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", Markup(rows)),
               class_="s2s-table s2s-compact")  # fmt: skip
    return frame(body, caption, "s2s-scroll s2s-high")


def _step(report: Report, step: Step) -> str:
    expression = escape(cut(step.place.source, _EXPRESSION))
    return (
        f'<tr><th scope="row">{step.index}</th><td>{step.place.line}</td><td>{expression}</td>'
        f"<td>{escape(_did(report, step))}</td><td>{step.trainable:,}</td></tr>"
    )


def _did(report: Report, step: Step) -> str:
    """Say in a few words what a step did: ``call 2: ↻ embeddings``."""
    said = [f"call {step.call}"] if step.call is not None else [f"○ {step.layer}"]
    for sign, keys in (("+", step.created), ("↻", step.reused)):
        if keys:
            owners = list(dict.fromkeys(report.variables[key].owner_name for key in keys))
            said.append(f"{sign} {abridged(owners)}")
    return ": ".join(said)


def large_owners_html(report: Report) -> Markup:
    """Show one row an owner, its variables in words."""
    rows = "".join(_owners(report))
    return join(
        [
            tag(
                "details",
                tag("summary", f"Show all {len(report.owners):,} owners"),
                _table("Who owns what at the end", ("Owner", "Variables", "Parameters", "Calls", "State"), rows),
            ),
            tag("p", str(report.totals)),
        ]
    )


def _owners(report: Report) -> Iterator[str]:
    held: list[VariableRow] = []
    for line in report.tree():
        if isinstance(line.row, OwnerRow):
            held = [report.variables[key] for key in line.row.variables]
            variables = ", ".join(f"{variable.name} {variable.shape}" for variable in held)
            yield (
                f'<tr><th scope="row" style="padding-left:{line.depth}em">{escape(line.row.name)} '
                f"{escape(line.row.class_name)}</th><td>{escape(variables)}</td><td>{line.params:,}</td>"
                f"<td>{len(line.row.steps):,}</td><td>{escape(line.state)}</td></tr>"
            )
