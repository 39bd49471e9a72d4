"""Convert values read from the notebook into one array."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from s2s_magic.data.values import (
    SINGLE,
    Numbers,
    Unreadable,
    asked,
    comes_from,
    is_kind,
    is_text,
    one_line,
    plain,
    short,
    texts,
)


def as_array(value: Any) -> Numbers:
    """Convert what `plain` returned into one array.

    Returns
    -------
    array
        Numbers or booleans, of any shape; text as an object array of ``str``.

    Raises
    ------
    Unreadable
        When items differ in shape, or are neither numbers nor text.
    """
    if is_text(value):
        flat = value.ravel() if isinstance(value, np.ndarray) else value
        found = np.array([*texts(flat), None], object)[:-1]  # the None keeps NumPy from inferring another dtype
        return found.reshape(value.shape) if isinstance(value, np.ndarray) else found
    read: Numbers = value if isinstance(value, np.ndarray) else _stacked(value)
    if read.dtype.kind not in "iufb":
        raise Unreadable(f"holds {read.dtype} values, no numbers")
    broken = np.argwhere(~np.isfinite(read)) if read.dtype.kind == "f" else np.zeros(0)
    if len(broken):
        index = tuple(int(i) for i in broken[0])
        raise Unreadable(f"is {read[index]} at index {index if len(index) > 1 else index[0]}")
    return read


def _stacked(items: list[Any]) -> Numbers:
    parts: list[Numbers] = []
    if all(type(item) in (int, float, bool, list, tuple, np.ndarray) for item in items):
        with suppress(ValueError, TypeError, RecursionError):
            whole = np.asarray(items)
            if whole.dtype.kind in "iufb":
                return whole
    for number, item in enumerate(items):
        try:
            part = np.asarray(item if is_kind(item, (*SINGLE, list, tuple)) else _item(item))
        except Unreadable as error:
            raise Unreadable(f"item {number} {error}") from error.__cause__
        except Exception as error:
            raise Unreadable(f"item {number} cannot be made an array: {one_line(error)}") from error
        if part.dtype.kind not in "iufb":
            raise Unreadable(f"item {number} is {short(item)}, no number and no array of numbers")
        if parts and part.shape != parts[0].shape:
            raise Unreadable(
                f"item {number} has shape {part.shape}, and item 0 {parts[0].shape}; one shape is expected"
            )
        parts.append(part)
    return np.stack(parts) if parts else np.zeros(0)


def _item(item: Any) -> Any:
    """Read a list item; it may be a scalar tensor."""
    if (
        comes_from("tensorflow", item)
        and getattr(type(item), "shape", None) is not None
        and hasattr(type(item), "numpy")
    ):
        return asked("its numpy()", item.numpy)
    return plain(item)
