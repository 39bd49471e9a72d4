"""The wiring of a ledger as SVG: which tensor goes where, who owns what, and the way back of the gradient.

Colours are the page's own: everything is drawn in ``currentColor``, the one accent in the theme's brand colour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from s2s_magic.ledger import Ledger
from s2s_magic.view.wiring_fold import fold
from s2s_magic.view.wiring_graph import Graph, Inner, Link, Node, graph_of
from s2s_magic.view.wiring_layout import GAP, HEAD, INNER, MOST_INNER, Box, Layout, Point, lay_out

ACCENT = "var(--s2s-accent, var(--jp-brand-color1, #1565c0))"
HALO = "var(--s2s-background, var(--jp-layout-color0, Canvas))"
FONT = "var(--jp-ui-font-family, system-ui, sans-serif)"
LEGEND = 26
MOST_SAID = 60


@dataclass(frozen=True)
class Plan:
    """A ledger's graph with its layout: made once, drawn after any event."""

    ledger: Ledger
    graph: Graph
    layout: Layout


@dataclass(frozen=True)
class Moment:
    """What of the graph is shown: events up to ``after``, with ``focus`` in focus (-1 for none)."""

    after: int
    focus: int

    def has(self, event: int) -> bool:
        """Say whether an event has happened."""
        return event <= self.after


def plan_wiring(ledger: Ledger) -> Plan:
    """Draw up and lay out the graph of a whole ledger, so that a node keeps its place while the graph grows."""
    graph = fold(graph_of(ledger))
    return Plan(ledger, graph, lay_out(graph))


def to_svg(ledger: Ledger, *, after: int | None = None, focus: int | None = None) -> str:
    """Draw the wiring of a ledger.

    Parameters
    ----------
    ledger
        The records.
    after
        Draw what is there once this event is done; the end by default.
    focus
        The event to point at; none by default.

    Returns
    -------
    str
        One ``<svg>`` element: scalable, in the page's own colours, with a title and a description in words.
    """
    return draw(plan_wiring(ledger), after=after, focus=focus)


def draw(plan: Plan, *, after: int | None = None, focus: int | None = None) -> str:
    """Draw a laid-out graph as it is after an event; see `to_svg`."""
    last = plan.ledger.events[-1].index if plan.ledger.events else 0
    moment = Moment(last if after is None else after, -1 if focus is None else focus)
    return sheet(plan, moment, "".join(parts(plan, moment)))


def sheet(plan: Plan, moment: Moment, body: str) -> str:
    """Put drawn parts on a sheet of the graph's size, with a title and a description in words."""
    layout, height = plan.layout, plan.layout.height + LEGEND
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="s2s-wiring" role="img" viewBox="0 0 {layout.width:.0f} {height:.0f}" '
        f'width="{layout.width:.0f}" height="{height:.0f}" fill="none" stroke="none" '
        f'style="max-width:100%;min-width:{min(layout.width, 0.72 * layout.width):.0f}px;height:auto;'
        f'font-family:{FONT};font-size:12px">'
        f"<title>{escape(_title(plan, moment))}</title><desc>{escape(_description(plan, moment))}</desc>{body}</svg>"
    )


def _title(plan: Plan, moment: Moment) -> str:
    events = plan.ledger.events
    if not events or moment.after >= events[-1].index:
        return f"Wiring of {plan.ledger.name}"
    source = next((" ".join(e.source.split()) for e in events if e.index == moment.after), "")
    return f"Wiring of {plan.ledger.name} after step {moment.after}: {source}"


def _description(plan: Plan, moment: Moment) -> str:
    nodes = plan.graph.nodes
    said = []
    for link in plan.graph.links:
        if moment.has(link.born):
            names = _tensor_names(link, moment)
            call = f" (call {link.target_call})" if link.target_call else ""
            said.append(f"{nodes[link.source].label} → {nodes[link.target].label}{call}{': ' + names if names else ''}")
    more = f"; and {len(said) - MOST_SAID} more wires" if len(said) > MOST_SAID else ""
    return "Wires: " + ("; ".join(said[:MOST_SAID]) + more if said else "none yet") + "."


def parts(plan: Plan, moment: Moment) -> Iterator[str]:
    """Draw the elements of a moment, what lies below first."""
    graph, layout = plan.graph, plan.layout
    focused = next((e for e in plan.ledger.events if e.index == moment.focus), None)
    pairs = [(link, route) for link, route in zip(graph.links, layout.routes, strict=True) if moment.has(link.born)]
    returning = graph.model_event is not None and moment.has(graph.model_event)
    for link, route in pairs:
        yield _wire(link, route, moment)
        if returning and link.gradient:
            yield _gradient(route)
    for key, node in graph.nodes.items():
        yield _node(plan, node, layout.boxes[key], moment) if moment.has(node.born) else _to_come(layout.boxes[key])
    taken = [(box.x, box.y, box.x + box.width, box.bottom) for box in layout.boxes.values()]
    for link, route in pairs:
        yield from _labels(graph, link, route, moment, taken)
    for key, node in graph.nodes.items():
        if focused is not None and moment.has(node.born) and _concerns(node, focused.index):
            yield _badge(layout.boxes[key], f"step {focused.index}")
    if layout.lone is not None and any(moment.has(graph.nodes[k].born) for k in graph.nodes if k not in graph.wired):
        yield _text(GAP, layout.lone + GAP / 2, "Not wired", 'fill="currentColor" font-weight="600"')
    yield from _legend(plan, returning and any(link.gradient for link, _ in pairs))


def _concerns(node: Node, event: int) -> bool:
    return event in node.events


def _legend(plan: Plan, returning: bool) -> Iterator[str]:
    y = plan.layout.height + LEGEND / 2
    yield f'<rect x="{GAP}" y="{y - 7:.1f}" width="4" height="14" fill="{ACCENT}"/>'
    yield _text(
        GAP + 10, y + 4, "owns variables that are trained", 'fill="currentColor" fill-opacity="0.8" font-size="11"'
    )
    if returning:
        x = GAP + 200
        yield f'<path d="M{x + 30} {y:.1f}H{x + 5}" stroke="{ACCENT}" stroke-width="1.5" stroke-dasharray="4 3"/>'
        yield f'<path d="M{x} {y:.1f}l7 -4v8z" fill="{ACCENT}"/>'
        yield _text(x + 38, y + 4, "the gradient’s way back", 'fill="currentColor" fill-opacity="0.8" font-size="11"')


def _badge(box: Box, words: str) -> str:
    width = 12 + 6.2 * len(words)
    return (
        f'<rect x="{box.x + 8:.1f}" y="{box.y - 9:.1f}" width="{width:.1f}" height="16" rx="3" fill="{ACCENT}"/>'
        + _text(box.x + 14, box.y + 3, words, f'fill="{HALO}" font-size="10.5" font-weight="700"')
    )


def _halo() -> str:
    return f'paint-order="stroke" stroke="{HALO}" stroke-width="4" stroke-linejoin="round"'


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def _fit(words: str, width: float, size: float = 6.6) -> str:
    """Cut words to a width in pixels; the whole text stands in the title beside it."""
    most = max(3, int(width / size))
    return words if len(words) <= most else words[: most - 1] + "…"


def _curve(route: tuple[Point, ...], shift: float = 0.0) -> str:
    """Give the path of a route: straight down through rows, curved between them."""
    (x, y), *rest = route
    steps = [f"M{x + shift:.1f} {y:.1f}"]
    sideways = _is_sideways(route)
    for to_x, to_y in rest:
        if sideways or x == to_x:
            steps.append(f"L{to_x + shift:.1f} {to_y:.1f}")
        else:
            middle = (y + to_y) / 2
            steps.append(f"C{x + shift:.1f} {middle:.1f} {to_x + shift:.1f} {middle:.1f} {to_x + shift:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(steps)


def _is_sideways(route: tuple[Point, ...]) -> bool:
    return route[0][1] == route[1][1]


def _wire(link: Link, route: tuple[Point, ...], moment: Moment) -> str:
    tensors = [tensor for event, tensor in link.tensors if moment.has(event)]
    in_focus = any(event == moment.focus for event, _ in link.tensors)
    stroke, width = (ACCENT, 2.6) if in_focus else ("currentColor", 1.3)
    shifts = {1: (0.0,), 2: (-2.5, 2.5), 3: (-4.0, 0.0, 4.0)}.get(len(tensors), (0.0,))
    lines = "".join(f'<path d="{_curve(route, shift)}"/>' for shift in shifts)
    x, y = route[-1]
    head = f"M{x:.1f} {y:.1f}l8 -4v8z" if _is_sideways(route) else f"M{x:.1f} {y:.1f}l-4.5 -8h9z"
    kinds = ", ".join(dict.fromkeys(f"{t.name or 'unnamed'} {_shape(t.shape)} {t.dtype}" for t in tensors))
    return (
        f'<g stroke="{stroke}" stroke-width="{width}" stroke-opacity="{1 if in_focus else 0.7}"><title>{escape(kinds)}</title>{lines}'
        f'<path d="{head}" fill="{stroke}" stroke-width="0.5"/></g>'
    )


def _gradient(route: tuple[Point, ...]) -> str:
    x, y = route[0]
    head = f"M{x:.1f} {y:.1f}l8 -4v8z" if _is_sideways(route) else f"M{x + 9:.1f} {y:.1f}l-4 8h8z"
    return (
        f'<g><title>the gradient’s way back</title><path d="{_curve(route, 9)}" stroke="{ACCENT}" stroke-width="1.5" stroke-dasharray="4 3"/>'
        f'<path d="{head}" fill="{ACCENT}"/></g>'
    )


def _shape(shape: tuple[int | None, ...] | None) -> str:
    return "(unknown)" if shape is None else "(" + ", ".join("–" if n is None else str(n) for n in shape) + ")"


def _tensor_names(link: Link, moment: Moment) -> str:
    names = [t.name for event, t in link.tensors if t.name and moment.has(event)]
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:2]) + (" …" if len(unique) > 2 else "")


def _labels(
    graph: Graph, link: Link, route: tuple[Point, ...], moment: Moment, taken: list[tuple[float, float, float, float]]
) -> Iterator[str]:
    """Write the tensors' names beside a wire where there is room, and the numbers of the calls at its ends."""
    (x0, y0), (x1, y1) = route[:2]
    if link.source_call:
        yield _text(x0 - 11, y0 + 14, str(link.source_call), f'fill="currentColor" font-size="10" {_halo()}')
    if link.target_call:
        now = any(event == moment.focus for event, _ in link.tensors)
        words = f"call {link.target_call}" if now else str(link.target_call)
        style = f'fill="{ACCENT}" font-size="11" font-weight="700"' if now else 'fill="currentColor" font-size="10"'
        yield _text(route[-1][0] + 7, route[-1][1] - 6, words, f"{style} {_halo()}")
    count = sum(moment.has(event) for event, _ in link.tensors)
    names = _tensor_names(link, moment)
    if names in (graph.nodes[link.source].label, graph.nodes[link.target].label):
        names = ""
    words = _fit(names + (f" ×{count}" if count > 3 else ""), 150, 6)
    if not words.strip() or _is_sideways(route):
        return
    half = 3.0 * len(words) + 2
    for share in (0.5, 0.68, 0.34):
        x, y = x0 + (x1 - x0) * share, y0 + (y1 - y0) * share + 3
        place = (x - half, y - 10, x + half, y + 3)
        if not any(place[0] < b[2] and b[0] < place[2] and place[1] < b[3] and b[1] < place[3] for b in taken):
            taken.append(place)
            yield _text(x, y, words, f'fill="currentColor" font-size="10.5" text-anchor="middle" {_halo()}')
            return


def _node(plan: Plan, node: Node, box: Box, moment: Moment) -> str:
    in_focus = _concerns(node, moment.focus)
    parts = [f"<title>{escape(_said(node, moment))}</title>"]
    if moment.has(node.made):
        parts.append(_frame(node, box, moment, in_focus))
        parts.append(_pill(node, box) if box.height < HEAD else _heading(node, box, moment))
    for at, inner in enumerate(node.inner[:MOST_INNER]):
        if moment.has(inner.born):
            parts.append(_inner(plan, inner, box, box.y + HEAD + at * INNER, moment))
    if len(node.inner) > MOST_INNER:
        more = f"and {len(node.inner) - MOST_INNER} more"
        parts.append(
            _text(box.x + 18, box.y + HEAD + MOST_INNER * INNER + 14, more, 'fill="currentColor" font-size="11"')
        )
    return "<g>" + "".join(parts) + "</g>"


def _to_come(box: Box) -> str:
    """Keep the place of a node that is still to come, so that the graph does not jump while it grows."""
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="6" stroke="currentColor" '
        'stroke-opacity="0.25" stroke-dasharray="1 4" stroke-linecap="round"/>'
    )


def _said(node: Node, moment: Moment) -> str:
    calls = sum(map(moment.has, node.calls))
    called = f", called {calls} times" if calls > 1 else ""
    params = node.params_after(moment.after)
    return f"{node.label}: {node.class_name}{called}, {f'{params:,} parameters' if params else 'owns no variables'}"


def _frame(node: Node, box: Box, moment: Moment, in_focus: bool) -> str:
    radius = box.height / 2 if box.height < HEAD else 6
    waiting = node.kind in ("layer", "block") and not any(map(moment.has, node.calls))
    stroke, width = (ACCENT, 3) if in_focus else ("currentColor", 1.2)
    dash = ' stroke-dasharray="5 4"' if waiting else ""
    shape = (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius}" '
        f'fill="currentColor" fill-opacity="0.04" stroke="{stroke}" stroke-width="{width}" stroke-opacity="{1 if in_focus else 0.6}"{dash}/>'
    )
    if node.kind == "block":
        shape = (
            f'<path d="M{box.x + 6:.1f} {box.y - 4:.1f}H{box.x + box.width + 4:.1f}V{box.bottom - 6:.1f}" stroke="currentColor" '
            f'stroke-opacity="0.6" stroke-width="1.2"/>' + shape
        )
    if node.trainable and node.params_after(moment.after):
        shape += (
            f'<rect x="{box.x + 4:.1f}" y="{box.y + 11:.1f}" width="4" height="{box.height - 20:.1f}" fill="{ACCENT}"/>'
        )
    return shape


def _pill(node: Node, box: Box) -> str:
    if node.kind == "operation":
        label = _fit(node.label, box.width - 16)
        return _text(box.middle, box.y + 17, label, 'fill="currentColor" font-size="11.5" text-anchor="middle"')
    return _text(
        box.x + 12, box.y + 17, _fit(node.label, box.width - 64), 'fill="currentColor" font-weight="600"'
    ) + _text(
        box.x + box.width - 12,
        box.y + 17,
        node.kind,
        'fill="currentColor" font-size="10.5" fill-opacity="0.8" text-anchor="end"',
    )


def _heading(node: Node, box: Box, moment: Moment) -> str:
    calls = sum(map(moment.has, node.calls))
    times = f"×{calls}" if calls > 1 and node.kind != "block" else ""
    params = node.params_after(moment.after)
    owned = f"{params:,}" if params else "owns nothing" if calls else "nothing yet"
    if params and not node.trainable:
        owned += " frozen"
    second = f"{_fit(node.class_name, box.width - 30 - 6.2 * len(owned), 6.2)} · {owned}"
    return (
        _text(
            box.x + 15,
            box.y + 21,
            _fit(node.label, box.width - 26 - 8 * len(times), 7),
            'fill="currentColor" font-weight="700"',
        )
        + (
            _text(box.x + box.width - 10, box.y + 21, times, 'fill="currentColor" font-weight="700" text-anchor="end"')
            if times
            else ""
        )
        + _text(box.x + 15, box.y + 37, second, 'fill="currentColor" fill-opacity="0.8" font-size="11"')
    )


def _inner(plan: Plan, inner: Inner, box: Box, y: float, moment: Moment) -> str:
    in_focus = inner.born == moment.focus
    stroke, width = (ACCENT, 2.4) if in_focus else ("currentColor", 1)
    owner = plan.ledger.layers[inner.key]
    there = any(
        moment.has(v.created_by if v.created_by is not None else -1)
        for v in (plan.ledger.variables[k] for k in owner.own_weights if k in plan.ledger.variables)
    )
    words = f"{inner.params:,}" if there and inner.params else ""
    return (
        f"<g><title>{escape(f'{inner.label}: {inner.class_name}, {inner.params:,} parameters of its own')}</title>"
        f'<rect x="{box.x + 14:.1f}" y="{y:.1f}" width="{box.width - 23:.1f}" height="{INNER - 5}" rx="4" fill="currentColor" '
        f'fill-opacity="0.05" stroke="{stroke}" stroke-width="{width}" stroke-opacity="{1 if in_focus else 0.45}"/>'
        + _text(
            box.x + 21,
            y + 15,
            _fit(inner.label, box.width - 42 - 6.2 * len(words)),
            'fill="currentColor" font-size="11.5"',
        )
        + (
            _text(box.x + box.width - 16, y + 15, words, 'fill="currentColor" font-size="11" text-anchor="end"')
            if words
            else ""
        )
        + "</g>"
    )
