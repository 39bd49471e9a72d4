"""A table as plain data, to be rendered as text and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | None


@dataclass(frozen=True)
class Table:
    """Rows under a head.

    Attributes
    ----------
    caption
        What it is about.
    head
        The columns' names.
    rows
        The cells, the first of which names its row.
    right
        Numbers of the right-aligned columns.
    marks
        The CSS classes of each row; empty if none has any.
    keys
        What connects each row with other parts of a page; empty if nothing does.
    """

    caption: Cell
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: Sequence[int] = ()
    marks: Sequence[str] = ()
    keys: Sequence[str] = ()

    def columns(self, *names: str) -> list[list[Cell]]:
        """Return the rows with only these columns."""
        places = [self.head.index(name) for name in names]
        return [[row[place] for place in places] for row in self.rows]
