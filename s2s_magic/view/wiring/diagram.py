"""A wiring diagram as plain data: layer objects as nodes, tensors as links, held objects inside their holder's box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from s2s_magic.ledger import Tensor

MOST_INNER = 6
Kind = Literal["input", "output", "layer", "operation", "block"]


@dataclass(frozen=True)
class Inner:
    """An object inside its holder's box; from event ``owns_from`` on it has its ``params``."""

    key: str
    label: str
    class_name: str
    born: int
    params: int
    owns_from: int
    part: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Node:
    """A box of the graph.

    Attributes
    ----------
    key
        Key of the layer object; of the first one for a folded block.
    events
        Indexes of its events: its construction, its calls, the constructions of what it holds.
    calls
        Indexes of its calls. In a block, the calls of the first layer of each repetition.
    born, made
        The first event after which it or anything it holds is shown, and the first after which it exists itself.
    params, trainable
        Number of parameters that it and all it holds own, and how many of them are trained.
    own
        Pairs of event and number of parameters it owns itself; ``created_by`` includes all it holds.
    members
        Keys of the objects in a block.
    part
        Which part of an encoder-decoder it is, in words; empty if it is none.
    mark
        What connects it with other parts of a page: its own mark, in a block followed by those of its members.
    """

    key: str
    kind: Kind
    label: str
    class_name: str
    born: int
    made: int
    params: int = 0
    trainable: int = 0
    created_by: tuple[tuple[int, int], ...] = ()
    own: tuple[tuple[int, int], ...] = ()
    events: tuple[int, ...] = ()
    calls: tuple[int, ...] = ()
    inner: tuple[Inner, ...] = ()
    members: tuple[str, ...] = ()
    part: str = ""
    mark: str = ""

    @property
    def drawn(self) -> tuple[Inner, ...]:
        """The objects inside it that have a box of their own; the others are only counted."""
        return self.inner[:MOST_INNER]

    def params_after(self, after: int) -> int:
        """Count the parameters of its variables that exist after event ``after``."""
        return sum(size for event, size in self.created_by if event <= after)

    def owned_after(self, after: int) -> int:
        """Count those that it owns itself, not through what it holds."""
        return sum(size for event, size in self.own if event <= after)


@dataclass(frozen=True)
class Link:
    """All tensors that go from one node to another in the same calls.

    ``tensors`` pairs the index of the consuming event with the tensor, so that a link grows with the events.
    ``source_call`` and ``target_call`` are the calls' numbers, 0 if the node is called at most once. ``label`` and
    ``title`` are what it says in place of its tensors' names, shapes and dtypes.
    """

    source: str
    target: str
    tensors: tuple[tuple[int, Tensor], ...]
    source_call: int = 0
    target_call: int = 0
    gradient: bool = False
    label: str = ""
    title: str = ""
    mark: str = ""

    @property
    def born(self) -> int:
        """The first event after which it is shown."""
        return self.tensors[0][0]


@dataclass(frozen=True)
class Graph:
    """Nodes by key, links, and the event that makes a model from which a gradient can come back."""

    nodes: dict[str, Node]
    links: tuple[Link, ...]
    model_event: int | None = None

    @property
    def wired(self) -> set[str]:
        """Keys of the nodes that some link reaches."""
        return {end for link in self.links for end in (link.source, link.target)}


def merge(graph: Graph, groups: Sequence[tuple[Node, Sequence[str]]]) -> Graph:
    """Replace each group of nodes by one node; links inside a group disappear, parallel links are merged."""
    into = {key: block.key for block, keys in groups for key in keys}
    nodes: dict[str, Node] = {}
    blocks = {block.key: block for block, _ in groups}
    for key, node in graph.nodes.items():
        target = into.get(key, key)
        nodes.setdefault(target, blocks.get(target, node))
    joined: dict[tuple[str, str, int, int], Link] = {}
    for link in graph.links:
        source, target = into.get(link.source, link.source), into.get(link.target, link.target)
        if source == target and source in blocks:
            continue
        ends = (
            source,
            target,
            0 if source in blocks else link.source_call,
            0 if target in blocks else link.target_call,
        )
        if ends in joined:
            other = joined[ends]
            joined[ends] = replace(
                other,
                tensors=tuple(sorted(other.tensors + link.tensors, key=lambda pair: pair[0])),
                gradient=other.gradient or link.gradient,
            )
        else:
            joined[ends] = Link(*ends[:2], link.tensors, *ends[2:], gradient=link.gradient)
    return Graph(nodes, tuple(joined.values()), graph.model_event)
