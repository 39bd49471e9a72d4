"""The records of single events and variables, with the ledger's keys in place of live objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from s2s_magic import backend
from s2s_magic.ledger import Called, Constructed, Part, Tensor, Variable, Wire
from s2s_magic.tracing.naming import preferred
from s2s_magic.tracing.observed import Names, RawEvent, RawTensor, RawVariable
from s2s_magic.tracing.refreshing import variable_record


@dataclass(frozen=True)
class Keys:
    """The ledger's keys by identity.

    Attributes
    ----------
    layers, variables
        Keys by identity; for a variable, the identity of the bare one.
    names
        Names of layers by key.
    index
        Numbers of events by the identity of the raw event.
    found
        Names in the cell's namespace by identity.
    """

    layers: Mapping[int, str]
    variables: Mapping[int, str]
    names: Mapping[str, str]
    index: Mapping[int, int]
    found: Mapping[int, list[str]]

    def of(self, raws: Iterable[RawVariable]) -> tuple[str, ...]:
        """Return the keys of variables."""
        return tuple(self.variables[id(backend.bare(raw.variable))] for raw in raws)

    def name(self, given: Names, value: Any) -> str | None:
        """Return the best name of an object that is not a layer."""
        found = self.found.get(id(value), ())
        names = preferred(given, found) if given or found else ()
        return names[0] if names else None


def event_of(raw: RawEvent, keys: Keys) -> Constructed | Called:
    """Make the record of an event."""
    key = keys.layers[id(raw.layer)]
    fields = {
        **vars(raw.place),
        "index": keys.index[id(raw)],
        "object": key,
        "layer": keys.names[key],
        "class": type(raw.layer).__name__,
        "keras_name": raw.layer.name,
        "outer": raw.outer,
        "inputs": tuple(_wire(wire, keys) for wire in raw.inputs),
        "outputs": tuple(_tensor(tensor, keys) for tensor in raw.outputs),
        "parts": tuple(_part(part, keys) for part in raw.parts if id(part) in keys.layers),
    }
    if raw.kind == "constructed":
        ends = tuple(_wire(wire, keys) for wire in raw.ends)
        return Constructed.model_validate({**fields, "owns": keys.of(raw.listed), "ends": ends})
    created = set(map(id, raw.created))
    return Called.model_validate(
        {
            **fields,
            "call": raw.call,
            "via": raw.via,
            "in_graph": raw.in_graph,
            "phase": "wiring" if raw.wiring else "data",
            "folded": raw.folded,
            "inside": tuple(keys.layers[id(layer)] for layer in raw.inside),
            "created": keys.of(raw.created),
            "reused": keys.of(variable for variable in raw.listed if id(variable) not in created),
            "trainable_params": raw.trainable,
        }
    )


def variable_of(raw: RawVariable, keys: Keys) -> Variable:
    """Make the record of a variable; `refresh` fills in what depends on other objects."""
    key = keys.layers[id(raw.owner)] if raw.owner is not None else None
    owner = keys.names[key] if key is not None else keys.name(raw.names, raw.variable)
    return variable_record(
        raw.variable,
        owner or raw.variable.name,
        key,
        initializer=raw.initializer,
        created_by=keys.index.get(id(raw.event)),
        initial_norm=raw.norm,
    )


def _tensor(raw: RawTensor, keys: Keys) -> Tensor:
    return Tensor(name=keys.name(raw.names, raw.get()), shape=raw.shape, dtype=raw.dtype)


def _wire(raw: RawTensor, keys: Keys) -> Wire:
    event = keys.index.get(id(raw.made_by))
    made = raw.recorded or (event, raw.number)
    fields = {"name": keys.name(raw.names, raw.get()), "shape": raw.shape, "dtype": raw.dtype}
    return Wire.model_validate({**fields, "from": made[0], "output": made[1]})


def _part(layer: Any, keys: Keys) -> Part:
    key = keys.layers[id(layer)]
    return Part.model_validate({"object": key, "path": keys.names[key], "class": type(layer).__name__})
