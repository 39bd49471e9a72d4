"""Questions about training: whether a fit trains a variable, and what a switch would change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from s2s_magic.ledger.explain_object import whether_trained
from s2s_magic.ledger.explain_tensor import way_out
from s2s_magic.ledger.explanation import owned_and_held, ownership
from s2s_magic.ledger.gradient import why_none
from s2s_magic.ledger.question import Asked, Candidate, Question
from s2s_magic.ledger.records import Variable
from s2s_magic.ledger.switched_off import freezing, listed_by
from s2s_magic.ledger.wires import uses_of
from s2s_magic.ledger.words import at_step, counted, full_name, listing, them

YES, FROZEN = "Yes: the gradient of the loss comes back to it", "No: it is frozen"
OUTSIDE, LOST = "No: the model does not have it", "No: no gradient comes back to it"
STATE, BEFORE = "No: its owner lists it as not trainable", "No: it was frozen when the model was compiled"


def on_training(asked: Asked) -> Iterator[Candidate]:
    """Ask whether a fit trains a variable."""
    for key, variable in asked.ledger.variables.items():
        if variable.object is not None and asked.main is not None:
            remarked = bool({variable.owner, full_name(variable), variable.frozen_by} & asked.remarked)
            inside = not asked.ledger.calls.get(variable.object)
            yield Candidate(remarked or inside, variable.owner, partial(_trained_question, asked, key))


def _trained_question(asked: Asked, key: str) -> Question | None:
    ledger, variable, main = asked.ledger, asked.ledger.variables[key], asked.main
    event = ledger.events[variable.created_by] if variable.created_by is not None else None
    event = event or next(iter(uses_of(ledger, variable)), None)
    truth = standing(asked, key)
    if event is None or main is None or not truth:
        return None
    right = truth[0]
    wrong = [choice for choice in (YES, LOST, FROZEN, OUTSIDE) if choice not in truth]
    why = [] if right in (OUTSIDE, LOST) else [whether_trained(ledger, key, variable)]
    if right == YES:
        why += _route(asked, variable)
    elif right == LOST:
        why.append(f"It is in {main.name} and trainable, but {why_none(ledger, key, asked.ways)}.")
    elif right == OUTSIDE:
        said = next((f.text for f in ledger.findings if f.about == variable.owner and f.kind in _OUTSIDE), None)
        why.append(said or f"{main.name} does not list it, and a fit of {main.name} does not change it.")
    text = f"Will a fit of {main.name} train {full_name(variable)}?"
    return asked.question("trained", event, variable.owner, text, right, wrong, why)


_OUTSIDE = ("not in the model", "untracked")


def standing(asked: Asked, key: str) -> list[str]:
    """Return why a fit of the main model trains a variable or not, the decisive reason first; empty if not known."""
    variable, main = asked.ledger.variables[key], asked.main
    if main is None or main.trained is None:
        return []
    lost = why_none(asked.ledger, key, asked.ways) if asked.ways is not None else None
    given = key in main.trained
    if main.name not in variable.in_models:
        # whether the gradient would reach it is another question
        return [OUTSIDE, LOST, *([FROZEN] if variable.frozen_by is not None else [])]
    if not given:
        reason = FROZEN if variable.frozen_by is not None else BEFORE if variable.trainable else STATE
        return [reason, LOST]
    if variable.regularized or asked.ways is None:
        return []
    if lost is not None:
        return [LOST, *([FROZEN] if variable.frozen_by is not None else [])]
    reached = any(call.in_graph and call.index in asked.ways.reached for call in uses_of(asked.ledger, variable))
    return [YES, *([FROZEN] if variable.frozen_by is not None else [])] if reached else []


def _route(asked: Asked, variable: Variable) -> Iterator[str]:
    """Say by which wires the gradient comes back to a variable."""
    for call in uses_of(asked.ledger, variable):
        for number, tensor in enumerate(call.outputs):
            said = list(way_out(asked.ledger, call, number))
            if asked.ways is not None and call.index in asked.ways.reached and len(said) > 1:
                yield f"{tensor.name or 'The tensor'} is what {call.layer} returned in {at_step(call)}."
                yield from said
                return


def on_freezing(asked: Asked) -> Iterator[Candidate]:
    """Ask what a model would still train if a layer's switch were turned off."""
    if asked.main is None:
        return
    listed = set(listed_by(asked.ledger, asked.main))
    for key, layer in asked.ledger.layers.items():
        if layer.is_written and key != asked.main.object and listed & set(layer.own_weights):
            holds = not asked.ledger.owned.get(key)
            shared = len(asked.ledger.calls.get(key, ())) > 1
            tied = bool({full_name(asked.ledger.variables[v]) for v in layer.own_weights} & asked.remarked)
            yield Candidate(holds or shared or tied, layer.name, partial(_freeze_question, asked, key))


def _freeze_question(asked: Asked, key: str) -> Question | None:
    ledger, main = asked.ledger, asked.main
    layer, calls = ledger.layers[key], ledger.calls.get(key, ())
    event = ledger.events[layer.constructed] if layer.constructed is not None else next(iter(calls), None)
    if main is None or event is None:
        return None
    found = freezing(ledger, key, main)
    every, held = len(found.stopped) + len(found.left), owned_and_held(ledger, key)[1]
    by_itself = sum(ledger.variables[name].object == key for name in found.stopped)
    per_call = len(found.stopped) * max(2, len(calls))
    guesses = [guess for guess in (every, every - per_call, every - by_itself, 0, every - 1, every - 2) if guess >= 0]

    def left(count: int) -> str:
        return f"{count} of {every}" if count else "none"

    def named(keys: Sequence[str]) -> str:
        return listing([full_name(ledger.variables[name]) for name in keys])

    def params(keys: Sequence[str]) -> int:
        return sum(ledger.variables[name].params for name in keys)

    why = [ownership(ledger, key), *(["The switch of an object goes to all that it holds."] if held else [])]
    if len(calls) > 1:
        why.append(f"Its {len(calls)} calls ({listing([at_step(call) for call in calls])}) use one set of weights.")
    if found.kept:
        why.append(f"Another layer lists {named(found.kept)} too, and goes on training {them(len(found.kept))}.")
    why.append(f"No longer trained: {named(found.stopped)}." if found.stopped else "So nothing changes.")
    sizes = f"{params(found.left):,} of {params((*found.left, *found.stopped)):,} parameters"
    why.append(f"Left: {len(found.left)} of {counted(every, 'variable')}, {sizes}.")
    text = (
        f"{main.name} trains {counted(every, 'variable')}. "
        f"How many are left if {layer.name}.trainable = False is set before compile?"
    )
    wrong = [left(guess) for guess in guesses]
    return asked.question("freeze", event, layer.name, text, left(len(found.left)), wrong, why)
