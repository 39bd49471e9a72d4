"""Check that a ledger's records are consistent, which those of an untrusted document may not be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from s2s_magic.ledger.calls import Called, Constructed, Wire
from s2s_magic.ledger.records import Cell, Layer, Place, Record
from s2s_magic.ledger.trace import Trace

LARGEST = 2**63
DEEPEST = 100
"""The deepest nesting of objects that hold each other."""
LONGEST = 10_000
"""The longest name, in characters; code may be longer."""
_CODE = {"text", "source"}


def first_fault(trace: Trace) -> str | None:
    """Return the first inconsistency of a ledger, in one line: a reference to a missing record, or an impossible place.

    None if all records agree. Takes time linear in the ledger's size.
    """
    return next(_faults(trace), None)


def _faults(trace: Trace) -> Iterator[str]:
    for part in ("cells", "events", "models"):
        for number, record in enumerate(getattr(trace, part)):
            yield from _sizes(record, f"{part}.{number}")
    for part in ("layers", "variables"):
        for key, record in getattr(trace, part).items():
            yield from _sizes(record, f"{part}.{key}")
            yield from _sizes(key, part)
    yield from _sizes(trace.training, "training")
    yield from _sizes(trace.name, "name")
    yield from _events(trace)
    yield from _layers(trace)
    yield from _rest(trace)


def _sizes(value: Any, where: str) -> Iterator[str]:
    """Find numbers and texts too large for a ledger."""
    if isinstance(value, bool):
        return
    if isinstance(value, int) and not 0 <= value < LARGEST:
        yield f"{where}: expected a number from 0 to 2**63 - 1"
    elif isinstance(value, str) and len(value) > LONGEST and where.rpartition(".")[2] not in _CODE:
        yield f"{where}: {len(value):,} characters are too long for a name"
    elif isinstance(value, Record):
        for name, part in value:
            if part is not None and part != ():
                yield from _sizes(part, f"{where}.{name}")
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            yield from _sizes(part, f"{where}.{number}")
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _sizes(key, where)
            yield from _sizes(part, f"{where}.{key}")


def _missing(where: str, kind: str, keys: Iterable[Any], known: Collection[Any]) -> Iterator[str]:
    for key in keys:
        if key is not None and key not in known:
            yield f"{where} names the {kind} {key}, which is missing"


def _events(trace: Trace) -> Iterator[str]:
    cells = {cell.number: cell for cell in trace.cells}
    if len(cells) < len(trace.cells):
        yield "two cells have the same number"
    lines = {number: len(cell.lines) for number, cell in cells.items()}
    for number, event in enumerate(trace.events):
        where = f"event {number}"
        if event.index != number:
            yield f"{where} is missing"
            return
        parts = [part.object for part in event.parts]
        yield from _missing(where, "layer", (event.object, *parts), trace.layers)
        yield from _wires(where, event.inputs, trace.events, number)
        if isinstance(event, Constructed):
            yield from _missing(where, "variable", event.owns, trace.variables)
            yield from _wires(where, event.ends, trace.events, number)
        else:
            yield from _missing(where, "variable", (*event.created, *event.reused), trace.variables)
            yield from _missing(where, "layer", event.inside, trace.layers)
        for place in filter(None, (event, event.outer)):
            yield from _place(where, place, cells, lines)
    for cell in trace.cells:
        if cell.ended is not None:
            yield from _missing(f"cell {cell.number}", "layer", [cell.ended.object], trace.layers)
            yield from _place(f"the end of cell {cell.number}", cell.ended, cells, lines)


def _wires(where: str, wires: Iterable[Wire], events: Sequence[Constructed | Called], before: int) -> Iterator[str]:
    """Find wires that do not come from an earlier event than the one they go into."""
    for wire in wires:
        if wire.from_event is None:
            continue
        if wire.from_event >= before:
            yield f"{where} takes a tensor of event {wire.from_event}, which is missing or comes after it"
        elif wire.output >= len(events[wire.from_event].outputs):
            yield f"{where} takes output {wire.output} of event {wire.from_event}, which is missing"


def _place(where: str, place: Place, cells: Mapping[int, Cell], lines: Mapping[int, int]) -> Iterator[str]:
    cell = cells.get(place.cell)
    if cell is None:
        yield f"{where} stands in cell {place.cell}, which is missing"
    elif not cell.first_line <= place.line <= place.end_line < cell.first_line + lines[place.cell]:
        yield f"{where} stands in lines {place.line} to {place.end_line}, which cell {place.cell} does not have"


def _layers(trace: Trace) -> Iterator[str]:
    models = {model.name for model in trace.models}
    events = range(len(trace.events))
    for key, layer in trace.layers.items():
        where = f"layer {key}"
        yield from _missing(where, "event", [layer.constructed], events)
        yield from _missing(where, "layer", (layer.parent, layer.unseen_in), trace.layers)
        yield from _missing(where, "variable", layer.own_weights, trace.variables)
        yield from _missing(where, "model", layer.in_models, models)
    yield from _circles(trace.layers)


def _circles(layers: Mapping[str, Layer]) -> Iterator[str]:
    """Find objects that hold themselves, or are nested too deeply."""
    depths: dict[str, int] = {}
    for key in layers:
        chain: list[str] = []
        here: str | None = key
        while here is not None and here not in depths and len(chain) <= DEEPEST:
            chain.append(here)
            here = layers[here].parent if here in layers else None
        depth = depths.get(here, 0) if here is not None else 0
        if len(chain) + depth > DEEPEST:
            circle = key in chain[1:] or len(set(chain)) < len(chain)
            yield f"layer {key} {'holds itself' if circle else f'is held more than {DEEPEST} deep'}"
            return
        for below in reversed(chain):
            depth += 1
            depths[below] = depth


def _rest(trace: Trace) -> Iterator[str]:
    models = {model.name for model in trace.models}
    events = range(len(trace.events))
    if len(models) < len(trace.models):
        yield "two models have the same name"
    for key, variable in trace.variables.items():
        where = f"variable {key}"
        yield from _missing(where, "event", [variable.created_by], events)
        yield from _missing(where, "layer", (variable.object, *variable.held_by), trace.layers)
        yield from _missing(where, "model", variable.in_models, models)
    for model in trace.models:
        where = f"model {model.name}"
        weights = (*(model.trained or ()), *(model.listed or ()), *model.unknown)
        yield from _missing(where, "event", [model.event], events)
        laid = [key for link in model.links for key in (link.source, link.target)]
        yield from _missing(where, "layer", (model.object, *model.layers, *model.changed, *laid), trace.layers)
        yield from _missing(where, "variable", weights, trace.variables)
        yield from _wires(where, (*model.inputs, *model.outputs), trace.events, len(trace.events))
    yield from _missing("the ledger", "model", [trace.chosen], models)
    if trace.training is not None:
        shares = trace.training.by_call
        named = chain(trace.training.variables, (share.variable for share in shares))
        yield from _missing("training", "variable", named, trace.variables)
        yield from _missing("training", "event", (share.event for share in shares), events)
