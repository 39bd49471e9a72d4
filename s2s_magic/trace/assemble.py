"""From what was seen to the records of a ledger."""

from __future__ import annotations

import functools
from typing import Any

from s2s_magic.ledger import Called, Cell, Constructed, Layer, Ledger, Part, Tensor, Wire
from s2s_magic.trace import keras2
from s2s_magic.trace.live import Live, Traced
from s2s_magic.trace.names import all_layers, name_layers, preferred, scan
from s2s_magic.trace.raw import RawEvent, RawTensor, RawVariable
from s2s_magic.trace.recorder import Recorder
from s2s_magic.trace.state import refresh, variable_record


def recorder_after(before: Traced, filenames: dict[str, int]) -> Recorder:
    """Give a recorder that knows what an earlier cell made: its objects, wires and counts."""
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
    recorder: Recorder, before: Traced, cell: Cell, namespace: dict[str, Any], filenames: dict[str, int]
) -> tuple[Ledger, Live]:
    """Write down what a cell did, after what earlier cells did.

    Parameters
    ----------
    recorder
        What was seen.
    before
        Ledger and objects up to this cell.
    cell
        The text of the cell.
    namespace
        Its names, as they are now.
    filenames
        Numbers of the cells by file name.
    """
    live = Live(
        layers=dict(before.live.layers),
        variables=dict(before.live.variables),
        tensors=dict(before.live.tensors),
        models=dict(before.live.models),
        filenames=filenames,
    )
    first = len(before.ledger.events)
    index = {id(event): first + number for number, event in enumerate(recorder.events)}
    layers = all_layers([*live.layers.values(), *recorder.layers.values()])
    found = scan(namespace, _wanted(recorder, layers))
    layer_keys = _layer_keys(live, layers)
    variable_keys = _variable_keys(live, recorder)
    records = _layers(recorder, before.ledger, layers, layer_keys, found, index)
    names = {key: record.name for key, record in records.items()}
    tensor_names = {
        id(raw): _first(preferred(raw.names, found.get(id(raw.get()), ())))
        for event in recorder.events
        for raw in (*event.inputs, *event.outputs, *event.ends)
    }

    def wire(raw: RawTensor) -> Wire:
        made = raw.recorded or ((index[id(raw.made_by)], raw.number) if raw.made_by is not None else (None, 0))
        return Wire.model_validate(
            {
                "name": tensor_names[id(raw)],
                "shape": raw.shape,
                "dtype": raw.dtype,
                "from": made[0],
                "output": made[1],
            }
        )

    def keys(raws: list[RawVariable]) -> tuple[str, ...]:
        return tuple(variable_keys[id(keras2.bare(raw.variable))] for raw in raws)

    def event_record(raw: RawEvent) -> Constructed | Called:
        key = layer_keys[id(raw.layer)]
        common = raw.place.model_dump() | {
            "index": index[id(raw)],
            "object": key,
            "layer": names[key],
            "class": type(raw.layer).__name__,
            "keras_name": raw.layer.name,
            "outer": raw.outer,
            "inputs": tuple(map(wire, raw.inputs)),
            "outputs": tuple(
                Tensor(name=tensor_names[id(out)], shape=out.shape, dtype=out.dtype) for out in raw.outputs
            ),
            "parts": tuple(
                Part.model_validate(
                    {"object": layer_keys[id(p)], "path": names[layer_keys[id(p)]], "class": type(p).__name__}
                )
                for p in raw.parts
            ),
        }
        if raw.kind == "constructed":
            return Constructed.model_validate(common | {"owns": keys(raw.listed), "ends": tuple(map(wire, raw.ends))})
        created = {id(variable) for variable in raw.created}
        return Called.model_validate(
            common
            | {
                "call": raw.call,
                "via": raw.via,
                "in_graph": raw.in_graph,
                "phase": "wiring" if raw.wiring else "data",
                "folded": raw.folded,
                "created": keys(raw.created),
                "reused": keys([variable for variable in raw.listed if id(variable) not in created]),
                "trainable_params": raw.trainable,
            }
        )

    for event in recorder.events:
        for out in event.outputs:
            tensor = out.get()
            if keras2.is_keras_tensor(tensor):
                live.tensors[index[id(event)], out.number] = tensor
    variables = dict(before.ledger.variables)
    for identity, raw in recorder.weights.known.items():
        key = variable_keys[identity]
        if key not in variables:
            owner = layer_keys[id(raw.owner)] if raw.owner is not None else None
            label = names[owner] if owner else _first(preferred(raw.names, found.get(id(raw.variable), ())))
            variables[key] = variable_record(
                raw.variable,
                label or raw.variable.name,
                owner,
                initializer=raw.initializer,
                created_by=index[id(raw.event)] if raw.event is not None else None,
                initial_norm=raw.norm,
            )
    ledger = Ledger(
        before.ledger.name,
        cells=[*before.ledger.cells, cell],
        events=[*before.ledger.events, *map(event_record, recorder.events)],
        layers=records,
        variables=variables,
        training=before.ledger.training,
    )
    return refresh(ledger, live), live


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
    keys = {id(keras2.bare(variable)): key for key, variable in live.variables.items()}
    for identity, raw in recorder.weights.known.items():
        if identity not in keys:
            key = keys[identity] = f"v{len(live.variables)}"
            live.variables[key] = raw.variable
    return keys


def _layers(
    recorder: Recorder,
    earlier: Ledger,
    layers: list[Any],
    keys: dict[int, str],
    found: dict[int, list[str]],
    index: dict[int, int],
) -> dict[str, Layer]:
    """Describe every layer; what can change is filled in by `refresh`."""
    known = {id(layer): earlier.layers[keys[id(layer)]].name for layer in layers if keys[id(layer)] in earlier.layers}
    given = {id(layer): preferred(recorder.names.get(id(layer), ()), found.get(id(layer), ())) for layer in layers}
    for event in recorder.events:
        if keras2.is_input(event.layer) and not given[id(event.layer)] and event.outputs:
            tensor = event.outputs[0]
            given[id(event.layer)] = preferred(tensor.names, found.get(id(tensor.get()), ()))
    named = name_layers(layers, given, known)
    made = {}
    for event in recorder.events:
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
            records[key] = old.model_copy(update={"aliases": tuple(dict.fromkeys((*old.aliases, *aliases)))})
        else:
            records[key] = Layer.model_validate(
                {
                    "name": name,
                    "class": type(layer).__name__,
                    "keras_name": layer.name,
                    "aliases": aliases,
                    "constructed": made.get(id(layer)),
                    "implicit": keras2.operation(layer) is not None,
                }
            )
    return records


def _first(names: list[str]) -> str | None:
    return names[0] if names else None
