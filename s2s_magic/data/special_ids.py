"""What rows of fitted data begin and end with, for decoding."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from s2s_magic.data.batches import Shifted
from s2s_magic.data.sequences import Rows


def begins_with(column: Any) -> int | str | None:
    """Give what all rows of an input begin with: an id, the symbol of a one-hot vector, a text's first word.

    Parameters
    ----------
    column
        A column of a `Table`.

    Returns
    -------
    int, str or None
        None where rows begin differently, or with no such thing.
    """
    if isinstance(column, Shifted):
        return column.start
    firsts = _firsts(column)
    return firsts[0] if firsts and all(first == firsts[0] for first in firsts) else None


def _firsts(column: Any) -> list[Any]:
    if isinstance(column, Rows):
        full = column.splits[:-1][column.lengths > 0]
        return list(map(int, column.values[full]))
    if not isinstance(column, np.ndarray):  # a ragged or sparse tensor, batches, lengths
        return []
    array = np.asarray(column)
    if array.dtype.kind in "USO":
        texts = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in array.ravel()]
        return [text.split()[0] for text in texts if text.split()]
    ids = _ids(array)
    return list(map(int, ids[:, 0])) if ids is not None and ids.shape[1] else []


def _ids(array: Any) -> Any:
    """Read rows of ids or of one-hot vectors; None for anything else."""
    if array.ndim == 2 and array.dtype.kind in "iu":
        return array
    if array.ndim == 2 and array.dtype.kind == "f" and np.array_equal(array, np.floor(array)):
        return array.astype(np.int64)
    if array.ndim == 3 and array.shape[2] > 1 and np.isin(array, (0, 1)).all() and (array.sum(-1) <= 1).all():
        return array.argmax(-1)
    return None


def ends_with(target: Any) -> int | None:
    """Give the id that every row of a target ends with and has nowhere else; behind it, one id may fill rows up.

    Parameters
    ----------
    target
        Rows of ids or of one-hot vectors.
    """
    rows = _rows(target)
    if len(rows) < 2 or not all(len(row) for row in rows):
        return None
    filling = Counter(int(row[-1]) for row in rows).most_common(1)[0][0]
    cut = [_without(row, filling) for row in rows]
    filled = {len(row) - len(kept) for row, kept in zip(rows, cut, strict=True)}
    if len(filled) > 1:  # what fills rows up is there as often as a row is short
        rows = cut
    end = int(rows[0][-1]) if len(rows[0]) else None
    alike = all(len(row) and row[-1] == end and (row == end).sum() == 1 for row in rows)
    return end if alike and any(len(row) > 1 for row in rows) else None


def _rows(target: Any) -> list[Any]:
    if isinstance(target, Rows):
        return [target[number] for number in range(len(target))]
    if not isinstance(target, np.ndarray):
        return []
    ids = _ids(np.asarray(target))
    return [] if ids is None else list(ids)


def _without(row: Any, filling: int) -> Any:
    others = np.flatnonzero(row != filling)
    return row[: others[-1] + 1] if len(others) else row[:0]


def steps_of(target: Any) -> int | None:
    """Give the number of positions of the longest row of a target; None where it has no positions."""
    if isinstance(target, Rows):
        return int(target.lengths.max(initial=0))
    shape = target.shape if isinstance(target, np.ndarray) else ()
    return int(shape[1]) if len(shape) > 1 and shape[1] > 1 else None
