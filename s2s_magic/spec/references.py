"""Read a body's references to notebook data: one variable, several in order, or several by name."""

from __future__ import annotations

import ast
import json
import re

from s2s_magic.spec.keys import Read, plain
from s2s_magic.spec.literals import Value, number_in, read_value
from s2s_magic.spec.plans import Names
from s2s_magic.spec.reading import Entries, Faults, Items, Node, Place, Scalar, read_entries, shown

_LIKE_A_FILE = re.compile(r"[\w.+-]*\.[a-zA-Z]\w{0,9}")


def reference(value: Value, faults: Faults) -> str | None:
    """Check for a notebook variable or a part of one: ``X``, ``df.a``, ``d["x"]``, ``Y[:40]``.

    It is a name followed by attributes, literal keys and slices; these are looked up when the data are read; nothing is
    evaluated.
    """
    if is_reference(value.tree):
        return value.text
    example = "" if isinstance(value.tree, ast.Constant) else "; assign it to a name first, and give that name"
    if _LIKE_A_FILE.fullmatch(value.text):
        example = f"; a file beside the notebook is ./{value.text}"
    faults.add(
        value.place,
        "expected the bare name of a notebook variable, or a part of one such as df.a, d['x'] or Y[:40], got "
        f"{shown(value.text)}{example}",
    )
    return None


def is_reference(tree: ast.expr) -> bool:
    """Return whether a tree is a name, alone or followed by attributes, literal keys and slices."""
    while isinstance(tree, ast.Attribute | ast.Subscript):
        if isinstance(tree, ast.Subscript) and not _is_index(tree.slice):
            return False
        if isinstance(tree, ast.Attribute) and tree.attr.startswith("_"):
            return False
        tree = tree.value
    return isinstance(tree, ast.Name)


def _is_index(tree: ast.expr) -> bool:
    if isinstance(tree, ast.Tuple):
        return bool(tree.elts) and all(_is_index(part) for part in tree.elts)
    if isinstance(tree, ast.List):
        return all(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in tree.elts)
    if isinstance(tree, ast.Slice):
        return all(part is None or _is_whole(part) for part in (tree.lower, tree.upper, tree.step))
    return _is_whole(tree) or (isinstance(tree, ast.Constant) and isinstance(tree.value, str | type(...)))


def _is_whole(tree: ast.expr) -> bool:
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        tree = tree.operand
    return isinstance(tree, ast.Constant) and type(tree.value) is int


_COLUMN = re.compile(r"""(?P<path>.*?)\[(?P<quote>["'])(?P<column>.*)(?P=quote)\]""", re.DOTALL)
_NUMBER = re.compile(r"(?P<path>.*?)\[\s*(?P<number>[1-9][0-9]{0,5})\s*\]", re.DOTALL)


def is_file(text: str) -> bool:
    """Return whether a reference is to a file or folder, and not to a variable: a ``/`` stands in its path.

    No part of a variable has one outside brackets; one with blanks beside it divides.
    """
    path = text.partition("[")[0]
    return "/" in path and "/ " not in path and " /" not in path


def path_and_column(text: str) -> tuple[str, str | int | None]:
    """Split ``data/pairs.tsv["en"]`` or ``data/pairs.tsv[1]`` into the path and the column; a file may have none."""
    if (found := _COLUMN.fullmatch(text)) is not None:
        return found["path"], found["column"]
    found = _NUMBER.fullmatch(text)
    return (text, None) if found is None else (found["path"], int(found["number"]))


_reference = plain(reference, "the name of a notebook variable, or a file such as data/train.en")


def variable(node: Node, faults: Faults, places: dict[str, Place]) -> str | None:
    """Read a reference to a variable, or to a file: ``data/train.en``, ``./pairs.tsv["en"]``, ``shards/``."""
    if isinstance(node, Scalar) and is_file(node.text):
        return file(node, faults)
    name: str | None = _reference(node, faults, places)
    return name


def file(node: Scalar, faults: Faults) -> str | None:
    """Check a reference to a file; whether it exists is asked when it is read."""
    path, column = path_and_column(node.text)
    if column is None and (written := re.search(r"\[([^\[\]]*)\]$", path)):
        name = written.group(1).strip("\"' ")
        such = f"{path[: written.start()]}[{json.dumps(name or 'en', ensure_ascii=False)}]"
        by_number = f"{path[: written.start()]}[1] for the first of a table without names"
        message = f"expected the name of a column in quotes, such as {such}, or its number, {by_number}"
        faults.add(node.place_at(written.start()), message)
        return None
    return node.text


def listed(read_one: Read, key: str) -> Read:
    """Return a reader of a list of values; a single value needs no brackets."""

    def read(node: Node, faults: Faults, places: dict[str, Place]) -> tuple[str, ...] | None:
        items = node.items if isinstance(node, Items) else (node,)
        places.update({f"{key}.{number}": item.place for number, item in enumerate(items)})
        names = tuple(read_one(item, faults, places) for item in items)
        return None if None in names else names

    return read


def names(key: str, what: str, *, alone: bool = True) -> Read:
    """Return a reader of `Names` for a key; it records the places of parts as ``KEY.0`` and ``KEY.NAME``.

    ``what`` is a word for what the variables feed; ``alone`` says whether one variable may be given without a list.
    """

    def read(node: Node, faults: Faults, places: dict[str, Place]) -> Names | None:
        if isinstance(node, Scalar) and alone:
            one: str | None = variable(node, faults, places)
            return one
        if isinstance(node, Items) and node.items:
            several: tuple[str, ...] | None = listed(variable, key)(node, faults, places)
            return several
        if not isinstance(node, Entries) or not node.pairs:
            does = "that feed them, {encoder_inputs: X, ...}" if what == "input" else "for them, {name: Y, ...}"
            faults.add(node.place, f"expected {what}s of the model with the variables {does}, or a list of variables")
            return None
        entries = read_entries(node, faults, known=None, required={}, what=what)
        places.update({f"{key}.{name}": entry.value.place for name, entry in entries.items()})
        found = {name: variable(entry.value, faults, places) for name, entry in entries.items()}
        whole = {name: read for name, read in found.items() if read is not None}
        return None if len(whole) < len(found) else whole

    return read


def class_weights(node: Node, faults: Faults, places: dict[str, Place]) -> dict[int, float] | None:
    """Read ``{0: 1.0, 1: 2.5}``: the weight of each class."""
    if not isinstance(node, Entries) or not node.pairs:
        faults.add(node.place, "expected the weight of each class, such as {0: 1.0, 1: 2.5}")
        return None
    found: dict[int, float] = {}
    for key, entry in node.pairs:
        numbers = []
        for part, expected in ((key, "the number of a class"), (entry, "a weight of 0 or more")):
            value = read_value(part, faults, expected)
            number = None if value is None else number_in(value)
            if value is None or number is None or not 0 <= number < float("inf"):
                faults.add(part.place, f"expected {expected}, such as 0: 1.0")
                return None
            numbers.append(number)
        if not isinstance(numbers[0], int) or numbers[0] in found:
            why = "stands here a second time" if numbers[0] in found else "is no whole number"
            faults.add(key.place, f"the class {numbers[0]} {why}")
            return None
        found[numbers[0]] = float(numbers[1])
    return found
