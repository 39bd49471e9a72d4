"""Render a report as plain text, for terminals and golden files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from s2s_magic.ledger import Evidence
from s2s_magic.ledger.words import counted, number_text
from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.evidence_words import batch_text, courses, end_text, kernels_text, measured, run_name, shares, told
from s2s_magic.view.report import OwnerRow, Port, Report, Step, TreeRow
from s2s_magic.view.summary import summary
from s2s_magic.view.tables import Table

WIDTH = 100
_CUT = "…"
_LEAST = 6
_FOLDS, _ROOM = 4, 8
"""The most lines that a name is folded over, and the fewest characters a line for which it is."""


def to_text(report: Report, *, width: int = WIDTH) -> str:
    """Render a report as text without colour.

    Parameters
    ----------
    report
        What to show.
    width
        Characters per line; longer expressions are cut with an ellipsis.

    Returns
    -------
    str
        Lines without trailing blanks, ending in a newline.
    """
    training = _training(report, width) if report.fitted else []
    blocks = [_heading(report, width), training, _steps(report, width), _owners(report, width)]
    blocks.append(_findings(report, width))
    return joined([line.rstrip() for block in blocks if block for line in ("", *block)][1:])


def training_text(report: Report, *, width: int = WIDTH) -> str:
    """Render only what fits did, as text."""
    return joined(line.rstrip() for line in _training(report, width))


def cut(text: str, width: int) -> str:
    """Put text on one line of at most ``width`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(0, width - 1)] + _CUT


def table(shown: Table, *, width: int = WIDTH) -> list[str]:
    """Align columns; if the table is too wide, the first is folded, for names often differ in their ends alone."""
    rows = [["" if cell is None else str(cell) for cell in row] for row in (shown.head, *shown.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    widths[0] = max(_LEAST, widths[0] - max(0, over))
    rows.insert(1, ["─" * size for size in widths])
    lines: list[str] = []
    for first, *others in rows:
        name, *more = _folded(first, widths[0])
        lines += ["  ".join(_cells([name, *others], widths, shown.right)).rstrip(), *more]
    return lines


def _cells(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> Iterator[str]:
    for number, (cell, size) in enumerate(zip(row, widths, strict=True)):
        yield cell.rjust(size) if number in right else cell.ljust(size)


def _folded(name: str, size: int) -> list[str]:
    """Fold a name over lines, if it can be after a blank, a dot or an underscore."""
    indent = " " * (len(name) - len(name.lstrip()) + 4)
    lines: list[str] = []
    while len(name) > size and size - len(indent) >= _ROOM and len(lines) < _FOLDS - 1:
        least = len(indent) + (size - len(indent)) // 3
        at = next((at for mark in " ._" if (at := name.rfind(mark, least, size) + 1)), size)
        lines.append(name[:at].rstrip())
        name = indent + name[at:]
    return [*lines, name if len(name) <= size else name[: size - 1] + _CUT]


def joined(lines: Iterable[str]) -> str:
    """Join lines, making each safe to show in a terminal."""
    return "\n".join(map(in_a_line, lines)) + "\n"


def _heading(report: Report, width: int) -> list[str]:
    until = f", after step {report.after}" if report.after < len(report.ledger.events) - 1 else ""
    said = textwrap.wrap(f"{report.name}{until}: {summary(report)}", width, subsequent_indent="    ")
    return [*said, ", ".join(report.sizes)]


def _steps(report: Report, width: int) -> list[str]:
    if not report.steps:
        return ["Nothing was recorded."]
    margin = " " * 12
    several = len(report.cells) > 1
    lines = ["STEP  LINE  " + "WHAT HAPPENED".ljust(width - 28) + "TRAINABLE SO FAR"]
    cell = None
    for step in report.steps:
        if several and step.place.cell != cell:
            cell = step.place.cell
            lines.append(f"cell {cell}")
        call = f"  call {step.call}" if step.call is not None else ""
        room = width - 12 - 18
        what = cut(step.place.source, room - len(call)) + call
        lines.append(f"{step.index:4}  {step.place.line:4}  {what.ljust(room)}{step.trainable:18,}")
        for detail in _details(step, report):
            lines += textwrap.wrap(detail, width, initial_indent=margin, subsequent_indent=f"{margin}    ")
    return lines


def _details(step: Step, report: Report) -> Iterator[str]:
    """Yield the tensors in and out of an event, and what it did to variables."""
    if step.inputs or step.outputs:
        wires = " → ".join(filter(None, [_ports(step.inputs), _ports(step.outputs)]))
        yield wires + (" (data flowing)" if step.phase == "data flowing" else "")
    if step.kind == "constructed" and not step.outputs:
        yield step.sentence
    changes = [f"+ new: {_grouped(report, step.created)}"] if step.created else []
    if step.reused and step.kind == "called":
        changes.append(f"↻ reused: {_grouped(report, step.reused)}")
    if changes:
        yield "   ".join(changes)


def _ports(ports: Sequence[Port]) -> str:
    return ", ".join(f"{port.name} {port.shape}" for port in ports)


def _grouped(report: Report, keys: Sequence[str]) -> str:
    """Group variables by owner: ``decoder_cell (kernel, bias) 1,071,104``."""
    owners: dict[str, list[str]] = {}
    for key in keys:
        owners.setdefault(report.variables[key].owner, []).append(key)
    return ", ".join(
        f"{report.variables[held[0]].owner_name} ({', '.join(report.variables[key].name for key in held)}) "
        f"{sum(report.variables[key].params for key in held):,}"
        for held in owners.values()
    )


def _owners(report: Report, width: int) -> list[str]:
    caption = f"OWNERS AFTER STEP {report.after}"
    rows = [
        (_owner(line), line.shape, f"{line.params:,}", line.bytes_text, line.used_by, line.state)
        for line in report.tree()
    ]
    shown = Table(caption, ("OWNER", "SHAPE", "PARAMETERS", "BYTES", "USED BY", "STATE"), rows, right=(2, 3))
    totals = textwrap.wrap(str(report.totals), width, subsequent_indent="    ")
    return [caption, *table(shown, width=width), *totals] if rows else []


def _owner(line: TreeRow) -> str:
    kind = f" ({line.row.class_name})" if isinstance(line.row, OwnerRow) else ""
    return f"{'  ' * line.depth}{line.row.name}{kind}"


def _findings(report: Report, width: int) -> list[str]:
    if not report.findings:
        return []
    lines = ["FINDINGS"]
    for finding in report.findings:
        where = f" (step {finding.event})" if finding.event is not None else ""
        lines += textwrap.wrap(
            f"{finding.text}{where}", width, initial_indent=f"{finding.kind}: ", subsequent_indent="    "
        )
    return lines


def _training(report: Report, width: int) -> list[str]:
    evidence = report.training
    if evidence is None or not evidence.runs:
        return ["TRAINING", "Nothing was fitted yet."]
    names = ("Variable", "Made in", "Gradient norm", "On steps", "Update", "Distance", "Verdict")
    rows = measured(report, evidence).columns(*names)
    shown = Table("", [name.upper() for name in names], rows, right=(3, 4, 5))
    said = told(report, evidence)
    return [
        "TRAINING",
        *(line for text in said for line in textwrap.wrap(text, width, subsequent_indent="    ")),
        "",
        *table(shown, width=width),
        "",
        *(f"{name}: {course}" for name, course in courses(evidence.history)),
        *_runs(evidence),
        *_shares(report, evidence, width),
        f"How a verdict is decided: %seq2seq explain {report.name} verdicts",
    ]


def _runs(evidence: Evidence) -> Iterator[str]:
    for number, run in enumerate(evidence.runs, 1):
        ended = f", {end}" if (end := end_text(run)) else ""
        yield (
            f"fit {run_name(run, number)}: {counted(run.epochs, 'epoch')} in {run.seconds:.1f} s, "
            f"{counted(run.steps, 'step')} of batch {batch_text(run)}, {run.optimizer}{ended}"
        )
        if kernels := kernels_text(run):
            yield f"  {kernels}"


def _shares(report: Report, evidence: Evidence, width: int) -> Iterator[str]:
    for share, variable, source in shares(report, evidence):
        yield from textwrap.wrap(
            f"{variable.full_name}: {share.share:.0%} of its gradient (norm {number_text(share.norm)}) "
            f"came through step {share.event}, {cut(source, 40)}",
            width,
            subsequent_indent="    ",
        )
