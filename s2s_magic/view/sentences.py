"""Describe in a sentence what an event did to variables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from s2s_magic.ledger import Called, Constructed, Layer, Ledger, ModelRecord, Variable
from s2s_magic.ledger.words import abridged, counted, full_name

Names = dict[str, list[str]]


def sentence(
    event: Constructed | Called, ledger: Ledger, held: Names, created: Sequence[str], reused: Sequence[str]
) -> str:
    """Say in words what an event did to variables.

    ``held`` has, by the key of each layer object, the names of the objects it holds from the start; ``created`` and
    ``reused`` are the keys of the variables that the event made, and of the existing ones that it used.
    """
    layer = ledger.layers[event.object]
    new, old = ([ledger.variables[key] for key in keys] for keys in (created, reused))
    if isinstance(event, Called):
        return f"{_called(event, layer, new, old)}."
    for model in ledger.models:
        if model.event == event.index and event.ends:
            return _wired(event, model, ledger, new, old)
    if layer.kind == "input":
        return f"{layer.name} is where data will come in: a symbolic tensor, no numbers yet and no variables."
    text = f"The layer object {layer.name} ({layer.class_name}) comes into being"
    if parts := held.get(event.object):
        text += f"; it holds {abridged(parts)}"
    if new:
        text += f". It makes {_made(new, layer.name)} at once"
    if old:
        text += f". It holds {counted(len(old), 'variable')} that {'was' if len(old) == 1 else 'were'} there before"
    return f"{text}." if new or old else f"{text}. It owns no variables yet."


def _wired(
    event: Constructed, model: ModelRecord, ledger: Ledger, new: Sequence[Variable], old: Sequence[Variable]
) -> str:
    """Say what a functional model found between its ends: the layer objects, with all they own."""
    ends = abridged([wire.name or "an unnamed tensor" for wire in event.ends])
    layers = [ledger.layers[key] for key in model.layers]
    found = [layer.name for layer in layers if layer.is_written]
    size = sum(variable.params for variable in (*new, *old))
    back = f"{event.layer} follows the wires back from {ends} to its inputs and"
    if not found and not new and not old:
        return f"{back} finds operations only: no variables."
    return (
        f"{back} finds "
        f"{'the layer object' if len(found) == 1 else 'the layer objects'} {abridged(found, 8)}; with "
        f"{'it' if len(found) == 1 else 'them'} come {counted(len(new) + len(old), 'variable')} ({size:,} parameters). "
        + (f"It makes {_made(new, event.layer)}." if new else "It makes none of its own.")
    )


def _called(event: Called, layer: Layer, new: Sequence[Variable], old: Sequence[Variable]) -> str:
    if layer.implicit and not new:
        uses = f"; it uses {abridged([full_name(variable) for variable in old])} again" if old else ""
        return f"{layer.name} is an operation, not a layer: it owns no variables{uses}"
    text = f"Call {event.call} of {layer.name}" if event.via is None else f"{layer.name}.{event.via}"
    again = counted(len(old), "variable")
    if new:
        return f"{text} creates {_made(new, layer.name)}" + (f", and uses {again} again" if old else "")
    if old:
        return f"{text} creates nothing: it uses {f'the same {again} again' if event.call > 1 else again}"
    return f"{text}: there are no variables to create or use"


def _made(variables: Sequence[Variable], by: str) -> str:
    """Count variables and their parameters, and name their owners unless all are owned by ``by``."""
    text = f"{counted(len(variables), 'variable')} ({sum(v.params for v in variables):,} parameters)"
    owners = Counter(variable.owner for variable in variables)
    if set(owners) == {by}:
        return text
    return f"{text}: " + abridged([f"{count} owned by {owner}" for owner, count in owners.items()])
