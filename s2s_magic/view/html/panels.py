"""The steps of a report as HTML: a strip to choose from, a panel for each, and the CSS that connects them."""

from __future__ import annotations

from collections.abc import Iterator

from s2s_magic.view.html.markup import Markup, breakable, empty, join, table, tag
from s2s_magic.view.report import Port, Report, Step
from s2s_magic.view.tables import Cell, Table

MADE, NEW, AGAIN, PLAIN = "○", "+", "↻", "·"


def sign(step: Step) -> str:
    """Return the symbol for what a step did to variables."""
    if step.kind == "constructed":
        return NEW if step.created else MADE
    return NEW if step.created else AGAIN if step.reused else PLAIN


def strip_html(report: Report, uid: str) -> Markup:
    """Make the group of radio buttons that chooses a step; initially the last step is chosen."""
    chips = []
    for step in report.steps:
        said = f"Step {step.index}, line {step.place.line}: {step.sentence}"
        radio = {"type": "radio", "name": f"{uid}-step", "id": f"{uid}-r{step.index}", "class_": "s2s-radio"}
        chips.append(empty("input", **radio, checked=step.index == report.after, aria_label=said))
        shown = join([str(step.index), tag("span", sign(step), class_="s2s-sign")])
        chips.append(tag("label", shown, for_=f"{uid}-r{step.index}", title=said, class_="s2s-chip"))
    signs = (
        f"{MADE} an object is made   {NEW} it gets new variables   {AGAIN} it uses them again   {PLAIN} no variables"
    )
    strip = tag("fieldset", tag("legend", "Steps"), *chips, class_="s2s-strip")
    controls = tag("div", class_="s2s-controls", hidden=True)
    return join([strip, controls, tag("div", signs, class_="s2s-small s2s-key")])


def panels_html(report: Report, uid: str) -> Markup:
    """Make one panel per step, all in the same place: CSS shows the chosen one."""
    last = len(report.steps) - 1
    return tag("div", *(_panel(report, step, uid, last) for step in report.steps), class_="s2s-panels")


def _panel(report: Report, step: Step, uid: str, last: int) -> Markup:
    near = [
        tag("label", text, for_=f"{uid}-r{index}", class_="s2s-button")
        if 0 <= index <= last
        else tag("span", text, class_="s2s-button s2s-off", aria_hidden="true")
        for text, index in (("‹ Previous", step.index - 1), ("Next ›", step.index + 1))
    ]
    buttons = tag("div", *near, class_="s2s-buttons")
    return tag("div", buttons, step_html(report, step), class_="s2s-panel", id=f"{uid}-p{step.index}")


def step_html(report: Report, step: Step) -> Markup:
    """Show what one step did: its expression, a sentence, variables, tensors, the growing total, and findings."""
    call = f", call {step.call}" if step.call is not None else ""
    where = f" of {len(report.steps) - 1} · line {step.place.line}{call} · {step.phase}"
    return join(
        [
            tag("div", tag("b", f"Step {step.index}"), where, class_="s2s-small"),
            tag("pre", tag("code", step.place.source), class_="s2s-expression"),
            tag("p", step.sentence),
            _changes(report, step),
            _ports(step),
            _growth(report, step),
            *(tag("p", f"⚑ {f.kind}: {f.text}") for f in report.findings if f.event == step.index),
        ]
    )


def _changes(report: Report, step: Step) -> Markup | None:
    rows = []
    for said, keys in ((f"{NEW} new", step.created), (f"{AGAIN} again", step.reused)):
        for key in keys:
            seen = report.variables[key]
            rows.append((breakable(seen.full_name), said, seen.shape, f"{seen.params:,}"))
    head = ("Variable", "Now", "Shape", "Parameters")
    return table(Table("Variables", head, rows, right=(3,))) if rows else None


def _ports(step: Step) -> Markup | None:
    rows: list[tuple[Cell, ...]]
    rows = [(breakable(port.name), "in", port.shape, port.dtype, _origin(port)) for port in step.inputs]
    rows += [(breakable(port.name), "out", port.shape, port.dtype, None) for port in step.outputs]
    return table(Table("Tensors", ("Tensor", "Way", "Shape", "Type", "From"), rows)) if rows else None


def _origin(port: Port) -> str:
    return f"step {port.step}" if port.step is not None else "outside"


def _growth(report: Report, step: Step) -> Markup:
    most = max((each.trainable for each in report.steps), default=0)
    share = step.trainable / most if most else 0
    bar = tag(
        "span", tag("span", class_="s2s-bar", style=f"width:{share:.1%}", aria_hidden="true"), class_="s2s-bar-frame"
    )
    return tag("div", f"Trainable so far: {step.trainable:,} parameters ", bar, class_="s2s-growth")


def step_rules(report: Report, uid: str) -> str:
    """Return the CSS that connects the chosen step to its panel, its expression, and the owner tree at that step."""
    return "\n@supports selector(:has(a)) {\n" + "\n".join(_rules(report, uid)) + "\n}\n"


def _rules(report: Report, uid: str) -> Iterator[str]:
    for step in report.steps:
        n = step.index
        chosen = f"#{uid}:has(#{uid}-r{n}:checked)"
        yield f"{chosen} #{uid}-p{n}{{visibility:visible;display:block}}"
        yield f"{chosen} .e{n}{{{_MARK}}}"
        yield f'{chosen}{{--s2s-now:"{n}"}}'
        if step.created or step.kind == "constructed":
            yield f"{chosen} .n{n} .s2s-new{{display:inline}}"
        if step.reused:
            yield f"{chosen} .u{n} .s2s-again{{display:inline}}"
        earlier = f"#{uid}:has(.s2s-radio:checked ~ #{uid}-r{n})"
        yield f"{earlier} .b{n}{{display:none}}"
        yield f"#{uid}:not(:has(.s2s-radio:checked ~ #{uid}-r{n})) .x{n}{{display:none}}"


_MARK = "background:var(--s2s-tint);box-shadow:inset 0 -2px var(--s2s-accent);font-weight:700"
