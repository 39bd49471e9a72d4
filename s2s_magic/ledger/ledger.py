"""The ledger: every construction and every call, in order, and who owns which variable after each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from s2s_magic.errors import Seq2SeqError
from s2s_magic.ledger.evidence import Evidence
from s2s_magic.ledger.records import AnyEvent, Called, Cell, Constructed, Finding, Layer, ModelRecord, Totals, Variable
from s2s_magic.ledger.roles import meant, named
from s2s_magic.ledger.whole import first_fault

SCHEMA = "s2s_magic.ledger/1"
_LONGEST_SAID = 200


class LedgerFormatError(Seq2SeqError):
    """A document that is not a ledger of this schema."""


class _Document(BaseModel):
    """The JSON document of a ledger."""

    model_config = ConfigDict(extra="ignore")

    name: str
    cells: list[Cell] = []
    events: list[AnyEvent] = []
    layers: dict[str, Layer] = {}
    variables: dict[str, Variable] = {}
    models: list[ModelRecord] = []
    training: Evidence | None = None
    chosen: str | None = None


class Ledger:
    """An append-only record of how a model came to be. Plain data: it needs no TensorFlow to be read or shown.

    Parameters
    ----------
    name
        The name the model is bound to.
    cells, events, layers, variables, models
        The records; see `s2s_magic.ledger.records`.
    training
        What fitting showed, where there was a fit.
    chosen
        The model that is meant, where another than the one compiled last was asked for.
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
        return f"<Ledger {self.name!r}: {sizes}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def findings(self) -> Sequence[Finding]:
        """What a reader should know, in words; derived from the records."""
        from s2s_magic.ledger.findings import find

        return find(self)

    @cached_property
    def calls(self) -> Mapping[str, Sequence[Called]]:
        """The calls of each layer object, in order, by its key."""
        calls: dict[str, list[Called]] = {}
        for event in self.events:
            if isinstance(event, Called):
                calls.setdefault(event.object, []).append(event)
        return calls

    @cached_property
    def owned(self) -> Mapping[str, Sequence[Variable]]:
        """The variables that each layer object owns itself, by its key; also those that Keras does not list."""
        owned: dict[str, list[Variable]] = {}
        for variable in self.variables.values():
            if variable.object is not None:
                owned.setdefault(variable.object, []).append(variable)
        return owned

    @cached_property
    def calls_beside(self) -> Mapping[str, Sequence[Called]]:
        """The calls of other objects that use a layer object, or a variable it owns, without holding it, by its key."""
        calls: dict[str, dict[int, Called]] = {}
        for event in self.events:
            if isinstance(event, Called):
                used = {*event.inside}
                if self.layers[event.object].implicit:
                    handed = (self.variables[key].object for key in (*event.reused, *event.created))
                    used.update(key for key in handed if key is not None)
                for key in used:
                    calls.setdefault(key, {})[event.index] = event
        return {key: list(found.values()) for key, found in calls.items()}

    @cached_property
    def used_beside(self) -> Mapping[str, Sequence[Called]]:
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
    def trained(self) -> frozenset[str]:
        """Keys of the variables that a fit trains: of a model that was compiled, or of the one that is meant."""
        main = self.main_model
        models = [model for model in self.models if model.compiled is not None or model is main]
        if not models or any(model.trained is None for model in models):  # a document of before has switches only
            return frozenset(key for key, variable in self.variables.items() if variable.trainable and variable.tracked)
        return frozenset(key for model in models for key in model.trained or ())

    @property
    def main_model(self) -> ModelRecord | None:
        """The model that is meant: the one chosen, else as `s2s_magic.ledger.roles.meant` says; None without any."""
        chosen = [model for model in self.models if model.name == self.chosen]
        return chosen[0] if chosen else meant(self.models)

    def model(self, name: str) -> ModelRecord:
        """Find a model by name, by its Keras name or by the end of either; `LookupFailed` says which there are."""
        return named(self.models, self.layers, name)

    def about(self, name: str | None) -> Ledger:
        """Give the same ledger about another of its models; None for the one that is meant by itself.

        Raises
        ------
        LookupFailed
            When there is no such model, with those there are and the nearest.
        """
        chosen = None if name is None else self.model(name).name
        return self if chosen == self.chosen else self.changed(chosen=chosen)

    def changed(self, **changes: Any) -> Ledger:
        """Give the same ledger with other parts."""
        parts = ("cells", "events", "layers", "variables", "models", "training", "chosen")
        return Ledger(self.name, **({part: getattr(self, part) for part in parts} | changes))

    def created_until(self, after: int | None = None) -> dict[str, Variable]:
        """Variables that exist once event ``after`` is done (all of them by default), by key."""
        return {
            key: variable
            for key, variable in self.variables.items()
            if after is None or variable.created_by is None or variable.created_by <= after
        }

    def owners(self, after: int | None = None) -> dict[str, list[Variable]]:
        """Who owns which variables once event ``after`` is done.

        Parameters
        ----------
        after
            Index of an event; the end of the ledger by default.

        Returns
        -------
        dict
            Owner's name to its variables, in order of construction. A layer object that was constructed and owns
            nothing yet has an
            empty list; operations such as ``tf.nn.softmax`` are left out.
        """
        table: dict[str, list[Variable]] = {
            layer.name: []
            for layer in self.layers.values()
            if layer.constructed is not None and not layer.implicit and (after is None or layer.constructed <= after)
        }
        for variable in self.created_until(after).values():
            table.setdefault(variable.owner, []).append(variable)
        return table

    def totals(self) -> Totals:
        """Count parameters so that ``row_sum - shared == total``: the main model's, or all where there is none."""
        model = self.main_model
        rows = set(model.layers) if model else None
        counted = [v for v in self.variables.values() if model is None or model.name in v.in_models]
        total = sum(v.params for v in counted)
        row_sum = sum(v.params * max(1, len([h for h in v.held_by if rows is None or h in rows])) for v in counted)
        return Totals(
            row_sum=row_sum,
            shared=row_sum - total,
            trainable=sum(v.params for v in counted if v.trainable),
            total=total,
            outside=sum(v.params for v in self.variables.values()) - total,
        )

    def with_training(self, training: Evidence | None) -> Ledger:
        """Give the same ledger with other evidence."""
        return self.changed(training=training)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON document, complete enough to draw every view again."""
        document: dict[str, Any] = {"schema": SCHEMA, "name": self.name}
        for part in ("cells", "events", "models", "findings"):
            document[part] = [record.model_dump(mode="json", by_alias=True) for record in getattr(self, part)]
        for part in ("layers", "variables"):
            document[part] = {
                key: record.model_dump(mode="json", by_alias=True) for key, record in getattr(self, part).items()
            }
        document["totals"] = self.totals().model_dump(mode="json")
        if self.chosen is not None:
            document["chosen"] = self.chosen
        if self.training is not None:
            document["training"] = self.training.model_dump(mode="json")
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Ledger:
        """Read a document that `to_dict` gave.

        Raises
        ------
        LedgerFormatError
            When it is no mapping of this schema, with the place of the first fault.
        """
        schema = document.get("schema") if isinstance(document, Mapping) else None
        if schema != SCHEMA:
            raise LedgerFormatError(f"not a ledger: the key 'schema' is {_short(repr(schema))}, expected {SCHEMA!r}")
        try:
            read = _Document.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise LedgerFormatError(f"not a ledger: {_short(where)}: {_short(first['msg'])}") from error
        except RecursionError as error:
            raise LedgerFormatError("not a ledger: it is nested too deeply") from error
        ledger = cls(**{name: getattr(read, name) for name in _Document.model_fields})
        if (fault := first_fault(ledger)) is not None:
            raise LedgerFormatError(f"not a whole ledger: {_short(fault)}")
        return ledger


def _short(said: str) -> str:
    """Quote what a document says in a line that a terminal can show."""
    shown = ascii(said[:_LONGEST_SAID])[1:-1]
    return shown[:_LONGEST_SAID] + ("…" if max(len(said), len(shown)) > _LONGEST_SAID else "")
