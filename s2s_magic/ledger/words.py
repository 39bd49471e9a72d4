"""The words that ledger and views share: counts, lists, names, shapes, sizes and places."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_magic.ledger.calls import Event
from s2s_magic.ledger.records import Place, Shape, Variable

_TIMES = {1: "once", 2: "twice"}


def times(count: int) -> str:
    """Say how often: once, twice, 3 times."""
    return _TIMES.get(count, f"{count} times")


def plural(noun: str, count: int) -> str:
    """Return a noun inflected for a count: variable, variables."""
    return noun if count == 1 else f"{noun}s"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: 1 variable, 3 variables."""
    return f"{count:,} {plural(noun, count)}"


def them(count: int) -> str:
    """Return the pronoun for a count: it, them."""
    return "it" if count == 1 else "them"


def listing(words: Sequence[str], most: int = 6) -> str:
    """Join words with commas and an ``and``; past ``most`` of them say how many more there are."""
    words = words if len(words) <= most else [*words[:most], f"{len(words) - most:,} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def abridged(words: Sequence[str], most: int = 4) -> str:
    """Join words as `listing` does, in at most ``most`` parts, the last of which says how many more there are."""
    return listing(words, most if len(words) <= most else most - 1)


def steps_text(steps: Sequence[int]) -> str:
    """Say in which steps: ``step 4``, ``steps 4 and 5``, ``steps 4, 5, 6 and 95 more``."""
    return f"{plural('step', len(steps))} {abridged([str(step) for step in steps])}"


def short_name(variable: Variable) -> str:
    """Return the variable's own last name: ``kernel`` of ``decoder_cell.kernel``."""
    path = variable.paths[0] if variable.paths else variable.name.partition(":")[0].replace("/", ".")
    return path.rpartition(".")[2]


def full_name(variable: Variable) -> str:
    """Return the owner's name and the variable's own, ``decoder_cell.kernel``; its own alone where no layer owns it."""
    return variable.owner if variable.object is None else f"{variable.owner}.{short_name(variable)}"


def former_name(variable: Variable) -> str:
    """Return the name of a variable that its layer no longer lists: the layer may have another one of that name."""
    return f"{full_name(variable)}, before"


def with_article(noun: str) -> str:
    """Return a class name with its article, as spoken: an LSTM, a Dense."""
    return f"{'an' if noun[:1].upper() in 'AEIOU' or noun[:2] in ('LS', 'RN') else 'a'} {noun}"


def shape_text(shape: Shape | None, unknown: str = "unknown shape") -> str:
    """Write a shape as Keras does: ``(None, 10)``; ``unknown`` if even the rank is unknown."""
    if shape is None:
        return unknown
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def number_text(value: float) -> str:
    """Write a measured number with three significant digits: ``0``, ``0.0371``, ``3.1e-11``."""
    return f"{value:.3g}"


def bytes_text(size: int) -> str:
    """Write a size in bytes in the largest unit in which it is at least one."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def line_text(cell: int, line: int) -> str:
    """Name a line: ``line 3`` of the first cell, ``cell 2, line 3``."""
    return f"cell {cell}, line {line}" if cell > 1 else f"line {line}"


def at(place: Place) -> str:
    """Say where an expression is."""
    return line_text(place.cell, place.line)


def at_step(event: Event) -> str:
    """Say where an event is, with its number: ``line 8 · step 5``."""
    return f"{at(event)} · step {event.index}"


def one_line(source: str) -> str:
    """Write an expression on one line."""
    return " ".join(source.split()).replace("( ", "(").replace(" )", ")")
