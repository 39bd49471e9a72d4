"""The graph that symbolic tensors make: its ends, its wires, and the call that made each tensor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from s2s_magic.backend.keras2 import objects
from s2s_magic.backend.keras2.private import private

functional, functional_utils = private("engine.functional"), private("engine.functional_utils")


def nodes(layer: Any) -> int:
    """Count how often a layer sits in Keras's graph."""
    return len(getattr(layer, "_inbound_nodes", ()))


def input_tensor(layer: Any) -> Any:
    """Return an input layer's tensor; None where its constructor failed."""
    return layer._inbound_nodes[0].outputs if nodes(layer) else None


def ends(model: Any) -> tuple[list[Any], list[Any]]:
    """Return a functional model's input and output tensors; a model without wires has none."""
    if not isinstance(model, functional.Functional):
        return [], []
    return list(tf.nest.flatten(model.inputs or [])), list(tf.nest.flatten(model.outputs or []))


def output_keys(model: Any) -> list[str] | None:
    """Return the keys of a model wired with a dict of outputs, in the order of its outputs; None for any other."""
    wired = getattr(model, "_nested_outputs", None)
    return sorted(wired) if isinstance(wired, dict) else None


def disconnected(error: BaseException) -> tuple[list[Any], list[Any]] | None:
    """Return the inputs and outputs of a model that could not be made since its outputs need other inputs.

    Keras finds it in one place where all inputs are made by ``Input``, and in another where one is made by a layer.
    None for any other error.
    """
    finding = functional._map_graph_network, functional_utils.find_nodes_by_inputs_and_outputs
    words = ("disconnected", "cannot be reached")
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if any(frame.f_code is one.__code__ for one in finding) and any(word in str(error) for word in words):
            ends = frame.f_locals["inputs"], frame.f_locals["outputs"]
            return list(tf.nest.flatten(ends[0])), list(tf.nest.flatten(ends[1]))
        traceback = traceback.tb_next
    return None


def tensors_behind(tensors: Iterable[Any], known: Iterable[Any] = ()) -> list[Any]:
    """Walk back along the wires: list the symbolic tensors that some come from, these included, each once.

    The one walk over live graphs. It does not go past known tensors.
    """
    seen = {id(tensor) for tensor in known}
    waiting, found = list(tensors), []
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in seen and objects.is_keras_tensor(tensor):
            seen.add(id(tensor))
            found.append(tensor)
            waiting.extend(tf.nest.flatten(_node(tensor).keras_inputs))
    return found


def inputs_behind(tensors: Iterable[Any], known: Iterable[Any] = ()) -> list[Any]:
    """List the input tensors that the wires of some tensors lead back to, without going past known ones."""
    return [tensor for tensor in tensors_behind(tensors, known) if _node(tensor).is_input]


def leads_to(tensor: Any, outputs: Iterable[Any], given: Iterable[Any]) -> bool:
    """Return whether wires lead from a tensor to some outputs, without going past given tensors."""
    others = [one for one in given if one is not tensor]
    return any(one is tensor for one in tensors_behind(outputs, others))


def calls_behind(tensor: Any) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """List the calls between a symbolic tensor and the inputs, the last one first: layer, arguments, settings."""
    made = {history(one)[:2]: one for one in tensors_behind([tensor]) if not _node(one).is_input}
    return [(layer, *call_of(one)) for (layer, _), one in made.items()]


def _node(tensor: Any) -> Any:
    """Return Keras's record of the call that made a symbolic tensor."""
    layer, number, _ = tensor._keras_history
    return layer._inbound_nodes[number]


def links(model: Any) -> list[tuple[Any, Any, Any]]:
    """Return (layer, tensor, layer) of the wires within a model, in the order of its calls; None at an output's end."""
    found = [
        (tensor._keras_history[0], tensor, node.layer)
        for node in _nodes_in_order(model)
        if not node.is_input
        for tensor in tf.nest.flatten(node.keras_inputs)
    ]
    return [*found, *((tensor._keras_history[0], tensor, None) for tensor in ends(model)[1])]


def _nodes_in_order(model: Any) -> list[Any]:
    """Return Keras's records of the calls within a model, in the order in which it runs them; none without wires."""
    by_depth = getattr(model, "_nodes_by_depth", None) or {}
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


# The wires as Keras keeps them, for writing code that runs on from them.


def history(tensor: Any) -> tuple[Any, int, int]:
    """Say what made a symbolic tensor: the layer, the number of that call in the graph, and of the output in it."""
    made = tensor._keras_history
    return made.layer, int(made.node_index), int(made.tensor_index)


def call_of(tensor: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of the call that made a symbolic tensor, as the layer's ``call`` was given them.

    A recurrent layer's initial state stands in the list of its first argument.
    """
    layer, node, _ = history(tensor)
    return arguments_of(layer, node)


def arguments_of(layer: Any, number: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of one of the calls by which a layer sits in the graph."""
    made = layer._inbound_nodes[number]
    return tuple(made.call_args), dict(made.call_kwargs)


def is_masked(tensor: Any) -> bool:
    """Return whether a mask goes with a symbolic tensor."""
    return getattr(tensor, "_keras_mask", None) is not None


def is_wired(model: Any) -> bool:
    """Return whether a model is a graph of layers with inputs and outputs; a `Sequential` is one once it is built."""
    return isinstance(model, functional.Functional) and bool(ends(model)[1])


def run_order(model: Any) -> dict[int, list[int]]:
    """Give the calls of each layer that a model runs, by the layer's id: their numbers in the graph, in that order."""
    found: dict[int, list[int]] = {}
    for node in _nodes_in_order(model):
        found.setdefault(id(node.layer), []).append(node.layer._inbound_nodes.index(node))
    return found
