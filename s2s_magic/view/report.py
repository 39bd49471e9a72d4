"""A report: everything that the views show, computed once from a ledger, as plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s2s_magic.errors import LookupFailed
from s2s_magic.ledger import Called, Cell, Constructed, Evidence, Finding, Ledger, Place, Tensor, Totals, Variable
from s2s_magic.ledger.words import bytes_text, counted, shape_text, steps_text
from s2s_magic.view.rows import (
    BY_REGULARIZER,
    NEVER_READ,
    NO_GRADIENT,
    STILL_TRAINED,
    OwnerRow,
    VariableRow,
    born_in,
    marks_of,
    owner_rows,
    steps_using,
    variable_row,
)
from s2s_magic.view.sentences import sentence

__all__ = ["OwnerRow", "Port", "Report", "Step", "TreeRow", "VariableRow", "report"]


@dataclass(frozen=True)
class Port:
    """An input or output tensor of an event; ``step`` made it (None: from outside the trace)."""

    name: str
    shape: str
    dtype: str
    step: int | None


@dataclass(frozen=True)
class Step:
    """One event.

    ``created`` and ``reused`` are keys into the report's variables; ``trainable`` is the number of trainable parameters
    after the event.
    """

    index: int
    kind: str
    place: Place
    outer: Place | None
    layer: str
    call: int | None
    phase: str
    sentence: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    created: tuple[str, ...]
    reused: tuple[str, ...]
    trainable: int


@dataclass(frozen=True)
class TreeRow:
    """A line of the owner tree at some step: an owner with the sum of all below it, or one of its variables."""

    depth: int
    row: OwnerRow | VariableRow
    params: int
    bytes: int
    state: str

    @property
    def shape(self) -> str | None:
        """The variable's shape; an owner has none."""
        return None if isinstance(self.row, OwnerRow) else self.row.shape

    @property
    def bytes_text(self) -> str:
        """Its size in bytes, as text; the empty string if it has no parameters."""
        return bytes_text(self.bytes) if self.params else ""

    @property
    def used_by(self) -> str:
        """The steps that use it; a dash if none does."""
        return steps_text(self.row.steps) if self.row.steps else "–"


@dataclass(frozen=True)
class Report:
    """What the views show of a ledger.

    Attributes
    ----------
    name, cells
        The model's name and the code.
    steps
        One per event, up to ``after``.
    owners, variables
        All rows, by key; `tree` returns them as of a step.
    totals
        Parameters as of the last step: row sum − shared = total.
    findings
        What a reader should know; rows refer to them by number.
    training
        The evidence from fitting, if requested.
    fitted
        Whether it was requested.
    after
        The last step of the report.
    ledger
        The records it was made from.
    """

    name: str
    cells: Sequence[Cell]
    steps: Sequence[Step]
    owners: dict[str, OwnerRow]
    variables: dict[str, VariableRow]
    totals: Totals
    findings: Sequence[Finding]
    training: Evidence | None
    fitted: bool
    after: int
    ledger: Ledger

    @property
    def sizes(self) -> tuple[str, str]:
        """The numbers of steps and of parameters, in words; `summary` has the rest."""
        trainable = f"{self.totals.trainable:,} trainable of {self.totals.total:,} parameters"
        return counted(len(self.steps), "step"), trainable

    def tree(self, after: int | None = None) -> list[TreeRow]:
        """Return the owner tree after step ``after``: each owner, then its variables, then the objects it holds.

        Parameters
        ----------
        after
            A step; the report's last one by default.
        """
        last = self.after if after is None else after
        below: dict[str | None, list[OwnerRow]] = defaultdict(list)
        for owner in self.owners.values():
            if owner.born <= last:
                below[self._holder(owner, last)].append(owner)
        rows: list[TreeRow] = []
        for owner in below[None]:
            self._add(rows, owner, 0, last, below)
        return rows

    def _holder(self, owner: OwnerRow, last: int) -> str | None:
        """Find the nearest holder that exists at step ``last``: a cell has none until its decoder is made."""
        parent = self.owners.get(owner.parent or "")
        while parent is not None and parent.born > last:
            parent = self.owners.get(parent.parent or "")
        return parent.key if parent else None

    def _add(
        self, rows: list[TreeRow], owner: OwnerRow, depth: int, last: int, below: dict[str | None, list[OwnerRow]]
    ) -> None:
        place = len(rows)
        own = [self.variables[key] for key in owner.variables if self.variables[key].born <= last]
        rows.extend(TreeRow(depth + 1, row, row.params, row.bytes, row.state) for row in own)
        for held in below.get(owner.key, ()):
            self._add(rows, held, depth + 1, last, below)
        leaves = [row.row for row in rows[place:] if isinstance(row.row, VariableRow)]
        params, size = sum(leaf.params for leaf in leaves), sum(leaf.bytes for leaf in leaves)
        rows.insert(place, TreeRow(depth, owner, params, size, _state_of_all([leaf.state for leaf in leaves])))


def _state_of_all(states: list[str]) -> str:
    if not states:
        return "owns nothing"
    if len(set(states)) == 1:
        return states[0]
    switched_on = ("trainable", STILL_TRAINED, NEVER_READ, NO_GRADIENT, BY_REGULARIZER)
    trained = sum(state in switched_on for state in states)
    return f"{trained} of {len(states)} trainable"


def report(ledger: Ledger, *, after: int | None = None, training: bool = False) -> Report:
    """Compute what the views show, in time linear in the ledger's size.

    Parameters
    ----------
    ledger
        The records.
    after
        Index of the event to stop after; the last one by default.
    training
        Also show what fitting did.

    Raises
    ------
    LookupFailed
        If there is no event with that index.
    """
    last = len(ledger.events) - 1
    if after is not None and not 0 <= after <= last:
        known = f"its events are 0 to {last}" if ledger.events else "it has no events"
        raise LookupFailed(f"{ledger.name} has no event {after}: {known}")
    last = last if after is None else after
    findings = [f for f in ledger.findings if f.event is None or f.event <= last]
    events = ledger.events[: last + 1]
    steps = tuple(_steps(ledger, events))
    uses = steps_using(events)
    marks = marks_of(findings)
    variables = {key: variable_row(ledger, key, uses, marks) for key in ledger.created_until(last)}
    return Report(
        name=ledger.name,
        cells=ledger.cells,
        steps=steps,
        owners=owner_rows(ledger, last, variables, uses, marks),
        variables=variables,
        totals=_totals(ledger, last),
        findings=findings,
        training=ledger.training if training else None,
        fitted=training,
        after=last,
        ledger=ledger,
    )


def _totals(ledger: Ledger, last: int) -> Totals:
    models = [model for model in ledger.models if model.event is None or model.event <= last]
    return Ledger(ledger.name, variables=ledger.created_until(last), models=models, chosen=ledger.chosen).totals()


def _steps(ledger: Ledger, events: Sequence[Constructed | Called]) -> Iterator[Step]:
    held: dict[str, list[str]] = defaultdict(list)
    for key, layer in ledger.layers.items():
        if layer.parent is not None and born_in(ledger, key) <= born_in(ledger, layer.parent):
            held[layer.parent].append(layer.name)
    trainable = 0
    for event in events:
        if isinstance(event, Called):
            created, reused, trainable = event.created, event.reused, event.trainable_params
        else:
            created = tuple(key for key in event.owns if ledger.variables[key].created_by == event.index)
            reused = tuple(key for key in event.owns if _made_before(ledger.variables[key], event.index))
            trainable += sum(ledger.variables[key].params for key in created if ledger.variables[key].trainable)
        yield Step(
            index=event.index,
            kind=event.kind,
            place=event,
            outer=event.outer,
            layer=event.layer,
            call=event.call if isinstance(event, Called) and event.via is None else None,
            phase="data flowing" if isinstance(event, Called) and event.phase == "data" else "wiring only",
            sentence=sentence(event, ledger, held, created, reused),
            inputs=tuple(_port(wire, wire.from_event) for wire in event.inputs),
            outputs=tuple(_port(tensor, event.index) for tensor in event.outputs),
            created=created,
            reused=reused,
            trainable=trainable,
        )


def _made_before(variable: Variable, event: int) -> bool:
    return variable.created_by is None or variable.created_by < event


def _port(tensor: Tensor, step: int | None) -> Port:
    return Port(tensor.name or "(no name)", shape_text(tensor.shape, "(unknown)"), tensor.dtype, step)
