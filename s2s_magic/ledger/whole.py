"""Whether a ledger's records agree with each other, as those of a document from a stranger may not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from s2s_magic.ledger.records import Called, Cell, Constructed, Layer, Place, Record, Wire

if TYPE_CHECKING:
    from s2s_magic.ledger.ledger import Ledger

LARGEST = 2**63
DEEPEST = 100
"""So many objects may hold each other, one within the other."""
LONGEST = 10_000
"""So many characters a name may have; code may have more."""
_CODE = {"text", "source"}


def first_fault(ledger: Ledger) -> str | None:
    """Say what is wrong with a ledger, in a line: a record names another that is missing, or stands where none can.

    Returns
    -------
    str or None
        The first fault; None where all records agree. The time it takes grows with the ledger's size alone.
    """
    return next(_faults(ledger), None)


def _faults(ledger: Ledger) -> Iterator[str]:
    for part in ("cells", "events", "models"):
        for number, record in enumerate(getattr(ledger, part)):
            yield from _sizes(record, f"{part}.{number}")
    for part in ("layers", "variables"):
        for key, record in getattr(ledger, part).items():
            yield from _sizes(record, f"{part}.{key}")
            yield from _sizes(key, part)
    yield from _sizes(ledger.training, "training")
    yield from _sizes(ledger.name, "name")
    yield from _events(ledger)
    yield from _layers(ledger)
    yield from _rest(ledger)


def _sizes(value: Any, where: str) -> Iterator[str]:
    """Find numbers and texts that no ledger has."""
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


def _events(ledger: Ledger) -> Iterator[str]:
    cells = {cell.number: cell for cell in ledger.cells}
    if len(cells) < len(ledger.cells):
        yield "two cells have the same number"
    lines = {number: len(cell.lines) for number, cell in cells.items()}
    for number, event in enumerate(ledger.events):
        where = f"event {number}"
        if event.index != number:
            yield f"{where} is missing"
            return
        parts = [part.object for part in event.parts]
        yield from _missing(where, "layer", (event.object, *parts), ledger.layers)
        yield from _wires(where, event.inputs, ledger.events, number)
        if isinstance(event, Constructed):
            yield from _missing(where, "variable", event.owns, ledger.variables)
            yield from _wires(where, event.ends, ledger.events, number)
        else:
            yield from _missing(where, "variable", (*event.created, *event.reused), ledger.variables)
            yield from _missing(where, "layer", event.inside, ledger.layers)
        for place in filter(None, (event, event.outer)):
            yield from _place(where, place, cells, lines)
    for cell in ledger.cells:
        if cell.ended is not None:
            yield from _missing(f"cell {cell.number}", "layer", [cell.ended.object], ledger.layers)
            yield from _place(f"the end of cell {cell.number}", cell.ended, cells, lines)


def _wires(where: str, wires: Iterable[Wire], events: Sequence[Constructed | Called], before: int) -> Iterator[str]:
    """Find wires that do not come from an event before the one that they go into."""
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


def _layers(ledger: Ledger) -> Iterator[str]:
    models = {model.name for model in ledger.models}
    events = range(len(ledger.events))
    for key, layer in ledger.layers.items():
        where = f"layer {key}"
        yield from _missing(where, "event", [layer.constructed], events)
        yield from _missing(where, "layer", (layer.parent, layer.unseen_in), ledger.layers)
        yield from _missing(where, "variable", layer.own_weights, ledger.variables)
        yield from _missing(where, "model", layer.in_models, models)
    yield from _circles(ledger.layers)


def _circles(layers: Mapping[str, Layer]) -> Iterator[str]:
    """Find objects that hold themselves, or are nested as no program nests them."""
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


def _rest(ledger: Ledger) -> Iterator[str]:
    models = {model.name for model in ledger.models}
    events = range(len(ledger.events))
    if len(models) < len(ledger.models):
        yield "two models have the same name"
    for key, variable in ledger.variables.items():
        where = f"variable {key}"
        yield from _missing(where, "event", [variable.created_by], events)
        yield from _missing(where, "layer", (variable.object, *variable.held_by), ledger.layers)
        yield from _missing(where, "model", variable.in_models, models)
    for model in ledger.models:
        where = f"model {model.name}"
        weights = (*(model.trained or ()), *(model.listed or ()), *model.unknown)
        yield from _missing(where, "event", [model.event], events)
        laid = [key for link in model.links for key in (link.source, link.target)]
        yield from _missing(where, "layer", (model.object, *model.layers, *model.changed, *laid), ledger.layers)
        yield from _missing(where, "variable", weights, ledger.variables)
        yield from _wires(where, (*model.inputs, *model.outputs), ledger.events, len(ledger.events))
    yield from _missing("the ledger", "model", [ledger.chosen], models)
    if ledger.training is not None:
        shares = ledger.training.by_call
        named = chain(ledger.training.variables, (share.variable for share in shares))
        yield from _missing("training", "variable", named, ledger.variables)
        yield from _missing("training", "event", (share.event for share in shares), events)
