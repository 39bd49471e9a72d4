"""Norms of gradients and updates, measured inside the training step's own graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.training.rows import Numbers
from s2s_magic.undoing import Changes

SAMPLES = 8
LEAST_STRIDE = 16


@dataclass(frozen=True)
class Epoch:
    """One epoch's norms, each an array with one number a variable."""

    gradient: Numbers
    update: Numbers
    norm: Numbers
    distance: Numbers


class Recorder:
    """Watches an optimizer apply gradients.

    What is measured: the squared norm of every gradient (before clipping; duplicate rows of a sparse one added up) and
    of every variable's change, on the first step of an epoch and on every ``stride``-th after it: about `SAMPLES` times
    an epoch, and never more often than every `LEAST_STRIDE` steps. Norms and distances are measured once an epoch, at
    its end. What is watched on *every* step is only whether each gradient is finite.

    Norms are kept as float32: a gradient whose norm is below about 1e-19 counts as zero.

    Parameters
    ----------
    variables
        The trainable variables.
    starts
        Where each of them stood before the first fit, for the distance.
    steps
        Steps an epoch.
    """

    def __init__(self, variables: Sequence[Any], starts: Sequence[Any], steps: int) -> None:
        self.variables = list(variables)
        self.starts = list(starts)
        self._stride = max(LEAST_STRIDE, -(-steps // SAMPLES))
        count = len(self.variables)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._samples = tf.Variable(0.0, trainable=False)
        self._squares = tf.Variable(tf.zeros([2, count]), trainable=False)
        self._sound_steps = tf.Variable(tf.zeros([count], tf.int64), trainable=False)
        # one concrete function a fit: a tf.function that each fit traces anew would be warned about
        self._measure = tf.function(self._norms_and_distances).get_concrete_function()

    def watch(self, changes: Changes, optimizer: Any) -> None:
        """Stand between the training step and this optimizer object until changes are undone.

        The step must be traced in the meantime.
        """
        apply = optimizer.apply_gradients

        def apply_and_record(grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
            pairs = list(grads_and_vars)
            return self._recorded(pairs, lambda: apply(pairs, *args, **kwargs))

        changes.replace(optimizer, "apply_gradients", apply_and_record)

    def _recorded(self, pairs: Sequence[tuple[Any, Any]], apply: Callable[[], Any]) -> Any:
        by_variable = {id(variable): gradient for gradient, variable in pairs if gradient is not None}
        gradients = [by_variable.get(id(variable)) for variable in self.variables]
        sampled = tf.equal(self._step % self._stride, 0)
        before = tf.cond(
            sampled,
            lambda: [tf.reshape(variable, [-1]) for variable in self.variables],
            lambda: [tf.zeros([0], variable.dtype) for variable in self.variables],
        )
        # Finite numbers have a finite sum of squares; an unfinished sum over repeated rows will do for that.
        sums = [_half_square(g.values if isinstance(g, tf.IndexedSlices) else g) for g in gradients]
        self._sound_steps.assign_add(tf.cast(tf.math.is_finite(tf.stack(sums)), tf.int64))
        result = apply()

        def measure() -> Any:
            moved = zip(self.variables, before, strict=True)
            updates = [_square(tf.reshape(variable, [-1]) - old) for variable, old in moved]
            self._squares.assign_add(tf.stack([[_square(_summed(g)) for g in gradients], updates]))
            return self._samples.assign_add(1.0)

        tf.cond(sampled, measure, lambda: tf.identity(self._samples))
        self._step.assign_add(1)
        return result

    def begin_epoch(self) -> None:
        """Count from the epoch's first step."""
        self._step.assign(0)
        self._samples.assign(0.0)
        self._squares.assign(tf.zeros_like(self._squares))
        self._sound_steps.assign(tf.zeros_like(self._sound_steps))

    def end_epoch(self) -> Epoch:
        """Give the norms of the epoch that ends here, or of the part of it that was done."""
        squares = self._squares.numpy().astype(np.float64) / max(1.0, float(self._samples))
        norm, distance = np.sqrt(self._measure().numpy().astype(np.float64))
        return Epoch(np.sqrt(squares[0]), np.sqrt(squares[1]), norm, distance)

    def _norms_and_distances(self) -> Any:
        pairs = list(zip(self.variables, self.starts, strict=True))
        norms = [_square(variable) for variable in self.variables]
        return tf.stack([norms, [_square(variable - start) for variable, start in pairs]])

    def first_broken(self) -> tuple[int, list[int]] | None:
        """Give the step of this epoch, from 0, on which gradients first broke, and the numbers of their variables."""
        sound = self._sound_steps.numpy()
        first = int(sound.min(initial=int(self._step)))
        return None if first == int(self._step) else (first, np.flatnonzero(sound == first).tolist())


def _square(values: Any) -> Any:
    return 2.0 * _half_square(values)


def _half_square(values: Any) -> Any:
    return tf.constant(0.0) if values is None else tf.nn.l2_loss(tf.cast(values, tf.float32))


def _summed(gradient: Any) -> Any:
    """Give the numbers of a gradient; rows of a sparse one that mean the same row of the variable are added up."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, places = tf.unique(gradient.indices)
    return tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
