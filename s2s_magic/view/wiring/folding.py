"""Fold repeated blocks of a graph into one node each, so that two hundred layers stay readable."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_magic.view.wiring.diagram import Graph, Node, merge

LONGEST_BLOCK = 12
FEWEST_REPEATS = 3


def fold(graph: Graph, *, above: int = 24) -> Graph:
    """Fold each run in which the same layer classes repeat at least three times into one node.

    Twelve repetitions of Dense, LayerNormalization become "12 × Dense, LayerNormalization". Graphs of at most ``above``
    nodes stay as they are: there, each layer is worth its own box.
    """
    if len(graph.nodes) <= above:
        return graph
    foldable = [node for node in graph.nodes.values() if node.kind in ("layer", "operation")]
    order = sorted(foldable, key=lambda node: node.calls[0] if node.calls else node.born)
    classes = [_signature(node) for node in order]
    groups: list[tuple[Node, Sequence[str]]] = []
    at = 0
    while at < len(order):
        period, repeats = longest_run(classes, at)
        if repeats < FEWEST_REPEATS:
            at += 1
            continue
        members = order[at : at + period * repeats]
        groups.append((_block(members, period, repeats), [node.key for node in members]))
        at += period * repeats
    return merge(graph, groups)


def longest_run(signatures: Sequence[object], start: int) -> tuple[int, int]:
    """Find the period whose repetitions from ``start`` cover the most; among equals, the shortest.

    Return the length of the block, and its number of repetitions.
    """
    best, covered = (1, 1), 0
    for period in range(1, min(LONGEST_BLOCK, (len(signatures) - start) // FEWEST_REPEATS) + 1):
        end = start + period
        while end < len(signatures) and signatures[end] == signatures[end - period]:
            end += 1
        repeats = (end - start) // period
        if repeats >= FEWEST_REPEATS and period * repeats > covered:
            best, covered = (period, repeats), period * repeats
    return best


def _signature(node: Node) -> object:
    name = node.class_name if node.kind == "layer" else node.label.rstrip("0123456789_")
    return node.kind, name, min(len(node.calls), 2), tuple(item.class_name for item in node.inner)


def _block(members: Sequence[Node], period: int, repeats: int) -> Node:
    names = [node.class_name if node.kind == "layer" else node.label for node in members[:period]]
    shown = ", ".join(names[:3]) + (f" + {len(names) - 3} more" if len(names) > 3 else "")
    created = tuple(pair for node in members for pair in node.created_by)
    return Node(
        f"block {members[0].key}",
        "block",
        f"{repeats} × {shown}",
        f"{members[0].label} … {members[-1].label}",
        min(node.born for node in members),
        min(node.made for node in members),
        params=sum(node.params for node in members),
        trainable=sum(node.trainable for node in members),
        created_by=created,
        events=tuple(sorted({event for node in members for event in (*node.events, *node.calls)})),
        calls=tuple(members[i * period].calls[0] for i in range(repeats) if members[i * period].calls),
        members=tuple(node.key for node in members),
    )
