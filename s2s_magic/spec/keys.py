"""The definition and reading of keys, shared by specs and fit bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from s2s_magic.spec.literals import Check, read_value, word
from s2s_magic.spec.reading import Entries, Faults, Node, Place, Scalar, read_document, read_entries

Read = Callable[[Node, Faults, dict[str, Place]], Any]


@dataclass(frozen=True)
class Key:
    """A key: a line of help, an example value, its reader, and its completions.

    ``read`` takes the value's node, the faults to add to, and a table in which it records the places of parts; it
    returns None for a faulty value. ``offers`` are words for a value, a kind with arguments including its opening
    bracket; ``offers_variables`` says that the value can name a notebook variable.
    """

    help: str
    example: str
    read: Read
    offers: tuple[str, ...] = ()
    offers_variables: bool = False


def plain(check: Check, expected: str) -> Read:
    """Return a reader of one-line values from a check."""

    def read(node: Node, faults: Faults, places: dict[str, Place]) -> Any:
        value = read_value(node, faults, expected)
        return None if value is None else check(value, faults)

    return read


_CHOICES = ("stop", "skip")
BAD_LINES = Key(
    "what is done with lines of files that cannot be read: stop, or skip; stop unless given",
    "skip",
    plain(word(*_CHOICES), "stop or skip"),
    offers=_CHOICES,
)


def text(node: Node, faults: Faults, places: dict[str, Place]) -> str | None:
    """Read the text of one line as it is, such as a path; quotes around it are YAML's."""
    if isinstance(node, Scalar) and node.text.strip():
        return node.text
    faults.add(node.place, f"expected a text, got {'nothing' if isinstance(node, Scalar) else 'a list or keys'}")
    return None


def _written(node: Node) -> str:
    """Return a value as one text."""
    if isinstance(node, Entries):
        return ", ".join(f"{_written(key)}: {_written(value)}" for key, value in node.pairs)
    return node.text if isinstance(node, Scalar) else ", ".join(map(_written, node.items))


def read_keys(
    text: str,
    first_line: int,
    keys: Mapping[str, Key],
    required: Callable[[Mapping[str, str]], Mapping[str, str]],
    faults: Faults,
    elsewhere: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Read a text's keys by a table; ``first_line`` is the cell line of its first line.

    ``required`` maps the written text by key to the required keys, each with an example value; ``elsewhere`` says of
    keys of another text where they belong. Returns the values by
    key, without None and faulty ones, together with ``given`` and ``places`` for the record.
    """
    root = read_document(text, first_line, faults)
    if root is None:
        root = Entries((first_line, 1), ())
    pairs = root.pairs if isinstance(root, Entries) else ()
    written = {key.text: _written(value) for key, value in pairs if isinstance(key, Scalar)}
    examples = {name: f"{name}: {example}" for name, example in required(written).items()}
    if not isinstance(root, Entries):
        lines = ", ".join(f"'{line}'" for line in examples.values())
        faults.add(root.place, f"expected keys with values, such as {lines}")
        return {"given": frozenset(), "places": {}}
    entries = read_entries(root, faults, known=keys, required=examples, what="key", elsewhere=elsewhere)
    places = {name: entry.value.place for name, entry in entries.items()}
    values = {name: keys[name].read(entry.value, faults, places) for name, entry in entries.items()}
    present = {name: value for name, value in values.items() if value is not None}
    return {**present, "given": frozenset(entries), "places": places}
