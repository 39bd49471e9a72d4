"""A report as plain text, for terminals and golden files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from s2s_magic.ledger import Evidence
from s2s_magic.ledger.words import bytes_text, counted, number_text, steps_text
from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.evidence_words import gradient_steps_text, gradient_text, kernels_text, told
from s2s_magic.view.report import OwnerRow, Port, Report, Step, TreeRow

WIDTH = 100
_CUT = "…"
_LEAST = 6


def to_text(report: Report, *, width: int = WIDTH) -> str:
    """Render a report as text without colour.

    Parameters
    ----------
    report
        What to show.
    width
        Characters a line; longer expressions are cut with an ellipsis.

    Returns
    -------
    str
        Lines without trailing blanks, ending in a newline.
    """
    blocks = [_heading(report), _steps(report, width), _owners(report, width), _findings(report, width)]
    if report.fitted:
        blocks.append(_training(report, width))
    lines = [in_a_line(line.rstrip()) for block in blocks if block for line in ("", *block)]
    return "\n".join(lines[1:]) + "\n"


def cut(text: str, width: int) -> str:
    """Put a text on one line of at most ``width`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(0, width - 1)] + _CUT


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), width: int = WIDTH
) -> list[str]:
    """Align columns; those numbered in ``right`` end together, and the first gives way where the table is too wide."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    widths[0] = max(_LEAST, widths[0] - max(0, over))
    lines = []
    for row in (head, ["─" * size for size in widths], *rows):
        cells = [
            cell.rjust(size)
            if number in right
            else (cell if len(cell) <= size else cell[: size - 1] + _CUT).ljust(size)
            for number, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _heading(report: Report) -> list[str]:
    totals = report.totals
    until = f", after step {report.after}" if report.after < len(report.ledger.events) - 1 else ""
    return [
        f"{report.name}{until}: {counted(len(report.steps), 'step')}, {counted(len(report.variables), 'variable')}, "
        f"{totals.trainable:,} trainable of {totals.total:,} parameters"
    ]


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
    """Say what went through an event, and what it did to variables."""
    if step.inputs or step.outputs:
        wires = " → ".join(filter(None, [_ports(step.inputs), _ports(step.outputs)]))
        yield wires + (" (data flowing)" if step.phase == "data flowing" else "")
    if step.kind == "constructed" and not step.outputs:
        yield step.sentence
    changes = [f"+ new: {_grouped(report, step.created)}"] if step.created else []
    if step.reused and step.kind == "called":
        changes.append(f"↻ again: {_grouped(report, step.reused)}")
    if changes:
        yield "   ".join(changes)


def _ports(ports: Sequence[Port]) -> str:
    return ", ".join(f"{port.name} {port.shape}" for port in ports)


def _grouped(report: Report, keys: Sequence[str]) -> str:
    """Name variables by their owners: ``decoder_cell (kernel, bias) 1,071,104``."""
    owners: dict[str, list[str]] = {}
    for key in keys:
        owners.setdefault(report.variables[key].owner, []).append(key)
    return ", ".join(
        f"{report.variables[held[0]].owner_name} ({', '.join(report.variables[key].name for key in held)}) "
        f"{sum(report.variables[key].params for key in held):,}"
        for held in owners.values()
    )


def _owners(report: Report, width: int) -> list[str]:
    rows = [_owner_line(line) for line in report.tree()]
    if not rows:
        return []
    totals = report.totals
    head = ("OWNER", "SHAPE", "PARAMETERS", "BYTES", "USED BY", "STATE")
    return [
        f"OWNERS AFTER STEP {report.after}",
        *table(head, rows, right=(2, 3), width=width),
        str(totals),
    ]


def _owner_line(line: TreeRow) -> tuple[str, ...]:
    row, indent = line.row, "  " * line.depth
    if isinstance(row, OwnerRow):
        name, shape = f"{indent}{row.name} ({row.class_name})", ""
    else:
        name, shape = f"{indent}{row.name}", row.shape
    size = bytes_text(line.bytes) if line.params else ""
    return name, shape, f"{line.params:,}", size, steps_text(row.steps) if row.steps else "–", line.state


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
    head = ("VARIABLE", "MADE IN", "GRADIENT NORM", "ON STEPS", "UPDATE", "DISTANCE", "VERDICT")
    rows = []
    for key, seen in evidence.variables.items():
        if key in report.variables:
            row = report.variables[key]
            measures = (_at(numbers, -1) for numbers in (seen.update_norm, seen.distance))
            name = f"{row.owner_name}.{row.name}"
            gradient = (gradient_text(seen), gradient_steps_text(seen))
            rows.append((name, made_in(row.born), *gradient, *measures, seen.verdict))
    said = told(report, evidence)
    return [
        "TRAINING",
        *_runs(evidence),
        *_history(evidence),
        "",
        *table(head, rows, right=(3, 4, 5), width=width),
        *(line for text in said for line in textwrap.wrap(text, width, subsequent_indent="    ")),
        *_shares(report, evidence, width),
        f"How a verdict is decided: %seq2seq explain {report.name} verdicts",
    ]


def made_in(born: int) -> str:
    """Say which step made a variable."""
    return f"step {born}" if born >= 0 else "earlier"


def _at(numbers: Sequence[float], place: int) -> str:
    return number_text(numbers[place]) if numbers else "–"


def _runs(evidence: Evidence) -> Iterator[str]:
    for number, run in enumerate(evidence.runs, 1):
        which = f" of {run.model}" if run.model else ""
        ended = ", interrupted" if run.interrupted else f", stopped: {run.stopped}" if run.stopped else ""
        yield (
            f"fit {number}{which}: {counted(run.epochs, 'epoch')} in {run.seconds:.1f} s, "
            f"{counted(run.steps, 'step')} of batch {run.batch or 'as given'}, {run.optimizer}{ended}"
        )
        if kernels := kernels_text(run):
            yield f"  {kernels}"


def _history(evidence: Evidence) -> Iterator[str]:
    for name, numbers in evidence.history.items():
        known = [number for number in numbers if number is not None]
        if known:
            yield f"{name}: {number_text(known[0])} → {number_text(known[-1])}"


def _shares(report: Report, evidence: Evidence, width: int) -> Iterator[str]:
    sources = {step.index: step.place.source for step in report.steps}
    for share in evidence.by_call:
        if share.variable in report.variables and share.event in sources:
            row = report.variables[share.variable]
            yield from textwrap.wrap(
                f"{row.owner_name}.{row.name}: {share.share:.0%} of its gradient (norm {number_text(share.norm)}) "
                f"came through step {share.event}, {cut(sources[share.event], 40)}",
                width,
                subsequent_indent="    ",
            )
