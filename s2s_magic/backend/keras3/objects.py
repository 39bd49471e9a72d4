"""What a live value is: a layer, a model, a variable, a tensor, or an operation."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from s2s_magic.backend import common
from s2s_magic.backend.keras3.own import private
from s2s_magic.kinds import KIND_OF_CLASS, OF_ADDONS

Functional, Sequential = private("models.functional").Functional, keras.Sequential
InputLayer, KerasTensor = keras.layers.InputLayer, keras.KerasTensor
Layer, Model, Metric, Operation = keras.Layer, keras.Model, keras.Metric, keras.Operation
Graph = private("ops.function").Function
variables = private("backend.common.variables")
KerasVariable = getattr(variables, "KerasVariable", None) or variables.Variable  # renamed in Keras 3.8

# Keras's bookkeeping attributes, which refer to the same objects a second time.
BOOKKEEPING = frozenset({
    *("_tracker", "_layers", "_metrics", "_losses", "_loss_ids", "_tracked", "_auto_config", "_call_signature"),
    *("_inbound_nodes", "_outbound_nodes", "_nodes", "_nodes_by_depth", "_operations", "_operations_by_depth"),
    *("_trainable_variables", "_non_trainable_variables", "_seed_generators", "_inputs", "_outputs", "_functional"),
    *("_inputs_struct", "_outputs_struct", "_self_unconditional_checkpoint_dependencies"),
    *("_self_unconditional_dependency_names", "_unconditional_checkpoint_dependencies", "_dtype_policy"),
})  # fmt: skip

KIND_OF = {getattr(keras.layers, name): kind for name, kind in KIND_OF_CLASS.items() if hasattr(keras.layers, name)}

_SEED = "seed_generator_state"

COPIED: weakref.WeakSet[Any] = weakref.WeakSet()
"""The layers that ``Bidirectional`` copied under capture."""


def is_layer(value: Any) -> bool:
    """Return whether a value can be a ledger's layer: a layer, or an operation on symbolic tensors."""
    return isinstance(value, Operation)


def flattened(layer: Any, *, direct: bool = False) -> Iterator[Any]:
    """Return a layer and everything Keras finds within it, or only what is directly within it."""
    if not isinstance(layer, Layer):
        yield from () if direct else (layer,)
        return
    for part in layer._flatten_layers(recursive=not direct, include_self=not direct):
        yield part
        if not direct:
            yield from _operations_in(part)
    if direct:
        yield from _operations_in(layer)


def _operations_in(model: Any) -> list[Any]:
    return [each for each in getattr(model, "_operations", ()) if not isinstance(each, Layer)]


def is_functional(layer: Any) -> bool:
    """Return whether a layer is a graph of layers wired by the user, which no attributes hold."""
    return isinstance(layer, Functional)


def is_written(layer: Any) -> bool:
    """Return whether the user wrote a layer: it is neither an input nor an operation."""
    return isinstance(layer, Layer) and not common.is_input(layer)


def is_variable(value: Any) -> bool:
    """Return whether a value is a variable."""
    return isinstance(value, (KerasVariable, tf.Variable))


def is_seed(variable: Any) -> bool:
    """Return whether a variable holds the state of a random generator, which is not a weight."""
    return str(getattr(variable, "name", "")).rpartition("/")[2] == _SEED


def is_ready(layer: Any) -> bool:
    """Return whether a layer's base constructor has finished."""
    return not isinstance(layer, Layer) or "_parent_path" in vars(layer)


def operation(layer: Any) -> str | None:
    """Return the name of an operation, in `keras.ops` or in ``tf``; None for a layer."""
    if isinstance(layer, Layer):
        return None
    if (function := getattr(layer, "function", None)) is not None and isinstance(function, str):
        return f"tf.{function}"
    name = type(layer).__name__
    spelled = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    named = next((each for each in (spelled, name.lower()) if hasattr(keras.ops, each)), None)
    return f"keras.ops.{named}" if named is not None else name


def is_copied(layer: Any, holders: Iterable[Any]) -> bool:
    """Return whether a layer was copied and the copies are used instead; the copying object does not hold it."""
    return layer in COPIED


def is_stock(layer: Any) -> bool:
    """Return whether a layer's class is Keras's or the addons', and the object does not override ``call``."""
    home = type(layer).__module__
    ours = home.partition(".")[0] in ("keras", "tensorflow") or home.startswith(OF_ADDONS)
    return ours and "call" not in vars(layer)
