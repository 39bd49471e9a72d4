"""Questions about calls: what they create and use, who owns it, and what is passed on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from s2s_magic.ledger.calls import Called
from s2s_magic.ledger.explain_tensor import created_and_used
from s2s_magic.ledger.explanation import ownership
from s2s_magic.ledger.question import Asked, Candidate, Question
from s2s_magic.ledger.switched_off import direct_listers
from s2s_magic.ledger.words import (
    at_step,
    counted,
    full_name,
    listing,
    shape_text,
    short_name,
    them,
    times,
    with_article,
)


def on_creating(asked: Asked) -> Iterator[Candidate]:
    """Ask whether a call creates variables."""
    for call in asked.calls:
        again = call.call > 1 and bool(call.reused) and not call.created
        bare = not call.created and not call.reused
        yield Candidate(again or bare, call.layer, partial(_creates_question, asked, call))


def _creates_question(asked: Asked, call: Called) -> Question | None:
    ledger = asked.ledger
    implicit = ledger.layers[call.object].implicit
    count = len(call.created) or len(call.reused) or 1
    new, old, none = (
        f"Yes: {counted(count, 'new variable')}",
        f"No: it uses {counted(count, 'variable')} that {'exists' if count == 1 else 'exist'} already",
        "No: it neither creates nor uses any",
    )
    right = new if call.created else old if call.reused else none
    if implicit and not call.created:
        used = [full_name(ledger.variables[key]) for key in call.reused if key in ledger.variables]
        why = [f"{call.layer} is an operation, which owns no variables."]
        why += [f"It uses {listing(used)}, the same weights as elsewhere."] if used else []
    else:
        why = [ownership(ledger, call.object), *created_and_used(ledger, call)]
        first = next((one for one in ledger.calls[call.object] if one.created and one.index < call.index), None)
        why += (
            [f"Call {first.call} in {at_step(first)} created {them(len(first.created))}."] if first is not None else []
        )
    several = len(ledger.calls[call.object]) > 1
    what = call.layer if implicit else f"call {call.call} of {call.layer}" if several else f"the call of {call.layer}"
    return asked.question("creates", call, call.layer, f"Does {what} create variables?", right, [new, old, none], why)


def on_owners(asked: Asked) -> Iterator[Candidate]:
    """Ask which object owns a variable that a call creates."""
    for call in asked.calls:
        made = {key: v for key in call.created if (v := asked.ledger.variables.get(key)) is not None}
        alike = Counter((short_name(v), v.shape) for v in made.values())
        for key, variable in made.items():
            if variable.object is not None and variable.paths and alike[short_name(variable), variable.shape] == 1:
                inside = variable.object != call.object
                yield Candidate(inside, variable.owner, partial(_owner_question, asked, call, key))


def _owner_question(asked: Asked, call: Called, key: str) -> Question | None:
    ledger, variable = asked.ledger, asked.ledger.variables[key]
    if direct_listers(ledger, key) != {variable.object}:
        return None  # another layer has it in its own list too, or took it: two answers could be defended
    owner = ledger.layers[variable.object or ""]

    def as_object(key: str) -> str:
        return f"{ledger.layers[key].name}, {with_article(ledger.layers[key].class_name)} object"

    wrong = [as_object(call.object)] if call.object != variable.object else []
    if (tensor := next((tensor.name for tensor in call.outputs if tensor.name), None)) is not None:
        wrong.append(f"{tensor}, the tensor that the call returned")
    if owner.parent is not None and owner.parent != call.object:
        wrong.append(as_object(owner.parent))
    beside = [key for key in dict.fromkeys(made.object for made in ledger.variables.values()) if key is not None]
    others = [key for key in beside if key not in (variable.object, call.object, owner.parent)]
    if asked.main is not None and asked.main.object not in (variable.object, call.object, owner.parent):
        wrong.append(as_object(asked.main.object))
        others = [key for key in others if key != asked.main.object]
    wrong += [as_object(key) for key in asked.random.sample(others, min(1, len(others)))]
    why = [f"It was created in {at_step(call)} by call {call.call} of {call.layer}."]
    why.append(ownership(ledger, variable.object or ""))
    if call.object != variable.object:
        why.append(ownership(ledger, call.object))
    why += [f"{tensor} is a wire. It holds no weights."] if tensor is not None else []
    what = f"{short_name(variable)} {shape_text(variable.shape)}"
    which = f"Call {call.call}" if len(ledger.calls[call.object]) > 1 else "The call"
    text = f"{which} of {call.layer} creates the variable {what}. Which object owns it?"
    return asked.question("owner", call, variable.owner, text, as_object(variable.object or ""), wrong, why)


def on_calls_again(asked: Asked) -> Iterator[Candidate]:
    """Ask how many variables there are when a layer is called more than once."""
    for key, calls in asked.ledger.calls.items():
        layer = asked.ledger.layers[key]
        if len(calls) > 1 and layer.is_written and layer.own_weights:
            yield Candidate(True, layer.name, partial(_again_question, asked, key, calls))


def _again_question(asked: Asked, key: str, calls: Sequence[Called]) -> Question | None:
    layer, count = asked.ledger.layers[key], len(asked.ledger.layers[key].own_weights)
    right = f"{count}: all calls use the same"
    wrong = [f"{count * len(calls)}: {count} for each call", "none: the tensors that the calls returned have them"]
    why = [
        ownership(asked.ledger, key),
        f"It is called {times(len(calls))}: {listing([at_step(call) for call in calls])}.",
        "Every call uses the same variables.",
    ]
    text = f"{layer.name} is called {times(len(calls))}. How many variables does it have after that?"
    return asked.question("again", calls[1], layer.name, text, right, wrong, why)


def on_states(asked: Asked) -> Iterator[Candidate]:
    """Ask what comes along when a recurrent layer's states are passed on."""
    ledger = asked.ledger
    for call in asked.calls:
        if ledger.kind(call) not in ("recurrent", "decoder"):
            continue
        for wire in call.inputs[1:]:
            made = ledger.events[wire.from_event] if wire.from_event is not None else None
            if isinstance(made, Called) and ledger.kind(made) in ("recurrent", "bidirectional"):
                if made.object != call.object and len(made.outputs) > 1 and ledger.layers[made.object].own_weights:
                    yield Candidate(True, made.layer, partial(_states_question, asked, made, call))
                break


def _states_question(asked: Asked, made: Called, call: Called) -> Question | None:
    ledger = asked.ledger
    theirs = {*ledger.layers[made.object].own_weights}
    used = [key for key in (*call.created, *call.reused) if key in ledger.variables]
    if not used or theirs & {*used, *ledger.layers[call.object].own_weights}:
        return None  # the two have variables in common: not the plain case that is asked about
    wires = [wire.name for wire in call.inputs[1:] if wire.from_event == made.index]
    states = listing([name for name in wires if name]) if all(wires) else counted(len(wires), "state")
    are, hold, go = ("is a wire", "It holds", "goes") if len(wires) == 1 else ("are wires", "They hold", "go")
    right = f"{counted(len(used), 'variable')}, none of them of {made.layer}"
    both, copied = len(used) + len(theirs), f"{len(used) + len(theirs)} variables: also copies of those of {made.layer}"
    wrong = [f"{both} variables: also those of {made.layer}, which come with the states", copied]
    why = [
        f"{states} {are} that {made.layer} returned in {at_step(made)}. {hold} no weights.",
        ownership(ledger, call.object),
        ownership(ledger, made.object),
    ]
    text = f"{states} {go} from {made.layer} into {call.layer}. Which variables does this call use?"
    return asked.question("states", call, made.layer, text, right, wrong, why)
