"""The owner tree as one HTML table; each row is marked with the steps that create and use it."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_magic.ledger.words import abridged
from s2s_magic.view.html.markup import Content, Markup, breakable, empty, heading, join, table, tag
from s2s_magic.view.report import OwnerRow, Report, TreeRow, VariableRow
from s2s_magic.view.rows import STILL_TRAINED
from s2s_magic.view.tables import Table

_HEAD = ("Owner", "Now", "Shape", "Parameters", "Bytes", "Used by", "State", "Initializer", "Notes")
_FILTERS = (("shared", "only shared"), ("still", "only untrained"), ("noted", "only with findings"))


def owners_html(report: Report, uid: str) -> Markup:
    """Show the whole tree; CSS hides what does not exist yet at the chosen step."""
    lines = report.tree()
    noted = _noted(lines)
    boxes = [
        tag(
            "span",
            empty("input", type="checkbox", id=f"{uid}-only-{name}", class_=f"s2s-only-{name}"),
            tag("label", said, for_=f"{uid}-only-{name}"),
        )
        for name, said in _FILTERS
    ]
    cells = [_line(report, lines, place) for place in range(len(lines))]
    marks = [_marks(line, names) for line, names in zip(lines, noted, strict=True)]
    caption = join(["Who owns what after step ", tag("span", class_="s2s-now")])
    return join(
        [
            heading("Owners"),
            tag("div", *boxes, class_="s2s-filters s2s-small"),
            tree_table(caption, lines, cells, marks),
            tag("p", f"After step {report.after}: {report.totals}"),
        ]
    )


def passes(row: OwnerRow | VariableRow, state: str) -> set[str]:
    """Return the names of the filters that a row passes."""
    named = {"shared"} if row.shared or len(row.steps) > 1 else set()
    if state not in ("trainable", STILL_TRAINED, "owns nothing"):
        named.add("still")
    if row.findings:
        named.add("noted")
    return named


def _noted(lines: list[TreeRow]) -> list[set[str]]:
    """Return for each line the names of the filters that it, or a line below it, passes."""
    named = [passes(line.row, line.state) for line in lines]
    for place in range(len(lines) - 1, -1, -1):
        above = place - 1
        while above >= 0 and lines[above].depth >= lines[place].depth:
            above -= 1
        if above >= 0:
            named[above] |= named[place]
    return named


def _line(report: Report, lines: list[TreeRow], place: int) -> list[Content]:
    line = lines[place]
    owner = isinstance(line.row, OwnerRow)
    now = [tag("span", "○ made" if owner else "+ new", class_="s2s-new"), tag("span", "↻ again", class_="s2s-again")]
    parameters = _grown(lines, place) if owner else f"{line.params:,}"
    return tree_cells(report, line, now=join(now), parameters=parameters)


def _marks(line: TreeRow, names: set[str]) -> str:
    """Return the CSS classes that say which steps create and use a line, and which filters it passes."""
    born = line.row.born
    uses = [] if isinstance(line.row, OwnerRow) else [f"u{step}" for step in line.row.steps if step != born]
    kinds = [f"s2s-is-{name}" for name in sorted(names)]
    return " ".join([f"b{born}", f"n{born}", *uses, *kinds])


def tree_table(
    caption: Content, lines: Sequence[TreeRow], cells: Sequence[list[Content]], marks: Sequence[str]
) -> Markup:
    """Make the table of a tree from its lines' cells."""
    owners = ("s2s-owner" if isinstance(line.row, OwnerRow) else "" for line in lines)
    both = [f"{mark} {owner}".strip() for mark, owner in zip(marks, owners, strict=True)]
    shown = Table(caption, _HEAD, cells, right=(3, 4), marks=both)
    return table(shown, class_="s2s-tree", head_class="s2s-tree-name")


def tree_cells(report: Report, line: TreeRow, *, now: Content, parameters: Content) -> list[Content]:
    """Return the cells of one line of the tree; ``now`` is what the chosen step did to it."""
    seen = line.row
    if isinstance(seen, OwnerRow):
        name = [tag("span", seen.name), tag("span", f" {seen.class_name}", class_="s2s-small")]
    else:
        name = [tag("span", seen.name, title=seen.keras_name)]
    return [
        tag("span", *name, style=f"padding-left:{1.3 * line.depth:.1f}em"),
        now,
        line.shape,
        parameters,
        line.bytes_text or None,
        line.used_by,
        line.state,
        None if isinstance(seen, OwnerRow) else seen.initializer,
        _notes(report, seen),
    ]


def _grown(lines: list[TreeRow], place: int) -> Markup:
    """Return an owner's total at each stage: each number is shown from one step until the next."""
    below: dict[int, int] = {}
    for line in lines[place + 1 :]:
        if line.depth <= lines[place].depth:
            break
        if isinstance(line.row, VariableRow):
            below[line.row.born] = below.get(line.row.born, 0) + line.params
    total, stages = 0, [(lines[place].row.born, 0)]
    for born in sorted(below):
        total += below[born]
        stages.append((born, total))
    ends = [born for born, _ in stages[1:]]
    return join(
        (
            tag("span", f"{params:,}", class_=f"b{born}" + (f" x{ends[at]} s2s-past" if at < len(ends) else ""))
            for at, (born, params) in enumerate(stages)
            if at == len(ends) or born != ends[at]
        ),
        between=" ",
    )


def _notes(report: Report, seen: OwnerRow | VariableRow) -> Markup | None:
    kinds = [f"⚑ {kind}" for kind in dict.fromkeys(report.findings[number].kind for number in seen.findings)]
    role = [f"is {seen.role}"] if isinstance(seen, OwnerRow) and seen.role else []
    also = [f"also {abridged(seen.shared)}"] if seen.shared else []
    return breakable("; ".join(kinds + role + also)) or None
