"""How Keras 2 records the calls that make symbolic tensors."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic.backend.keras2.private import private
from s2s_magic.kinds import Layout

functional, functional_utils = private("engine.functional"), private("engine.functional_utils")


def graph_of(model: Any) -> Any:
    """Return the object with a model's wires: the model itself if it is functional; None for a model without wires."""
    return model if isinstance(model, functional.Functional) else None


def layout_of(tensor: Any) -> Layout:
    """Return how a symbolic tensor holds its numbers."""
    if isinstance(tensor.type_spec, tf.RaggedTensorSpec):
        return "ragged"
    return "sparse" if isinstance(tensor.type_spec, tf.SparseTensorSpec) else "dense"


def input_names(model: Any) -> list[str]:
    """Return the names of a wired model's inputs, by which a dict of data is sorted."""
    return list(model.input_names)


def output_names(model: Any) -> list[str]:
    """Return the names of a wired model's outputs, by which dicts of losses and targets are sorted."""
    return list(model.output_names)


def wires_into(node: Any) -> list[Any]:
    """List the symbolic tensors passed to a recorded call."""
    return list(tf.nest.flatten(node.keras_inputs))


def called_in(node: Any) -> Any:
    """Return the layer of a recorded call."""
    return node.layer


def output_keys(model: Any) -> list[str] | None:
    """Return the keys of a model wired with a dict of outputs, in output order; None for any other."""
    wired = getattr(model, "_nested_outputs", None)
    return sorted(wired) if isinstance(wired, dict) else None


def disconnected(error: BaseException) -> tuple[list[Any], list[Any]] | None:
    """Return the inputs and outputs of a model that could not be made because its outputs need other inputs.

    Keras detects this in one place if all inputs are made by ``Input``, and in another if one is made by a layer.
    Return None for any other error.
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


def arguments_of(layer: Any, number: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of one of a layer's calls in the graph, by the call's number."""
    made = layer._inbound_nodes[number]
    return tuple(made.call_args), dict(made.call_kwargs)


def gives_mask(tensor: Any) -> bool:
    """Return whether the call that made a symbolic tensor received its input's mask from Keras: in Keras 2, always."""
    return True


def output_code(layer: Any, node: int, number: int) -> str | None:
    """Return the code that follows a layer's name to get an output of one of its calls; None if there is none."""
    made = layer.get_output_at(node)
    return f".get_output_at({node}){_place(made, number) if isinstance(made, list | tuple) else ''}"


def _place(made: Any, number: int) -> str:
    """Return the index expression of the part with this number in the flattened structure."""
    for place, part in enumerate(made):
        size = len(tf.nest.flatten(part))
        if number < size:
            return f"[{place}]{_place(part, number)}" if isinstance(part, list | tuple) else f"[{place}]"
        number -= size
    raise IndexError(number)
