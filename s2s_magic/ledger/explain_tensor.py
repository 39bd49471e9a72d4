"""Explain a tensor: what made it, where its wires lead, and which gradient comes back."""

from __future__ import annotations

from collections.abc import Iterator

from s2s_magic.ledger.anatomy import part_said
from s2s_magic.ledger.calls import AnyEvent, Called, Constructed, Wire
from s2s_magic.ledger.explanation import Explanation, measured, ownership
from s2s_magic.ledger.gradient import held_and_trained, trained_by_all_calls, ways, why_none_through
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.roles import ModelRecord
from s2s_magic.ledger.wires import events_behind, route_to_output
from s2s_magic.ledger.words import at, counted, full_name, listing, one_line, plural, shape_text, with_article


def explain_tensor(ledger: Ledger, event: AnyEvent, name: str) -> Explanation:
    """Explain an event's output tensor of this name."""
    number, tensor = next((n, tensor) for n, tensor in enumerate(event.outputs) if tensor.name == name)
    sentences = [
        f"{name} is a tensor of shape {shape_text(tensor.shape)}, {tensor.dtype}: a wire. It holds no weights.",
        *part_said(ledger, (event.index, number)),
        *_origin(ledger, event),
        *way_out(ledger, event, number),
        *measured(ledger, ledger.layers[event.object].own_weights),
    ]
    users = [e for e in ledger.events for wire in e.inputs if wire.from_event == event.index and wire.name == name]
    rows = (
        ("tensor", name),
        ("shape", shape_text(tensor.shape)),
        ("dtype", tensor.dtype),
        ("made by", f"{event.layer}, {at(event)}"),
        ("used by", listing(list(dict.fromkeys(f"{e.layer}, {at(e)}" for e in users))) or "nothing"),
    )
    return Explanation(subject=name, kind="tensor", sentences=tuple(sentences), rows=rows)


def _origin(ledger: Ledger, event: AnyEvent) -> Iterator[str]:
    if isinstance(event, Constructed):
        yield from _input(ledger, event)
        return
    layer = ledger.layers[event.object]
    if layer.implicit:
        used = [full_name(ledger.variables[key]) for key in event.reused if key in ledger.variables]
        uses = f" and uses {listing(used)}, the same weights as elsewhere" if used else ""
        made = f"It was made in {at(event)} by the operation {event.layer}, which owns no variables{uses}"
        yield f"{made}: {one_line(event.source)}."
        return
    yield (
        f"It was made in {at(event)} by call {event.call} of {layer.name}, {with_article(layer.class_name)} layer "
        f"object: {one_line(event.source)}. "
        f"The tensor is what the call returned; the object stays, and it is the object that keeps the weights."
    )
    yield ownership(ledger, event.object)
    yield from created_and_used(ledger, event)
    others = [call for call in ledger.calls[event.object] if call.index != event.index]
    if others and layer.own_weights:
        which = listing([f"call {call.call} in {at(call)}" for call in others])
        by = (
            f", trained by {'both' if len(others) == 1 else 'all'}"
            if trained_by_all_calls(ledger, event.object)
            else ""
        )
        yield f"The same object is also used by {which}: the same weights{by}."


def _input(ledger: Ledger, event: Constructed) -> Iterator[str]:
    """Say whose input it is: the main model's, or that of another model, whose data come from where it is called."""
    main, place = ledger.main_model, event.wires[0].origin
    of = [model.name for model in ledger.models if place in {wire.origin for wire in model.inputs}]
    inner = bool(of) and main is not None and main.name not in of
    whose, when = "the model", "fit or predict runs"
    if inner:
        whose, when = listing(of), f"{listing(of)} {'is' if len(of) == 1 else 'are'} called or fitted"
    yield f"It is an input of {whose}, declared in {at(event)}: {one_line(event.source)}."
    yield f"Data enter here when {when}."


def created_and_used(ledger: Ledger, event: Called) -> Iterator[str]:
    """Say which variables a call created and which it reused."""
    held = set(ledger.layers[event.object].own_weights)
    beside = [ledger.variables[key] for key in event.created if key not in held and key in ledger.variables]
    if beside:
        owners = listing(list(dict.fromkeys(variable.owner for variable in beside)))
        yield f"This call created {counted(len(beside), 'variable')} of {owners}, which {event.layer} does not hold."
    elif event.created and event.reused:
        yield f"This call created {counted(len(event.created), 'variable')} and used {len(event.reused)} that existed."
    elif event.created:
        yield f"This call created {'it' if len(event.created) == 1 else 'them'}."
    elif event.reused:
        yield "This call created nothing: it used the variables that existed."


def way_out(ledger: Ledger, event: AnyEvent, number: int) -> Iterator[str]:
    """Say where the wires lead from an output of an event, and whether a gradient comes back."""
    model = ledger.main_model
    if model is None:
        yield "The cell made no model, so nothing is trained yet."
        return
    start = event.wires[number]
    routes = list(_routes(ledger, start, model))
    why = why_none_through(ledger, start)
    if not routes:
        yield from _dead_end(ledger, event, model, why)
        return
    onward = [route for route in routes if route]
    if len(onward) < len(routes):
        yield f"It is itself an output of {model.name}{_of_loss(model, start)}."
    if onward:
        count = len(model.outputs)
        to = f"the {plural('output', count)}" if len(onward) == count else f"{len(onward)} of the {count} outputs"
        yield f"From here the wires go on to {to} of {model.name}: {listing(onward, most=3)}."
    if not isinstance(event, Called):
        yield "An input owns nothing; the layers it is wired into are in the model because the wires lead back to them."
    elif why is not None:
        yield f"No gradient comes back through it: {why}."
    else:
        yield from _gradient(ledger, event)


def _routes(ledger: Ledger, start: Wire, model: ModelRecord) -> Iterator[str]:
    """Yield a path from a wire to each output that it leads to; an empty one for an output that it is itself."""
    for number, wire in enumerate(model.outputs, 1):
        route = route_to_output(ledger, start, [wire])
        if route is not None:
            end = wire.name or ("its output" if len(model.outputs) == 1 else f"output {number}")
            stations = [f"{ledger.events[index].layer} ({at(ledger.events[index])})" for index in route]
            yield " → ".join([*stations, end]) if route else ""


def _of_loss(model: ModelRecord, wire: Wire) -> str:
    """Say that the loss is computed from an output, if it is."""
    places = [output.origin for output in model.outputs]
    weights = model.losses if model.losses is not None else (1.0,) * len(places)
    return ": the loss is computed from it" if weights[places.index(wire.origin)] else ""


def _gradient(ledger: Ledger, event: Called) -> Iterator[str]:
    held, trained = held_and_trained(ledger, event.object)
    model = ledger.main_model
    if trained and model is not None and model.compiled is not None and model.losses is None:
        which = counted(len(trained), "trainable variable")
        yield (
            f"Whether the {which} of {event.layer} {'is' if len(trained) == 1 else 'are'} changed in fit is decided by "
            f"the training step or loss of {model.name}'s own class."
        )
    elif trained:
        yield (
            "In fit, the gradient of the loss comes back the same way, "
            f"into {counted(len(trained), 'trainable variable')} of {event.layer}, "
            f"and the optimizer changes {'it' if len(trained) == 1 else 'them'}."
        )
    elif held:
        yield f"The gradient of the loss comes back the same way, but the variables of {event.layer} are frozen."


def _dead_end(ledger: Ledger, event: AnyEvent, model: ModelRecord, why: str | None) -> Iterator[str]:
    found = ways(ledger)
    if why is None and found is not None:
        inside = _inside_of(ledger, event, model)
        yield (
            f"It is on the wires of {inside.layer}, which {model.name} calls in {at(inside)}: the gradient of the loss "
            "comes back through that call."
            if inside is not None
            else f"No wire leads from it to the outputs of {model.name}, but a loss is added of what is made of it "
            "(add_loss): the gradient of that loss comes back through it."
        )
        if isinstance(event, Called):
            yield from _gradient(ledger, event)
        return
    yield f"No wire leads from it to the outputs of {model.name}: no gradient comes back through it."
    if not isinstance(event, Called) or found is None:
        return
    others = [t.name for t in event.outputs if t.name and t.name in _used_names(ledger, event, model)]
    if others and event.index in found.reached:
        also = f"The same call also gave {listing(others)}, whose wires do lead there"
        yield f"{also}, so {event.layer} is trained all the same."


def _inside_of(ledger: Ledger, event: AnyEvent, model: ModelRecord) -> Called | None:
    """Find the call by which a model uses another one that has an event on its wires."""
    found = ways(ledger, model)
    for inner in ledger.models:
        calls = ledger.calls.get(inner.object, ()) if inner is not model else ()
        used = next((call for call in calls if found is not None and call.index in found.reached), None)
        on_wires = events_behind(ledger, inner.outputs, lambda event: event.inputs) if used is not None else []
        if any(one is event for one in on_wires):
            return used
    return None


def _used_names(ledger: Ledger, event: AnyEvent, model: ModelRecord) -> set[str]:
    ends = (wire for e in ledger.events if isinstance(e, Called) for wire in e.inputs)
    return {wire.name for wire in (*ends, *model.outputs) if wire.from_event == event.index and wire.name}
