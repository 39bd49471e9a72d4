"""How Keras 3 records the calls that make symbolic tensors."""

from __future__ import annotations

from typing import Any

from s2s_magic.backend.keras3 import objects
from s2s_magic.backend.keras3.own import private
from s2s_magic.kinds import Layout

functional, function = private("models.functional"), private("ops.function")


def graph_of(model: Any) -> Any:
    """Return the object with a model's wires: the model itself if it is functional; None for a model without wires."""
    if isinstance(model, objects.Sequential):
        return model._functional
    return model if isinstance(model, objects.Functional) else None


def layout_of(tensor: Any) -> Layout:
    """Return how a symbolic tensor holds its numbers."""
    if getattr(tensor, "ragged", False):
        return "ragged"
    return "sparse" if getattr(tensor, "sparse", False) else "dense"


def input_names(model: Any) -> list[str]:
    """Return the names of a wired model's inputs, by which a dict of data is sorted."""
    return [tensor.name for tensor in graph_of(model).inputs]


def output_names(model: Any) -> list[str]:
    """Return the names of a wired model's outputs, by which dicts of losses and targets are sorted."""
    return list(graph_of(model).output_names)


def wires_into(node: Any) -> list[Any]:
    """List the symbolic tensors passed to a recorded call."""
    return list(node.input_tensors)


def called_in(node: Any) -> Any:
    """Return the layer or the operation of a recorded call."""
    return node.operation


def output_keys(model: Any) -> list[str] | None:
    """Return the keys of a model wired with a dict of outputs, in output order; None for any other."""
    wired = getattr(graph_of(model), "_outputs_struct", None)
    return sorted(wired) if isinstance(wired, dict) else None


def disconnected(error: BaseException) -> tuple[list[Any], list[Any]] | None:
    """Return the inputs and outputs of a model that could not be made because its outputs need other inputs.

    Return None for any other error.
    """
    finding = function.map_graph, functional.find_nodes_by_inputs_and_outputs
    words = ("disconnected", "cannot be reached")
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if any(frame.f_code is one.__code__ for one in finding) and any(word in str(error) for word in words):
            return _flat(frame.f_locals["inputs"]), _flat(frame.f_locals["outputs"])
        traceback = traceback.tb_next
    return None


def _flat(tensors: Any) -> list[Any]:
    return list(private("tree").flatten(tensors))


def arguments_of(layer: Any, number: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of one of a layer's calls in the graph, by the call's number."""
    made = layer._inbound_nodes[number].arguments
    return tuple(made.args), dict(made.kwargs)
