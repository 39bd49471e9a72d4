"""Measure norms of gradients and updates, and count steps with a gradient, inside the training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data.sequences import Numbers
from s2s_magic.training.squares import (
    half_squares_at_any_scale,
    half_squares_exactly,
    norms_of,
    numbers_of,
    real,
    rows_summed,
    squarable,
)
from s2s_magic.undoing import Changes

SAMPLES = 8
LEAST_STRIDE = 16
"""About how many steps of an epoch are measured, and the least distance between two of them."""
_COUNTS = ("step", "counts", "samples", "unmeasured", "squares")


@dataclass(frozen=True)
class Epoch:
    """One epoch's norms: arrays with one number for each variable."""

    gradient: Numbers
    update: Numbers
    norm: Numbers
    distance: Numbers


@dataclass(frozen=True)
class Steps:
    """Counts of the steps of a fit so far; all but ``applied`` have an entry for each variable.

    Attributes
    ----------
    applied
        How often the optimizer was called to apply gradients.
    broken, live, given
        On how many steps the gradient was not finite; finite and not zero; passed to the optimizer, even as None.
    connected
        Whether the gradient was ever other than None.
    """

    applied: int
    broken: Numbers
    live: Numbers
    given: Numbers
    connected: Sequence[bool]


def stride(steps: int) -> int:
    """Return the distance between two measured steps in an epoch of ``steps`` steps."""
    return max(LEAST_STRIDE, -(-steps // SAMPLES))


class Recorder:
    """Watches an optimizer apply gradients.

    Each gradient is checked on *every* step: whether it is finite, and whether it is exactly zero, however small or
    large its numbers are. The norms of gradients (before clipping, with duplicate rows of a sparse one summed) and of
    updates are measured on some steps: the first of an epoch, every ``stride``-th after it (about `SAMPLES` times an
    epoch, at least `LEAST_STRIDE` steps apart), and for each variable the first of the epoch on which it has a
    gradient other than zero. Norms and distances of the variables themselves are measured at the end of each epoch.

    Parameters
    ----------
    variables
        Numeric variables: those that may be trained, and those of which only the movement is watched.
    starts
        Tensors: the value from which each one's distance is measured.
    before
        Tensors: the value of each when the fit began.
    steps
        Steps in an epoch.
    compiled
        Whether XLA compiles the step: then every step is measured, because XLA has no tensors of varying size.
    """

    def __init__(
        self,
        variables: Sequence[Any],
        starts: Sequence[Any],
        before: Sequence[Any],
        steps: int,
        compiled: bool = False,
    ) -> None:
        self._compiled = compiled
        self.variables = list(variables)
        self._starts = list(starts)
        self._before = list(before)
        self.norms_before = norms_of(self._before)
        self._by_rows: set[int] = set()
        self._recording = False
        self._places = {id(backend.bare(variable)): place for place, variable in enumerate(self.variables)}
        self._stride = stride(steps)
        self._connected = [False] * len(self.variables)
        count = len(self.variables)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._counts = tf.Variable(tf.zeros([3, count], tf.int64), trainable=False)  # finite, live, given; in the fit
        self._samples = tf.Variable(tf.zeros([count], tf.int64), trainable=False)  # finite and measured; in the epoch
        self._unmeasured = tf.Variable(tf.ones([count], tf.bool), trainable=False)  # never while live; in the epoch
        self._squares = tf.Variable(tf.zeros([2, count], tf.float64), trainable=False)  # gradient, update; in the epoch
        self._applied_before = 0
        self._finite_before = np.zeros(count, np.int64)

    def begin_fit(self, starts: Sequence[Any], before: Sequence[Any]) -> None:
        """Reset all counts for another fit with the same traced step; the parameters are those of the class."""
        self._starts, self._before = list(starts), list(before)
        self.norms_before = norms_of(self._before)
        self._applied_before = 0
        self._finite_before = np.zeros(len(self.variables), np.int64)
        for count in (self._step, self._counts, self._samples, self._squares):
            count.assign(tf.zeros_like(count))

    def end_fit(self) -> None:
        """Release the saved values of the variables."""
        self._starts, self._before = [], []

    def arrays(self) -> dict[str, Numbers]:
        """Return all counts so far, and the values from which the moves of this fit are measured.

        Those that are the starting values as well are left out: ``begun`` says whose.
        """
        begun = [value is start for value, start in zip(self._before, self._starts, strict=True)]
        found = {name: getattr(self, f"_{name}").numpy() for name in _COUNTS}
        found |= {
            "applied_before": np.array(self._applied_before),
            "finite_before": self._finite_before,
            "connected": np.array(self._connected, bool),
            "by_rows": np.array(sorted(self._by_rows), np.int64),
            "begun": np.array(begun, bool),
        }
        values = {f"before.{place}": value for place, value in enumerate(self._before) if not begun[place]}
        return found | {name: np.asarray(value) for name, value in values.items()}

    def take(self, arrays: Mapping[str, Numbers]) -> None:
        """Go on from what `arrays` returned."""
        for name in _COUNTS:
            getattr(self, f"_{name}").assign(arrays[name])
        self._applied_before, self._finite_before = int(arrays["applied_before"]), arrays["finite_before"]
        self._connected[:] = arrays["connected"].tolist()
        self._by_rows = set(arrays["by_rows"].tolist())
        self._before = [
            start if begun else tf.constant(arrays[f"before.{place}"])
            for place, (start, begun) in enumerate(zip(self._starts, arrays["begun"].tolist(), strict=True))
        ]
        self.norms_before = norms_of(self._before)

    def watch(self, changes: Changes, optimizer: Any) -> None:
        """Record each update that an optimizer makes, until changes are undone.

        The training step must be traced within that time.
        """

        def update_and_record(pairs: Sequence[tuple[Any, Any]], update: Callable[[], Any]) -> Any:
            if self._recording:  # an inner optimizer, to which a recorded one delegates
                return update()
            self._recording = True
            try:
                return self._recorded(pairs, update)
            finally:
                self._recording = False

        backend.on_update(changes, optimizer, update_and_record)

    def note_rows(self, variable: Any) -> None:
        """Note that the gradient of a variable comes by rows, so that those that move are counted."""
        place = self._places.get(id(backend.bare(variable)))
        if place is not None:
            self._by_rows.add(place)

    def _recorded(self, pairs: Sequence[tuple[Any, Any]], apply: Callable[[], Any]) -> Any:
        found = {self._places.get(id(backend.bare(variable))): gradient for gradient, variable in pairs}
        given = {place: gradient for place, gradient in found.items() if place is not None}
        gradients = {place: gradient for place, gradient in given.items() if gradient is not None}
        for place, gradient in gradients.items():
            self._connected[place] = True
            if isinstance(gradient, tf.IndexedSlices):
                self.note_rows(self.variables[place])
        half_squares = half_squares_exactly if self._compiled else half_squares_at_any_scale
        squares = self._spread(gradients, half_squares([numbers_of(g) for g in gradients.values()]))
        finite = tf.math.is_finite(squares)
        live = finite & (squares > 0)
        here = tf.constant([place in given for place in range(len(self.variables))])
        self._counts.assign_add(tf.cast(tf.stack([finite, live, here]), tf.int64))
        sampled = tf.reduce_any(live & self._unmeasured) | (self._step % self._stride == 0)
        moving = {place: self.variables[place] for place in given}
        before = self._copies(sampled, list(moving.values()))
        result = apply()

        def measure() -> Any:
            summed = {
                place: rows_summed(gradient, self.variables[place])
                for place, gradient in gradients.items()
                if isinstance(gradient, tf.IndexedSlices)
            }
            of_gradients = tf.where(finite, squares, 0.0)
            if summed:
                is_summed = tf.constant([place in summed for place in range(len(self.variables))])
                exact = self._spread(summed, half_squares_exactly(list(summed.values())))
                of_gradients = tf.where(finite & is_summed, exact, of_gradients)
            changes = [real(new) - old for new, old in zip(moving.values(), before, strict=True)]
            updates = self._spread(moving, half_squares_exactly(changes))
            self._squares.assign_add(2.0 * tf.stack([of_gradients, updates]))
            self._unmeasured.assign(self._unmeasured & ~live)
            return tf.identity(self._samples.assign_add(tf.cast(finite, tf.int64)))

        if self._compiled:
            measure()
        else:
            tf.cond(sampled, measure, lambda: tf.identity(self._samples))
        self._step.assign_add(1)
        return result

    def _copies(self, sampled: Any, variables: Sequence[Any]) -> list[Any]:
        """Return the present values of variables if the step is sampled, else empty tensors."""
        if self._compiled or not variables:
            return [tf.identity(real(variable)) for variable in variables]
        copies = tf.cond(
            sampled,
            lambda: [real(variable) for variable in variables],
            lambda: [tf.zeros([0], squarable(tf.as_dtype(variable.dtype))) for variable in variables],
        )
        return list(tf.nest.flatten(copies))

    def _spread(self, places: Any, numbers: Any) -> Any:
        """Put numbers at their places among all variables, with zeros elsewhere."""
        if list(places) == list(range(len(self.variables))):
            return numbers
        where = np.array([[place] for place in places], np.int32).reshape(-1, 1)
        return tf.scatter_nd(where, numbers, [len(self.variables)])

    def begin_epoch(self) -> None:
        """Reset the counts of the epoch."""
        self._applied_before += int(self._step)
        self._finite_before = self._counts.numpy()[0]
        self._step.assign(0)
        self._samples.assign(tf.zeros_like(self._samples))
        self._unmeasured.assign(tf.ones_like(self._unmeasured))
        self._squares.assign(tf.zeros_like(self._squares))

    def end_epoch(self) -> Epoch:
        """Return the norms of the epoch that ends here, or of the part of it that was done."""
        squares = self._squares.numpy() / np.maximum(1, self._samples.numpy())
        return Epoch(np.sqrt(squares[0]), np.sqrt(squares[1]), *self.standing())

    def standing(self) -> tuple[Numbers, Numbers]:
        """Return the present norms of the variables, and their distances from their starting values."""
        return norms_of(self.variables), norms_of(self.variables, self._starts)

    def moved(self) -> Numbers:
        """Return the distances of the variables from their values when the fit began."""
        return norms_of(self.variables, self._before)

    def rows_moved(self) -> dict[int, Numbers]:
        """Return, for each variable whose gradient came by rows, which rows changed in the fit (a boolean array)."""
        return {place: self._changed_rows(place) for place in sorted(self._by_rows)}

    def _changed_rows(self, place: int) -> Numbers:
        changed = tf.convert_to_tensor(self.variables[place]) != self._before[place]
        return np.asarray(tf.reduce_any(changed, axis=list(range(1, changed.shape.rank))))

    def steps(self) -> Steps:
        """Return the counts of the fit so far."""
        finite, live, given = self._counts.numpy()
        applied = self._applied_before + int(self._step)
        return Steps(applied, applied - finite, live, given, tuple(self._connected))

    def first_broken(self) -> tuple[int, list[int]] | None:
        """Return the epoch's first step (from 0) with a non-finite gradient, and the variables' places; else None."""
        sound = self._counts.numpy()[0] - self._finite_before
        first = int(sound.min(initial=int(self._step)))
        return None if first == int(self._step) else (first, np.flatnonzero(sound == first).tolist())
