"""What a reader of a ledger should know, in words. Every finding is derived from the records alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from s2s_magic.ledger.drift import drift_of
from s2s_magic.ledger.explanation import holding, owned_and_held
from s2s_magic.ledger.gradient import ways, why_none
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import Called, Finding, Layer, Variable
from s2s_magic.ledger.roles import described
from s2s_magic.ledger.wires import calls_of, holders, uses_beside, uses_of
from s2s_magic.ledger.wording import at, counted, full_name, listing, times


def find(ledger: Ledger) -> tuple[Finding, ...]:
    """List what is worth saying of a ledger.

    Kinds: ``ended``, ``models``, ``shared``, ``tied``, ``alias``, ``ghost``, ``never called``, ``not in the model``,
    ``untracked``, those of `s2s_magic.ledger.drift`, ``frozen``, ``no gradient``, ``name``.

    Parameters
    ----------
    ledger
        The records.

    Returns
    -------
    tuple of Finding
        In that order of kinds; each names the event where it shows first.
    """
    rules = (
        _ended,
        _models,
        _shared,
        _tied,
        _alias,
        _ghost,
        _never_called,
        _not_in_model,
        _untracked,
        _drift,
        _frozen,
        _no_gradient,
        _named_otherwise,
    )
    return tuple(finding for rule in rules for finding in rule(ledger, ledger.calls))


_Calls = Mapping[str, Sequence[Called]]


def _ended(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    last = ledger.cells[-1] if ledger.cells else None
    if last is not None and (ended := last.ended) is not None:
        what = " ".join(ended.source.split())
        how = f"in this very call, {what}" if ended.object is not None else f"at {what}"
        yield Finding(
            kind="ended",
            about=ledger.layers[ended.object].name if ended.object is not None else ledger.name,
            text=f"The cell ended {how} (line {ended.line}), with {ended.error}. What comes after it did not run.",
        )


def _models(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    """Say which of several models is meant, where more than one is more than a part."""
    main = ledger.main_model
    whole = [model for model in ledger.models if model.roles != ("part",)]
    if main is None or len(whole) < 2:
        return
    others = [described(model) for model in ledger.models if model is not main]
    chosen = "It was named" if ledger.chosen is not None else "--model NAME, or model: NAME in a fit, means another"
    yield Finding(
        kind="models",
        about=main.name,
        text=f"{described(main)} is the model that is meant. The code also made {listing(others)}. {chosen}.",
        event=main.event,
    )


def _ran_to_its_end(ledger: Ledger, event: int) -> bool:
    """Say whether the cell of an event is past: a layer may yet be called in one that an error ended."""
    last = ledger.cells[-1] if ledger.cells else None
    return last is None or last.ended is None or ledger.events[event].cell != last.number


def _shared(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    for key, layer in ledger.layers.items():
        if not layer.own_weights:
            continue
        wired = [call for call in calls.get(key, ()) if call.in_graph]
        beside = [call for call in uses_beside(ledger, key) if call.in_graph]
        if len(wired) + len(beside) < 2 or not (wired or layer.unseen_in is None):
            continue
        own, held = owned_and_held(ledger, key)
        has = f"owns {counted(len(own), 'variable')}" if own else f"holds {holding(held)}"
        which = "both" if len(wired) + len(beside) == 2 else "all"
        if beside:
            places = listing([f"{call.layer} ({at(call)})" for call in beside])
            called = f"called {times(len(wired))} and used again by" if wired else "used by"
            said = f"{layer.name} is {called} {places}; it {has}: {which} uses have the same weights."
        else:
            said = f"{layer.name} is called {times(len(wired))} and {has}: {which} calls use the same weights."
        second = sorted(call.index for call in (*wired, *beside))[1]
        yield Finding(kind="shared", about=layer.name, text=said, event=second)


def _rows_of_one_model(ledger: Ledger, variable: Variable) -> list[str]:
    """List the layers of a model that list a variable: a model within a model is one row of the outer one."""
    rows = ([key for key in variable.held_by if key in model.layers] for model in ledger.models)
    return max(rows, key=len, default=[])


def _tied(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    for variable in ledger.variables.values():
        rows = _rows_of_one_model(ledger, variable)
        if len(rows) > 1:
            first_holder = variable.object if variable.object in rows else rows[0]
            others = [key for key in rows if key != first_holder]
            names = " and ".join(ledger.layers[key].name for key in others)
            first = next((call.index for key in others for call in calls.get(key, ())), None)
            yield Finding(
                kind="tied",
                about=full_name(variable),
                text=f"{full_name(variable)} is listed by {names} too: one variable in {len(rows)} layers, "
                f"counted more than once in the rows of summary() and trained once.",
                event=first,
            )


def _alias(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    for layer in ledger.layers.values():
        if layer.aliases:
            yield Finding(
                kind="alias",
                about=layer.name,
                text=f"{', '.join(layer.aliases)} and {layer.name} are names of one object: "
                "what one trains, the other has.",
                event=layer.constructed,
            )


def _ghost(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    for layer in ledger.layers.values():
        if layer.ghost:
            yield Finding(
                kind="ghost",
                about=layer.name,
                text=f"{layer.name} ({layer.class_name}) was handed to another layer, which works with copies of its "
                "settings: this object is never called and never owns a variable.",
                event=layer.constructed,
            )


def _is_plain_layer(layer: Layer) -> bool:
    return not layer.implicit and layer.class_name != "InputLayer"


def _never_called(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    models = {model.object for model in ledger.models}
    for key, layer in ledger.layers.items():
        idle = key not in calls and not layer.own_weights and layer.parent is None and key not in models
        if (
            idle
            and not layer.ghost
            and not layer.in_models
            and layer.constructed is not None
            and _ran_to_its_end(ledger, layer.constructed)
            and _is_plain_layer(layer)
        ):
            yield Finding(
                kind="never called",
                about=layer.name,
                text=f"{layer.name} ({layer.class_name}) was constructed and never called: it owns nothing.",
                event=layer.constructed,
            )


def _not_in_model(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    model = ledger.main_model
    if model is None:
        return
    models = {record.object for record in ledger.models}
    for key, layer in ledger.layers.items():
        if (
            key in calls
            and not layer.in_models
            and key not in models
            and _is_plain_layer(layer)
            and layer.parent is None
            and layer.unseen_in is None
        ):
            owned = counted(len(layer.own_weights), "variable")
            yield Finding(
                kind="not in the model",
                about=layer.name,
                text=f"{layer.name} was called, but no wire leads from it to the outputs of {model.name}: "
                f"the model does not have it, and fit does not train its {owned}.",
                event=calls[key][0].index,
            )


def _untracked(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    for key, layer in ledger.layers.items():
        if layer.unseen_in is not None and (layer.parent is None or ledger.layers[layer.parent].unseen_in is None):
            yield _unseen(ledger, key, layer)
    for variable in ledger.variables.values():
        owner = ledger.layers.get(variable.object or "")
        if not variable.tracked and (owner is None or owner.unseen_in is None):
            yield Finding(
                kind="untracked",
                about=full_name(variable),
                text=f"{full_name(variable)} ({variable.params:,} numbers) is used, but no layer of a model lists it: "
                "the optimizer never sees it, and it is not saved with the model.",
                event=variable.created_by,
            )


def _unseen(ledger: Ledger, key: str, layer: Layer) -> Finding:
    """Say of a layer that Keras does not see who uses it, what that means, and what to change."""
    user = ledger.layers[layer.unseen_in or ""]
    use = next((call for call in calls_of(ledger, layer.unseen_in or "") if key in call.inside), None)
    where = f" ({at(use)})" if use is not None else ""
    sizes = [ledger.variables[name].params for name in layer.own_weights if name in ledger.variables]
    it = "it" if len(sizes) == 1 else "them"
    made = ledger.events[layer.constructed] if layer.constructed is not None else None
    last = layer.name.rpartition(".")[2]
    attribute = last if last.isidentifier() else "layer"
    if isinstance(made, Called):
        remedy = (
            f"{user.class_name}.call makes it, anew each time: make it in __init__ (self.{attribute} = ...) and use it "
            "in call"
        )
    elif layer.name in layer.unseen_as:
        holder = layer.unseen_as[0].rpartition(".")[0]
        remedy = (
            "Keras looks into a layer's attributes, lists and dictionaries, and not into other objects: make the "
            f"class of {holder} a keras.layers.Layer, or set {user.name}.{attribute} = {layer.name}"
        )
    else:
        remedy = f"set {user.name}.{attribute} = {layer.name}, for Keras looks into a layer's attributes"
    remedy = f"{remedy[0].upper()}{remedy[1:]}; compile after that."
    return Finding(
        kind="untracked",
        about=layer.name,
        text=f"{layer.name} ({layer.class_name}) is untracked: it is used inside {user.name}{where} and listed by "
        f"no layer of the model. Keras does not see it: a fit does not train its {counted(len(sizes), 'variable')} "
        f"({sum(sizes):,} parameters), and saving leaves {it} out. {remedy}",
        event=use.index if use is not None else layer.constructed,
    )


def _drift(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    for model in ledger.models:
        if model.compiled is not None or model is ledger.main_model:
            yield from drift_of(ledger, model)


def _frozen(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    """Say what is frozen, one finding a switch; for which models, where a fit of another one trains it."""
    main = ledger.main_model
    by_switch: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Variable]] = defaultdict(list)
    for key, variable in ledger.variables.items():
        if variable.frozen_by is not None and not (main is not None and key in (main.trained or ())):
            fitting = tuple(m.name for m in ledger.models if m.compiled is not None and key in (m.trained or ()))
            frozen_for = tuple(name for name in variable.in_models if name not in fitting) if fitting else ()
            by_switch[variable.frozen_by, frozen_for, fitting].append(variable)
    for (switch, frozen_for, fitting), variables in by_switch.items():
        it, are = ("it", "is") if len(variables) == 1 else ("them", "are")
        sizes = f"{counted(len(variables), 'variable')} ({sum(v.params for v in variables):,} parameters) below it"
        if fitting:
            stay, those = ("it is" if it == "it" else "they are"), listing(frozen_for)
            text = (
                f"{switch}.trainable is False for {those} only: a fit of {those} leaves the {sizes} as {stay}, "
                f"and a fit of {listing(fitting)}, compiled while it was True, trains {it}."
            )
        else:
            text = f"{switch}.trainable is False: {sizes} {are} not trained."
        yield Finding(kind="frozen", about=switch, text=text, event=variables[0].created_by)


def _no_gradient(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    """Say which variables get no gradient from the loss, one finding an owner and a reason."""
    found = ways(ledger)
    if found is None:
        return
    model = found.model
    lost: dict[tuple[str, str, bool], list[Variable]] = defaultdict(list)
    for key, variable in ledger.variables.items():
        trains = variable.trainable if model.trained is None else key in model.trained
        if trains and variable.object is not None and model.name in variable.in_models:
            why = why_none(ledger, key, found)
            if why is not None:
                lost[variable.object, why, variable.regularized].append(variable)
    for (key, why, regularized), variables in lost.items():
        name = ledger.layers[key].name
        it, are = ("it", "is") if len(variables) == 1 else ("them", "are")
        end = f"Only {'its' if it == 'it' else 'their'} regularizer changes {it}." if regularized else ""
        yield Finding(
            kind="no gradient",
            about=name,
            text=f"{listing([full_name(v) for v in variables], most=4)} {are} in {model.name} and trainable, but no "
            f"gradient comes back to {it}: {why}. {end or f'A fit does not train {it}.'}",
            event=min((use.index for use in uses_of(ledger, variables[0])), default=None),
        )


def _named_otherwise(ledger: Ledger, calls: _Calls) -> Iterator[Finding]:
    same: dict[str, list[Variable]] = defaultdict(list)
    told: set[str] = set()
    for variable in ledger.variables.values():
        same[variable.name].append(variable)
        owner = ledger.layers.get(variable.object or "")
        first = variable.name.split("/")[0]
        if owner is None or "/" not in variable.name or owner.name in told:
            continue
        outer = [ledger.layers[key] for key in holders(ledger, variable.object or "")]
        named = next((layer for layer in outer if "." not in layer.name), outer[-1])
        if named.keras_name != first and any(layer.keras_name == first for layer in outer[1:]):
            told.add(owner.name)
            yield Finding(
                kind="name",
                about=owner.name,
                text=f"Keras names a variable {variable.name!r}, after the layer that was called; "
                f"its owner is {owner.name}.",
                event=variable.created_by,
            )
    for name, variables in same.items():
        if len(variables) > 1:
            yield Finding(
                kind="name",
                about=name,
                text=f"{counted(len(variables), 'variable')} are called {name!r} by Keras; their owners are "
                f"{', '.join(dict.fromkeys(v.owner for v in variables))}.",
                event=variables[1].created_by,
            )
