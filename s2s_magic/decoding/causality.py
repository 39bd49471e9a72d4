"""Trying out, with a model's own weights, on which positions its scores depend: on the source, and on no later id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.model_functions import SHORT, TwoInputs, drawn

_LONG = (24, 6, 3)
"""Steps of the rows that a model is tried out with, where it takes any number: fewer where it does not take so many."""
_SAME, _CLOSE = 2e-6, 1e-4
"""The largest difference, as a part of the largest score, of what is the same but for rounding: in rows of the same
shape, and of another one."""
_AT_ONCE = 4_000_000
"""How many scores are computed at once, 32 MB of them."""
_TELLING = 50
"""An id must change the scores so many times as much, else nothing can be said of what later ones change."""


def is_causal(whole: TwoInputs, number: int, place: int) -> bool:
    """Try out whether an output is the scores of a decoder that an input feeds.

    Each score depends on the source, which is the other input, and on the ids up to its position, none later.

    Parameters
    ----------
    whole
        The model.
    number
        Which of its outputs.
    place
        Which of its inputs, 0 or 1.
    """
    if (number, place) not in whole.tried:  # which takes a while
        whole.tried[number, place] = _is_causal(whole, number, place)
    return whole.tried[number, place]


def is_by_position(begin: Any, end: Any) -> bool:
    """Try out whether a symbolic tensor is made of another one, (rows, steps, numbers), position by position."""
    rows = np.random.default_rng(0).normal(size=(4, 6, begin.shape[-1])).astype(backend.dtype_of(begin))
    try:
        model = tf.keras.models.Model(begin, end)
        whole = np.asarray(model(tf.constant(rows), training=False), float)[:2]
        steps = [np.asarray(model(tf.constant(rows[:2, [step]]), training=False), float) for step in range(6)]
        return bool(np.abs(np.concatenate(steps, 1) - whole).max() <= _CLOSE * np.abs(whole).max())
    except MemoryError:
        raise
    except Exception:  # the user's code may refuse a call that it did not make, as of another number of steps
        return False


def _is_causal(whole: TwoInputs, number: int, place: int) -> bool:
    fed, scores = whole.inputs[place], whole.outputs[number].shape
    if not _is_read(fed, scores):
        return False
    if fed.shape[1] is not None:
        return _Trial(whole, number, place, fed.shape[1]).is_causal()
    for steps in _LONG:
        try:
            return _Trial(whole, number, place, steps).is_causal()
        except (tf.errors.OpError, ValueError):  # of more positions than a layer has
            if steps == _LONG[-1]:
                raise
    return False


def _is_read(tensor: Any, scores: tuple[int | None, ...]) -> bool:
    """Return whether an input has the shape of what a decoder reads: ids, or one-hot vectors of the scores' classes."""
    if len(scores) != 3 or scores[2] is None or len(tensor.shape) not in (2, 3):
        return False
    if scores[1] not in (None, tensor.shape[1]):
        return False
    return len(tensor.shape) == 2 or tensor.shape[2] == scores[2]


class _Trial:
    """Rows of ids of so many steps for one of a model's inputs, rows for the other, and their scores."""

    def __init__(self, whole: TwoInputs, number: int, place: int, steps: int) -> None:
        self._whole, self._number, self._place = whole, number, place
        self._numbers = np.random.default_rng(0)
        self._read = self._of(place, steps)
        self._source = self._of(1 - place, SHORT)
        self._scores = self._scored(self._read, self._source)
        self._largest = float(np.abs(self._scores).max())
        self._fixed = self._whole.inputs[place].shape[1]

    def _of(self, place: int, steps: int) -> Any:
        return drawn(self._whole.inputs[place], steps, self._whole.outputs[self._number].shape[2], self._numbers)

    def _scored(self, read: Any, source: Any) -> Any:
        given = [read, source] if self._place == 0 else [source, read]
        return np.asarray(self._whole.run(given)[self._number], np.float64)

    def is_causal(self) -> bool:
        """Return whether it is, and whether each row has scores of its own."""
        scores, read, source, fixed = self._scores, self._read, self._source, self._fixed
        if scores.shape[1] != read.shape[1] or not np.isfinite(scores).all():
            return False
        same, close = _SAME * self._largest, _CLOSE * self._largest
        for position, apart in self._changed_by_later_ids():
            if apart[:position].max(initial=0) > same or (position == 0 and apart.max() <= _TELLING * same):
                return False
        if np.abs(self._scored(read, source[::-1]) - scores).max() <= _TELLING * same:  # it does not read the source
            return False
        if np.abs(self._scored(read[:1], source[:1]) - scores[:1]).max() > close:
            return False
        if fixed is None:  # nor does a score depend on how many ids there are
            fewer = read.shape[1] - read.shape[1] // 3
            return bool(np.abs(self._scored(read[:, :fewer], source) - scores[:, :fewer]).max() <= close)
        return True

    def _changed_by_later_ids(self) -> Iterator[tuple[int, Any]]:
        """Yield each position, and how far the scores (steps,) are apart if the ids from it on are others.

        Many rows are scored at once, and held against the unchanged ones at the same places of as large a batch, which
        are rounded alike.
        """
        read, source = self._read, self._source
        changes = [(position, rows) for position in range(read.shape[1]) for rows in self._endings(position)]
        at_once = max(1, _AT_ONCE // self._scores.size)
        for first in range(0, len(changes), at_once):
            positions, some = zip(*changes[first : first + at_once], strict=True)
            sources = np.concatenate([source] * len(some))
            before = self._scored(np.concatenate([read] * len(some)), sources)
            apart = np.abs(self._scored(np.concatenate(some), sources) - before)
            apart = apart.reshape(len(some), len(read), *apart.shape[1:]).max(axis=(1, 3))
            yield from zip(positions, apart, strict=True)

    def _endings(self, position: int) -> list[Any]:
        """Return the rows with other ids from a position on."""
        endings = [self._of(self._place, self._read.shape[1])[:, position:]]
        if self._fixed is not None:  # which decoding fills up
            endings.append(_padding(self._read[:, position:]))
        return [np.concatenate([self._read[:, :position], ending], axis=1) for ending in endings]


def _padding(rows: Any) -> Any:
    """Return rows of id 0, as ids or as one-hot vectors, in place of others."""
    filled = np.zeros_like(rows)
    if filled.ndim == 3:
        filled[..., 0] = 1
    return filled
