"""Findings about what a fit does not train: outside the model, unseen by Keras, frozen, or without a gradient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from s2s_magic.ledger.calls import Called
from s2s_magic.ledger.drift import drift_of
from s2s_magic.ledger.gradient import without_gradient
from s2s_magic.ledger.records import Finding, Layer, Variable
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.wires import calls_with
from s2s_magic.ledger.words import at, counted, former_name, full_name, listing, them


def untrained(trace: Trace) -> Iterator[Finding]:
    """List what a fit leaves out, and why, in the order of kinds of `s2s_magic.ledger.findings.find`."""
    for rule in (_never_called, _passed_over, _not_in_model, _untracked, _drifting, _frozen, _no_gradient):
        yield from rule(trace)


def _ran_to_its_end(trace: Trace, event: int) -> bool:
    """Return whether an event's cell ran to its end: after an error, a layer may still be called later."""
    last = trace.cells[-1] if trace.cells else None
    return last is None or last.ended is None or trace.events[event].cell != last.number


def _never_called(trace: Trace) -> Iterator[Finding]:
    models = {model.object for model in trace.models}
    for key, layer in trace.layers.items():
        idle = key not in trace.calls and not layer.own_weights and layer.parent is None and key not in models
        if (
            idle
            and not layer.ghost
            and not layer.in_models
            and layer.constructed is not None
            and _ran_to_its_end(trace, layer.constructed)
            and layer.is_written
        ):
            yield Finding(
                kind="never called",
                about=layer.name,
                text=f"{layer.name} ({layer.class_name}) was constructed and never called: it owns nothing.",
                event=layer.constructed,
            )


def _passed_over(trace: Trace) -> Iterator[Finding]:
    """List the layers that could own weights and own none, as what holds them was seen to run without them."""
    holding = {layer.parent for layer in trace.layers.values()}
    for key, layer in trace.layers.items():
        could_own = not layer.own_weights and (layer.kind != "layer" or key in holding)
        if could_own and layer.passed_over and not layer.ghost and (ran := trace.passed_over(key)) is not None:
            yield Finding(
                kind="never called",
                about=layer.name,
                text=f"{layer.name} ({layer.class_name}) is held by {trace.layers[layer.parent or ''].name}, which ran "
                "without calling it: it owns nothing.",
                event=ran.index,
            )


def _not_in_model(trace: Trace) -> Iterator[Finding]:
    model = trace.main_model
    if model is None:
        return
    models = {record.object for record in trace.models}
    for key, layer in trace.layers.items():
        if (
            key in trace.calls
            and not layer.in_models
            and key not in models
            and layer.is_written
            and layer.parent is None
            and layer.unseen_in is None
        ):
            owned = counted(len(layer.own_weights), "variable")
            yield Finding(
                kind="not in the model",
                about=layer.name,
                text=f"{layer.name} was called, but no wire leads from it to the outputs of {model.name}: "
                f"the model does not have it, and fit does not train its {owned}.",
                event=trace.calls[key][0].index,
            )


def _untracked(trace: Trace) -> Iterator[Finding]:
    for key, layer in trace.layers.items():
        if layer.unseen_in is not None and (layer.parent is None or trace.layers[layer.parent].unseen_in is None):
            yield _unseen(trace, key, layer)
    for variable in trace.variables.values():
        owner = trace.layers.get(variable.object or "")
        if not variable.tracked and (owner is None or owner.unseen_in is None):
            about = full_name(variable)
            said = "is used, but no layer of a model lists it: the optimizer never sees it"
            if variable.dropped:
                about = former_name(variable)
                said = f"was a weight of {variable.owner}, and no layer lists it any more: a fit does not train it "
                said += "from then on"
            yield Finding(
                kind="untracked",
                about=about,
                text=f"{full_name(variable)} ({counted(variable.params, 'number')}) {said}, and it is not saved with "
                "the model.",
                event=variable.created_by,
            )


def _unseen(trace: Trace, key: str, layer: Layer) -> Finding:
    """Say who uses a layer that Keras does not see, what that means, and what to change."""
    user = trace.layers[layer.unseen_in or ""]
    use = next((call for call in trace.calls.get(layer.unseen_in or "", ()) if key in call.inside), None)
    where = f" ({at(use)})" if use is not None else ""
    sizes = [trace.variables[name].params for name in layer.own_weights if name in trace.variables]
    made = trace.events[layer.constructed] if layer.constructed is not None else None
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
            f"class of {holder} a keras.layers.Layer, or set {user.name}.{attribute} = {layer.name} "
            f"before {user.name} is called"
        )
    else:
        remedy = f"set {user.name}.{attribute} = {layer.name}, for Keras looks into a layer's attributes"
    remedy = f"{remedy[0].upper()}{remedy[1:]}; compile after that."
    return Finding(
        kind="untracked",
        about=layer.name,
        text=f"{layer.name} ({layer.class_name}) is untracked: it is used inside {user.name}{where} and listed by "
        f"no layer of the model. Keras does not see it: a fit does not train its {counted(len(sizes), 'variable')} "
        f"({sum(sizes):,} parameters), and saving leaves {them(len(sizes))} out. {remedy}",
        event=use.index if use is not None else layer.constructed,
    )


def _drifting(trace: Trace) -> Iterator[Finding]:
    for model in trace.models:
        if model.compiled is not None or model is trace.main_model:
            yield from drift_of(trace, model)


def _frozen(trace: Trace) -> Iterator[Finding]:
    """Say what is frozen, one finding per switch; and for which models, if a fit of another trains it."""
    main = trace.main_model
    by_switch: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Variable]] = defaultdict(list)
    for key, variable in trace.variables.items():
        if variable.frozen_by is not None and not (main is not None and key in (main.trained or ())):
            fitting = tuple(m.name for m in trace.models if m.compiled is not None and key in (m.trained or ()))
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


def _no_gradient(trace: Trace) -> Iterator[Finding]:
    """Say which variables get no gradient from the loss, one finding per owner and reason."""
    lost: dict[tuple[str, str, bool], list[Variable]] = defaultdict(list)
    for key, why in without_gradient(trace).items():
        variable = trace.variables[key]
        lost[variable.object or "", why, variable.regularized].append(variable)
    main = trace.main_model.name if trace.main_model is not None else ""
    for (key, why, regularized), variables in lost.items():
        name = trace.layers[key].name
        it, are = ("it", "is") if len(variables) == 1 else ("them", "are")
        end = f"Only {'its' if it == 'it' else 'their'} regularizer changes {it}." if regularized else ""
        yield Finding(
            kind="no gradient",
            about=name,
            text=f"{listing([full_name(v) for v in variables], most=4)} {are} in {main} and trainable, but no "
            f"gradient comes back to {it}: {why}. {end or f'A fit does not train {it}.'}",
            event=min((use.index for use in calls_with(trace, variables[0])), default=None),
        )
