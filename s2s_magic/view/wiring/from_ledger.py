"""Convert the records of a ledger to its wiring diagram."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

from s2s_magic.ledger import Called, Constructed, Ledger, ModelRecord, Tensor, Variable
from s2s_magic.ledger.anatomy import part_names
from s2s_magic.ledger.gradient import ways
from s2s_magic.ledger.wires import carries_gradient, stops_at
from s2s_magic.view.wiring.diagram import Graph, Inner, Link, Node


def graph_of(ledger: Ledger) -> Graph:
    """Make the graph of a whole ledger: every layer object that the user constructed or called, once.

    It has an "output" node for each output of the main model. Models are included only if they are called.
    """
    held = _held(ledger)
    models = {model.object for model in ledger.models}
    nodes = {
        key: _node(ledger, key, held)
        for key, layer in ledger.layers.items()
        if key in ledger.calls
        or (layer.parent is None and layer.constructed is not None and key not in models and not layer.implicit)
    }
    links = _links(ledger, nodes)
    model = ledger.main_model
    parts = part_names(ledger)
    for key, node in nodes.items():
        inner = tuple(replace(item, part=parts.get(item.key, "")) for item in node.inner)
        nodes[key] = replace(node, part=parts.get(key, ""), inner=inner)
    if model is None:
        return Graph(nodes, links)
    born = model.event if model.event is not None else 0
    if model.links:
        links += _own_links(ledger, model, nodes, held, born)
    found = ways(ledger)
    ends = {wire.origin for wire in found.ends} if found is not None else set()
    for number, wire in enumerate(model.outputs):
        source = ledger.events[wire.from_event].object if wire.from_event is not None else ""
        if source in nodes:
            key = f"output {number}"
            nodes[key] = _output(key, wire.name or key, born)
            links += (Link(source, key, ((born, wire),), gradient=wire.origin in ends),)
    return Graph(nodes, links, born)


def _own_links(
    ledger: Ledger, model: ModelRecord, nodes: dict[str, Node], held: dict[str, list[str]], born: int
) -> tuple[Link, ...]:
    """Return the wires that the model laid itself; add missing nodes at their ends to ``nodes``."""
    ends = dict.fromkeys(key for link in model.links for key in (link.source, link.target) if key is not None)
    for key in ends:
        if key not in nodes:
            nodes[key] = _node(ledger, key, held)
    returning: set[str] = set()
    found = []
    for number, link in enumerate(model.links):
        if ledger.trained.intersection(ledger.layers[link.source].own_weights):
            returning.add(link.source)
        target = link.target
        if target is None:
            target = f"output {number}"
            nodes[target] = _output(target, "output", born)
        gradient = link.source in returning and carries_gradient(link.dtype)
        if gradient:
            returning.add(target)
        tensor = Tensor(name=None, shape=link.shape, dtype=link.dtype)
        found.append(Link(link.source, target, ((born, tensor),), gradient=gradient))
    return tuple(found)


def _held(ledger: Ledger) -> dict[str, list[str]]:
    """List the keys of the objects that each layer object holds."""
    held: dict[str, list[str]] = defaultdict(list)
    for key, layer in ledger.layers.items():
        if layer.parent is not None:
            held[layer.parent].append(key)
    return held


def _output(key: str, label: str, born: int) -> Node:
    return Node(key, "output", label, "output", born, born, events=(born,))


def _node(ledger: Ledger, key: str, held: dict[str, list[str]]) -> Node:
    layer = ledger.layers[key]
    called = tuple(event.index for event in ledger.calls.get(key, ()))
    inner = tuple(_inner(ledger, key, held, f"{layer.name}."))
    keys = [v for v in layer.own_weights if v in ledger.variables]
    variables = [ledger.variables[v] for v in keys]
    first = layer.constructed if layer.constructed is not None else (called[0] if called else 0)
    return Node(
        key,
        layer.kind if layer.kind in ("input", "operation") else "layer",
        layer.name,
        layer.class_name,
        min([first, *(item.born for item in inner)]),
        first,
        params=sum(v.params for v in variables),
        trainable=sum(ledger.variables[v].params for v in keys if v in ledger.trained),
        created_by=tuple(map(_born, variables)),
        own=tuple(_born(v) for v in variables if v.object == key),
        events=tuple(sorted({first, *called, *(item.born for item in inner)})),
        calls=called,
        inner=inner,
    )


def _born(variable: Variable) -> tuple[int, int]:
    return variable.created_by if variable.created_by is not None else -1, variable.params


def _inner(ledger: Ledger, outer: str, held: dict[str, list[str]], prefix: str) -> Iterator[Inner]:
    """Flatten what an object holds: objects that the user named, and those that own variables themselves."""
    for key in held.get(outer, ()):
        layer = ledger.layers[key]
        own = [ledger.variables[v] for v in layer.own_weights if v in ledger.variables]
        own = [variable for variable in own if variable.object == key]
        if own or "." not in layer.name:
            made = (layer.constructed, ledger.layers[outer].constructed, 0)
            born = next(event for event in made if event is not None)
            owns_from = min((event for event, _ in map(_born, own)), default=born)
            label = layer.name.removeprefix(prefix)
            yield Inner(key, label, layer.class_name, born, sum(v.params for v in own), owns_from)
        yield from _inner(ledger, key, held, prefix)


def _links(ledger: Ledger, nodes: dict[str, Node]) -> tuple[Link, ...]:
    returning = _returning(ledger)
    found: dict[tuple[str, str, int, int], list[tuple[int, Tensor]]] = defaultdict(list)
    carries: Counter[tuple[str, str, int, int]] = Counter()
    for event in ledger.events:
        if not isinstance(event, Called):
            continue
        for wire in event.inputs:
            source = ledger.events[wire.from_event] if wire.from_event is not None else None
            if source is None or not {source.object, event.object} <= nodes.keys():
                continue
            ends = (source.object, event.object, _number(nodes, source), _number(nodes, event))
            found[ends].append((event.index, wire))
            carries[ends] += (source.index, event.index) in returning and carries_gradient(wire.dtype)
    return tuple(
        Link(source, target, tuple(tensors), out, into, carries[source, target, out, into] > 0)
        for (source, target, out, into), tensors in found.items()
    )


def _number(nodes: dict[str, Node], event: Constructed | Called) -> int:
    """Return a call's number if its layer is called several times, but at most nine: more could not be told apart."""
    several = 1 < len(nodes[event.object].calls) <= 9
    return event.call if several and isinstance(event, Called) else 0


def _returning(ledger: Ledger) -> set[tuple[int, int]]:
    """Find the pairs (maker, user) of events between which a gradient flows back to something trained."""
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
            if wire.from_event in trained and carries_gradient(wire.dtype):
                trained.add(event.index)
                pairs.add((wire.from_event, event.index))
    return pairs
