"""The records of a trace, in order, with lookups derived from them alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from s2s_magic.kinds import LayerKind
from s2s_magic.ledger.calls import UNREAD, AnyEvent, Called, Constructed
from s2s_magic.ledger.evidence import Evidence
from s2s_magic.ledger.records import Cell, Layer, Variable
from s2s_magic.ledger.roles import ModelRecord, meant, named


class Trace:
    """The records of a ledger: plain data from which findings and explanations are derived.

    Parameters
    ----------
    name
        The name the model is bound to.
    cells, events, layers, variables, models
        The records, layers and variables by their keys.
    training
        The evidence of the fits, if any.
    chosen
        The main model, if chosen explicitly.
    """

    def __init__(
        self,
        name: str,
        *,
        cells: Iterable[Cell] = (),
        events: Iterable[Constructed | Called] = (),
        layers: Mapping[str, Layer] | None = None,
        variables: Mapping[str, Variable] | None = None,
        models: Iterable[ModelRecord] = (),
        training: Evidence | None = None,
        chosen: str | None = None,
    ) -> None:
        self.name = name
        self.cells: Sequence[Cell] = tuple(cells)
        self.events: Sequence[Constructed | Called] = tuple(events)
        self.layers: Mapping[str, Layer] = dict(layers or {})
        self.variables: Mapping[str, Variable] = dict(variables or {})
        self.models: Sequence[ModelRecord] = tuple(models)
        self.training = training
        self.chosen = chosen

    def __repr__(self) -> str:
        sizes = f"{len(self.events)} events, {len(self.layers)} layers, {len(self.variables)} variables"
        return f"<{type(self).__name__} {self.name!r}: {sizes}>"

    @cached_property
    def calls(self) -> Mapping[str, Sequence[Called]]:
        """The calls of each layer object, in order, by its key; a method that made variables, as ``build``, is none."""
        calls: dict[str, list[Called]] = {}
        for event in self.events:
            if isinstance(event, Called) and event.via is None:
                calls.setdefault(event.object, []).append(event)
        return calls

    @cached_property
    def calls_beside(self) -> Mapping[str, Sequence[Called]]:
        """By layer key, the calls of other objects that use it, or a variable it owns, without holding it."""
        found: dict[str, list[Called]] = {}
        for event in self.events:
            if isinstance(event, Called):
                keys = dict.fromkeys(event.inside)
                if self.layers[event.object].implicit:
                    owners = (self.variables[key].object for key in (*event.reused, *event.created))
                    keys.update(dict.fromkeys(owner for owner in owners if owner is not None))
                for key in keys:
                    found.setdefault(key, []).append(event)
        return found

    @cached_property
    def unread(self) -> frozenset[str]:
        """Keys of the variables that some call of a layer that lists them was seen not to read."""
        calls = (event for event in self.events if isinstance(event, Called))
        stops = (stop for call in calls for stop in call.stops or () if stop.operation == UNREAD)
        return frozenset(stop.variable for stop in stops if stop.variable is not None)

    @cached_property
    def owned(self) -> Mapping[str, Sequence[Variable]]:
        """The variables that each layer object owns itself, by its key; including those that Keras never listed."""
        owned: dict[str, list[Variable]] = {}
        for variable in self.variables.values():
            if variable.object is not None and not variable.dropped:
                owned.setdefault(variable.object, []).append(variable)
        return owned

    @cached_property
    def trained(self) -> frozenset[str]:
        """Keys of the variables that a fit of a compiled model, or of the main model, would train."""
        main = self.main_model
        models = [model for model in self.models if model.compiled is not None or model is main]
        if not models or any(model.trained is None for model in models):  # an older document has switches only
            return frozenset(key for key, variable in self.variables.items() if variable.trainable and variable.tracked)
        return frozenset(key for model in models for key in model.trained or ())

    @property
    def main_model(self) -> ModelRecord | None:
        """The main model: the chosen one, else that of `s2s_magic.ledger.roles.meant`; None if there are no models."""
        chosen = [model for model in self.models if model.name == self.chosen]
        return chosen[0] if chosen else meant(self.models)

    def model(self, name: str) -> ModelRecord:
        """Find a model by name, by Keras name or by the end of either; `LookupFailed` lists the models."""
        return named(self.models, self.layers, name)

    def kind(self, event: AnyEvent) -> LayerKind:
        """Return the kind of an event's layer object."""
        return self.layers[event.object].kind

    def holders(self, key: str) -> list[str]:
        """List the keys of an object and of those that hold it, outward."""
        chain = [key]
        while (parent := self.layers[chain[-1]].parent) is not None and parent not in chain:
            chain.append(parent)
        return chain

    def passed_over(self, key: str) -> Called | None:
        """Return the call of a holder that ran without calling an object, or what holds it in turn; None if unknown.

        It is unknown too where a fit has seen a gradient: a training step of the model's own may have called it.
        """
        evidence = self.training.variables if self.training is not None else {}
        if any(evidence[own].with_gradient for own in self.layers[key].own_weights if own in evidence):
            return None
        chain = self.holders(key)
        for number, above in enumerate(chain):
            if self.layers[above].passed_over:
                return next((self.calls[one][-1] for one in chain[number + 1 :] if self.calls.get(one)), None)
        return None

    def paths_of(self, layer: Layer) -> list[str]:
        """List the attribute paths by which other objects hold a layer: ``decoder.cell``."""
        held = [f"{self.layers[layer.parent].name}.{layer.attribute}"] if layer.parent and layer.attribute else []
        return list(dict.fromkeys([*held, *layer.held_by, *layer.unseen_as]))
