"""Explain a layer object or a variable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import isclose

from s2s_magic.ledger.anatomy import part_names, part_said
from s2s_magic.ledger.calls import AnyEvent, Called
from s2s_magic.ledger.explanation import Explanation, holding, measured, owned_and_held, ownership
from s2s_magic.ledger.gradient import trained_by_all_calls, why_none
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import Layer, Variable
from s2s_magic.ledger.roles import ModelRecord
from s2s_magic.ledger.wires import calls_using, uses_of
from s2s_magic.ledger.words import (
    at,
    counted,
    former_name,
    full_name,
    listing,
    one_line,
    shape_text,
    times,
    with_article,
)

_REMARKS = frozenset({
    *("ghost", "tied", "frozen", "no gradient", "untracked", "name"),
    *("missing input", "changed since compile", "not in the optimizer", "nothing to train"),
})  # fmt: skip


def explain_layer(ledger: Ledger, key: str, asked: str) -> Explanation:
    """Explain a layer object, a model among them; ``asked`` is the requested name."""
    layer = ledger.layers[key]
    about = {layer.name, *(full_name(ledger.variables[v]) for v in layer.own_weights if v in ledger.variables)}
    about |= {former_name(v) for v in ledger.variables.values() if v.dropped and v.object == key}
    remarks = [finding.text for finding in ledger.findings if finding.about in about and finding.kind in _REMARKS]
    sentences = [
        *_layer_story(ledger, key, layer, asked),
        *_in_models(ledger, key, layer),
        *remarks,
        *measured(ledger, layer.own_weights),
    ]
    own, held = owned_and_held(ledger, key)
    variables = [*own, *(v for group in held.values() for v in group)]
    rows = [
        ("layer", layer.name),
        ("class", layer.class_name),
        ("Keras name", layer.keras_name),
        (
            "owns",
            _sized(counted(len(own), "variable"), own) if own else "no variables itself" if held else "no variables",
        ),
        ("holds", _sized(holding(held), [v for group in held.values() for v in group])) if held else None,
        ("trainable", f"{sum(v.params for v in variables if v.trainable and v.tracked):,}"),
    ]
    return Explanation(subject=asked, kind="layer", sentences=tuple(sentences), rows=tuple(row for row in rows if row))


def _sized(words: str, variables: list[Variable]) -> str:
    return f"{words}, {counted(sum(variable.params for variable in variables), 'parameter')}"


def _layer_story(ledger: Ledger, key: str, layer: Layer, asked: str) -> Iterator[str]:
    born = "constructed outside the traced cells"
    if layer.constructed is not None:
        constructed = ledger.events[layer.constructed]
        doing = "made by a call" if isinstance(constructed, Called) else "constructed"
        born = f"{doing} in {at(constructed)}: {one_line(constructed.source)}"
    also = f" ({asked} is the same object)" if asked != layer.name else ""
    yield f"{layer.name} is {with_article(layer.class_name)} layer object{also}, {born}."
    yield from part_said(ledger, key)
    if others := list(_of_the_same_name(ledger, layer)):
        yield f"The same name was given to other objects too: {listing(others)}."
    yield ownership(ledger, key)
    if layer.parent is not None:
        paths = ledger.paths_of(layer)
        by = f"by {ledger.layers[layer.parent].name} (as {paths[0]})" if len(paths) == 1 else f"as {listing(paths)}"
        yield f"It is held {by}."
    calls = ledger.calls.get(key, ())
    if calls:
        where = listing([f"{at(call)}{_given(call)}" for call in calls])
        yield f"It is called {times(len(calls))}: {where}."
        if len(calls) > 1 and layer.own_weights:
            sends = (
                ", and every call sends its part of the gradient to them" if trained_by_all_calls(ledger, key) else ""
            )
            yield f"Every call uses the same variables{sends}."
    elif layer.ghost:
        return
    elif beside := ledger.calls_beside.get(key):
        yield _called_inside(beside)
        return
    elif (ran := ledger.passed_over(key)) is not None:
        yield f"No call of it was seen when {ran.layer} ran ({at(ran)})."
    elif used := _uses_inside(ledger, key):
        yield _called_inside(used)
    elif wired := [model for model in ledger.models if any(key in (e.source, e.target) for e in model.links)]:
        yield _between(ledger, wired[-1], key)
    elif layer.name not in {record.name for record in ledger.models}:
        yield "It is never called."
    if calls and (beside := ledger.calls_beside.get(key)):
        places = listing([f"{call.layer} ({at(call)})" for call in beside])
        yield f"It is used again by {places}: the same weights."


def _uses_inside(ledger: Ledger, key: str) -> list[Called]:
    """List the calls of the objects that hold a layer: of its nearest holder, and of others that hold it as well."""
    layer = ledger.layers[key]
    variables = [ledger.variables[v] for v in layer.own_weights if v in ledger.variables]
    paths = tuple(ledger.paths_of(layer))
    found = {call.index: call for call in calls_using(ledger, key)}
    for call in (call for variable in variables for call in uses_of(ledger, variable)):
        if any(path.startswith((f"{call.layer}.", f"{call.layer}[")) for path in paths):
            found[call.index] = call
    return [found[index] for index in sorted(found)]


def _called_inside(calls: Sequence[Called]) -> str:
    by = list(dict.fromkeys(f"{call.layer} ({at(call)})" for call in calls))
    inside = f"{listing(by)} call it inside" if len(by) > 1 else f"{calls[0].layer} calls it inside ({at(calls[0])})"
    return f"It is never called by the cell itself; {inside}."


def _between(ledger: Ledger, model: ModelRecord, key: str) -> str:
    """Say between which layers a self-wiring model, such as ``Sequential``, calls a layer."""
    before = [ledger.layers[link.source].name for link in model.links if link.target == key]
    after = [
        ledger.layers[link.target].name if link.target is not None else "the output"
        for link in model.links
        if link.source == key
    ]
    ends = " and ".join(
        [*([f"after {listing(before)}"] if before else []), *([f"before {listing(after)}"] if after else [])]
    )
    return f"The cell does not call it; {model.name} does, {ends}."


def _of_the_same_name(ledger: Ledger, layer: Layer) -> Iterator[str]:
    """Name the other objects that were bound to the same name, with their lines."""
    base = re.sub(r" \(\d+\w\w\)$", "", layer.name)
    for other in ledger.layers.values():
        if other is not layer and (other.name == base or re.fullmatch(re.escape(base) + r" \(\d+\w\w\)", other.name)):
            made = ledger.events[other.constructed] if other.constructed is not None else None
            yield f"{other.name} ({at(made)})" if made is not None else other.name


def _in_models(ledger: Ledger, key: str, layer: Layer) -> Iterator[str]:
    """Say which models a layer object is part of, and what a fit of each does to it where they differ."""
    main = ledger.main_model
    record = next((model for model in ledger.models if model.object == key), None)
    if record is not None:
        yield from _role(ledger, record)
    if main is None:
        return
    above = ledger.holders(key)
    inside = [
        model
        for model in ledger.models
        if model is not record and any(model.name in ledger.layers[k].in_models or k == model.object for k in above)
    ]
    others = [model.name for model in inside if model is not main and "inference" not in model.roles]
    if main in inside:
        also = f"; so it is of {listing(others)}" if others else ""
        because = "the wires lead back from the model's outputs to it" if main.outputs else f"{main.name} holds it"
        yield f"It is part of {main.name}: {because}{also}."
    elif record is not main and not layer.ghost and layer.unseen_in is None:
        also = f"; it is part of {listing(others)}" if others else ""
        yield f"It is not part of {main.name}: no wire leads from it to the model's outputs{also}."
    yield from _fits(ledger, layer, [*([record] if record is not None else []), *inside])


def _role(ledger: Ledger, model: ModelRecord) -> Iterator[str]:
    said = {
        "compiled": "compiled",
        "fitted": "fitted",
        "inference": "for inference: it was never compiled, and another model has its weights",
        "part": "part of another model",
    }
    roles = listing([said[role] for role in model.roles])
    if len(ledger.models) > 1:
        meant = "the model that is meant where none is named" if model is ledger.main_model else "one of the models"
        yield f"It is {meant}{f': {roles}' if roles else ''}."


def _fits(ledger: Ledger, layer: Layer, models: list[ModelRecord]) -> Iterator[str]:
    fitted = {model.name: set(model.trained or ()) for model in models if model.compiled is not None}
    doing: dict[int, list[str]] = {}
    for name, trained in fitted.items():
        doing.setdefault(len([key for key in layer.own_weights if key in trained]), []).append(name)
    if len(doing) > 1:
        parts = [
            f"a fit of {listing(names)} trains {f'{count} of its variables' if count else 'none of its variables'}"
            for count, names in doing.items()
        ]
        said = ", ".join(parts)
        yield f"{said[0].upper()}{said[1:]}: each goes by the switches that its own compile saw."


def _given(call: Called) -> str:
    named = [wire.name for wire in call.inputs if wire.name]
    return f" ({', '.join(named)})" if named else ""


def _variable_story(ledger: Ledger, key: str, variable: Variable) -> Iterator[str]:
    name = full_name(variable)
    part = part_names(ledger).get(variable.object or "")
    yield (
        f"{name} is a variable of shape {shape_text(variable.shape)}, {counted(variable.params, 'parameter')} "
        f"({variable.bytes:,} bytes). Its owner is {variable.owner}{f', {part}' if part else ''}."
    )
    event = ledger.events[variable.created_by] if variable.created_by is not None else None
    if event is None and variable.object is None:
        yield "No layer's call made it: the code did so itself, or it was made outside the traced cells."
    elif event is None:
        yield "It was made outside the traced cells."
    else:
        yield f"It was created in {at(event)} by {_doing(event)}: {one_line(event.source)}."
    uses = uses_of(ledger, variable)
    if len(uses) > 1:
        where = listing([f"{call.layer} in {at(call)}" for call in uses])
        yield f"It is used by {len(uses)} calls ({where}) and exists once."
    if len(variable.paths) > 1:
        yield f"It is also reached as {listing(list(variable.paths[1:]))}."
    yield whether_trained(ledger, key, variable)


def _doing(event: AnyEvent) -> str:
    if not isinstance(event, Called):
        return f"the construction of {event.layer}"
    return f"call {event.call} of {event.layer}" if event.via is None else f"{event.layer}.{event.via}"


def whether_trained(ledger: Ledger, key: str, variable: Variable) -> str:
    """Say whether a fit of the main model trains a variable, by the switches that its compile saw."""
    main = ledger.main_model
    if variable.dropped:
        return f"{variable.owner} listed it once, and no layer does any more, so that no fit trains it."
    if not variable.tracked:
        return "No layer of a model lists it: the optimizer never sees it."
    if main is not None and main.trained is not None and main.name in variable.in_models:
        if variable.frozen_by is not None and key in main.trained:
            return (
                f"{variable.frozen_by}.trainable is False now; {main.name} was compiled before that, so that a fit "
                "still trains it until it is compiled again."
            )
        if variable.trainable and key not in main.trained:
            return (
                f"Its owner lists it as trainable now, and did not when {main.name} was compiled, so that a fit "
                "leaves it as it is until it is compiled again."
            )
        if key in main.trained and not variable.trainable:
            return (
                f"Its owner lists it as not trainable now, and did not when {main.name} was compiled, so that a fit "
                "still trains it until it is compiled again."
            )
    if variable.frozen_by is not None:
        return f"It is frozen by {variable.frozen_by}.trainable = False."
    if variable.trainable:
        return "Its owner lists it as trainable."
    return "Its owner lists it as not trainable: no optimizer changes it, and only the layer itself may."


def explain_variable(ledger: Ledger, key: str, present: float | None) -> Explanation:
    """Explain a variable; ``present`` is its present norm, if known."""
    variable = ledger.variables[key]
    sentences = [*_variable_story(ledger, key, variable)]
    if ledger.training is None and variable.trainable:
        if (why := why_none(ledger, key)) is not None:
            sentences.append(f"No gradient of the loss comes back to it: {why}.")
        moved = None not in (present, variable.initial_norm) and not isclose(
            present or 0, variable.initial_norm or 0, rel_tol=1e-5
        )
        sentences.append(
            "It has moved since it was created, though not by %%seq2seq fit, which would say how."
            if moved
            else "The model has not been fitted here yet, so whether it moves is not known."
        )
    sentences += measured(ledger, [key])
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
