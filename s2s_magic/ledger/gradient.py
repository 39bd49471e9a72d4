"""Find whether the gradient of the loss reaches a variable, and where it ends if not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from s2s_magic.ledger.calls import Called, Stop, Wire
from s2s_magic.ledger.roles import ModelRecord
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.wires import calls_with, carries_gradient, events_behind, gradient_events, stops_at
from s2s_magic.ledger.words import at, listing

_WHY = {
    "tf.stop_gradient": "which lets none back",
    "tf.numpy_function": "into which TensorFlow does not see",
    "tf.argmax": "which gives whole numbers",
    "tf.argmin": "which gives whole numbers",
    "tf.one_hot": "which starts from whole numbers",
}
_OTHERWISE = "which has no derivative, or one that is zero everywhere"


@dataclass(frozen=True)
class Ways:
    """The paths of the gradient through one model.

    Attributes
    ----------
    model
        The model.
    ends
        The wires from which a loss is computed: outputs with a loss of nonzero weight, and what ``add_loss`` and
        activity regularizers take.
    reached
        Indexes of the events that the gradient of the loss reaches.
    inside
        Indexes of the events between the model's inputs and its outputs or added losses.
    """

    model: ModelRecord
    ends: tuple[Wire, ...]
    reached: frozenset[int]
    inside: frozenset[int]


def ways(trace: Trace, model: ModelRecord | None = None) -> Ways | None:
    """Follow the gradient back through a model, the main one by default; None if its wires are unknown."""
    model = model or trace.main_model
    if model is None or not model.outputs:
        return None
    added = list(_added(trace, model))
    weights = model.losses if model.losses is not None else (1.0,) * len(model.outputs)
    outputs = [wire for wire, weight in zip(model.outputs, weights, strict=False) if weight]
    ends = (*outputs, *added)
    return Ways(
        model=model,
        ends=ends,
        reached=frozenset(gradient_events(trace, ends)),
        inside=frozenset(event.index for event in events_behind(trace, [*model.outputs, *added])),
    )


def _added(trace: Trace, model: ModelRecord) -> Iterator[Wire]:
    """Yield the wires from which a loss is computed inside a model, by ``add_loss`` or an activity regularizer."""
    for event in trace.events:
        if not isinstance(event, Called) or not event.adds_loss or not event.in_graph:
            continue
        if model.name not in trace.layers[event.object].in_models:
            continue
        if trace.kind(event) == "added loss":
            yield from event.inputs
        for wire in event.wires:
            yield wire.model_copy(update={"dtype": "float32"})  # the loss is a number, whatever the output is


def held_and_trained(trace: Trace, key: str) -> tuple[list[str], list[str]]:
    """Return the keys of the variables that a layer object holds, and of those among them that a fit trains."""
    model = trace.main_model
    held = [name for name in trace.layers[key].own_weights if name in trace.variables]
    fitting = model.trained if model is not None and model.trained is not None else None
    return held, [name for name in held if (trace.variables[name].trainable if fitting is None else name in fitting)]


def trained_by_all_calls(trace: Trace, key: str) -> bool:
    """Return whether a fit trains variables of a layer object, by a gradient through each of its calls."""
    found = ways(trace)
    reached = found is not None and all(call.index in found.reached for call in trace.calls.get(key, ()))
    return reached and bool(held_and_trained(trace, key)[1])


def why_none(trace: Trace, key: str, found: Ways | None = None) -> str | None:
    """Say why no gradient of the loss reaches a variable: where it ends, and in which line.

    ``found`` is the result of `ways`, to reuse it for several variables. Returns a clause, such as "the gradient
    of the loss ends at tf.argmax in line 9, which gives whole numbers", or "not read inside block (line 7)"; None where
    a gradient reaches the variable, or if the records do not show it.
    """
    found = found or ways(trace)
    if found is None:
        return None
    uses = [call for call in calls_with(trace, trace.variables[key]) if call.in_graph and call.index in found.inside]
    wired = {model.object for model in trace.models if model.outputs}  # layers inside these are on the inner wires
    uses = [call for call in uses if call.object not in wired] or uses
    reading = [call for call in uses if call.reads(key)]
    if uses and not reading:
        return f"not read inside {listing(list(dict.fromkeys(f'{call.layer} ({at(call)})' for call in uses)), most=3)}"
    uses = reading
    if not uses or any(call.index in found.reached and not _cut(call, key) for call in uses):
        return None
    inner = [_ended(call, stop, trace) for call in uses for stop in _cut(call, key)]
    starts = [call.wires for call in uses if not _cut(call, key)]
    return _clause(trace, found, [wire for wires in starts for wire in wires], inner)


def without_gradient(trace: Trace) -> dict[str, str]:
    """Return the reasons of `why_none` by key, for the variables that a fit of the main model is to train."""
    found = ways(trace)
    if found is None:
        return {}
    model = found.model
    trained = (
        key
        for key, variable in trace.variables.items()
        if (variable.trainable if model.trained is None else key in model.trained)
        and variable.object is not None
        and model.name in variable.in_models
    )
    reasons = {key: why_none(trace, key, found) for key in trained}
    return {key: why for key, why in reasons.items() if why is not None}


def why_none_through(trace: Trace, wire: Wire, found: Ways | None = None) -> str | None:
    """Say why no gradient of the loss comes back through a wire; None if one does, or if unknown."""
    found = found or ways(trace)
    if found is None or (carries_gradient(wire.dtype) and _comes_through(trace, wire, found)):
        return None
    return _clause(trace, found, [wire], [])


def _comes_through(trace: Trace, wire: Wire, found: Ways) -> bool:
    place = wire.origin
    if place in {end.origin for end in found.ends}:
        return True
    if any(call.index in found.reached for call in _calls_around(trace, place)):
        return True
    return any(
        not stops_at(event, number)
        for index in found.reached
        if isinstance(event := trace.events[index], Called)
        for number, given in enumerate(event.inputs)
        if given.origin == place
    )


def _calls_around(trace: Trace, place: tuple[int | None, int]) -> list[Called]:
    """List the calls of models that end in a wire: the path continues where another model calls such a model."""
    ending = [m for m in trace.models if place in {wire.origin for wire in m.outputs}]
    return [call for record in ending for call in trace.calls.get(record.object, ())]


def _cut(call: Called, key: str) -> list[Stop]:
    return [stop for stop in call.stops or () if stop.variable == key]


def _clause(trace: Trace, found: Ways, starts: Iterable[Wire], ended: list[str]) -> str:
    """Follow wires forward to the outputs, and say where the returning gradient ends."""
    users: dict[tuple[int | None, int], list[tuple[Called, int]]] = defaultdict(list)
    for index in sorted(found.inside):
        event = trace.events[index]
        if isinstance(event, Called):
            for number, wire in enumerate(event.inputs):
                users[wire.origin].append((event, number))
    weights = found.model.losses or ()
    lossless = dict(zip([w.origin for w in found.model.outputs], weights, strict=False))
    names = {w.origin: n for n, w in enumerate(found.model.outputs, 1)}
    at_outputs: list[str] = []
    seen: set[tuple[int | None, int]] = set()
    waiting = list(starts)
    while waiting:
        wire = waiting.pop(0)
        place = wire.origin
        if place in seen:
            continue
        seen.add(place)
        if not carries_gradient(wire.dtype):
            ended.append(_whole(trace, wire))
            continue
        if place in lossless and not lossless[place]:
            name = f"the output {wire.name}" if wire.name else f"output {names[place]}"
            at_outputs.append(f"{name} has no loss" if lossless[place] is None else f"the loss of {name} has weight 0")
        for event, number in users[place]:
            stops = stops_at(event, number)
            ended += [_ended(event, stop, trace) for stop in stops]
            if not stops:
                waiting += event.wires
        waiting += [out for call in _calls_around(trace, place) for out in call.wires]
    places, outputs = list(dict.fromkeys(ended)), list(dict.fromkeys(at_outputs))
    if places:
        said = f"the gradient of the loss ends {listing(places, most=3)}"
        return f"{said}; {listing(outputs, most=3)}" if outputs else said
    if outputs:
        return listing(outputs, most=3)
    return "no wire leads from it to a loss"


def _ended(event: Called, stop: Stop, trace: Trace) -> str:
    """Say at which operation the gradient ends, and in which line."""
    implicit = trace.layers[event.object].implicit
    called = event.layer.partition("#")[0] if implicit else event.layer  # the line tells one tf.round from another
    operation = stop.operation or (called if implicit else None)
    where = at(event) if stop.line is None else at(event.model_copy(update={"line": stop.line}))
    if operation is None:
        return f"inside {event.layer} in {where}"
    why = _WHY.get(operation) or _by_kind(operation)
    inside = "" if implicit else f" inside {event.layer}"
    return f"at {called if implicit else operation}{inside} in {where}, {why}"


def _by_kind(operation: str) -> str:
    if "comparison" in operation:
        return "which gives true or false"
    if operation.startswith("tf.cast to"):
        return "which gives whole numbers"
    return _OTHERWISE


def _whole(trace: Trace, wire: Wire) -> str:
    event = trace.events[wire.from_event] if wire.from_event is not None else None
    kind = "true or false" if wire.dtype == "bool" else "whole numbers" if "int" in wire.dtype else wire.dtype
    if event is None:
        return f"at {wire.name or 'an input'}, which holds {kind}"
    return f"at {wire.name or f'what {event.layer} gives'} in {at(event)}, which holds {kind}"
