"""What a model would no longer train if the ``trainable`` switch of one of its layer objects were turned off."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from s2s_magic.ledger.roles import ModelRecord
from s2s_magic.ledger.trace import Trace


@dataclass(frozen=True)
class Freezing:
    """The effect of one switch on what a model lists as trainable; variables are keys into the ledger.

    Attributes
    ----------
    stopped
        What the model would no longer list.
    left
        What it would still list.
    kept
        Of ``left``, what the layer object has, and another one goes on listing.
    """

    stopped: tuple[str, ...]
    left: tuple[str, ...]
    kept: tuple[str, ...]


def listed_by(trace: Trace, model: ModelRecord) -> tuple[str, ...]:
    """Return the keys of the variables that a model lists as trainable by the present switches."""
    listed = model.listed if model.listed is not None else model.trained
    if listed is None:  # an older document
        return tuple(key for key, v in trace.variables.items() if v.trainable and model.name in v.in_models)
    return tuple(key for key in listed if key in trace.variables)


def freezing(trace: Trace, key: str, model: ModelRecord) -> Freezing:
    """Say what ``trainable = False`` on a layer object would do; nothing is changed.

    The switch goes to the object and to all that it holds. Keras 2 then leaves out what these objects list: a variable
    that another layer lists too, as with a tied kernel, goes on being trained. Keras 3 turns off the variables
    themselves.

    Parameters
    ----------
    trace
        The records.
    key
        The layer object's key.
    model
        The model whose trainable variables are asked for.
    """
    listed = listed_by(trace, model)
    has = set(trace.layers[key].own_weights)
    below = _below(trace, key)
    elsewhere: set[str] = set()
    if model.switches_read == "compile":
        elsewhere = {name for name in listed if name in has and _listed_beside(trace, name, below, model)}
    return Freezing(
        stopped=tuple(name for name in listed if name in has - elsewhere),
        left=tuple(name for name in listed if name not in has or name in elsewhere),
        kept=tuple(name for name in listed if name in elsewhere),
    )


def _below(trace: Trace, key: str) -> set[str]:
    """Return the keys of a layer object and of all that it holds, however deep."""
    by_name = {layer.name: other for other, layer in trace.layers.items()}
    held: dict[str, set[str]] = defaultdict(set)
    for other, layer in trace.layers.items():
        if layer.parent is not None:
            held[layer.parent].add(other)
        for path in layer.held_by:
            holder = next((by_name[start] for start in reversed(_starts(path)) if start in by_name), None)
            if holder is not None:
                held[holder].add(other)
    for model in trace.models:
        held[model.object].update(model.layers)
    found: set[str] = set()
    waiting = [key]
    while waiting:
        if (here := waiting.pop()) not in found:
            found.add(here)
            waiting.extend(held[here])
    return found


def _listed_beside(trace: Trace, variable: str, below: set[str], model: ModelRecord) -> bool:
    """Return whether a trainable layer outside ``below`` has a variable in its own list, and not through another."""
    beside = [trace.layers[key] for key in direct_listers(trace, variable) - below]
    return any(layer.trainable and model.name in layer.in_models and variable in layer.own_weights for layer in beside)


def direct_listers(trace: Trace, variable: str) -> set[str]:
    """Return the keys of the layers that have a variable in their own list: its owner, and those that share it."""
    paths = {path: key for key, layer in trace.layers.items() for path in (layer.name, *trace.paths_of(layer))}
    ends = (
        next((paths[start] for start in reversed(_starts(path)) if start in paths), None)
        for path in trace.variables[variable].paths
    )
    return {key for key in ends if key is not None}


def _starts(path: str) -> list[str]:
    """Return the beginnings of a path: ``a`` and ``a.b`` of ``a.b.c``."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
