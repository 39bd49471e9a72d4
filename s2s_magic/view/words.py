"""How the views put numbers, shapes and events into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from s2s_magic.ledger import Called, Constructed, Layer, Ledger, Variable
from s2s_magic.ledger.findings import counted
from s2s_magic.ledger.records import Shape

Names = dict[str, list[str]]


def shape_text(shape: Shape | None) -> str:
    """Write a shape as Keras does: ``(None, 10)``; ``(unknown)`` where even the rank is not known."""
    if shape is None:
        return "(unknown)"
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def bytes_text(size: int) -> str:
    """Write a size in bytes with the largest unit that leaves a number of at least one."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def number_text(value: float) -> str:
    """Write a measured number in three digits: ``0``, ``0.0371``, ``3.1e-11``."""
    return f"{value:.3g}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Join names with commas and an ``and``; past ``most`` of them say how many more there are."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1:,} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def steps_text(steps: Sequence[int], noun: str = "step") -> str:
    """Say in which steps: ``step 4``, ``steps 4 and 5``, ``steps 4, 5, 6 and 95 more``."""
    return f"{noun}{'' if len(steps) == 1 else 's'} {listed(list(map(str, steps)))}"


def sentence(event: Constructed | Called, ledger: Ledger, held: Names) -> str:
    """Say in words what an event did to variables.

    Parameters
    ----------
    event
        A construction or a call.
    ledger
        Where its layers and variables are.
    held
        Names of the objects that each layer object holds, by its key.
    """
    layer = ledger.layers[event.object]
    if isinstance(event, Called):
        return _called(event, layer, ledger)
    for model in ledger.models:
        if model.event == event.index and event.ends:
            ends = listed([wire.name or "an unnamed tensor" for wire in event.ends])
            size = sum(ledger.variables[key].params for key in event.owns)
            return (
                f"{layer.name} follows the wires back from {ends} to its inputs and finds "
                f"{counted(len(model.layers), 'layer object')}; with them come {counted(len(event.owns), 'variable')} "
                f"({size:,} parameters). It makes none of its own."
            )
    if layer.class_name == "InputLayer":
        return f"{layer.name} is where data will come in: a symbolic tensor, no numbers yet and no variables."
    text = f"The layer object {layer.name} ({layer.class_name}) comes into being"
    if parts := held.get(event.object):
        text += f"; it holds {listed(parts)}"
    if event.owns:
        return f"{text}. It owns {counted(len(event.owns), 'variable')} from the start."
    return f"{text}. It owns no variables yet."


def _called(event: Called, layer: Layer, ledger: Ledger) -> str:
    if layer.implicit and not event.created:
        return f"{layer.name} is an operation, not a layer: it owns no variables."
    text = f"Call {event.call} of {layer.name}"
    created = [ledger.variables[key] for key in event.created]
    again = counted(len(event.reused), "variable")
    if created:
        text += f" creates {counted(len(created), 'variable')} ({sum(v.params for v in created):,} parameters)"
        text += _owned_by(created, layer.name)
        if event.reused:
            text += f", and uses {again} again"
    elif event.reused:
        text += f" creates nothing: it uses {f'the same {again} again' if event.call > 1 else again}"
    else:
        text += ": there are no variables to create or use"
    return f"{text}."


def _owned_by(created: Sequence[Variable], called: str) -> str:
    owners = Counter(variable.owner for variable in created)
    if set(owners) == {called}:
        return ""
    return ": " + listed([f"{count} owned by {owner}" for owner, count in owners.items()])
