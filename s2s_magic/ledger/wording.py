"""Words and sentences that findings and explanations share."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import Called, Constructed, Layer, Shape, Variable

Event = Constructed | Called

NUMBER_WORDS = {1: "once", 2: "twice"}


def times(count: int) -> str:
    """Say how often: once, twice, 3 times."""
    return NUMBER_WORDS.get(count, f"{count} times")


def counted(count: int, noun: str) -> str:
    """Give a count with its noun: 1 variable, 3 variables."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listing(words: Sequence[str], most: int = 6) -> str:
    """Join words with commas and an ``and``; past ``most`` of them say how many more there are."""
    words = words if len(words) <= most else [*words[:most], f"{len(words) - most:,} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def short_name(variable: Variable) -> str:
    """Give the variable's own last name: ``kernel`` of ``decoder_cell.kernel``."""
    path = variable.paths[0] if variable.paths else variable.name.partition(":")[0].replace("/", ".")
    return path.rpartition(".")[2]


def full_name(variable: Variable) -> str:
    """Give the owner's name and the variable's own, ``decoder_cell.kernel``; its own alone where no layer owns it."""
    return variable.owner if variable.object is None else f"{variable.owner}.{short_name(variable)}"


def shape_text(shape: Shape | None) -> str:
    """Write a shape as Keras does, with None for what is not known yet."""
    if shape is None:
        return "unknown shape"
    return (
        "("
        + ", ".join("None" if size is None else f"{size}" for size in shape)
        + ("," if len(shape) == 1 else "")
        + ")"
    )


def paths_of(ledger: Ledger, layer: Layer) -> list[str]:
    """List the attribute paths by which other objects hold a layer: ``decoder.cell``."""
    held = [f"{ledger.layers[layer.parent].name}.{layer.attribute}"] if layer.parent and layer.attribute else []
    return list(dict.fromkeys([*held, *layer.held_by, *layer.unseen_as]))


def at(event: Event) -> str:
    """Say where an event stands."""
    cell = f"cell {event.cell}, " if event.cell > 1 else ""
    return f"{cell}line {event.line}"


def one_line(source: str) -> str:
    """Write an expression on one line."""
    return " ".join(source.split()).replace("( ", "(").replace(" )", ")")


def with_article(noun: str) -> str:
    """Write a class name with its article, as it is spoken: an LSTM, a Dense."""
    return f"{'an' if noun[:1].upper() in 'AEIOU' or noun[:2] in ('LS', 'RN') else 'a'} {noun}"
