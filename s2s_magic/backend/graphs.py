"""Walk the wires of the graph of symbolic tensors, using the functions in each Keras's `symbolic`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from s2s_magic import backend


def nodes(layer: Any) -> int:
    """Count how often a layer occurs in Keras's graph."""
    return len(getattr(layer, "_inbound_nodes", ()))


def input_tensor(layer: Any) -> Any:
    """Return an input layer's tensor; None if its constructor failed."""
    made = layer._inbound_nodes[0].outputs if nodes(layer) else None
    return made[0] if isinstance(made, list) and len(made) == 1 else made


def ends(model: Any) -> tuple[list[Any], list[Any]]:
    """Return a functional model's input and output tensors; both lists are empty for a model without wires."""
    graph = backend.graph_of(model)
    if graph is None:
        return [], []
    return list(tf.nest.flatten(graph.inputs or [])), list(tf.nest.flatten(graph.outputs or []))


def node_of(tensor: Any) -> Any:
    """Return Keras's record of the call that made a symbolic tensor."""
    layer, number, _ = tensor._keras_history
    return layer._inbound_nodes[number]


def nodes_in_order(model: Any) -> list[Any]:
    """Return Keras's records of the calls within a model, in the order they run; none for a model without wires."""
    by_depth = getattr(backend.graph_of(model), "_nodes_by_depth", None) or {}
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def tensors_behind(tensors: Iterable[Any], known: Iterable[Any] = ()) -> list[Any]:
    """Walk back along the wires: list the given tensors and all symbolic tensors they come from, each once.

    This is the only walk over live graphs. It does not go past known tensors.
    """
    seen = {id(tensor) for tensor in known}
    waiting, found = list(tensors), []
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in seen and backend.is_keras_tensor(tensor):
            seen.add(id(tensor))
            found.append(tensor)
            waiting.extend(backend.wires_into(node_of(tensor)))
    return found


def inputs_behind(tensors: Iterable[Any], known: Iterable[Any] = ()) -> list[Any]:
    """List the input tensors that the given tensors come from, without going past known ones."""
    return [tensor for tensor in tensors_behind(tensors, known) if node_of(tensor).is_input]


def missing_inputs(model: Any) -> list[Any]:
    """List the inputs that a model's outputs depend on and that are not among its own; Keras 3 makes such models."""
    inputs, outputs = ends(model)
    return inputs_behind(outputs, inputs)


def leads_to(tensor: Any, outputs: Iterable[Any], given: Iterable[Any]) -> bool:
    """Return whether wires lead from a tensor to any of the outputs, without going past given tensors."""
    others = [one for one in given if one is not tensor]
    return any(one is tensor for one in tensors_behind(outputs, others))


def calls_behind(tensor: Any) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """List the calls between a symbolic tensor and the inputs, the last first: layer, arguments, keyword arguments."""
    made = {history(one)[:2]: one for one in tensors_behind([tensor]) if not node_of(one).is_input}
    return [(layer, *call_of(one)) for (layer, _), one in made.items()]


def links(model: Any) -> list[tuple[Any, Any, Any]]:
    """Return (layer, tensor, layer) for the wires within a model, in call order; the last is None at an output."""
    found = [
        (tensor._keras_history[0], tensor, backend.called_in(node))
        for node in nodes_in_order(model)
        if not node.is_input
        for tensor in backend.wires_into(node)
    ]
    return [*found, *((tensor._keras_history[0], tensor, None) for tensor in ends(model)[1])]


# The wires as Keras keeps them, for writing code that continues from them.


def history(tensor: Any) -> tuple[Any, int, int]:
    """Return what made a symbolic tensor: the layer, its call's number in the graph, and the output's number."""
    layer, node, number = tensor._keras_history
    return layer, int(node), int(number)


def call_of(tensor: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of the call that made a symbolic tensor, as the layer's ``call`` received them.

    A recurrent layer's initial state is in the list of its first argument.
    """
    layer, node, _ = history(tensor)
    return backend.arguments_of(layer, node)


def outputs_of(layer: Any, number: int) -> list[Any]:
    """Return the tensors that one of a layer's calls in the graph returned, in order, by the call's number."""
    return list(tf.nest.flatten(layer._inbound_nodes[number].outputs))


def mask_of(tensor: Any) -> Any:
    """Return the mask that layers noted on a tensor; None if there is none."""
    return getattr(tensor, "_keras_mask", None)


def is_masked(tensor: Any) -> bool:
    """Return whether a symbolic tensor has a mask."""
    return mask_of(tensor) is not None


def is_wired(model: Any) -> bool:
    """Return whether a model is a graph of layers with inputs and outputs; a `Sequential` is one once built."""
    return bool(ends(model)[1])


def run_order(model: Any) -> dict[int, list[int]]:
    """Return the calls that a model runs, by the layer's id: their numbers in the graph, in order."""
    found: dict[int, list[int]] = {}
    for node in nodes_in_order(model):
        layer = backend.called_in(node)
        found.setdefault(id(layer), []).append(layer._inbound_nodes.index(node))
    return found


def by_output(model: Any, given: Any) -> list[Any] | None:
    """Spread an argument of ``compile`` over a model's outputs, as Keras does; None if it does not fit."""
    count = len(ends(model)[1])
    if isinstance(given, dict):
        keys = backend.output_keys(model)
        names = keys if keys is not None and set(given) <= set(keys) else backend.output_names(model)
        given = [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        return list(given) if len(given) == count else None
    return [given] * count
