"""Words that findings and explanations share."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_magic.ledger.records import Variable

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
