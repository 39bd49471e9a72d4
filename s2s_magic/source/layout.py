"""Lay out statements as the common formatters do, in lines of at most 100 characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 100
INDENT = "    "


@dataclass(frozen=True)
class Bracketed:
    """An expression that ends in brackets: a head such as ``tf.concat``, and the items in the brackets."""

    head: str
    items: Sequence[str | Bracketed]
    brackets: str = "()"

    def __str__(self) -> str:
        return self.head + self.brackets[0] + ", ".join(map(str, self.items)) + self.brackets[1]


def call(function: str, *arguments: str | Bracketed, **keywords: object) -> Bracketed:
    """Write a call; keyword values are written with `str`."""
    return Bracketed(function, [*arguments, *(f"{name}={value}" for name, value in keywords.items())])


def listed(items: Sequence[str | Bracketed]) -> Bracketed:
    """Write a list."""
    return Bracketed("", items, "[]")


def statement(expression: Bracketed, *, to: str = "", indent: str = "", after: str = "") -> str:
    """Lay out an expression in as few lines as possible: one, or an opening line, the items and a closing line.

    It is assigned to the name ``to``, if given; ``after`` follows the closing bracket.
    """
    start = indent + (f"{to} = " if to else "")
    if len(line := f"{start}{expression}{after}") <= WIDTH:
        return line
    opening = f"{start}{expression.head}{expression.brackets[0]}"
    closing = f"{indent}{expression.brackets[1]}{after}"
    inner = indent + INDENT
    together = inner + ", ".join(map(str, expression.items))
    # Arguments may share one separate line; the items of a list each take one.
    if expression.brackets == "()" and len(together) <= WIDTH:
        return "\n".join([opening, together, closing])
    items = [
        statement(item, indent=inner, after=",") if isinstance(item, Bracketed) else f"{inner}{item},"
        for item in expression.items
    ]
    return "\n".join([opening, *items, closing])
