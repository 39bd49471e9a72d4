"""Where a gradient ends inside a call: found by differentiating the call on its own, not from names.

Keras's own layers are assumed to let gradients through. Operations, ``Lambda`` layers and layers of the user's classes
are examined: each is called once more on placeholders, in a graph that is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.ledger import Called, Ledger, Stop
from s2s_magic.ledger.calls import UNREAD
from s2s_magic.tracing.live import Live
from s2s_magic.tracing.probing import STOPPING, Probe
from s2s_magic.undoing import Changes

_SPOKEN = {
    "Cast": "tf.cast to {dtype}",
    "Equal": "== (a comparison)",
    "Greater": "> (a comparison)",
    "GreaterEqual": ">= (a comparison)",
    "Less": "< (a comparison)",
    "LessEqual": "<= (a comparison)",
    "NotEqual": "!= (a comparison)",
}
"""Operations whose result has a type without derivatives, with the names to show."""

_LARGE = 20
"""A layer that holds more layers than this is not differentiated on its own: that would take too long."""


def examined(ledger: Ledger, live: Live) -> Ledger:
    """Return the same ledger, with the places where gradients end in the calls not examined yet.

    The examined calls are noted in ``live``.
    """
    asked = [
        event
        for event in ledger.events
        if isinstance(event, Called) and event.in_graph and event.index not in live.examined
    ]
    if not asked:
        return ledger
    keys = {id(backend.bare(variable)): key for key, variable in live.variables.items()}
    made = {index: tensor for (index, _), tensor in live.tensors.items()}
    # by operation: the same one is often called with similar arguments
    known: dict[Any, Found] = {}
    events = list(ledger.events)
    for event in asked:
        layer = live.layers[event.object]
        update: dict[str, Any] = {}
        if not backend.is_functional(layer) and backend.adds_loss(layer):
            update["adds_loss"] = True
        if _worth_asking(layer) and event.index in made:
            args, kwargs = backend.call_of(made[event.index])
            alike = _alike(event, layer, (args, kwargs))
            if alike is None or alike not in known:
                known[alike] = _stops(event, layer, (args, kwargs), live, keys)
            found = known[alike]
            update["stops"] = found.stops
            if found.adds_loss:  # which Keras 3 forgets when it calls a layer on symbols
                update["adds_loss"] = True
            unread = {stop.variable for stop in found.stops or () if stop.operation == UNREAD}
            if unread.intersection(event.reused):
                update["reused"] = tuple(key for key in event.reused if key not in unread)
            update |= _beside(event.model_copy(update=update), found.beside, live)
        if update:
            events[event.index] = event.model_copy(update=update)
        live.examined.add(event.index)
    return ledger.changed(events=events)


@dataclass(frozen=True)
class Found:
    """What a call on placeholders shows: as in `Called`, and handles of variables that its layer does not list."""

    stops: tuple[Stop, ...] | None = None
    adds_loss: bool = False
    beside: tuple[Any, ...] = ()


def _beside(event: Called, handles: Sequence[Any], live: Live) -> dict[str, Any]:
    """Return what an event uses inside beside what its layer holds: Keras 3 may wire a call without running it."""
    read = set(map(id, handles))
    if not read or event.inside:
        return {}
    keys = {id(backend.bare(variable)): key for key, variable in live.variables.items()}
    inside, reused = [], []
    for key, layer in live.layers.items():
        for variable in backend.direct_weights(layer):
            if id(getattr(backend.in_tensorflow(variable), "handle", None)) in read:
                inside.append(key)
                reused.append(keys.get(id(backend.bare(variable))))
    more = [key for key in reused if key is not None and key not in (*event.created, *event.reused)]
    return {"inside": tuple(dict.fromkeys(inside)), "reused": (*event.reused, *more)} if inside else {}


def _worth_asking(layer: Any) -> bool:
    if backend.operation(layer) is not None or backend.is_lambda(layer):
        return True
    return not backend.is_stock(layer) and not backend.is_model(layer) and not _is_large(layer)


def _is_large(layer: Any) -> bool:
    """Return whether a user-defined layer holds so much that tracing it once more would take too long."""
    parts = [part for part in backend.reached(layer) if part is not layer]
    return any(backend.declares(part, "cell") or backend.declares(part, "state_size") for part in parts) or (
        len(parts) > _LARGE
    )


def _alike(event: Called, layer: Any, arguments: Any) -> Any:
    """Return a key that is equal for operation calls that stop gradients alike; None for a user-defined layer."""
    if backend.operation(layer) is None:
        return None
    leaves = tf.nest.flatten(arguments)
    given = tuple(
        (backend.dtype_of(leaf), len(backend.shape_of(leaf) or ()))
        if backend.is_keras_tensor(leaf)
        else (type(leaf).__name__, str(leaf)[:80])
        for leaf in leaves
    )
    wires = tuple((wire.from_event is None, wire.dtype) for wire in event.inputs)
    return backend.operation(layer), given, wires, tuple(tensor.dtype for tensor in event.outputs)


def _stops(event: Called, layer: Any, arguments: tuple[Any, dict[str, Any]], live: Live, keys: dict[int, str]) -> Found:
    """Find where a gradient ends in one call, and what else calling it on placeholders shows."""
    args, kwargs = arguments
    symbols = {id(leaf): leaf for leaf in tf.nest.flatten((args, kwargs)) if backend.is_keras_tensor(leaf)}
    numbers: dict[int, list[int]] = {}
    for number, wire in enumerate(event.inputs):
        if wire.from_event is not None:
            numbers.setdefault(id(live.tensors.get((wire.from_event, wire.output))), []).append(number)
    if any(backend.layout_of(symbol) != "dense" for symbol in symbols.values()):
        return Found()
    weights = [backend.bare(variable) for variable in backend.weights(layer)[0]]
    try:
        with Changes() as changes, changes, changes:
            backend.leave_as_it_is(changes, layer)
            probe = Probe(layer, args, kwargs, symbols, weights)
    except MemoryError:
        raise
    except Exception:  # the user's code may refuse a call it did not make; then nothing is known about it
        return Found()
    found = []
    for identity, source in probe.cut_inputs():
        for number in numbers.get(identity, ()):
            for operation, line in _told(probe.enders(source), live, event.line):
                found.append(Stop(input=number, operation=operation, line=line))
    for variable, source in probe.cut_weights():
        ends = [(UNREAD, None)] if source is None else _told(probe.enders(source), live, event.line)
        for operation, line in ends:
            found.append(Stop(variable=keys.get(id(variable)), operation=operation, line=line))
    return Found(tuple(dict.fromkeys(found)), probe.adds_loss, tuple(probe.beside(backend.weights(layer))))


def _told(operations: Sequence[Any], live: Live, line: int) -> Iterator[tuple[str | None, int | None]]:
    """Name operations as the user knows them, each with its line in the cell."""
    if not operations:
        yield None, None
    for operation in operations:
        name = STOPPING.get(operation.type) or _SPOKEN.get(operation.type, operation.type)
        places = [frame.lineno for frame in operation.traceback if frame.filename in live.filenames]
        at = places[-1] if places and places[-1] != line else None
        yield name.format(dtype=operation.outputs[0].dtype.name if operation.outputs else ""), at
