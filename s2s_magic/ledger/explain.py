"""The answer to "who owns this, and is it trained?", in sentences, for a tensor, a layer or a variable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Literal

from s2s_magic.errors import LookupFailed, nearest
from s2s_magic.ledger.findings import find
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.names import bound_to, parts_of
from s2s_magic.ledger.records import Called, Constructed, Layer, ModelRecord, Record, Shape, Variable, Wire
from s2s_magic.ledger.wires import (
    calls_of,
    calls_using,
    carries_gradient,
    gradient_events,
    holders,
    lets_gradient_through,
    route_to_output,
    uses_of,
)
from s2s_magic.ledger.wording import counted, full_name, listing, times

Event = Constructed | Called


class Explanation(Record):
    """What there is to say of one name.

    Attributes
    ----------
    subject
        The name that was asked for.
    kind
        What it is.
    sentences
        The explanation, a sentence or two each, in reading order.
    rows
        Facts to set in a table: what, and its value.
    """

    subject: str
    kind: Literal["tensor", "layer", "variable", "name"]
    sentences: tuple[str, ...]
    rows: tuple[tuple[str, str], ...] = ()


def shape_text(shape: Shape | None) -> str:
    """Write a shape as Keras does, with None for what is not known yet."""
    if shape is None:
        return "unknown shape"
    return (
        "("
        + ", ".join("None" if size is None else f"{size}" for size in shape)
        + ("," if len(shape) == 1 else "")
        + ")"
    )


def names(ledger: Ledger) -> list[str]:
    """List every name that `explain` knows: tensors, layers with their aliases and paths, variables."""
    found: dict[str, None] = {}
    for event in ledger.events:
        found.update((tensor.name, None) for tensor in event.outputs if tensor.name)
    for layer in ledger.layers.values():
        if not layer.implicit and layer.class_name != "InputLayer":
            found.update((name, None) for name in (layer.name, *layer.aliases))
    for variable in ledger.variables.values():
        found[full_name(variable)] = None
    return list(found)


def explain(ledger: Ledger, what: str, *, norms: Mapping[str, float] | None = None) -> Explanation:
    """Explain one name of a traced cell.

    Parameters
    ----------
    ledger
        The records.
    what
        A tensor's name (``encoder_embeddings``), a layer's name, alias or path (``decoder.cell``), or a variable: its
        key (``v0``), path (``decoder_cell.kernel``) or Keras name.
    norms
        Present Euclidean norms by variable key, where the live variables are at hand.

    Returns
    -------
    Explanation
        Sentences and a table of facts.

    Raises
    ------
    LookupFailed
        When there is no such name; the message has the nearest one.
    """
    for key, layer in ledger.layers.items():
        known = {layer.name, *layer.aliases, *paths_of(ledger, layer)}
        if what in known and not layer.implicit and layer.class_name != "InputLayer":
            return _explain_layer(ledger, key, layer, what)
    for event in reversed(ledger.events):
        for tensor in event.outputs:
            if tensor.name == what:
                return _explain_tensor(ledger, event, what)
    for key, variable in ledger.variables.items():
        if what in {key, full_name(variable), variable.name, *variable.paths}:
            return _explain_variable(ledger, key, variable, (norms or {}).get(key))
    for key, layer in ledger.layers.items():
        if what == layer.keras_name:
            return _explain_layer(ledger, key, layer, what)
    if (other := other_name(ledger, what)) is not None:
        return other
    known_names = names(ledger)
    hint = nearest(what, known_names) or (f"; known are {listing(known_names, most=12)}" if known_names else "")
    raise LookupFailed(f"{ledger.name} has no tensor, layer or variable named {what!r}{hint}")


def other_name(ledger: Ledger, what: str) -> Explanation | None:
    """Explain a name that the cell binds to something else: a list of tensors, a sampler, an array."""
    if parts := parts_of(ledger, what):
        said = f"{what} is not one tensor: it holds {listing(parts)}. None of them holds weights."
        return Explanation(subject=what, kind="name", sentences=(said, f"Ask for one of them: {parts[0]}."))
    if (bound := bound_to(ledger, what)) is None:
        return None
    cell, line, _, text = bound
    where = f"cell {cell}, line {line}" if cell > 1 else f"line {line}"
    sentences = (
        f"{what} is bound in {where} to {one_line(text)}.",
        "It is neither a tensor nor a layer nor a variable of this ledger: it owns nothing that is trained.",
    )
    return Explanation(subject=what, kind="name", sentences=sentences)


def paths_of(ledger: Ledger, layer: Layer) -> list[str]:
    """List the attribute paths by which other objects hold a layer: ``decoder.cell``."""
    held = [f"{ledger.layers[layer.parent].name}.{layer.attribute}"] if layer.parent and layer.attribute else []
    return list(dict.fromkeys([*held, *layer.held_by]))


def at(event: Event) -> str:
    """Say where an event stands."""
    cell = f"cell {event.cell}, " if event.cell > 1 else ""
    return f"{cell}line {event.line}"


def one_line(source: str) -> str:
    """Write an expression on one line."""
    return " ".join(source.split()).replace("( ", "(").replace(" )", ")")


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].upper() in 'AEIOU' or noun[:2] in ('LS', 'RN') else 'a'} {noun}"


def _owned(ledger: Ledger, layer: Layer) -> str:
    variables = [ledger.variables[key] for key in layer.own_weights if key in ledger.variables]
    if not variables:
        return f"{layer.name} owns no variables."
    described = [f"{full_name(v)} {shape_text(v.shape)}" for v in variables]
    params = sum(v.params for v in variables)
    return f"{layer.name} owns {counted(len(variables), 'variable')}, {params:,} parameters: {listing(described)}."


def _origin(ledger: Ledger, event: Event) -> Iterator[str]:
    if isinstance(event, Constructed):
        yield f"It is an input of the model, declared in {at(event)}: {one_line(event.source)}."
        yield "Data enter here when fit or predict runs."
        return
    layer = ledger.layers[event.object]
    if layer.implicit:
        made = f"It was made in {at(event)} by the operation {event.layer}, which owns no variables"
        yield f"{made}: {one_line(event.source)}."
        return
    yield (
        f"It was made in {at(event)} by call {event.call} of {layer.name}, {_a(layer.class_name)} layer object: "
        f"{one_line(event.source)}. "
        f"The tensor is what the call returned; the object stays, and it is the object that keeps the weights."
    )
    yield _owned(ledger, layer)
    if event.created and event.reused:
        yield f"This call created {counted(len(event.created), 'variable')} and used {len(event.reused)} that existed."
    elif event.created:
        yield f"This call created {'it' if len(event.created) == 1 else 'them'}."
    elif event.reused:
        yield "This call created nothing: it used the variables that existed."
    others = [call for call in calls_of(ledger, event.object) if call.index != event.index]
    if others and layer.own_weights:
        which = listing([f"call {call.call} in {at(call)}" for call in others])
        yield f"The same object is also used by {which}: the same weights, trained by both."


def _way_out(ledger: Ledger, event: Event, number: int) -> Iterator[str]:
    model = ledger.main_model
    tensor = event.outputs[number]
    if model is None:
        yield "The cell made no model, so nothing is trained yet."
        return
    start = Wire(name=tensor.name, shape=tensor.shape, dtype=tensor.dtype, from_event=event.index, output=number)
    route = route_to_output(ledger, start, model.outputs)
    if route is None:
        yield from _dead_end(ledger, event, model)
        return
    by_index = {e.index: e for e in ledger.events}
    stations = [f"{by_index[index].layer} ({at(by_index[index])})" for index in route]
    ends = " and ".join(wire.name or "its output" for wire in model.outputs)
    yield (
        f"From here the wires go on to the output of {model.name}: {' → '.join([*stations, ends])}."
        if route
        else f"It is itself an output of {model.name}: the loss is computed from it."
    )
    if not isinstance(event, Called):
        yield "An input owns nothing; the layers it is wired into are in the model because the wires lead back to them."
    elif not _gets_gradient(ledger, event, tensor.dtype):
        yield "Every way there passes through integers or an operation without a derivative: no gradient comes back."
    else:
        yield from _gradient(ledger, event)


def _gradient(ledger: Ledger, event: Called) -> Iterator[str]:
    owned = [ledger.variables[key] for key in ledger.layers[event.object].own_weights if key in ledger.variables]
    trainable = sum(variable.trainable for variable in owned)
    if trainable:
        yield (
            "In fit, the gradient of the loss comes back the same way, "
            f"into {counted(trainable, 'trainable variable')} of {event.layer}, "
            f"and the optimizer changes {'it' if trainable == 1 else 'them'}."
        )
    elif owned:
        yield f"The gradient of the loss comes back the same way, but the variables of {event.layer} are frozen."


def _gets_gradient(ledger: Ledger, event: Called, dtype: str) -> bool:
    model = ledger.main_model
    reached = gradient_events(ledger, model.outputs) if model else set()
    return event.index in reached and carries_gradient(dtype) and lets_gradient_through(event)


def _dead_end(ledger: Ledger, event: Event, model: ModelRecord) -> Iterator[str]:
    yield f"No wire leads from it to the outputs of {model.name}: no gradient comes back through it."
    if not isinstance(event, Called):
        return
    others = [t.name for t in event.outputs if t.name and t.name in _used_names(ledger, event, model)]
    if others and _gets_gradient(ledger, event, "float32"):
        also = f"The same call also gave {listing(others)}, whose wires do lead there"
        yield f"{also}, so {event.layer} is trained all the same."


def _used_names(ledger: Ledger, event: Event, model: ModelRecord) -> set[str]:
    ends = (wire for e in ledger.events if isinstance(e, Called) for wire in e.inputs)
    return {wire.name for wire in (*ends, *model.outputs) if wire.from_event == event.index and wire.name}


def _evidence(ledger: Ledger, keys: list[str]) -> Iterator[str]:
    if ledger.training is None:
        return
    for key in keys:
        if (seen := ledger.training.variables.get(key)) is not None:
            yield seen.text


def _explain_tensor(ledger: Ledger, event: Event, name: str) -> Explanation:
    number, tensor = next((n, tensor) for n, tensor in enumerate(event.outputs) if tensor.name == name)
    sentences = [
        f"{name} is a tensor of shape {shape_text(tensor.shape)}, {tensor.dtype}: a wire. It holds no weights.",
        *_origin(ledger, event),
        *_way_out(ledger, event, number),
        *_evidence(ledger, list(ledger.layers[event.object].own_weights)),
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


def _layer_story(ledger: Ledger, key: str, layer: Layer, asked: str) -> Iterator[str]:
    constructed = next((e for e in ledger.events if e.index == layer.constructed), None)
    born = (
        f"constructed in {at(constructed)}: {one_line(constructed.source)}" if constructed else "older than this trace"
    )
    also = f" ({asked} is the same object)" if asked != layer.name else ""
    yield f"{layer.name} is {_a(layer.class_name)} layer object{also}, {born}."
    if later := [other.name for other in ledger.layers.values() if other.name.startswith(f"{layer.name}#")]:
        yield f"The same name was given to other objects too: {listing(later)}."
    yield _owned(ledger, layer)
    if layer.parent is not None:
        yield f"It is held by {ledger.layers[layer.parent].name} (as {', '.join(paths_of(ledger, layer))})."
    calls = calls_of(ledger, key)
    used = calls_using(ledger, key)
    if calls:
        where = listing([f"{at(call)}{_given(call)}" for call in calls])
        yield f"It is called {times(len(calls))}: {where}."
        if len(calls) > 1 and layer.own_weights:
            yield "Every call uses the same variables, and every call sends its part of the gradient to them."
    elif layer.ghost:
        return
    elif used:
        yield f"It is never called by the cell itself; {used[0].layer} calls it inside ({at(used[0])})."
    elif layer.name not in {record.name for record in ledger.models}:
        yield "It is never called."
    model = ledger.main_model
    if model is not None and key != model.object:
        inside = model.name in layer.in_models or any(
            model.name in ledger.layers[k].in_models for k in holders(ledger, key)
        )
        yield (
            f"It is part of {model.name}: the wires lead back from the model's outputs to it."
            if inside
            else f"It is not part of {model.name}: no wire leads from it to the model's outputs."
        )


def _given(call: Called) -> str:
    named = [wire.name for wire in call.inputs if wire.name]
    return f" ({', '.join(named)})" if named else ""


def _explain_layer(ledger: Ledger, key: str, layer: Layer, asked: str) -> Explanation:
    about = {layer.name, *(full_name(ledger.variables[v]) for v in layer.own_weights if v in ledger.variables)}
    kinds = {"ghost", "tied", "frozen", "no gradient", "untracked", "name"}
    remarks = [finding.text for finding in find(ledger) if finding.about in about and finding.kind in kinds]
    sentences = [
        *_layer_story(ledger, key, layer, asked),
        *remarks,
        *_evidence(ledger, list(layer.own_weights)),
    ]
    variables = [ledger.variables[v] for v in layer.own_weights if v in ledger.variables]
    rows = (
        ("layer", layer.name),
        ("class", layer.class_name),
        ("Keras name", layer.keras_name),
        ("variables", f"{len(variables)}"),
        ("parameters", f"{sum(v.params for v in variables):,}"),
        ("trainable", f"{sum(v.params for v in variables if v.trainable):,}"),
    )
    return Explanation(subject=asked, kind="layer", sentences=tuple(sentences), rows=rows)


def _variable_story(ledger: Ledger, variable: Variable) -> Iterator[str]:
    name = full_name(variable)
    yield (
        f"{name} is a variable of shape {shape_text(variable.shape)}, {variable.params:,} parameters "
        f"({variable.bytes:,} bytes). Its owner is {variable.owner}."
    )
    event = next((e for e in ledger.events if e.index == variable.created_by), None)
    if event is None and variable.object is None:
        yield "No layer's call made it: the code did so itself, or it is older than this trace."
    elif event is None:
        yield "It is older than this trace."
    else:
        doing = (
            f"call {event.call} of {event.layer}" if isinstance(event, Called) else f"the construction of {event.layer}"
        )
        yield f"It was created in {at(event)} by {doing}: {one_line(event.source)}."
    uses = uses_of(ledger, variable)
    if len(uses) > 1:
        where = listing([f"{call.layer} in {at(call)}" for call in uses])
        yield f"It is used by {len(uses)} calls ({where}) and exists once."
    if len(variable.paths) > 1:
        yield f"It is also reached as {listing(list(variable.paths[1:]))}."
    if not variable.tracked:
        yield "No layer of a model lists it: the optimizer never sees it."
    elif variable.frozen_by is not None:
        yield f"It is frozen by {variable.frozen_by}.trainable = False."
    elif variable.trainable:
        yield "Its owner lists it as trainable."
    else:
        yield "Its owner lists it as not trainable: it is state, changed by the layer itself and not by the optimizer."


def _explain_variable(ledger: Ledger, key: str, variable: Variable, present: float | None) -> Explanation:
    sentences = [*_variable_story(ledger, variable)]
    if ledger.training is None and variable.trainable:
        moved = None not in (present, variable.initial_norm) and not isclose(
            present or 0, variable.initial_norm or 0, rel_tol=1e-5
        )
        sentences.append(
            "It has moved since it was created, though not by %%seq2seq fit, which would say how."
            if moved
            else "The model has not been fitted here yet, so whether it moves is not known."
        )
    sentences += _evidence(ledger, [key])
    rows = [
        ("variable", full_name(variable)),
        ("owner", variable.owner),
        ("Keras name", variable.name),
        ("shape", shape_text(variable.shape)),
        ("initializer", variable.initializer or "not known"),
    ]
    if variable.initial_norm is not None:
        rows.append(("initial norm", f"{variable.initial_norm:.4g}"))
    if present is not None:
        rows.append(("present norm", f"{present:.4g}"))
    return Explanation(subject=full_name(variable), kind="variable", sentences=tuple(sentences), rows=tuple(rows))
