"""The graph of a ledger: layer objects as nodes, tensors as wires, what one object holds inside its box. Plain data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from s2s_magic.ledger import Called, Constructed, Layer, Ledger, ModelRecord, Tensor, Variable
from s2s_magic.ledger.gradient import ways
from s2s_magic.ledger.wires import carries_gradient, stops_at

Kind = Literal["input", "output", "layer", "operation", "block"]


@dataclass(frozen=True)
class Inner:
    """An object inside the box of the one that holds it; it has its ``params`` once event ``owns_from`` is done."""

    key: str
    label: str
    class_name: str
    born: int
    params: int
    owns_from: int


@dataclass(frozen=True)
class Node:
    """A box of the graph.

    Attributes
    ----------
    key
        Key of the layer object; of the first one for a folded block.
    events
        Indexes of the events that concern it: its construction, its calls, those of what it holds.
    calls
        Indexes of its calls. In a block, the calls of the first layer of each repetition.
    born, made
        The first event after which any of it is shown, what it holds included; and after which it is there itself.
    params, trainable
        Numbers in the variables it and all it holds own, and how many of them are trained.
    own
        Pairs of event and number of those that it owns itself; ``created_by`` has all that it holds.
    members
        Keys of the objects that a block stands for.
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

    def params_after(self, after: int) -> int:
        """Count the numbers in its variables that exist once event ``after`` is done."""
        return sum(size for event, size in self.created_by if event <= after)

    def owned_after(self, after: int) -> int:
        """Count those of them that it owns itself, and not through what it holds."""
        return sum(size for event, size in self.own if event <= after)


@dataclass(frozen=True)
class Link:
    """All tensors that go from one node to another in the same calls.

    ``tensors`` pairs the index of the event that consumes with the tensor, so that a link grows with the events.
    ``source_call`` and ``target_call`` are the calls' numbers, 0 where the node is called once at most.
    """

    source: str
    target: str
    tensors: tuple[tuple[int, Tensor], ...]
    source_call: int = 0
    target_call: int = 0
    gradient: bool = False

    @property
    def born(self) -> int:
        """The first event after which it is shown."""
        return self.tensors[0][0]


@dataclass(frozen=True)
class Graph:
    """Nodes by key, links, and the event after which there is a model for a gradient to come back from."""

    nodes: dict[str, Node]
    links: tuple[Link, ...]
    model_event: int | None = None

    @property
    def wired(self) -> set[str]:
        """Keys of the nodes that some link reaches."""
        return {end for link in self.links for end in (link.source, link.target)}


def graph_of(ledger: Ledger) -> Graph:
    """Draw up the graph of a whole ledger: every layer object that was constructed by the user or called, once.

    Parameters
    ----------
    ledger
        The records.

    Returns
    -------
    Graph
        With an "output" node for each output of the main model, and without models unless they are called.
    """
    calls: dict[str, list[Called]] = defaultdict(list)
    for event in ledger.events:
        if isinstance(event, Called):
            calls[event.object].append(event)
    children: dict[str, list[str]] = defaultdict(list)
    for key, layer in ledger.layers.items():
        if layer.parent is not None:
            children[layer.parent].append(key)
    models = {model.object for model in ledger.models}
    nodes = {
        key: _node(ledger, key, layer, calls, children)
        for key, layer in ledger.layers.items()
        if key in calls
        or (layer.parent is None and layer.constructed is not None and key not in models and not layer.implicit)
    }
    links = _links(ledger, nodes)
    model = ledger.main_model
    if model is None:
        return Graph(nodes, links)
    born = model.event if model.event is not None else 0
    if model.links:
        links += _own_links(ledger, model, nodes, calls, children, born)
    found = ways(ledger)
    ends = {(wire.from_event, wire.output) for wire in found.ends} if found is not None else set()
    for number, wire in enumerate(model.outputs):
        source = _object_of(ledger, wire.from_event)
        if source in nodes:
            key = f"output {number}"
            nodes[key] = Node(key, "output", wire.name or f"output {number}", "output", born, born, events=(born,))
            links += (Link(source, key, ((born, wire),), gradient=(wire.from_event, wire.output) in ends),)
    return Graph(nodes, links, born)


def _own_links(
    ledger: Ledger,
    model: ModelRecord,
    nodes: dict[str, Node],
    calls: dict[str, list[Called]],
    children: dict[str, list[str]],
    born: int,
) -> tuple[Link, ...]:
    """Add the wires that the model laid itself, with the layers at their ends."""
    ends = dict.fromkeys(key for link in model.links for key in (link.source, link.target) if key is not None)
    for key in ends:
        if key not in nodes:
            nodes[key] = _node(ledger, key, ledger.layers[key], calls, children)
    returning: set[str] = set()
    found = []
    for number, link in enumerate(model.links):
        if ledger.trained.intersection(ledger.layers[link.source].own_weights):
            returning.add(link.source)
        target = link.target
        if target is None:
            target = f"output {number}"
            nodes[target] = Node(target, "output", "output", "output", born, born, events=(born,))
        gradient = link.source in returning and carries_gradient(link.dtype)
        if gradient:
            returning.add(target)
        tensor = Tensor(name=None, shape=link.shape, dtype=link.dtype)
        found.append(Link(link.source, target, ((born, tensor),), gradient=gradient))
    return tuple(found)


def _object_of(ledger: Ledger, event: int | None) -> str:
    if event is None:
        return ""
    return next((e.object for e in ledger.events if e.index == event), "")


def _node(
    ledger: Ledger, key: str, layer: Layer, calls: dict[str, list[Called]], children: dict[str, list[str]]
) -> Node:
    called = tuple(event.index for event in calls.get(key, ()))
    inner = _inner(ledger, layer, children.get(key, ()), children, layer.name)
    keys = [v for v in layer.own_weights if v in ledger.variables]
    owned = [ledger.variables[v] for v in keys]
    first = layer.constructed if layer.constructed is not None else (called[0] if called else 0)
    return Node(
        key,
        layer.kind if layer.kind in ("input", "operation") else "layer",
        layer.name,
        layer.class_name,
        min([first, *(item.born for item in inner)]),
        first,
        params=sum(v.params for v in owned),
        trainable=sum(ledger.variables[v].params for v in keys if v in ledger.trained),
        created_by=tuple(map(_born, owned)),
        own=tuple(_born(v) for v in owned if v.object == key),
        events=tuple(sorted({first, *called, *(item.born for item in inner)})),
        calls=called,
        inner=inner,
    )


def _born(variable: Variable) -> tuple[int, int]:
    return variable.created_by if variable.created_by is not None else -1, variable.params


def _inner(
    ledger: Ledger, outer: Layer, keys: Sequence[str], children: dict[str, list[str]], name: str
) -> tuple[Inner, ...]:
    """Flatten what an object holds: those with the user's own name, and those that own variables themselves."""
    found: list[Inner] = []
    for key in keys:
        layer = ledger.layers[key]
        held = [ledger.variables[v] for v in layer.own_weights if v in ledger.variables]
        own = [variable for variable in held if variable.object == key]
        if own or "." not in layer.name:
            born = layer.constructed if layer.constructed is not None else (outer.constructed or 0)
            label = layer.name.removeprefix(f"{name}.")
            owns_from = min((-1 if v.created_by is None else v.created_by for v in own), default=born)
            found.append(Inner(key, label, layer.class_name, born, sum(v.params for v in own), owns_from))
        found.extend(_inner(ledger, layer, children.get(key, ()), children, name))
    return tuple(found)


def _links(ledger: Ledger, nodes: dict[str, Node]) -> tuple[Link, ...]:
    by_index = {event.index: event for event in ledger.events}
    returning = _returning(ledger, by_index)
    found: dict[tuple[str, str, int, int], list[tuple[int, Tensor]]] = defaultdict(list)
    carries: Counter[tuple[str, str, int, int]] = Counter()
    for event in ledger.events:
        if not isinstance(event, Called):
            continue
        for wire in event.inputs:
            source = by_index.get(wire.from_event) if wire.from_event is not None else None
            if source is None or source.object not in nodes:
                continue
            ends = (source.object, event.object, _number(nodes, source), _number(nodes, event))
            found[ends].append((event.index, wire))
            carries[ends] += (source.index, event.index) in returning and carries_gradient(wire.dtype)
    return tuple(
        Link(source, target, tuple(tensors), out, into, carries[source, target, out, into] > 0)
        for (source, target, out, into), tensors in found.items()
    )


def _number(nodes: dict[str, Node], event: Constructed | Called) -> int:
    """Give the number of a call where its layer is called more than once, and not too often to tell wires apart."""
    several = 1 < len(nodes[event.object].calls) <= 9
    return event.call if several and isinstance(event, Called) else 0


def _returning(ledger: Ledger, by_index: dict[int, Constructed | Called]) -> set[tuple[int, int]]:
    """Find the pairs (maker, user) of events between which a gradient comes back to something that is trained."""
    found = ways(ledger)
    if found is None:
        return set()
    trained: set[int] = set()
    pairs: set[tuple[int, int]] = set()
    for event in ledger.events:
        if not isinstance(event, Called) or event.index not in found.reached:
            continue
        layer = ledger.layers[event.object]
        if ledger.trained.intersection(layer.own_weights):
            trained.add(event.index)
        for number, wire in enumerate(event.inputs):
            if stops_at(event, number):
                continue
            if wire.from_event in trained and wire.from_event in by_index and carries_gradient(wire.dtype):
                trained.add(event.index)
                pairs.add((wire.from_event, event.index))
    return pairs


def merge(graph: Graph, groups: Sequence[tuple[Node, Sequence[str]]]) -> Graph:
    """Put one node in the place of each group of nodes; links inside a group disappear, parallel ones become one."""
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
