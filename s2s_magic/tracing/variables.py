"""The variables of a traced cell: who owns each, which event made it, and how many parameters are trained so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from s2s_magic import backend
from s2s_magic.tracing.observed import RawEvent, RawVariable

KEPT_BYTES = 2**30
"""Up to this total size, the initial values of a cell's variables are kept."""


class Weights:
    """Variables by identity, and the running total of trainable parameters."""

    def __init__(self) -> None:
        self.known: dict[int, RawVariable] = {}
        self.trainable = 0
        self._kept = 0
        self._of_metrics: set[int] = set()

    def recall(self, variable: Any, owner: Any, trains: bool) -> None:
        """Remember a variable in an earlier cell's ledger."""
        raw = self._keep(RawVariable(variable, owner, backend.size_of(variable)))
        self._count(raw, trains)

    def created(self, variable: Any, owner: Any, event: RawEvent | None, initializer: str | None = None) -> RawVariable:
        """Record a new variable; ``event`` is None if the user's own code made it."""
        raw = RawVariable(variable, owner, backend.size_of(variable), initializer, event=event)
        self._keep_start(raw)
        self._keep(raw)
        if event is not None:
            event.created.append(raw)
        return raw

    def _keep_start(self, raw: RawVariable) -> None:
        """Record a variable's initial value, once it has one."""
        value = backend.value(raw.variable)
        if value is not None:
            raw.norm = backend.norm(value)
            self._kept += raw.size * backend.item_size(raw.variable)
            raw.start = value if self._kept <= KEPT_BYTES else None

    def of_metric(self, variable: Any) -> Any:
        """Note that a variable counts for a metric, and return it."""
        self._of_metrics.add(id(backend.bare(variable)))
        return variable

    def leave_out_unlisted_metrics(self, layers: Iterable[Any]) -> None:
        """Drop what counts for metrics, except what Keras 2 lists as weights: the metrics of a subclassed model."""
        if not self._of_metrics:
            return
        ready = filter(backend.is_ready, layers)
        listed = {id(backend.bare(one)) for layer in ready for part in backend.weights(layer) for one in part}
        for identity in self._of_metrics - listed:
            raw = self.known.pop(identity, None)
            if raw is not None and raw.event is not None:
                raw.event.created = [one for one in raw.event.created if one is not raw]

    def forget(self, event: RawEvent) -> None:
        """Drop the variables of a failed event."""
        for raw in event.created:
            self._count(raw, False)
            self.known.pop(id(backend.bare(raw.variable)), None)

    def close(self, event: RawEvent) -> None:
        """List the variables of an event's layer and all it holds, and update the trainable total."""
        trained, others = backend.weights(event.layer)
        event.listed = [
            self._listed(variable, trains, event)
            for variables, trains in ((trained, True), (others, False))
            for variable in variables
        ]
        listed = set(map(id, event.listed))
        event.listed += [raw for raw in self._beside(event) if id(raw) not in listed]
        unseen = {id(part) for layer in event.inside for part in backend.reached(layer)}
        for raw in event.created:
            if raw.norm is None:  # Keras 3 fills some variables only after the call that makes them
                self._keep_start(raw)
            if id(raw) not in listed and raw.owner is not None and id(raw.owner) not in unseen:
                trains = any(v is raw.variable for v in backend.weights(raw.owner)[0])
                self._count(raw, trains)
        if event.via is not None:
            self._count_replaced()
        event.trainable = self.trainable

    def _count_replaced(self) -> None:
        """No longer count variables that their layers have replaced, as by ``add_weight`` or ``quantize``."""
        counted = [raw for raw in self.known.values() if raw.trains and raw.lister is not None]
        listers = {id(raw.lister): raw.lister for raw in counted}
        listed = {id(backend.bare(v)) for layer in listers.values() for part in backend.weights(layer) for v in part}
        for raw in counted:
            if id(backend.bare(raw.variable)) not in listed:
                self._count(raw, False)

    def _beside(self, event: RawEvent) -> list[RawVariable]:
        """Return the variables that an event uses though its layer does not list them; they do not count as trained."""
        found: list[tuple[Any, Any]] = [(variable, None) for variable in event.given]
        for layer in event.inside:
            trained, others = backend.weights(layer)
            found += [(variable, backend.direct_owner(layer, variable)) for variable in (*trained, *others)]
        raws = {}
        for variable, owner in found:
            raw = self.known.get(id(backend.bare(variable)))
            if raw is None and owner is not None:  # older than the trace
                raw = self._keep(RawVariable(variable, owner, backend.size_of(variable)))
            if raw is not None:
                raws[id(raw)] = raw
        return list(raws.values())

    def _listed(self, variable: Any, trains: bool, event: RawEvent) -> RawVariable:
        raw = self.known.get(id(backend.bare(variable)))
        if raw is None:  # older than the trace
            raw = self._keep(
                RawVariable(variable, backend.direct_owner(event.layer, variable), backend.size_of(variable))
            )
        elif raw.owner is None:  # the user's own tf.Variable is now held by a layer
            raw.owner, raw.event = backend.direct_owner(event.layer, raw.variable), event
            event.created.append(raw)
        raw.lister = event.layer
        self._count(raw, trains)
        return raw

    def _keep(self, raw: RawVariable) -> RawVariable:
        self.known[id(backend.bare(raw.variable))] = raw
        return raw

    def _count(self, raw: RawVariable, trains: bool) -> None:
        if raw.trains != trains:
            self.trainable += raw.size if trains else -raw.size
            raw.trains = trains
