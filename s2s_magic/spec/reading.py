"""Read YAML text into nodes that know their place, and refuse YAML features that specs do not use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from s2s_magic.errors import Fault, SpecError, nearest

Place = tuple[int, int]

MAX_CHARACTERS = 10_000
MAX_DEPTH = 4
# PyYAML messages that are replaced by clearer ones.
_NO_MAPPING_HERE = "mapping values are not allowed here"
_NO_COLON = "could not find expected ':'"
_UNSPACED = re.compile(r"^ *([A-Za-z_]\w*):(?=[^\s:])", re.MULTILINE)
# PyYAML treats these as line breaks or drops them, so that its line numbers would not be the cell's.
_NOT_TEXT = re.compile(r"[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class Faults:
    """Collects faults, so that all can be reported at once."""

    def __init__(self) -> None:
        self._found: list[Fault] = []

    def add(self, place: Place, message: str) -> None:
        """Add a fault at a (line, column)."""
        self._found.append(Fault(*place, message))

    def raise_if_any(self) -> None:
        """Raise all faults in one `SpecError`, if there are any."""
        if self._found:
            raise SpecError(self._found)


@dataclass(frozen=True)
class Scalar:
    """A value on one line: its text, and the place of its first character.

    ``exact`` says that ``text`` is in the cell character by character, which escapes in quotes prevent.
    """

    place: Place
    text: str
    exact: bool = True

    def place_at(self, offset: int) -> Place:
        """Return the place of the character at an offset into the text."""
        if not self.exact:
            return self.place
        before = self.text[:offset]
        lines = before.count("\n")
        return self.place[0] + lines, len(before) - before.rfind("\n") if lines else self.place[1] + offset


@dataclass(frozen=True)
class Items:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Entries:
    """Keys with values, in the order written; a key may occur twice."""

    place: Place
    pairs: tuple[tuple[Node, Node], ...]


Node = Scalar | Items | Entries


def shown(text: str) -> str:
    """Quote a text for a message: shortened, with control characters and surrogates escaped."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def read_document(text: str, first_line: int, faults: Faults) -> Node | None:
    """Read one YAML document; ``first_line`` is the cell line of its first line. None for an empty document.

    Raises
    ------
    SpecError
        When the text is not one plain YAML document; no further faults can then be found.
    """
    text = text.replace("\r\n", "\n")
    if len(text) > MAX_CHARACTERS:
        faults.add((first_line, 1), f"the text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read")
        faults.raise_if_any()
    _refuse_odd_characters(text, first_line, faults)
    try:
        _refuse_odd_events(text, first_line, faults)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if error.problem in (_NO_MAPPING_HERE, _NO_COLON) and mark is not None:
            _refuse_unspaced_keys(text, first_line, faults, up_to=mark.index)
        faults.add(_place(mark, first_line), _in_words(error, text, mark))
        faults.raise_if_any()
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML converts escapes and directives unchecked: "\UFFFFFFFF" is an error of chr().
        faults.add((first_line, 1), f"not YAML: {error}")
        faults.raise_if_any()
    if isinstance(root, yaml.ScalarNode):
        _refuse_unspaced_keys(text, first_line, faults, up_to=len(text))
    return None if root is None else _node(root, text, first_line)


def _refuse_odd_characters(text: str, first_line: int, faults: Faults) -> None:
    for number, line in enumerate(text.split("\n")):
        if odd := _NOT_TEXT.search(line):
            message = f"the character {odd.group()!a} cannot stand in a spec"
            faults.add((first_line + number, odd.start() + 1), message)
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent and line.strip():
            faults.add((first_line + number, indent.index("\t") + 1), "a tab: YAML indents with spaces only")
    faults.raise_if_any()


def _refuse_odd_events(text: str, first_line: int, faults: Faults) -> None:
    """Refuse anchors, tags, deep nesting and further documents before composing nodes."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        place = _place(event.start_mark, first_line)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents == 2:
                faults.add(place, "a second document: expected one spec in a cell")
        elif isinstance(event, yaml.NodeEvent):
            if event.anchor is not None:
                faults.add(place, "anchors and aliases (& and *) are not read: write the value out")
            elif tag := getattr(event, "tag", None):
                faults.add(place, f"tags are not read: leave out {shown(tag)}")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    faults.add(place, f"nested more than {MAX_DEPTH} deep: nothing in a spec is")
                    break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    faults.raise_if_any()


def _refuse_unspaced_keys(text: str, first_line: int, faults: Faults, *, up_to: int) -> None:
    """Refuse keys without a space after their ':', which YAML reads as words, in the text before ``up_to``."""
    unspaced = list(_UNSPACED.finditer(text))
    if unspaced and unspaced[0].start() < up_to:
        for found in unspaced:
            line_start = text.rfind("\n", 0, found.end()) + 1
            place = (first_line + text.count("\n", 0, found.end()), found.end() - line_start + 1)
            faults.add(place, _unspaced(found.group(1)))
        faults.raise_if_any()


def _unspaced(key: str) -> str:
    return f"a space is missing after {shown(key + ':')}: expected 'key: value'"


def _in_words(error: yaml.MarkedYAMLError, text: str, mark: Any) -> str:
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "a tab cannot stand here: use spaces"
    if error.problem == _NO_MAPPING_HERE:
        if mark is not None and ":" not in text[text.rfind("\n", 0, mark.index) + 1 : mark.index]:
            return "the line before has no ':' after its key: expected 'key: value'"
        return "a second ':' on the line: expected 'key: value', or {source: ..., target: ...} on one line"
    if error.problem == _NO_COLON:
        return "expected ':' and a value after the key of the line before"
    if error.problem and error.problem.endswith("but got '['"):
        return "inside brackets a part of a variable stands in quotes, such as {source: \"df['x']\"}"
    return f"not YAML: {error.problem or error.context}"


def _place(mark: Any, first_line: int) -> Place:
    return (first_line, 1) if mark is None else (first_line + mark.line, mark.column + 1)


def _node(node: Any, text: str, first_line: int) -> Node:
    start, end = node.start_mark.index, node.end_mark.index
    place = _place(node.start_mark, first_line)
    if isinstance(node, yaml.MappingNode):
        pairs = ((_node(key, text, first_line), _node(value, text, first_line)) for key, value in node.value)
        return Entries(place, tuple(pairs))
    if isinstance(node, yaml.SequenceNode):
        return Items(place, tuple(_node(item, text, first_line) for item in node.value))
    if node.style is None:
        return Scalar(place, text[start:end])
    inside = text[start + 1 : end - 1]
    if node.style in "'\"" and inside == node.value:
        return Scalar((place[0], place[1] + 1), inside)
    return Scalar(place, node.value, exact=False)


@dataclass(frozen=True)
class Entry:
    """A key's place and its value."""

    key_place: Place
    value: Node


def read_entries(
    node: Entries,
    faults: Faults,
    *,
    known: Iterable[str] | None,
    required: dict[str, str],
    what: str,
    elsewhere: Mapping[str, str] | None = None,
) -> dict[str, Entry]:
    """Look up the keys of a mapping; return the valid entries, in the order written.

    Faults are keys that are not words, repeated, unknown or missing, and keys without a value. ``known`` are the
    allowed keys (None for any), ``required`` the required ones, each with an example line; ``what`` is the term for a
    key in messages. ``elsewhere`` says of keys that have their place in another text what to do.
    """
    found: dict[str, Entry] = {}
    names = None if known is None else list(known)
    meant: set[str] = set()
    for key, value in node.pairs:
        if not isinstance(key, Scalar):
            faults.add(key.place, f"expected a word as {what}")
        elif key.text in found:
            first = found[key.text].key_place[0]
            faults.add(key.place, f"{key.text!r} stands here a second time; first on line {first}")
        elif names is not None and (word := key.text.partition(":")[0]) != key.text and word in names:
            faults.add(key.place_at(len(word) + 1), _unspaced(word))
            meant.add(word)
        elif elsewhere is not None and key.text in elsewhere:
            faults.add(key.place, elsewhere[key.text])
        elif names is not None and key.text not in names:
            near = nearest(key.text, names)
            meant.update(name for name in names if repr(name) in near)
            expected = near or f"; expected one of {', '.join(names)}"
            faults.add(key.place, f"unknown {what} {shown(key.text)}{expected}")
        else:
            found[key.text] = Entry(key.place, value)
    for name, example in required.items():
        if name not in found and name not in meant:
            faults.add(node.place, f"the {what} {name!r} is missing: expected for instance '{example}'")
    for name, entry in list(found.items()):
        if isinstance(entry.value, Scalar) and not entry.value.text.strip():
            faults.add(entry.key_place, f"{shown(name)} has no value")
            del found[name]
    return found
