"""The owner tree as one HTML table; each row is marked with the steps that create and use it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from s2s_magic.ledger.words import abridged
from s2s_magic.view.html.markup import UNSTYLED, Content, Markup, breakable, empty, heading, join, table, tag
from s2s_magic.view.linked import layer_numbers, variable_numbers, where
from s2s_magic.view.report import OwnerRow, Report, TreeRow, VariableRow
from s2s_magic.view.rows import STILL_TRAINED
from s2s_magic.view.tables import Table

_HEAD = ("Owner", "Now", "Parameters", "Used by", "State", "Bytes", "Initializer")
IN_SHORT = {
    "name": "Keras names it otherwise",
    "ghost": "never used itself",
    "tied": "uses weights of another",
    "alias": "has two names",
    "untracked": "Keras does not track it",
    "changed since compile": "switched since compile",
}
"""How a finding is flagged beside its owner, if its kind alone says little."""
_FILTERS = (("shared", "only shared"), ("still", "only untrained"), ("noted", "only with findings"))


def owners_html(report: Report, uid: str) -> Markup:
    """Show the whole tree; CSS hides what does not exist yet at the chosen step."""
    lines = report.tree()
    noted = _noted(lines)
    boxes = [_box(f"{uid}-only-{name}", f"s2s-only-{name}", said) for name, said in _FILTERS]
    boxes.append(_box(f"{uid}-all", "s2s-all", "all columns"))
    cells = [_line(report, lines, place) for place in range(len(lines))]
    again: dict[str, list[int]] = defaultdict(list)
    for step in report.steps:
        for key in step.reused:
            again[key].append(step.index)
    marks = [_marks(line, names, again[line.row.key]) for line, names in zip(lines, noted, strict=True)]
    layers, variables = layer_numbers(report.ledger), variable_numbers(report.ledger)
    keys = [
        f"r{layers[row.key]}" if isinstance(row, OwnerRow) else f"v{variables[row.key]}"
        for row in (line.row for line in lines)
    ]
    caption = join(["Who owns what after ", tag("span", class_="s2s-now-at")])
    states = {line.state for line in lines if isinstance(line.row, VariableRow)}
    shown = tree_table(caption, lines, cells, marks, keys=keys, alike=len(states) < 2)
    some = f"Each of {len(report.variables):,} variables" if len(report.variables) > 1 else "The only variable"
    together = f"{some} is {min(states)}. " if len(states) == 1 else ""
    summary = tag("summary", "Filter and columns")
    return join(
        [
            heading("Owners"),
            tag("details", summary, *boxes, class_="s2s-filters s2s-small", hidden=UNSTYLED),
            shown,
            tag("p", f"{together}After step {report.after}: {report.totals}", class_="s2s-small"),
        ]
    )


def _box(name: str, class_: str, said: str) -> Markup:
    return tag("span", empty("input", type="checkbox", id=name, class_=class_), tag("label", said, for_=name))


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
    now = [tag("span", "○ made" if owner else "+ new", class_="s2s-new")]
    now += [] if owner else [tag("span", "↻ reused", class_="s2s-again")]
    parameters = _grown(lines, place) if owner else f"{line.params:,}"
    return tree_cells(report, line, now=join(now), parameters=parameters)


def _marks(line: TreeRow, names: set[str], again: Sequence[int]) -> str:
    """Return the CSS classes that say which steps create a line and use it ``again``, and which filters it passes."""
    born = line.row.born
    uses = [f"u{step}" for step in again]
    kinds = [f"s2s-is-{name}" for name in sorted(names)]
    return " ".join([f"b{born}", f"n{born}", *uses, *kinds])


def tree_table(
    caption: Content,
    lines: Sequence[TreeRow],
    cells: Sequence[list[Content]],
    marks: Sequence[str],
    *,
    keys: Sequence[str] = (),
    alike: bool = False,
) -> Markup:
    """Make the table of a tree from its lines' cells; if their states are ``alike``, a narrow one leaves them out.

    ``keys`` are the marks by which its rows are connected with other parts of a page.
    """
    owners = ("s2s-owner" if isinstance(line.row, OwnerRow) else "" for line in lines)
    both = [f"{mark} {owner}".strip() for mark, owner in zip(marks, owners, strict=True)]
    shown = Table(caption, _HEAD, cells, right=(2, 5), marks=both, keys=keys)
    return table(shown, class_="s2s-tree s2s-alike" if alike else "s2s-tree", head_class="s2s-tree-name")


def tree_cells(report: Report, line: TreeRow, *, now: Content, parameters: Content) -> list[Content]:
    """Return the cells of one line of the tree; ``now`` is what the chosen step did to it."""
    seen = line.row
    kind = seen.class_name if isinstance(seen, OwnerRow) else seen.shape
    title = None if isinstance(seen, OwnerRow) else seen.keras_name
    name = [
        tag("span", breakable(seen.name), title=title),
        " ",
        tag("span", kind, class_="s2s-small"),
        _notes(report, seen),
    ]
    steps, _, places = where(report, seen.steps).partition(" · ")
    if len(seen.steps) == len(report.cells) == 1:
        # broken between the two only
        used = tag("span", " · ".join(part.replace(" ", "\u00a0") for part in (steps, places)))
    else:
        used = join([tag("span", steps), tag("span", places)], between=Markup("<br>"))
    return [
        tag("span", *name, style=f"padding-left:{1.1 * line.depth:.1f}em"),
        now,
        parameters,
        used if seen.steps else "–",
        line.state,
        line.bytes_text or None,
        None if isinstance(seen, OwnerRow) else seen.initializer,
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
    found = dict.fromkeys(report.findings[number].kind for number in seen.findings)
    kinds = [f"⚑ {IN_SHORT.get(kind, kind)}" for kind in found]
    role = [f"known as {seen.role}"] if isinstance(seen, OwnerRow) and seen.role else []
    also = [f"also {abridged(seen.shared)}"] if seen.shared else []
    said = "; ".join(kinds + role + also)
    return tag("span", breakable(said), class_="s2s-note") if said else None
