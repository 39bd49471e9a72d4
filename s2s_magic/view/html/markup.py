"""Make HTML from escaped text: anything that is not `Markup` already is treated as text and escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from itertools import zip_longest

from s2s_magic.view.escaping import escape
from s2s_magic.view.tables import Cell, Table


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = Cell
UNSTYLED = "hidden"
"""Value of the attribute ``hidden`` for what CSS shows again: JupyterLab removes an empty one with the styles."""
FITS = 3
"""The number of columns that fit into any window."""


def tag(name: str, /, *content: Content, **attributes: str | int | bool | None) -> Markup:
    """Make an element.

    Parameters
    ----------
    name
        The element's name.
    *content
        Its children: `Markup` is inserted as is, everything else is escaped, None is left out.
    **attributes
        ``class_`` and ``for_`` become ``class`` and ``for``, ``_`` inside a name becomes ``-``; False and None leave
        out an attribute.
    """
    opening = "".join([_attribute(key, value) for key, value in attributes.items()])
    return Markup(f"<{name}{opening}>{join(content)}</{name}>")


def empty(name: str, /, **attributes: str | int | bool | None) -> Markup:
    """Make a void element, without content or end tag: ``<input>``."""
    return Markup(f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>")


def join(content: Iterable[Content], between: str = "") -> Markup:
    """Join pieces, escaping those that are not `Markup`."""
    return Markup(
        between.join(
            [piece if isinstance(piece, Markup) else escape(str(piece)) for piece in content if piece is not None]
        )
    )


def breakable(name: str) -> Markup:
    """Allow line breaks in a long name after each dot or underscore."""
    return join(re.findall(r"[^._]*[._]?", name)[:-1], between="<wbr>")


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def table(shown: Table, *, class_: str = "", head_class: str | None = None) -> Markup:
    """Make a table with a caption and column headers, in a frame that scrolls if the table is too wide.

    A table with many columns may have to scroll sideways: its frame takes the focus, so that the keyboard can.
    One with few columns never scrolls: its words break.
    """
    classes = ["s2s-number" if number in shown.right else None for number in range(len(shown.head))]
    heads = [tag("th", name, scope="col", class_=kind) for name, kind in zip(shown.head, classes, strict=True)]
    rows = [
        tag(
            "tr",
            tag("th", head, scope="row", class_=head_class),
            *(tag("td", cell, class_=kind) for cell, kind in zip(cells, classes[1:], strict=True)),
            class_=mark,
            data_is=key,
        )
        for (head, *cells), mark, key in zip_longest(shown.rows, shown.marks, shown.keys)
    ]
    wide = len(heads) > FITS
    return tag(
        "div",
        tag(
            "table",
            tag("caption", shown.caption),
            tag("thead", tag("tr", *heads)),
            tag("tbody", *rows),
            class_=f"s2s-table {class_}".rstrip(),
        ),
        class_="s2s-scroll" if wide else "s2s-fits",
        tabindex=0 if wide else None,
        role="group" if wide else None,
        aria_label="A wide table" if wide else None,
    )


def heading(text: str) -> Markup:
    """Make a section heading that a notebook's table of contents does not pick up."""
    return tag("div", text, class_="s2s-heading", role="heading", aria_level=3)


def frame(content: Content, label: str, class_: str = "s2s-scroll") -> Markup:
    """Put wide or long content into a frame that scrolls, also by keyboard."""
    return tag("div", content, class_=class_, tabindex=0, role="region", aria_label=label)


def styled(*content: Content, **attributes: str | None) -> Markup:
    """Make a fragment that includes its stylesheet."""
    return tag("div", tag("style", Markup(asset("report.css"))), *content, class_="s2s", **attributes)


@cache
def asset(name: str) -> str:
    """Read a stylesheet or script of this package, without comments and indentation: every output has a copy."""
    text = files("s2s_magic.view").joinpath(name).read_text(encoding="utf-8")
    text = re.sub(r"^ *//[^\n]*\n|/\*.*?\*/\n?|^ +|\n(?=\n)", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r" ?([{}:;,>]) (?=[^&|=])", r"\1", text) if name.endswith(".css") else text
