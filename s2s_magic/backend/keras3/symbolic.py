"""How Keras 3 records the calls that make symbolic tensors."""

from __future__ import annotations

from typing import Any

import keras

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
    finding = function.map_graph, functional.find_nodes_by_inputs_and_outputs, function.Function.__init__
    words = ("disconnected", "cannot be reached", "not connected to")
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
    """Return the arguments of one of a layer's calls in the graph, by the call's number, as Keras 2 keeps them.

    The initial state of a recurrent layer is in the list of its first argument. Masks that Keras passed on by itself
    are left out, and the settings of an operation are keyword arguments.
    """
    made = layer._inbound_nodes[number].arguments
    args, kwargs = tuple(made.args), dict(made.kwargs)
    passed_on = {id(_mask(tensor)) for tensor in _flat((args, kwargs)) if _mask(tensor) is not None}
    for name in [name for name in kwargs if name.endswith("mask")]:
        if all(each is None or id(each) in passed_on for each in _flat(kwargs[name])):
            del kwargs[name]
    if isinstance(layer, keras.layers.RNN):
        state = [*args[1:2], kwargs.pop("initial_state", None)]
        given = [each for each in state if each is not None]
        args = ([args[0], *_flat(given)] if given else args[0], *args[2:])
    elif not isinstance(layer, objects.Layer) and not isinstance(getattr(layer, "function", None), str):
        kwargs = {**getattr(getattr(layer, "_auto_config", None), "config", {}), **kwargs}
    return args, kwargs


def _mask(tensor: Any) -> Any:
    return getattr(tensor, "_keras_mask", None)


def gives_mask(tensor: Any) -> bool:
    """Return whether the call that made a symbolic tensor received its input's mask from Keras.

    A layer called with several tensors, such as a sequence and an initial state, does not.
    """
    layer, number, _ = tensor._keras_history
    made = layer._inbound_nodes[number].arguments
    others = [value for name, value in made.kwargs.items() if not name.endswith("mask")]
    return sum(any(isinstance(each, objects.KerasTensor) for each in _flat(v)) for v in (*made.args, *others)) == 1


def output_code(layer: Any, node: int, number: int) -> str | None:
    """Return the code that follows a layer's name to get an output of one of its calls; None if there is none."""
    if node or objects.is_functional(layer):  # whose output is its own, within it, and none of a call
        return None
    return f".output[{number}]" if len(layer._inbound_nodes[0].output_tensors) > 1 else ".output"
