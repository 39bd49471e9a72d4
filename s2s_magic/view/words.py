"""How the views put numbers, shapes and events into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from s2s_magic.ledger import Called, Constructed, Layer, Ledger, ModelRecord, Run, Variable
from s2s_magic.ledger.records import Shape
from s2s_magic.ledger.wording import counted, full_name

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


def kernels_text(run: Run) -> str:
    """Say what ran on faster kernels in a fit, and why the rest did not; the empty string where that is not known."""
    fast = [name for name, said in run.accelerated.items() if said == "accelerated"]
    slow = [f"{name} did not: {said}" for name, said in run.accelerated.items() if said != "accelerated"]
    told = [f"{listed(fast, most=12)} ran on faster kernels"] if fast else []
    return "; ".join([*told, *slow])


def listed(names: Sequence[str], most: int = 4) -> str:
    """Join names with commas and an ``and``; past ``most`` of them say how many more there are."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1:,} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def steps_text(steps: Sequence[int], noun: str = "step") -> str:
    """Say in which steps: ``step 4``, ``steps 4 and 5``, ``steps 4, 5, 6 and 95 more``."""
    return f"{noun}{'' if len(steps) == 1 else 's'} {listed(list(map(str, steps)))}"


def sentence(
    event: Constructed | Called, ledger: Ledger, held: Names, created: Sequence[str], reused: Sequence[str]
) -> str:
    """Say in words what an event did to variables.

    Parameters
    ----------
    event
        A construction or a call.
    ledger
        Where its layers and variables are.
    held
        Names of the objects that each layer object holds from the start, by its key.
    created, reused
        Keys of the variables that the event made, and of those it took that were there.
    """
    layer = ledger.layers[event.object]
    new, old = ([ledger.variables[key] for key in keys] for keys in (created, reused))
    if isinstance(event, Called):
        return f"{_called(event, layer, new, old)}."
    for model in ledger.models:
        if model.event == event.index and event.ends:
            return _wired(event, model, ledger, new, old)
    if layer.class_name == "InputLayer":
        return f"{layer.name} is where data will come in: a symbolic tensor, no numbers yet and no variables."
    text = f"The layer object {layer.name} ({layer.class_name}) comes into being"
    if parts := held.get(event.object):
        text += f"; it holds {listed(parts)}"
    if new:
        text += f". It makes {_made(new, layer.name)} at once"
    if old:
        text += f". It holds {counted(len(old), 'variable')} that {'was' if len(old) == 1 else 'were'} there before"
    return f"{text}." if new or old else f"{text}. It owns no variables yet."


def _wired(
    event: Constructed, model: ModelRecord, ledger: Ledger, new: Sequence[Variable], old: Sequence[Variable]
) -> str:
    """Say what a functional model found between its ends: the layer objects, with all that they own."""
    ends = listed([wire.name or "an unnamed tensor" for wire in event.ends])
    layers = [ledger.layers[key] for key in model.layers]
    found = [layer.name for layer in layers if not layer.implicit and layer.class_name != "InputLayer"]
    size = sum(variable.params for variable in (*new, *old))
    return (
        f"{event.layer} follows the wires back from {ends} to its inputs and finds "
        f"{'the layer object' if len(found) == 1 else 'the layer objects'} {listed(found, 8)}; with "
        f"{'it' if len(found) == 1 else 'them'} come {counted(len(new) + len(old), 'variable')} ({size:,} parameters). "
        + (f"It makes {_made(new, event.layer)}." if new else "It makes none of its own.")
    )


def _called(event: Called, layer: Layer, new: Sequence[Variable], old: Sequence[Variable]) -> str:
    if layer.implicit and not new:
        uses = f"; it uses {listed([full_name(variable) for variable in old])} again" if old else ""
        return f"{layer.name} is an operation, not a layer: it owns no variables{uses}"
    text = f"Call {event.call} of {layer.name}" if event.via is None else f"{layer.name}.{event.via}"
    again = counted(len(old), "variable")
    if new:
        return f"{text} creates {_made(new, layer.name)}" + (f", and uses {again} again" if old else "")
    if old:
        return f"{text} creates nothing: it uses {f'the same {again} again' if event.call > 1 else again}"
    return f"{text}: there are no variables to create or use"


def _made(variables: Sequence[Variable], by: str) -> str:
    """Count variables and their parameters, and name their owners where it is not the object that was called."""
    text = f"{counted(len(variables), 'variable')} ({sum(v.params for v in variables):,} parameters)"
    owners = Counter(variable.owner for variable in variables)
    if set(owners) == {by}:
        return text
    return f"{text}: " + listed([f"{count} owned by {owner}" for owner, count in owners.items()])
