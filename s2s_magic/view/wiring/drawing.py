"""Draw the wiring of a ledger as SVG: which tensor goes where, who owns what, and the path of the gradient back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from s2s_magic.ledger import Ledger
from s2s_magic.ledger.words import at
from s2s_magic.view.escaping import escape
from s2s_magic.view.linked import layer_numbers
from s2s_magic.view.wiring.diagram import Graph
from s2s_magic.view.wiring.folding import fold
from s2s_magic.view.wiring.from_ledger import graph_of
from s2s_magic.view.wiring.placement import GAP, Layout, lay_out
from s2s_magic.view.wiring.shapes import (
    ACCENT,
    BOLD,
    COLOURS,
    SMALL,
    Moment,
    arrow_back,
    badge,
    gradients,
    node,
    path,
    px,
    rect,
    tensor_names,
    text,
    to_come,
    wire,
)
from s2s_magic.view.wiring.wire_labels import labels, points_on

FONT = "var(--jp-ui-font-family, system-ui, sans-serif)"
LEGEND_OWNS, LEGEND_RETURNING = 200, 380
"""Width of the legend's first entry, and of both entries."""
LEGEND = 26
MOST_SAID = 60
SHRINKS_TO = 0.72
"""The factor to which a narrow window shrinks the drawing before it scrolls."""


@dataclass(frozen=True)
class Plan:
    """A ledger's graph with its layout: made once, drawn at any event."""

    ledger: Ledger
    graph: Graph
    layout: Layout


def plan_wiring(ledger: Ledger) -> Plan:
    """Make and lay out the graph of a whole ledger, so that a node keeps its place while the graph grows."""
    graph = _marked(fold(graph_of(ledger)), layer_numbers(ledger))
    return Plan(ledger, graph, lay_out(graph))


def _marked(graph: Graph, numbers: dict[str, int]) -> Graph:
    """Mark the nodes and links of a graph as `s2s_magic.view.linked` does."""
    nodes = {}
    for place, (key, box) in enumerate(graph.nodes.items()):
        own = f"b{numbers[key]}" if key in numbers else f"m{place}"
        inner = tuple(replace(each, mark=f"b{numbers[each.key]}") for each in box.inner)
        marks = [own, *(f"b{numbers[member]}" for member in box.members)]
        nodes[key] = replace(box, mark=" ".join(marks), inner=inner)
    links = tuple(replace(link, mark=f"w{place}") for place, link in enumerate(graph.links))
    return replace(graph, nodes=nodes, links=links)


def to_svg(ledger: Ledger, *, after: int | None = None, focus: int | None = None) -> str:
    """Draw the wiring of a ledger.

    Parameters
    ----------
    ledger
        The records.
    after
        Draw what exists after this event; the last one by default.
    focus
        The event to highlight; none by default.

    Returns
    -------
    str
        One ``<svg>`` element: scalable, in the page's own colours, with a title and a description in words.
    """
    return draw(plan_wiring(ledger), after=after, focus=focus)


def draw(plan: Plan, *, after: int | None = None, focus: int | None = None) -> str:
    """Draw a laid-out graph as of an event; see `to_svg`."""
    last = plan.ledger.events[-1].index if plan.ledger.events else 0
    moment = Moment(last if after is None else after, -1 if focus is None else focus)
    return sheet(plan, moment, "".join(parts(plan, moment)))


def sheet(plan: Plan, moment: Moment, body: str) -> str:
    """Put drawn parts into an SVG of the graph's size, with a title and a description in words."""
    legend = GAP + (LEGEND_RETURNING if any(link.gradient for link in plan.graph.links) else LEGEND_OWNS)
    width, height = max(plan.layout.width, legend), plan.layout.height + LEGEND
    style = (
        f"max-width:100%;min-width:{SHRINKS_TO * width:.0f}px;height:auto;font-family:{FONT};font-size:12px;{COLOURS}"
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" class="s2s-wiring" role="img" fill="none" stroke="none" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" style="{style}">'
        f"<title>{escape(_title(plan, moment))}</title><desc>{escape(_description(plan, moment))}</desc>{body}</svg>"
    )


def _title(plan: Plan, moment: Moment) -> str:
    events = plan.ledger.events
    if not events or moment.after >= events[-1].index:
        return f"Wiring of {plan.ledger.name}"
    return f"Wiring of {plan.ledger.name} after step {moment.after}: {' '.join(events[moment.after].source.split())}"


def _description(plan: Plan, moment: Moment) -> str:
    nodes = plan.graph.nodes
    said = []
    for link in plan.graph.links:
        if moment.has(link.born):
            names = tensor_names(link, moment)
            call = f" (call {link.target_call})" if link.target_call else ""
            said.append(f"{nodes[link.source].label} → {nodes[link.target].label}{call}{': ' + names if names else ''}")
    more = f"; and {len(said) - MOST_SAID} more wires" if len(said) > MOST_SAID else ""
    return "Wires: " + ("; ".join(said[:MOST_SAID]) + more if said else "none yet") + "."


def parts(plan: Plan, moment: Moment) -> Iterator[str]:
    """Yield the elements to draw at a moment, from back to front."""
    graph, layout = plan.graph, plan.layout
    pairs = [(link, route) for link, route in zip(graph.links, layout.routes, strict=True) if moment.has(link.born)]
    has_model = graph.model_event is not None and moment.has(graph.model_event)
    for link, route in pairs:
        yield wire(link, route, moment)
    returning = [route for link, route in pairs if has_model and link.gradient]
    if returning:
        yield gradients(returning)
    shown = {key: each for key, each in graph.nodes.items() if moment.has(each.born)}
    for key, box in layout.boxes.items():
        yield node(shown[key], box, moment) if key in shown else to_come(box)
    taken = [(box.x, box.y, box.x + box.width, box.bottom) for box in layout.boxes.values()]
    lines = points_on(layout.routes)  # also of wires to come, so that no label moves out of their way later
    for link, route in pairs:
        yield from labels(graph, link, route, moment, taken, lines)
    yield from badges(plan, moment)
    if layout.lone is not None and not shown.keys() <= graph.wired:
        yield text(GAP, layout.lone + GAP / 2, "Not wired", BOLD)
    yield from _legend(plan, bool(returning))


def badges(plan: Plan, moment: Moment) -> Iterator[str]:
    """Yield a label with the step in focus and its line for each box that it is about."""
    for key, each in plan.graph.nodes.items():
        if moment.has(each.born) and moment.focus in each.events:
            yield badge(plan.layout.boxes[key], f"step {moment.focus} · {at(plan.ledger.events[moment.focus])}")


def _legend(plan: Plan, returning: bool) -> Iterator[str]:
    x, y = float(GAP), plan.layout.height + LEGEND / 2
    yield rect(x, y - 7, 4, 14, 0, f'fill="{ACCENT}"')
    yield text(x + 10, y + 4, "variables in it are trained", SMALL)
    if returning:
        x += LEGEND_OWNS
        yield path(
            f"M{px(x + 30)} {px(y)}H{px(x + 5)}",
            f'stroke="{ACCENT}" stroke-width="1.5" stroke-dasharray="4 3"',
        )
        yield path(arrow_back(x, y, up=False), f'fill="{ACCENT}"')
        yield text(x + 38, y + 4, "the gradient’s way back", SMALL)
