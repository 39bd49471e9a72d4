"""Turn what was observed into the records of a ledger."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from linecache import getlines
from typing import Any

from s2s_magic import backend
from s2s_magic.ledger import Called, Cell, Constructed, Ending, Layer, Ledger
from s2s_magic.tracing.events import Keys, event_of, variable_of
from s2s_magic.tracing.live import Live, Traced
from s2s_magic.tracing.mixing import mixture_in
from s2s_magic.tracing.naming import all_layers, bound_now, name_layers, preferred, scan
from s2s_magic.tracing.observed import RawEvent, RawTensor
from s2s_magic.tracing.recorder import Recorder
from s2s_magic.tracing.refreshing import layer_record, refresh

_LONGEST = 200


def recorder_after(before: Traced, filenames: dict[str, int]) -> Recorder:
    """Return a recorder that knows the objects, wires and counts of an earlier cell."""
    recorder = Recorder(filenames)
    ledger, live = before.ledger, before.live
    for layer in live.layers.values():
        recorder.know(layer)
    for key, record in ledger.variables.items():
        owner = live.layers[record.object] if record.object is not None else None
        recorder.weights.recall(live.variables[key], owner, record.trainable)
    for (index, number), tensor in live.tensors.items():
        made = ledger.events[index].outputs[number]
        names = [(made.name, False)] if made.name else []
        get = functools.partial(lambda tensor: tensor, tensor)
        raw = RawTensor(made.shape, made.dtype, get, names, recorded=(index, number))
        recorder.wires.recall(tensor, raw)
    for event in ledger.events:
        if isinstance(event, Called):
            recorder.calls[id(live.layers[event.object])] = event.call
    return recorder


def assemble(
    recorder: Recorder,
    before: Traced,
    cell: Cell,
    namespace: dict[str, Any],
    filenames: dict[str, int],
    error: BaseException | None = None,
) -> tuple[Ledger, Live]:
    """Record what a cell did, after what earlier cells (``before``) did.

    ``namespace`` has the cell's names as they are now, ``filenames`` the numbers of the cells by file name. ``error``
    is the exception that ended the cell.
    """
    earlier, old = before.ledger, before.live
    live = Live(
        dict(old.layers),
        dict(old.variables),
        dict(old.tensors),
        dict(old.models),
        filenames,
        dict(old.starts),
        set(old.examined),
        set(old.listed),
        set(old.within),
    )
    owners = [raw.owner for raw in recorder.weights.known.values() if raw.owner is not None]
    seen = [layer for layer in (*recorder.layers.values(), *owners) if backend.is_ready(layer)]
    graphs = {id(backend.inner_graph(layer)) for layer in seen}  # which no code made or can name
    layers = all_layers([*live.layers.values(), *(layer for layer in seen if id(layer) not in graphs)])
    layer_keys = _layer_keys(live, layers)
    variable_keys = _variable_keys(live, recorder)
    # an interrupt may have come between an event and the end of its layer's constructor
    events = [event for event in recorder.events if id(event.layer) in layer_keys]
    index = {id(event): number for number, event in enumerate(events, len(earlier.events))}
    found = scan(namespace, _wanted(recorder, layers))
    records = _layers(recorder, events, earlier, layers, layer_keys, found, index)
    keys = Keys(layer_keys, variable_keys, {key: record.name for key, record in records.items()}, index, found)
    for event in events:
        for out in event.outputs:
            tensor = out.get()
            if backend.is_keras_tensor(tensor):
                live.tensors[index[id(event)], out.number] = tensor
    new = {
        variable_keys[identity]: variable_of(raw, keys)
        for identity, raw in recorder.weights.known.items()
        if variable_keys[identity] not in earlier.variables
    }
    live.starts.update(
        (variable_keys[identity], raw.start)
        for identity, raw in recorder.weights.known.items()
        if raw.start is not None and variable_keys[identity] in new
    )
    live.listed |= {
        variable_keys[identity] for identity, raw in recorder.weights.known.items() if raw.lister is not None
    }
    live.within |= {
        (layer_keys[caller], layer_keys[called])
        for caller, called in recorder.within
        if {caller, called} <= layer_keys.keys()
    }
    ledger = Ledger(
        earlier.name,
        cells=[*earlier.cells, _mixed(_ended(cell, recorder, layer_keys, error), namespace, filenames)],
        events=[*_renamed(earlier, records), *(event_of(event, keys) for event in events)],
        layers=records,
        variables={**earlier.variables, **new},
        training=earlier.training,
    )
    return refresh(ledger, live), live


def _renamed(earlier: Ledger, layers: Mapping[str, Layer]) -> Iterator[Constructed | Called]:
    """Yield the events of earlier cells with the current names of their objects: this cell may have rebound one."""
    changed = {key for key, layer in earlier.layers.items() if layers[key].name != layer.name}
    for event in earlier.events:
        if event.object in changed or any(part.object in changed for part in event.parts):
            parts = tuple(part.model_copy(update={"path": layers[part.object].name}) for part in event.parts)
            yield event.model_copy(update={"layer": layers[event.object].name, "parts": parts})
        else:
            yield event


def _ended(cell: Cell, recorder: Recorder, keys: dict[int, str], error: BaseException | None) -> Cell:
    """Note in a cell where an error ended it."""
    where = recorder.ended_in(error) if error is not None else None
    if where is None:
        return cell
    place, layer = where
    return cell.model_copy(update={"ended": Ending(**vars(place), object=keys.get(id(layer)), error=_in_a_line(error))})


def _mixed(cell: Cell, namespace: Mapping[str, Any], filenames: Mapping[str, int]) -> Cell:
    """Note what in a cell belongs to another Keras."""
    code = "".join(line for name, number in filenames.items() if number == cell.number for line in getlines(name))
    return cell.model_copy(update={"mixed": mixture_in(code, namespace)})


def _in_a_line(error: BaseException | None) -> str:
    try:
        said = str(error).strip().partition("\n")[0]
    except Exception:  # the user's class may fail here; then there is no message
        said = ""
    return f"{type(error).__name__}{': ' if said else ''}{said[:_LONGEST]}"


def _wanted(recorder: Recorder, layers: list[Any]) -> set[int]:
    wanted = {id(layer) for layer in layers}
    wanted.update(id(raw.variable) for raw in recorder.weights.known.values())
    for event in recorder.events:
        for tensor in (*event.inputs, *event.outputs, *event.ends):
            value = tensor.get()
            if value is not None:
                wanted.add(id(value))
    return wanted


def _layer_keys(live: Live, layers: list[Any]) -> dict[int, str]:
    keys = {id(layer): key for key, layer in live.layers.items()}
    for layer in layers:
        if id(layer) not in keys:
            key = keys[id(layer)] = f"L{len(live.layers)}"
            live.layers[key] = layer
    return keys


def _variable_keys(live: Live, recorder: Recorder) -> dict[int, str]:
    keys = {id(backend.bare(variable)): key for key, variable in live.variables.items()}
    for identity, raw in recorder.weights.known.items():
        if identity not in keys:
            key = keys[identity] = f"v{len(live.variables)}"
            live.variables[key] = raw.variable
    return keys


def _layers(
    recorder: Recorder,
    events: list[RawEvent],
    earlier: Ledger,
    layers: list[Any],
    keys: dict[int, str],
    found: dict[int, list[str]],
    index: dict[int, int],
) -> dict[str, Layer]:
    """Describe every layer; `refresh` fills in what can change."""
    known = {id(layer): earlier.layers[keys[id(layer)]].name for layer in layers if keys[id(layer)] in earlier.layers}
    given = {id(layer): preferred(recorder.names.get(id(layer), ()), found.get(id(layer), ())) for layer in layers}
    for event in events:
        if backend.is_input(event.layer) and not given[id(event.layer)] and event.outputs:
            tensor = event.outputs[0]
            given[id(event.layer)] = preferred(tensor.names, found.get(id(tensor.get()), ()))
    now = bound_now(found)
    named = name_layers(layers, given, known, now)
    made = {}
    for event in events:
        if event.kind == "constructed":
            made[id(event.layer)] = index[id(event)]
        for part in event.parts:
            made.setdefault(id(part), index[id(event)])
    records = {}
    for layer in sorted(layers, key=lambda layer: int(keys[id(layer)][1:])):
        key = keys[id(layer)]
        name, aliases = named[id(layer)]
        old = earlier.layers.get(key)
        if old is not None:
            kept = (alias for alias in old.aliases if now.get(alias, id(layer)) == id(layer) and alias != name)
            records[key] = old.model_copy(update={"name": name, "aliases": tuple(dict.fromkeys((*kept, *aliases)))})
        else:
            records[key] = layer_record(layer, name, aliases=aliases, constructed=made.get(id(layer)))
    return records
