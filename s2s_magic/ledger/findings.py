"""Find what a reader of a ledger should know, from the records alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from s2s_magic.ledger.explanation import holding, owned_and_held
from s2s_magic.ledger.records import Finding, Variable
from s2s_magic.ledger.roles import described
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.untrained import untrained
from s2s_magic.ledger.words import at, counted, full_name, listing, times


def find(trace: Trace) -> tuple[Finding, ...]:
    """List the findings about a ledger, by kind; each names the event where it first shows.

    In this order: ``ended``, ``mixed``, ``models``, ``shared``, ``tied``, ``alias``, ``ghost``, ``never called``,
    ``not in the model``, ``untracked``, those of `s2s_magic.ledger.drift`, ``frozen``, ``no gradient``, ``name``.
    """
    rules = (_ended, _mixed, _models, _shared, _tied, _alias, _ghost, untrained, _named_otherwise)
    return tuple(finding for rule in rules for finding in rule(trace))


def _ended(trace: Trace) -> Iterator[Finding]:
    last = trace.cells[-1] if trace.cells else None
    if last is not None and (ended := last.ended) is not None:
        what = " ".join(ended.source.split())
        how = f"in this very call, {what}" if ended.object is not None else f"at {what}"
        yield Finding(
            kind="ended",
            about=trace.layers[ended.object].name if ended.object is not None else trace.name,
            text=f"The cell ended {how} (line {ended.line}), with {ended.error}. What comes after it did not run.",
        )


def _mixed(trace: Trace) -> Iterator[Finding]:
    for cell in trace.cells:
        if (mixed := cell.mixed) is not None:
            are = "is" if len(mixed.of_other) == 1 else "are"
            yield Finding(
                kind="mixed",
                about=trace.name,
                text=f"{listing(mixed.of_other)} in cell {cell.number} {are} of {mixed.other}, and TensorFlow's Keras, "
                f"which is traced, is {mixed.own}: none of that is in this ledger, and no model of one trains "
                "layers of the other. Take all from one: from tensorflow import keras.",
            )


def _models(trace: Trace) -> Iterator[Finding]:
    """Say which model is the main one, where several are not just parts of another."""
    main = trace.main_model
    whole = [model for model in trace.models if model.roles != ("part",)]
    if main is None or len(whole) < 2:
        return
    others = [described(model) for model in trace.models if model is not main]
    chosen = "It was named" if trace.chosen is not None else "--model NAME, or model: NAME in a fit, means another"
    yield Finding(
        kind="models",
        about=main.name,
        text=f"{described(main)} is the model that is meant. The code also made {listing(others)}. {chosen}.",
        event=main.event,
    )


def _shared(trace: Trace) -> Iterator[Finding]:
    for key, layer in trace.layers.items():
        if not layer.own_weights:
            continue
        wired = [call for call in trace.calls.get(key, ()) if call.in_graph]
        beside = [call for call in trace.calls_beside.get(key, ()) if call.in_graph]
        if len(wired) + len(beside) < 2 or not (wired or layer.unseen_in is None):
            continue
        own, held = owned_and_held(trace, key)
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


def _rows_of_one_model(trace: Trace, variable: Variable) -> list[str]:
    """List the main model's layers that list a variable; a nested model is one row of the outer one."""
    rows = ([key for key in variable.held_by if key in model.layers] for model in trace.models)
    return max(rows, key=len, default=[])


def _tied(trace: Trace) -> Iterator[Finding]:
    for variable in trace.variables.values():
        rows = _rows_of_one_model(trace, variable)
        if len(rows) > 1:
            first_holder = variable.object if variable.object in rows else rows[0]
            others = [key for key in rows if key != first_holder]
            names = " and ".join(trace.layers[key].name for key in others)
            first = next((call.index for key in others for call in trace.calls.get(key, ())), None)
            yield Finding(
                kind="tied",
                about=full_name(variable),
                text=f"{full_name(variable)} is listed by {names} too: one variable in {len(rows)} layers, "
                f"counted more than once in the rows of summary() and trained once.",
                event=first,
            )


def _alias(trace: Trace) -> Iterator[Finding]:
    for layer in trace.layers.values():
        if layer.aliases:
            yield Finding(
                kind="alias",
                about=layer.name,
                text=f"{', '.join(layer.aliases)} and {layer.name} are names of one object: "
                "what one trains, the other has.",
                event=layer.constructed,
            )


def _ghost(trace: Trace) -> Iterator[Finding]:
    for layer in trace.layers.values():
        if layer.ghost:
            yield Finding(
                kind="ghost",
                about=layer.name,
                text=f"{layer.name} ({layer.class_name}) was handed to another layer, which works with copies of its "
                "settings: this object is never called and never owns a variable.",
                event=layer.constructed,
            )


def _named_otherwise(trace: Trace) -> Iterator[Finding]:
    same: dict[str, list[Variable]] = defaultdict(list)
    told: set[str] = set()
    for variable in (variable for variable in trace.variables.values() if not variable.dropped):
        same[variable.name].append(variable)
        owner = trace.layers.get(variable.object or "")
        first = variable.name.split("/")[0]
        if owner is None or "/" not in variable.name or owner.name in told:
            continue
        outer = [trace.layers[key] for key in trace.holders(variable.object or "")]
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
            owners = list(dict.fromkeys(v.owner for v in variables))
            own = f"{owners[0]} owns them" if len(owners) == 1 else f"their owners are {', '.join(owners)}"
            yield Finding(
                kind="name",
                about=name,
                text=f"{counted(len(variables), 'variable')} are called {name!r} by Keras; {own}.",
                event=variables[1].created_by,
            )
