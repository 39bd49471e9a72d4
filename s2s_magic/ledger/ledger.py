"""The ledger: the records of a trace, with ownership after each event, totals and findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from s2s_magic.ledger import document
from s2s_magic.ledger.evidence import Evidence
from s2s_magic.ledger.findings import find
from s2s_magic.ledger.gradient import without_gradient
from s2s_magic.ledger.records import Finding, Totals, Variable
from s2s_magic.ledger.trace import Trace


class Ledger(Trace):
    """An append-only record of a model's construction. Plain data: reading or showing it needs no TensorFlow.

    It has the parts of a `Trace`.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def findings(self) -> Sequence[Finding]:
        """What a reader should know, in words; derived from the records."""
        return find(self)

    @cached_property
    def without_gradient(self) -> Mapping[str, str]:
        """Why no gradient of the loss reaches what a fit of the main model is to train, by key, where none does."""
        return without_gradient(self)

    def about(self, name: str | None) -> Ledger:
        """Return the same ledger with another main model; None for the default one.

        Raises
        ------
        LookupFailed
            When there is no such model; the message lists the models and suggests the nearest.
        """
        chosen = None if name is None else self.model(name).name
        return self if chosen == self.chosen else self.changed(chosen=chosen)

    def changed(self, **changes: Any) -> Ledger:
        """Return the same ledger with some parts changed."""
        parts = ("cells", "events", "layers", "variables", "models", "training", "chosen")
        return Ledger(self.name, **({part: getattr(self, part) for part in parts} | changes))

    def with_training(self, training: Evidence | None) -> Ledger:
        """Return the same ledger with other evidence."""
        return self.changed(training=training)

    def created_until(self, after: int | None = None) -> dict[str, Variable]:
        """Variables that exist after event ``after`` (all by default), by key."""
        return {
            key: variable
            for key, variable in self.variables.items()
            if after is None or variable.created_by is None or variable.created_by <= after
        }

    def owners(self, after: int | None = None) -> dict[str, list[Variable]]:
        """Who owns which variables after an event.

        Parameters
        ----------
        after
            Index of an event; the end of the ledger by default.

        Returns
        -------
        dict
            From owner's name to its variables, in order of construction. A constructed layer object that owns nothing
            yet has an empty list; operations such as ``tf.nn.softmax`` are left out.
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
        """Count parameters so that ``row_sum - shared == total``: those of the main model, or all if there is none."""
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

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document, complete enough to draw every view again."""
        return document.write(self, self.findings, self.totals())

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Ledger:
        """Read a document that `to_dict` returned.

        Raises
        ------
        LedgerFormatError
            When it is not a mapping of this schema; the message names the first fault's place.
        """
        return cls(**document.read(written))
