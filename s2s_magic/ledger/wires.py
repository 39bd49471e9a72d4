"""Follow the wires of a ledger: forward to the model's outputs, and back along the gradient."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence

from s2s_magic.ledger.calls import AnyEvent, Called, Stop, Wire
from s2s_magic.ledger.records import Variable
from s2s_magic.ledger.trace import Trace

# Operations whose derivative is zero or undefined, though their result may be floating; for documents from before
# calls were differentiated.
_STOPS_GRADIENT = ("stop_gradient", "argmax", "argmin", "round", "sign", "floor", "ceil", "one_hot")


def carries_gradient(dtype: str) -> bool:
    """Return whether a tensor of this dtype carries a gradient: floating and complex ones do."""
    return dtype.startswith(("float", "bfloat", "complex"))


def stops_at(event: Called, number: int) -> list[Stop]:
    """Return where inside a call the gradient ends on its way to input ``number``; empty if it passes.

    An integer input does not count: there, the gradient ends in the event that made it.
    """
    if event.stops is not None:
        return [stop for stop in event.stops if stop.input == number]
    return [Stop(input=number)] if event.layer.rpartition(".")[2].startswith(_STOPS_GRADIENT) else []


def calls_using(trace: Trace, key: str) -> Sequence[Called]:
    """List the calls that use an object: its own, else those of its nearest holder."""
    for holder in trace.holders(key):
        if calls := trace.calls.get(holder):
            return calls
    return []


def uses_of(trace: Trace, variable: Variable) -> list[Called]:
    """List the calls that use a variable: through its owner, through every other layer that lists it, or beside both.

    "Beside both" are calls that use its owner inside without holding it, and operations given the variable itself. Left
    out are calls that were seen not to read it.
    """
    unread = [key for key in trace.unread if trace.variables[key] is variable]
    return [call for call in calls_with(trace, variable) if all(map(call.reads, unread))]


def calls_with(trace: Trace, variable: Variable) -> list[Called]:
    """List the calls of `uses_of`, with those that were seen not to read it."""
    keys = dict.fromkeys([*([variable.object] if variable.object else []), *variable.held_by])
    found = {call.index: call for key in keys for call in calls_using(trace, key)}
    found |= {call.index: call for call in trace.calls_beside.get(variable.object or "", ())}
    return [found[index] for index in sorted(found)]


def events_behind(
    trace: Trace, wires: Iterable[Wire], onward: Callable[[AnyEvent], Iterable[Wire]] | None = None
) -> list[AnyEvent]:
    """Walk back along the wires from some tensors; return the events met, each once, the nearest first.

    ``onward`` returns the wires to follow behind an event: by default all of its inputs, and the inner outputs of a
    model that it calls.
    """
    inner = _inner(trace) if onward is None else {}
    found: dict[int, AnyEvent] = {}
    waiting = deque(wires)
    while waiting:
        index = waiting.popleft().from_event
        if index is not None and index not in found:
            found[index] = event = trace.events[index]
            waiting.extend(onward(event) if onward else event.inputs)
            if isinstance(event, Called):
                waiting.extend(inner.get(event.object, ()))
    return list(found.values())


def _inner(trace: Trace) -> dict[str, tuple[Wire, ...]]:
    """Return models' inner outputs by key: where the walk continues behind a call of the model."""
    return {model.object: model.outputs for model in trace.models}


def number_in_graph(trace: Trace, call: Called) -> int:
    """Return a call's index among the calls of its object that entered Keras's graph."""
    return sum(one.in_graph for one in trace.calls[call.object] if one.index < call.index)


def gradient_events(trace: Trace, ends: Iterable[Wire]) -> set[int]:
    """Find the indexes of the events that a gradient reaches, walking back from where the loss is computed (``ends``).

    Integer wires, and calls inside which the gradient ends, stop it. Where a model is called within the model, the walk
    continues inside it.
    """
    inner = _inner(trace)

    def carried(wires: Iterable[Wire]) -> list[Wire]:
        return [wire for wire in wires if carries_gradient(wire.dtype)]

    def onward(event: AnyEvent) -> list[Wire]:
        if not isinstance(event, Called):
            return []
        passing = [wire for number, wire in enumerate(event.inputs) if not stops_at(event, number)]
        return carried([*passing, *inner.get(event.object, ())])

    return {event.index for event in events_behind(trace, carried(ends), onward)}


def route_to_output(trace: Trace, start: Wire, outputs: Iterable[Wire]) -> list[int] | None:
    """Find a shortest path along the wires from a tensor to one of a model's outputs.

    Returns the indexes of the events on the path, after the one that made the tensor; an empty list for a tensor that
    is itself an output. None if no wire leads to an output.
    """
    goals = {wire.origin for wire in outputs}
    if start.origin in goals:
        return []
    goal_events = {event for event, _ in goals}
    users: dict[int, list[Called]] = defaultdict(list)
    for event in trace.events:
        if isinstance(event, Called):
            for made_by in {wire.from_event for wire in event.inputs if wire.from_event is not None}:
                users[made_by].append(event)
    came_from: dict[int, int | None] = {}
    for user in users[start.from_event if start.from_event is not None else -1]:
        if any(wire.origin == start.origin for wire in user.inputs):
            came_from[user.index] = None
    waiting = deque(came_from)
    while waiting:
        here: int | None = waiting.popleft()
        if here in goal_events:
            route: list[int] = []
            while here is not None:
                route.append(here)
                here = came_from[here]
            return route[::-1]
        assert here is not None
        for user in users[here]:
            if user.index not in came_from:
                came_from[user.index] = here
                waiting.append(user.index)
    return None
