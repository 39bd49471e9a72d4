"""Find, before the first step, how a model's next fit would differ from what its ``trainable`` switches say, and why.

Keras 2 trains what was trainable when the model was compiled, Keras 3 what was when a fit traced the training step; an
optimizer accepts only the variables that it was built for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Set

from s2s_magic.ledger.calls import Called
from s2s_magic.ledger.gradient import ways, why_none
from s2s_magic.ledger.missing import missing_inputs
from s2s_magic.ledger.records import Finding, Variable
from s2s_magic.ledger.roles import ModelRecord
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.wires import events_behind
from s2s_magic.ledger.words import counted, full_name, line_text, listing, them


def drift_of(trace: Trace, model: ModelRecord) -> list[Finding]:
    """List what a reader should know before this model is fitted.

    Kinds: ``missing input``, ``changed since compile``, ``not in the optimizer``, ``nothing to train``,
    ``frozen output``.
    """
    if model.trained is None:  # an older document
        return []
    nothing = nothing_to_train(trace, model)
    return [
        *_missing(trace, model),
        *_changed(trace, model),
        *_unknown(trace, model),
        *([nothing] if nothing is not None else _frozen_outputs(trace, model)),
    ]


def _missing(trace: Trace, model: ModelRecord) -> Iterator[Finding]:
    if model.missing:
        yield Finding(
            kind="missing input",
            about=model.name,
            text=f"{model.name} cannot be called: {missing_inputs(trace.events, model.inputs, model.missing)}.",
            event=model.event,
        )


def _changed(trace: Trace, model: ModelRecord) -> Iterator[Finding]:
    listed = set(model.listed if model.listed is not None else model.trained or ())
    told: set[str] = set()
    meant: set[str] = set()
    for key in sorted(model.changed, key=lambda key: -len(trace.layers[key].own_weights)):
        layer, saw = trace.layers[key], model.changed[key]
        ours = set(model.trained or ()) if saw else listed
        theirs = listed if saw else set(model.trained or ())
        affected = [v for v in layer.own_weights if v in ours and v not in theirs and v not in told]
        if not affected or _meant_for_another(trace, model, key):
            meant.update(affected)
            continue
        told.update(affected)
        doing = "still trains" if saw else "still does not train"
        wish = "to freeze" if saw else "to train"
        it = them(len(affected))
        with_new = ""
        if not saw and set(affected) & set(model.unknown):
            with_new = f" with a new optimizer ({model.optimizer} has no place for {it})"
        sizes = f"{counted(len(affected), 'variable')} of {layer.name} ({_params(trace, affected):,} parameters)"
        again = f"run {model.name}.compile(...) again{with_new} {wish} {it}"
        when = f"{model.name} was compiled{_compiled_in(trace, model)}"
        how = "Keras looks at compile time"
        if model.switches_read == "step":
            when = f"a fit traced the training step of {model.name}"
            how = "Keras goes on with that step until the next compile, for batches of the same shape"
        yield Finding(
            kind="changed since compile",
            about=layer.name,
            text=f"{layer.name}.trainable was {saw} when {when} and is {not saw} now. {how}: a fit of {model.name} "
            f"{doing} {sizes}; {again}.",
            event=layer.constructed,
        )
    if model.switches_read == "step":
        yield from _changed_by_themselves(trace, model, listed, told | meant)


def _changed_by_themselves(trace: Trace, model: ModelRecord, listed: Set[str], known: Set[str]) -> Iterator[Finding]:
    """Report variables that no layer's switch changed: by their own switch, or made since, as LoRA does both."""
    trained = set(model.trained or ())
    for keys, then, now, doing, wish in (
        (trained - listed, "trainable", "not", "still trains", "to freeze"),
        (listed - trained, "not there, or not trainable,", "trainable", "does not train", "to train"),
    ):
        by_owner: dict[str, list[Variable]] = {}
        for key in sorted(keys - known, key=list(trace.variables).index):
            by_owner.setdefault(trace.variables[key].owner, []).append(trace.variables[key])
        for owner, variables in by_owner.items():
            was, are, it = ("was", "is", "it") if len(variables) == 1 else ("were", "are", "them")
            yield Finding(
                kind="changed since compile",
                about=owner,
                text=f"{listing([full_name(v) for v in variables])} {was} {then} when a fit traced the training step "
                f"of {model.name} and {are} {now} now. Keras goes on with that step until the next compile, for "
                f"batches of the same shape: a fit of {model.name} {doing} {it}; "
                f"run {model.name}.compile(...) again {wish} {it}.",
                event=variables[0].created_by,
            )


def _meant_for_another(trace: Trace, model: ModelRecord, key: str) -> bool:
    """Return whether a model compiled later saw the switch as it is now, so that it was changed for that model."""
    return any(
        other.compiled is not None
        and other.compiled > (model.compiled or 0)
        and key not in other.changed
        and (other.object == key or other.name in trace.layers[key].in_models)
        for other in trace.models
    )


def _unknown(trace: Trace, model: ModelRecord) -> Iterator[Finding]:
    found = ways(trace, model)  # without a gradient, the optimizer never looks the variable up
    lost = [key for key in model.unknown if key in (model.trained or ()) and why_none(trace, key, found) is None]
    if lost:
        names = listing([full_name(trace.variables[key]) for key in lost], most=4)
        yield Finding(
            kind="not in the optimizer",
            about=model.name,
            text=f"The {model.optimizer} that {model.name} is compiled with was made for other variables: it has no "
            f"place for {names}, and the first step would stop with an error of Keras. Run {model.name}.compile(...) "
            "again with a new optimizer: an optimizer serves one model, and the variables of its first step.",
            event=model.event,
        )


def nothing_to_train(trace: Trace, model: ModelRecord) -> Finding | None:
    """Report that a fit of this model would train nothing, and who froze it; None if it would train something."""
    if model.trained is None or model.trained or (not model.total and not model.layers):
        return None
    inside = [v for v in trace.variables.values() if model.name in v.in_models]
    if not inside and not model.inputs and model.object not in trace.calls:
        return None  # its first call will make them
    frozen: dict[str, list[Variable]] = {}
    for variable in inside:
        if variable.frozen_by is not None:
            frozen.setdefault(variable.frozen_by, []).append(variable)
    if not inside:
        why = "it has no variables"
    elif frozen:
        why = "; ".join(
            f"{by}.trainable = False freezes {counted(len(held), 'variable')}" for by, held in frozen.items()
        )
    elif model.listed:
        why = "all of them were frozen when it was compiled: compile it again"
    else:
        why = "none of its variables is of a kind that is trained"
    return Finding(
        kind="nothing to train", about=model.name, text=f"{model.name} has nothing to train: {why}.", event=model.event
    )


def _frozen_outputs(trace: Trace, model: ModelRecord) -> Iterator[Finding]:
    """Find outputs behind which nothing is trained: their loss and metrics cannot change."""
    if len(model.outputs) < 2:
        return
    for number, wire in enumerate(model.outputs):
        calls = [e for e in events_behind(trace, [wire]) if isinstance(e, Called)]
        behind = {v for call in calls for v in trace.layers[call.object].own_weights}
        if behind and not behind & set(model.trained or ()):
            switches = sorted({trace.variables[v].frozen_by or "" for v in behind if v in trace.variables} - {""})
            by = f" by {listing(switches)}" if switches else ""
            name = wire.name or f"output {number + 1}"
            yield Finding(
                kind="frozen output",
                about=name,
                text=f"Everything on the wires to {name} is frozen{by}: the loss and the metrics of this output of "
                f"{model.name} cannot improve, and what waits for them to (EarlyStopping, patience) stops for nothing.",
                event=wire.from_event,
            )


def _params(trace: Trace, keys: Iterable[str]) -> int:
    return sum(trace.variables[key].params for key in keys)


def _compiled_in(trace: Trace, model: ModelRecord) -> str:
    """Say where a cell of the ledger last compiled the model; empty if the last compile was elsewhere."""
    found = ""
    for cell in trace.cells:
        try:
            tree = ast.parse(cell.text)
        except SyntaxError:  # a cell that contains magics
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "compile"
                and ast.unparse(node.func.value) == model.name
            ):
                line = node.lineno + cell.first_line - 1
                found = f" ({line_text(cell.number, line)})"
    return found
