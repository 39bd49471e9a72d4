"""Hold rows of ids of any lengths, and read them from what `values.plain` returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s2s_magic.data.values import Numbers, Unreadable, is_kind, is_text, one_line, plain, short, texts

__all__ = ["Numbers", "Rows", "Unreadable", "ids", "is_text", "plain", "texts"]

_OUTSIDE = f"outside any vocabulary: ids are 0 to {np.iinfo(np.int32).max}"


@dataclass(frozen=True)
class Rows:
    """Rows of ids, of any lengths.

    Attributes
    ----------
    values : int32 array, shape (ids,)
        All rows, concatenated.
    splits : int64 array, shape (rows + 1,)
        Where each row begins, and where the last one ends.
    """

    values: Numbers
    splits: Numbers

    @classmethod
    def of(cls, rows: Sequence[Numbers] | Sequence[Sequence[int]]) -> Rows:
        """Make `Rows` of a sequence of rows."""
        values = np.concatenate([np.asarray(row) for row in rows]) if len(rows) else np.zeros(0)
        return cls(values.astype(np.int32), _splits(np.array([len(row) for row in rows], np.int64)))

    def __len__(self) -> int:
        return len(self.splits) - 1

    def __getitem__(self, row: int) -> Numbers:
        return self.values[self.splits[row] : self.splits[row + 1]]

    @property
    def lengths(self) -> Numbers:
        """Number of ids in each row: int32, shape (rows,)."""
        return np.diff(self.splits).astype(np.int32)

    @property
    def ragged(self) -> bool:
        """Whether the rows differ in length."""
        return len(np.unique(self.lengths)) > 1

    @property
    def length(self) -> int | None:
        """The common length of all rows; None if they differ or there are no rows."""
        return None if self.ragged or not len(self) else int(self.lengths[0])

    def place(self, index: int) -> tuple[int, int]:
        """Row and position of one of the values, both counted from 0."""
        row = int(np.searchsorted(self.splits, index, side="right")) - 1
        return row, index - int(self.splits[row])

    def cut(self, lengths: Numbers) -> Rows:
        """Keep the first ``lengths`` ids of each row."""
        return Rows(self.values[self._positions() < np.repeat(lengths, self.lengths)], _splits(lengths))

    def without_padding(self, padding: int) -> Rows:
        """Drop the padding at the end of each row."""
        lengths = np.zeros(len(self), np.int64)
        real = self.values != padding
        lengths[self._row_numbers()[real]] = self._positions()[real] + 1  # the last assignment in a row wins
        return self.cut(lengths)

    def ended(self, end: int) -> Rows:
        """Append an end id to each row that does not have it."""
        last = np.zeros(len(self), np.int64) - 1
        filled = self.lengths > 0
        last[filled] = self.values[self.splits[1:][filled] - 1]
        missing = last != end
        values = np.insert(self.values, self.splits[1:][missing], end)
        return Rows(values, _splits(self.lengths + missing))

    def taken(self, order: Numbers) -> Rows:
        """Return the rows with these numbers, in this order."""
        lengths = self.lengths[order]
        splits = _splits(lengths)
        places = np.repeat(self.splits[:-1][order] - splits[:-1], lengths) + np.arange(splits[-1])
        return Rows(self.values[places], splits)

    def _row_numbers(self) -> Numbers:
        return np.repeat(np.arange(len(self)), self.lengths)

    def _positions(self) -> Numbers:
        starts: Numbers = np.repeat(self.splits[:-1], self.lengths)
        return np.arange(len(self.values)) - starts


def _splits(lengths: Numbers) -> Numbers:
    splits: Numbers = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return splits


def ids(value: Any) -> Rows:
    """Read rows of ids from a two-dimensional array or from a sequence of rows.

    Raises
    ------
    Unreadable
        When it is neither, or a number is not an integer; with its row and position.
    """
    if isinstance(value, np.ndarray):
        if value.ndim != 2:
            hint = f": one row is {short([value.tolist()])}" if value.ndim == 1 and len(value) else ""
            raise Unreadable(f"has shape {value.shape}; rows of ids have two dimensions, (rows, steps){hint}")
        rows = Rows(_whole(value.ravel()), np.arange(len(value) + 1, dtype=np.int64) * value.shape[1])
        return _checked(rows, value.ravel())
    if not isinstance(value, list | tuple):
        raise Unreadable(f"is of type {type(value).__name__}; expected an array, a list of rows or a list of texts")
    arrays = [_row(number, row, value) for number, row in enumerate(value)]
    raw = np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
    rows = Rows.of(arrays) if raw.dtype.kind != "f" else Rows(_whole(raw), _splits(np.array(list(map(len, arrays)))))
    return _checked(rows, raw)


def _row(number: int, row: Any, rows: Sequence[Any]) -> Numbers:
    """Read one row of a list of them."""
    if is_kind(row, (int, float, np.number, str, bytes)) and not is_kind(row, np.ndarray):
        flat = all(is_kind(item, (int, float, np.number)) for item in rows)
        hint = f": one row is {short([list(rows)])}" if flat else ""
        raise Unreadable(f"item {number} is {short(row)}; expected a row of ids{hint}")
    try:
        read = row if type(row) in (list, tuple) else plain(row)
    except Unreadable as error:
        raise Unreadable(f"row {number}: {error}") from error.__cause__
    try:
        array = np.asarray(read)
    except Exception as error:
        if not isinstance(error, ValueError | RecursionError):
            raise Unreadable(f"row {number} cannot be read: {one_line(error)}") from error
        array = None
    if array is None or array.ndim > 1:
        raise Unreadable(f"row {number} is nested, {short(row)}; expected rows of ids, such as [[1, 2], [3]]")
    if array.dtype == object:
        odd = [position for position, item in enumerate(read) if not is_kind(item, (int, np.integer))]
        position = odd[0] if odd else max(range(len(read)), key=lambda place: abs(int(read[place])))
        why = "no whole number that an id could be" if odd else _OUTSIDE
        raise Unreadable(f"row {number}, position {position} is {short(read[position])}, {why}")
    if array.size and array.dtype.kind not in "iuf":
        raise Unreadable(f"row {number} is no flat row of numbers: {short(row)}")
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _whole(values: Numbers) -> Numbers:
    if values.dtype.kind not in "iuf":
        raise Unreadable(f"holds {values.dtype} values; ids are whole numbers")
    limit = np.iinfo(np.int32)
    sound = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    return np.where(sound, np.clip(values, limit.min, limit.max), 0).astype(np.int32)


def _checked(rows: Rows, raw: Numbers) -> Rows:
    """Refuse the first value that conversion to an id has changed."""
    changed = np.flatnonzero(rows.values != raw)
    if len(changed):
        row, position = rows.place(int(changed[0]))
        number = raw[changed[0]]
        if np.isnan(number):
            what = "is NaN"
        elif np.isfinite(number) and number == np.floor(number):
            what = f"is {int(number)}, {_OUTSIDE}"
        else:
            what = f"is {number}, no whole number that an id could be"
        raise Unreadable(f"row {row}, position {position} {what}")
    return rows
