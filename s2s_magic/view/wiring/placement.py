"""Place the boxes and wires of a graph: a layered layout, after K. Sugiyama, S. Tagawa, M. Toda (1981)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from s2s_magic.errors import SetupError
from s2s_magic.view.wiring.diagram import MOST_INNER, Graph, Link, Node

WIDTH, PILL, GAP = 184, 26, 24
HEAD, INNER, FOOT = 48, 26, 7
ROW_GAP = 62
LANE = 12
LONE_COLUMNS = 4


@dataclass(frozen=True)
class Box:
    """A node's place: left, top, width and height in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The x coordinate of its centre."""
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        """The y coordinate of its lower edge."""
        return self.y + self.height


Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """The places of all boxes and wires, in pixels.

    Attributes
    ----------
    boxes
        By node key.
    routes
        One polyline per link, in the order of the graph's links, from the source's lower edge to the target's upper
        edge. Consecutive points with the same ``x`` form a straight segment.
    lone
        Top of the area of nodes without wires; None if there are none.
    """

    boxes: dict[str, Box]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float
    lone: float | None = None


def lay_out(graph: Graph) -> Layout:
    """Place a graph, inputs at the top, outputs at the bottom. The same graph always has the same layout."""
    wired = graph.wired
    order = [key for key in graph.nodes if key in wired]
    ranks = _ranks(order, graph.links)
    chains, middles = _middles(graph, order, ranks)
    rows: dict[int, float] = defaultdict(float)
    for key in order:
        rows[ranks[key]] = max(rows[ranks[key]], _height(graph.nodes[key]))
    tops, y = {}, float(GAP)
    for rank in sorted(rows):
        tops[rank] = y
        y += rows[rank] + ROW_GAP
    boxes = {}
    for key in order:
        width = _width(graph.nodes[key])
        height = _height(graph.nodes[key])
        top = tops[ranks[key]] + (rows[ranks[key]] - height) / 2
        boxes[key] = Box(middles[key] - width / 2, top, width, height)
    lanes = [[(middles[v], tops[rank], tops[rank] + rows[rank]) for v, rank in chain] for chain in chains]
    bottom = y - ROW_GAP + GAP if rows else float(GAP)
    lone = [key for key in graph.nodes if key not in wired]
    boxes.update(_lone_places(graph, lone, bottom + GAP))
    width = max((box.x + box.width for box in boxes.values()), default=WIDTH) + GAP
    width = max([width, *(x + GAP for lane in lanes for x, _, _ in lane)])
    height = max([bottom, *(box.bottom + GAP for box in boxes.values())])
    backward = any(ranks[link.target] < ranks[link.source] for link in graph.links)
    routes = _routes(graph.links, boxes, lanes, ranks, width)
    return Layout(boxes, routes, width + (3 * GAP if backward else 0), height, bottom if lone else None)


def _height(node: Node) -> float:
    if node.kind in ("input", "output", "operation"):
        return PILL
    shown = min(len(node.inner), MOST_INNER + 1)
    return HEAD + (shown * INNER + FOOT if shown else 0)


def _width(node: Node) -> float:
    if node.kind == "operation":
        return min(WIDTH, 24 + 6.6 * len(node.label))
    return WIDTH


def _ranks(order: Sequence[str], links: Iterable[Link]) -> dict[str, int]:
    """Assign each node its row by the longest path from a source; then pull the sources down to their nearest user.

    A link that closes a cycle (a layer called on its own result) does not count.
    """
    later: dict[str, list[str]] = {key: [] for key in order}
    for link in links:
        if link.target not in later[link.source]:
            later[link.source].append(link.target)
    sequence = _depth_first(order, later)
    place = {key: number for number, key in enumerate(sequence)}
    ranks = dict.fromkeys(order, 0)
    for key in sequence:
        for following in later[key]:
            if place[following] > place[key]:
                ranks[following] = max(ranks[following], ranks[key] + 1)
    for key in reversed(sequence):
        after = [ranks[following] for following in later[key] if place[following] > place[key]]
        entered = any(key in later[other] and place[other] < place[key] for other in order) if after else True
        if after and not entered:
            ranks[key] = min(after) - 1
    lowest = min(ranks.values(), default=0)
    return {key: rank - lowest for key, rank in ranks.items()}


def _depth_first(order: Sequence[str], later: dict[str, list[str]]) -> list[str]:
    """Sort topologically as far as cycles allow: in reverse postorder of a depth-first search."""
    left: list[str] = []
    seen: set[str] = set()
    for start in order:
        stack = [(start, iter(later[start]))] if start not in seen else []
        seen.add(start)
        while stack:
            key, following = stack[-1]
            fresh = next((other for other in following if other not in seen), None)
            if fresh is None:
                left.append(key)
                stack.pop()
            else:
                seen.add(fresh)
                stack.append((fresh, iter(later[fresh])))
    return left[::-1]


def _middles(
    graph: Graph, order: Sequence[str], ranks: dict[str, int]
) -> tuple[list[list[tuple[str, int]]], dict[str, float]]:
    """Let graphlay order the rows with few crossings and straight wires.

    Returns
    -------
    list
        For each link the invisible vertices it passes, with their rows.
    dict
        Horizontal centre of every node and invisible vertex in pixels, with the leftmost edge at `GAP`.
    """
    try:
        import graphlay
    except ImportError as error:
        raise SetupError("the wiring is drawn with graphlay, which is not installed: pip install graphlay") from error
    drawing = graphlay.Graph()
    widths = {key: _width(graph.nodes[key]) for key in order}
    for key in order:
        drawing.node(key, width=widths[key], height=PILL, rank={"fixed": ranks[key]})
    chains: list[list[tuple[str, int]]] = []
    for at, link in enumerate(graph.links):
        chain = [(f"via {at} {rank}", rank) for rank in range(ranks[link.source] + 1, ranks[link.target])]
        for vertex, rank in chain:
            drawing.node(vertex, width=LANE, height=PILL, rank={"fixed": rank})
        if ranks[link.target] > ranks[link.source]:
            for here, there in pairwise([link.source, *(vertex for vertex, _ in chain), link.target]):
                drawing.edge(here, there)
        chains.append(chain)
    if not order:
        return chains, {}
    options = {"direction": "topbottom", "spacing": {"node_gap": GAP, "layer_gap": ROW_GAP}}
    placed = {vertex: float(x) for vertex, (x, _) in graphlay.layout(drawing, options=options).positions().items()}
    sign = -1 if _backwards(order, ranks, placed) else 1
    left = min(sign * middle - widths.get(vertex, LANE) / 2 for vertex, middle in placed.items())
    return chains, {vertex: sign * middle - left + GAP for vertex, middle in placed.items()}


def _backwards(order: Sequence[str], ranks: dict[str, int], middles: dict[str, float]) -> bool:
    """Return whether to mirror the drawing, so that its top row runs from left to right in the order of the code."""
    rows: dict[int, list[float]] = defaultdict(list)
    for key in order:
        rows[ranks[key]].append(middles[key])
    balance = (sum(1 if second > first else -1 for first, second in pairwise(rows[rank])) for rank in sorted(rows))
    return next(filter(None, balance), 1) < 0


def _lone_places(graph: Graph, keys: Sequence[str], top: float) -> dict[str, Box]:
    """Put nodes without wires in rows below the graph."""
    boxes = {}
    y = top + GAP
    for start in range(0, len(keys), LONE_COLUMNS):
        row = keys[start : start + LONE_COLUMNS]
        for at, key in enumerate(row):
            boxes[key] = Box(GAP + at * (WIDTH + GAP), y, WIDTH, _height(graph.nodes[key]))
        y += max(_height(graph.nodes[key]) for key in row) + GAP
    return boxes


def _routes(
    links: Sequence[Link],
    boxes: dict[str, Box],
    lanes: Sequence[Sequence[tuple[float, float, float]]],
    ranks: dict[str, int],
    width: float,
) -> tuple[tuple[Point, ...], ...]:
    leaving, entering = defaultdict(list), defaultdict(list)
    for at, link in enumerate(links):
        if ranks[link.target] <= ranks[link.source]:
            continue
        ahead = lanes[at][0][0] if lanes[at] else boxes[link.target].middle
        behind = lanes[at][-1][0] if lanes[at] else boxes[link.source].middle
        leaving[link.source].append((ahead, at))
        entering[link.target].append((behind, at))
    starts = {at: x for key, ends in leaving.items() for at, x in _ports(boxes[key], ends)}
    stops = {at: x for key, ends in entering.items() for at, x in _ports(boxes[key], ends)}
    routes: list[tuple[Point, ...]] = []
    for at, link in enumerate(links):
        source, target = boxes[link.source], boxes[link.target]
        if at not in starts:
            side = source.x + source.width + GAP / 2 if source is target else width + GAP
            routes.append(
                (
                    (source.x + source.width, source.bottom - PILL / 2),
                    (side, source.bottom - PILL / 2),
                    (side, target.y + PILL / 2),
                    (target.x + target.width, target.y + PILL / 2),
                )
            )
            continue
        through = [point for x, top, bottom in lanes[at] for point in ((x, top), (x, bottom))]
        routes.append(((starts[at], source.bottom), *through, (stops[at], target.y)))
    return tuple(routes)


def _ports(box: Box, ends: Iterable[tuple[float, int]]) -> list[tuple[int, float]]:
    """Spread the ends of wires along a box's edge, in the order of where they come from."""
    ordered = sorted(ends)
    gap = min(36.0, box.width * 0.7 / max(1, len(ordered) - 1))
    first = box.middle - gap * (len(ordered) - 1) / 2
    return [(at, first + number * gap) for number, (_, at) in enumerate(ordered)]
