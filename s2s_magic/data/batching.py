"""Decide which rows make a batch: so many of them, or as many as fit into a number of ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from s2s_magic.data.sequences import Numbers

Draw = np.random.Generator


def too_long(where: str, length: int, most: int) -> str:
    """Say that a row does not fit into any batch."""
    return f"{where} has {length:,} ids, and 'max_tokens: {most}' has no room for it"


@dataclass(frozen=True)
class Room:
    """What a batch has room for.

    Attributes
    ----------
    rows
        The most rows; None for any number.
    ids
        The most ids, counted as rows times the ids in the longest row of either side, as ``--max-tokens`` of fairseq
        has it (https://fairseq.readthedocs.io/en/latest/command_line_tools.html). A longer row has a batch of its own.
    """

    rows: int | None = None
    ids: int | None = None


def cut(longest: Numbers, room: Room) -> list[int]:
    """Cut rows that are in order into batches, each as large as there is room.

    Parameters
    ----------
    longest : int array, shape (rows,)
        The ids in each row, in its longest column.
    room
        What a batch has room for.

    Returns
    -------
    list of int
        The number of the row that each batch but the first begins with, and last the number of rows.
    """
    rows = len(longest) if room.rows is None else room.rows
    ids = int(longest.max(initial=0)) * len(longest) if room.ids is None else room.ids
    found, first, most = [], 0, 0
    for row, length in enumerate(longest.tolist()):
        most = max(most, length)
        if row > first and (row - first >= rows or (row - first + 1) * most > ids):
            found.append(row)
            first, most = row, length
    return [*found, len(longest)] if len(longest) else []


def in_batches(lengths: Numbers, room: Room, *, sort: bool, draw: Draw | None = None) -> Iterator[Numbers]:
    """Yield the row numbers of each batch.

    Parameters
    ----------
    lengths : int array, shape (rows, columns)
        The ids in each row by column; the first one counts most for the order.
    room
        What a batch has room for.
    sort
        Whether rows of similar length make a batch. How many batches there are, and how many ids are in each, then
        follows from the lengths alone.
    draw
        Draws the order of rows of equal length, and of the batches; None keeps them in order.
    """
    order = np.arange(len(lengths)) if draw is None else draw.permutation(len(lengths))
    if sort:
        order = order[np.lexsort(lengths[order].T[::-1])]
    ends = cut(lengths[order].max(axis=1, initial=0), room)
    batches = list(zip([0, *ends], ends, strict=False))
    for number in range(len(batches)) if draw is None else draw.permutation(len(batches)).tolist():
        first, end = batches[number]
        yield order[first:end]
