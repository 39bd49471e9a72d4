"""A table as plain data, which text and HTML render."""

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
        Numbers of the columns whose cells end together, as numbers do.
    marks
        For each row the words by which a stylesheet tells it from others; empty where none needs it.
    """

    caption: Cell
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: Sequence[int] = ()
    marks: Sequence[str] = ()

    def columns(self, *names: str) -> list[list[Cell]]:
        """Return the rows with these columns alone."""
        places = [self.head.index(name) for name in names]
        return [[row[place] for place in places] for row in self.rows]
