"""Values such as ``2 * lstm(256, dropout=0.2)``: parsed into a syntax tree and looked up in tables, never evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from s2s_magic.errors import nearest
from s2s_magic.spec.reading import Faults, Items, Node, Place, Scalar, shown
from s2s_magic.undoing import without_warnings

MAX_VALUE = 200
WORDS_FOR_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Value:
    """A part of a value: its syntax tree, and the scalar that contains it."""

    tree: ast.expr
    scalar: Scalar

    @property
    def place(self) -> Place:
        """Line and column of its first character."""
        return self.scalar.place_at(_characters(self.scalar.text, self.tree.col_offset))

    @property
    def text(self) -> str:
        """The text as written."""
        end = self.tree.end_col_offset
        assert end is not None
        return self.scalar.text[
            _characters(self.scalar.text, self.tree.col_offset) : _characters(self.scalar.text, end)
        ]

    def part(self, tree: ast.expr) -> Value:
        """Return a part of this value."""
        return Value(tree, self.scalar)


Check = Callable[[Value, Faults], Any]


def _characters(text: str, byte_offset: int) -> int:
    """Convert `ast`'s offset in UTF-8 bytes to characters."""
    return byte_offset if text.isascii() else len(text.encode()[:byte_offset].decode(errors="ignore"))


def read_value(node: Node, faults: Faults, expected: str) -> Value | None:
    """Parse a scalar as one Python expression; ``expected`` is the message's text for what the key takes.

    Returns None when a fault was added.
    """
    if not isinstance(node, Scalar):
        given = "a list" if isinstance(node, Items) else "keys and values"
        faults.add(node.place, f"expected {expected}, got {given}")
        return None
    if len(node.text) > MAX_VALUE:
        faults.add(node.place, f"expected {expected}, got {len(node.text):,} characters")
        return None
    try:
        # such as "invalid decimal literal" for 1if
        tree = without_warnings(Warning, ast.parse, node.text.replace("\n", " "), mode="eval").body
    except SyntaxError as error:
        place = node.place_at(max((error.offset or 1) - 1, 0))
        faults.add(place, f"cannot read {shown(node.text)} ({error.msg}): expected {expected}")
        return None
    except (ValueError, RecursionError, MemoryError):
        faults.add(node.place, f"cannot read {shown(node.text)}: expected {expected}")
        return None
    return Value(tree, node)


def number_in(value: Value) -> int | float | None:
    """Return the number, with its sign; None if the value is not a number."""
    tree = value.tree
    sign = -1 if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) else 1
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub | ast.UAdd):
        tree = tree.operand
    number = tree.value if isinstance(tree, ast.Constant) else None
    return sign * number if isinstance(number, int | float) and not isinstance(number, bool) else None


def name_in(value: Value) -> str | None:
    """Return the bare name; None if the value is not a name."""
    return value.tree.id if isinstance(value.tree, ast.Name) else None


def whole(low: int, high: int) -> Check:
    """Return a check for an integer from ``low`` to ``high``."""

    def check(value: Value, faults: Faults) -> int | None:
        number = number_in(value)
        if isinstance(number, int) and low <= number <= high:
            return number
        faults.add(value.place, f"expected a whole number from {low:,} to {high:,}, got {shown(value.text)}")
        return None

    return check


def real(low: float, high: float, *, closed: bool) -> Check:
    """Return a check for a number between ``low`` (included if ``closed``) and ``high`` (excluded)."""
    limits = f"from {low:g} to less than {high:g}" if closed else f"above {low:g} and below {high:,.15g}"

    def check(value: Value, faults: Faults) -> float | None:
        number = number_in(value)
        if number is not None and (low <= number if closed else low < number) and number < high:
            return float(number)
        faults.add(value.place, f"expected a number {limits}, got {shown(value.text)}")
        return None

    return check


def word(*words: str) -> Check:
    """Return a check for one of some words."""

    def check(value: Value, faults: Faults) -> str | None:
        name = "none" if isinstance(value.tree, ast.Constant) and value.tree.value is None else name_in(value)
        if name is not None and name in words:
            return name
        *others, last = words
        message = f"expected {', '.join(others)} or {last}, got {shown(value.text)}"
        faults.add(value.place, message + nearest(value.text, words))
        return None

    return check


def truth(value: Value, faults: Faults) -> bool | None:
    """Check for a boolean."""
    answer = WORDS_FOR_TRUTH.get(value.text.lower())
    if answer is None:
        faults.add(value.place, f"expected true or false, got {shown(value.text)}")
    return answer


def path(value: Value, faults: Faults) -> str | None:
    """Check for a name or a path such as ``gan.discriminator`` or ``parts[0]``: it is looked up, never evaluated."""
    if isinstance(value.tree, ast.Name | ast.Attribute | ast.Subscript):
        return value.text
    faults.add(value.place, f"expected a name, such as training_model, got {shown(value.text)}")
    return None


def or_none(check: Check) -> Check:
    """Return a check that also accepts the word none."""

    def checked(value: Value, faults: Faults) -> Any:
        return None if value.text.lower() in ("none", "null") else check(value, faults)

    return checked


def call(
    value: Value, faults: Faults, table: Mapping[str, Mapping[str, Check]], expected: str, *, unnamed: int = 1
) -> Call | None:
    """Read a call such as ``lstm(512, dropout=0.2)``, or a bare kind, against a table of kinds and their arguments.

    ``table`` maps each kind to its arguments in order, each with its check; ``expected`` is the message's text for a
    valid value; the first ``unnamed`` arguments may be given without their names. Returns None when the value is no
    call of a known kind; wrong arguments are left out.
    """
    tree = value.tree
    head = value.part(tree.func) if isinstance(tree, ast.Call) else value
    kind = name_in(head)
    if kind is None:
        faults.add(value.place, f"expected {expected}, got {shown(value.text)}")
        return None
    if kind not in table:
        known = nearest(kind, table) or f"; expected one of {', '.join(table)}"
        faults.add(head.place, f"unknown kind {shown(kind)}{known}")
        return None
    arguments = _bind(value, tree, faults, kind, table[kind], unnamed) if isinstance(tree, ast.Call) else {}
    return Call(kind, arguments)


@dataclass(frozen=True)
class Call:
    """A kind and its arguments, checked."""

    kind: str
    arguments: dict[str, Any]


def _bind(
    value: Value, tree: ast.Call, faults: Faults, kind: str, checks: Mapping[str, Check], unnamed: int
) -> dict[str, Any]:
    names = list(checks)
    bound: dict[str, Any] = {}
    for position, argument in enumerate(tree.args):
        part = value.part(argument)
        # Only the first arguments may be positional; the others need their names.
        if position < min(unnamed, len(names)) and not isinstance(argument, ast.Starred):
            bound[names[position]] = checks[names[position]](part, faults)
        else:
            faults.add(part.place, f"{kind} takes further settings by name, such as {_example(kind, names, unnamed)}")
    for keyword in tree.keywords:
        place = value.scalar.place_at(_characters(value.scalar.text, keyword.col_offset))
        name = keyword.arg
        if name is None:
            faults.add(place, f"{kind} takes settings by name, such as {_example(kind, names, unnamed)}")
        elif name not in checks:
            known = nearest(name, names) or f"; expected one of {', '.join(names)}"
            faults.add(place, f"{kind} has no setting {shown(name)}{known}")
        elif name in bound:
            faults.add(place, f"{kind} has {name} twice")
        else:
            bound[name] = checks[name](value.part(keyword.value), faults)
    return bound


def _example(kind: str, names: list[str], unnamed: int) -> str:
    if len(names) > unnamed:
        return f"{kind}(..., {names[unnamed]}=...)"
    return f"{kind}({names[0]}=...)" if names else f"{kind}()"
