"""Put labels to the wires: the calls' numbers at their ends, and the tensors' names where there is room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from s2s_magic.view.wiring.diagram import Graph, Link
from s2s_magic.view.wiring.placement import Point
from s2s_magic.view.wiring.shapes import (
    ACCENT,
    BEHIND,
    HALO,
    PLAIN,
    Moment,
    fit,
    is_sideways,
    marked_by,
    rect,
    tensor_names,
    text,
)

Area = tuple[float, float, float, float]
NAME_WIDTH, MOST_WIDTH = 150, 180
"""How wide tensors' names may be, and what a link says in place of them."""
MANY = 150
"""With more wires than this, labels may cover some of them."""


def labels(
    graph: Graph, link: Link, route: tuple[Point, ...], moment: Moment, taken: list[Area], lines: Sequence[Point]
) -> Iterator[str]:
    """Draw the calls' numbers at a wire's ends, and its tensors' names if there is room.

    Parameters
    ----------
    graph, link, route, moment
        What is drawn, and when.
    taken
        Areas that a label must not cover; those of new ones are added.
    lines
        Points of wires, of which it covers as few as it can.
    """
    x0, y0 = route[0]
    if link.source_call:
        yield text(x0 - 11, y0 + 14, str(link.source_call), f'{PLAIN} font-size="10" {BEHIND}')
    if link.target_call:
        now = any(event == moment.focus for event, _ in link.tensors)
        words = f"call {link.target_call}" if now else str(link.target_call)
        style = f'fill="{ACCENT}" font-size="11" font-weight="700"' if now else f'{PLAIN} font-size="10"'
        yield text(route[-1][0] + 7, route[-1][1] - 6, words, f"{style} {BEHIND}")
    words = _label(graph, link, moment)
    if not words or is_sideways(route):
        return
    half = 3.0 * len(words) + 2
    places = [(x, y, (x - half, y - 10, x + half, y + 3)) for x, y in _places(route, half)]
    free = [place for place in places if place[2][0] >= 0 and not any(_overlap(place[2], other) for other in taken)]
    if free:  # the first of those that cover the least of any wire
        x, y, area = min(free, key=lambda place: sum(_holds(place[2], point) for point in lines))
        taken.append(area)
        if link.label:  # numbers, which a wire behind them would make hard to read
            yield rect(area[0], area[1], area[2] - area[0], area[3] - area[1], 3, f'fill="{HALO}"')
        yield text(x, y, words, f'{PLAIN} font-size="10.5" text-anchor="middle" {BEHIND}{marked_by(link.mark)}')


def points_on(routes: Sequence[tuple[Point, ...]]) -> list[Point]:
    """Return points of wires and of the gradients' paths beside them; none where there are many wires."""
    if len(routes) > MANY:
        return []
    points = []
    for route in routes:
        for (x0, y0), (x1, y1) in pairwise(route):
            for part in (place / 12 for place in range(13)):
                # the curve that leaves and arrives straight down
                x = x0 + (x1 - x0) * part * part * (3 - 2 * part)
                y = y0 + (y1 - y0) * (part**3 - 1.5 * part**2 + 1.5 * part)
                points += [(x, y), (x + 9, y)]
    return points


def _places(route: tuple[Point, ...], half: float) -> Iterator[Point]:
    """Yield the places for a label of width ``2 * half``: beside the wire from its start on, then on it."""
    pieces = list(pairwise(route))
    for aside in (half + 14, -half - 6, 0.0):  # more on the right, where the gradient's path runs
        for (x0, y0), (x1, y1) in pieces:
            for share in (0.5, 0.68, 0.34):
                yield x0 + (x1 - x0) * share + aside, y0 + (y1 - y0) * share + 3


def _label(graph: Graph, link: Link, moment: Moment) -> str:
    """Return a link's label; without its tensors' names if a node at its end already shows them."""
    if link.label:
        return fit(link.label, MOST_WIDTH, 6)
    names = tensor_names(link, moment)
    if names in (graph.nodes[link.source].label, graph.nodes[link.target].label):
        names = ""
    count = sum(moment.has(event) for event, _ in link.tensors)
    return fit(f"{names} ×{count}".strip() if count > 3 else names, NAME_WIDTH, 6)


def _holds(area: Area, point: Point) -> bool:
    return area[0] <= point[0] <= area[2] and area[1] <= point[1] <= area[3]


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
