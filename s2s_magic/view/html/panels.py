"""The steps of a report as HTML: a strip to choose from, what each did, and the CSS that connects them."""

from __future__ import annotations

from collections.abc import Iterator

from s2s_magic.ledger.words import at
from s2s_magic.view.html.markup import UNSTYLED, Markup, breakable, empty, frame, join, table, tag
from s2s_magic.view.linked import Thing, where
from s2s_magic.view.report import Port, Report, Step
from s2s_magic.view.tables import Cell, Table

MADE, NEW, AGAIN, PLAIN = "○", "+", "↻", "·"
KEY = f"{MADE} an object is made   {NEW} it gets new variables   {AGAIN} it reuses them   {PLAIN} no variables"


_PORTS = ("Tensor", "Way", "Shape", "Type", "From")


def sign(step: Step) -> str:
    """Return the symbol for what a step did to variables."""
    if step.kind == "constructed":
        return NEW if step.created else MADE
    return NEW if step.created else AGAIN if step.reused else PLAIN


def strip_html(report: Report, uid: str) -> Markup:
    """Make the group of radio buttons that chooses a step; initially the last step is chosen."""
    chips = []
    cell = None
    for step in report.steps:
        if len(report.cells) > 1 and step.place.cell != cell:
            cell = step.place.cell
            chips.append(tag("span", f"Cell {cell}", class_="s2s-small s2s-cell-name"))
        radio = {"type": "radio", "name": f"{uid}-step", "id": f"{uid}-r{step.index}", "class_": "s2s-radio"}
        name = f"{uid}-h{step.index}"
        chips.append(empty("input", **radio, checked=step.index == report.after, aria_labelledby=name))
        line = tag("small", f"line {step.place.line}")
        shown = join([tag("span", step.index, " ", tag("span", sign(step), class_="s2s-sign")), line])
        chips.append(tag("label", shown, for_=f"{uid}-r{step.index}", class_="s2s-chip"))
    return tag("fieldset", tag("legend", "Steps"), *chips, class_="s2s-strip", hidden=UNSTYLED)


def heads_html(report: Report, uid: str) -> Markup:
    """Say in a sentence what each step did, all in the same place: CSS shows the chosen one."""
    last = len(report.steps) - 1
    heads = []
    for step in report.steps:
        name = tag("b", f"Step {step.index} · {at(step.place)}")
        heads.append(tag("div", name, f": {step.sentence}", class_="s2s-head", id=f"{uid}-h{step.index}"))
        heads.append(_buttons(step.index, uid, last))
    return join(heads)


def _buttons(step: int, uid: str, last: int) -> Markup:
    near = [
        tag("label", text, for_=f"{uid}-r{index}")
        for text, index in (("‹ Previous", step - 1), ("Next ›", step + 1))
        if 0 <= index <= last
    ]
    return tag("div", *near, class_="s2s-buttons", id=f"{uid}-n{step}", hidden=UNSTYLED)


def tensors_html(report: Report, uid: str) -> Markup:
    """Show the tensors of all steps in one table: CSS shows those of the chosen step."""
    heads = tag("tr", *(tag("th", name, scope="col") for name in _PORTS))
    groups = [
        tag("tbody", *_port_rows(report, step), class_="s2s-step", id=f"{uid}-p{step.index}") for step in report.steps
    ]
    shown = tag("table", tag("caption", "Tensors"), tag("thead", heads), *groups, class_="s2s-table")
    return tag("div", frame(shown, "The tensors of a step"), class_="s2s-tensors")


def _port_rows(report: Report, step: Step) -> Iterator[Markup]:
    call = f", call {step.call}" if step.call is not None else ""
    so_far = f"{step.trainable:,} trainable parameters so far"
    said = f" · {at(step.place)}{call} · {step.phase} · {so_far}"
    yield tag("tr", tag("th", tag("b", f"Step {step.index}"), said, scope="rowgroup", colspan=len(_PORTS)))
    for name, *cells in _ports(report, step):
        yield tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))


def step_html(report: Report, step: Step) -> Markup:
    """Show what one step did: its expression, a sentence, variables, tensors, the growing total, and findings."""
    call = f", call {step.call}" if step.call is not None else ""
    rest = f" of {len(report.steps) - 1} · {at(step.place)}{call} · {step.phase}"
    ports = _ports(report, step)
    return join(
        [
            tag("div", tag("b", f"Step {step.index}"), rest, class_="s2s-small"),
            tag("pre", tag("code", step.place.source), class_="s2s-expression"),
            tag("p", step.sentence),
            _changes(report, step),
            table(Table("Tensors", _PORTS, ports)) if ports else None,
            _growth(report, step),
            *(tag("p", f"⚑ {f.kind}: {f.text}") for f in report.findings if f.event == step.index),
        ]
    )


def _changes(report: Report, step: Step) -> Markup | None:
    rows = []
    for said, keys in ((f"{NEW} new", step.created), (f"{AGAIN} reused", step.reused)):
        for key in keys:
            seen = report.variables[key]
            rows.append((breakable(seen.full_name), said, seen.shape, f"{seen.params:,}"))
    head = ("Variable", "Now", "Shape", "Parameters")
    return table(Table("Variables", head, rows, right=(3,))) if rows else None


def _ports(report: Report, step: Step) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]]
    rows = [(breakable(port.name), "in", port.shape, port.dtype, _origin(report, port)) for port in step.inputs]
    return rows + [(breakable(port.name), "out", port.shape, port.dtype, None) for port in step.outputs]


def _origin(report: Report, port: Port) -> str:
    return where(report, [port.step]) if port.step is not None else "outside"


def _growth(report: Report, step: Step) -> Markup:
    most = max((each.trainable for each in report.steps), default=0)
    share = step.trainable / most if most else 0
    bar = tag(
        "span", tag("span", class_="s2s-bar", style=f"width:{share:.1%}", aria_hidden="true"), class_="s2s-bar-frame"
    )
    return tag("div", f"Trainable so far: {step.trainable:,} parameters ", bar, class_="s2s-growth")


def step_rules(report: Report, uid: str, things: dict[str, Thing]) -> str:
    """Return the CSS that connects the chosen step to what it did: its expression, boxes, wires, and owners."""
    shown, marked, now = [], [], []
    for step in report.steps:
        n = step.index
        chosen = f"#{uid}:has(#{uid}-r{n}:checked)"
        shown.append(f"{chosen} :is(#{uid}-h{n},#{uid}-n{n},#{uid}-p{n},.n{n} .s2s-new,.u{n} .s2s-again)")
        marked.append(f"{chosen} .s2s-source [data-is~=s{n}]")
        now.append(f'{chosen}{{--s2s-now:"step {n} · {at(step.place)}"}}')
    rules = [f"{','.join(shown)}{{display:revert}}", f"{','.join(marked)}{{{_MARK}}}", *now, *_growing(report, uid)]
    rules.append(f"{','.join(_in_focus(report, uid, things))}{{{_FOCUS}}}")
    return "\n@supports selector(:has(a)) {\n" + "\n".join(rules) + "\n}\n"


def _growing(report: Report, uid: str) -> Iterator[str]:
    """Yield the rules that hide what begins after the chosen step, or has ended by then."""
    before = [f"#{uid}:has(:checked ~ #{uid}-r{step.index})" for step in report.steps]
    yield ",".join(f"{earlier} .b{n}" for n, earlier in enumerate(before)) + "{display:none}"
    ended = (f"#{uid}:not(:has(:checked ~ #{uid}-r{n})) .x{n}" for n in range(len(before)))
    yield ",".join(ended) + "{display:none}"


def _in_focus(report: Report, uid: str, things: dict[str, Thing]) -> Iterator[str]:
    """Yield selectors of each step's boxes and wires; of a model's step only those of its outputs."""
    for step in report.steps:
        marks = [mark for mark in things[f"s{step.index}"].lights if mark[0] in "bwm"]
        if any(mark[0] == "m" for mark in marks):
            marks = [mark for mark in marks if mark[0] != "b"]
        if marks:
            parts = ",".join(f"[data-is~={mark}]" for mark in marks)
            yield f"#{uid}:has(#{uid}-r{step.index}:checked) g:is({parts})>:is(rect:first-of-type,path)"


_MARK = "background:var(--s2s-tint);box-shadow:inset 0 -2px var(--s2s-accent);font-weight:700"
_FOCUS = "stroke:var(--s2s-accent);stroke-width:2.6px;stroke-opacity:1"
