"""Reading rows of ids or of text from whatever a notebook holds them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]


class Unreadable(Exception):
    """A value that holds no rows, with the reason in words."""


@dataclass(frozen=True)
class Rows:
    """Rows of ids, of any lengths.

    Attributes
    ----------
    values : int32 array, shape (ids,)
        All rows, one after the other.
    splits : int64 array, shape (rows + 1,)
        Where each row begins and the last one ends.
    """

    values: Numbers
    splits: Numbers

    @classmethod
    def of(cls, rows: Sequence[Numbers] | Sequence[Sequence[int]]) -> Rows:
        """Put rows together."""
        values = np.concatenate([np.asarray(row) for row in rows]) if len(rows) else np.zeros(0)
        return cls(values.astype(np.int32), _splits(np.array([len(row) for row in rows], np.int64)))

    def __len__(self) -> int:
        return len(self.splits) - 1

    def __getitem__(self, row: int) -> Numbers:
        return self.values[self.splits[row] : self.splits[row + 1]]

    @property
    def lengths(self) -> Numbers:
        """Ids in each row: int32, shape (rows,)."""
        return np.diff(self.splits).astype(np.int32)

    @property
    def ragged(self) -> bool:
        """Whether rows differ in length."""
        return len(np.unique(self.lengths)) > 1

    @property
    def length(self) -> int | None:
        """The one length of all rows; None where they differ, or there are none."""
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
        lengths[self._row_numbers()[real]] = self._positions()[real] + 1  # the last one of a row stays
        return self.cut(lengths)

    def ended(self, end: int) -> Rows:
        """Let each row end with an id."""
        last = np.zeros(len(self), np.int64) - 1
        filled = self.lengths > 0
        last[filled] = self.values[self.splits[1:][filled] - 1]
        missing = last != end
        values = np.insert(self.values, self.splits[1:][missing], end)
        return Rows(values, _splits(self.lengths + missing))

    def taken(self, order: Numbers) -> Rows:
        """Give the rows of these numbers, in this order."""
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


def plain(value: Any) -> Any:
    """Turn pandas and TensorFlow values into NumPy arrays or lists; leave anything else as it is."""
    if hasattr(value, "to_numpy"):  # pandas
        value = value.to_numpy()
    elif hasattr(value, "to_list") and hasattr(value, "row_splits"):  # tf.RaggedTensor, tf.ragged.constant
        value = value.to_list()
    elif hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = list(value.ravel()) if value.ndim == 2 and value.shape[1] == 1 else list(value)
    return value


def is_text(value: Any) -> bool:
    """Whether a value that `plain` gave holds text rather than ids."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "US" and value.ndim == 1
    return isinstance(value, list | tuple) and any(isinstance(item, str | bytes) for item in value)


def texts(value: Any) -> list[str]:
    """Read rows of text.

    Raises
    ------
    Unreadable
        When an item is no text.
    """
    found = []
    for number, item in enumerate(value):
        if isinstance(item, bytes):
            item = item.decode("utf-8")
        if not isinstance(item, str):
            raise Unreadable(f"item {number} is {item!r}, no text")
        found.append(str(item))
    return found


def ids(value: Any) -> Rows:
    """Read rows of ids from a two-dimensional array or from a sequence of rows.

    Raises
    ------
    Unreadable
        When it is neither, or a number is not whole; with row and position.
    """
    if isinstance(value, np.ndarray):
        if value.ndim != 2:
            hint = f": one row is {_short([value.tolist()])}" if value.ndim == 1 and len(value) else ""
            raise Unreadable(f"has shape {value.shape}; rows of ids have two dimensions, (rows, steps){hint}")
        rows = Rows(_whole(value.ravel()), np.arange(len(value) + 1, dtype=np.int64) * value.shape[1])
        return _checked(rows, value.ravel())
    if not isinstance(value, list | tuple):
        raise Unreadable(f"is of type {type(value).__name__}; expected an array, a list of rows or a list of texts")
    arrays = []
    for number, row in enumerate(value):
        row = plain(row)
        if not isinstance(row, list | tuple | np.ndarray):
            flat = all(isinstance(item, int | float | np.number) for item in value)
            hint = f": one row is {_short([list(value)])}" if flat else ""
            raise Unreadable(f"item {number} is {_short(row)}; expected a row of ids{hint}")
        try:
            array = np.asarray(row)
        except ValueError:
            array = None
        if array is None or array.ndim > 1:
            raise Unreadable(f"row {number} is nested, {_short(row)}; expected rows of ids, such as [[1, 2], [3]]")
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
            raise Unreadable(f"row {number} is no flat row of numbers: {_short(row)}")
        arrays.append(array.astype(np.float64) if array.dtype.kind == "f" else array)
    raw = np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
    rows = Rows.of(arrays) if raw.dtype.kind != "f" else Rows(_whole(raw), _splits(np.array(list(map(len, arrays)))))
    return _checked(rows, raw)


def _whole(values: Numbers) -> Numbers:
    if values.dtype.kind not in "iuf":
        raise Unreadable(f"holds {values.dtype} values; ids are whole numbers")
    limit = np.iinfo(np.int32)
    sound = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    return np.where(sound, np.clip(values, limit.min, limit.max), 0).astype(np.int32)


def _checked(rows: Rows, raw: Numbers) -> Rows:
    """Refuse the first value that was changed by reading it as an id."""
    changed = np.flatnonzero(rows.values != raw)
    if len(changed):
        row, position = rows.place(int(changed[0]))
        number = raw[changed[0]]
        if np.isnan(number):
            what = "is NaN"
        elif np.isfinite(number) and number == np.floor(number):
            what = f"is {int(number)}, outside any vocabulary: ids are 0 to {np.iinfo(np.int32).max}"
        else:
            what = f"is {number}, no whole number that an id could be"
        raise Unreadable(f"row {row}, position {position} {what}")
    return rows


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
