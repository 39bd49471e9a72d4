"""Norms of gradients and updates, measured inside the training step's own graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.training.rows import Numbers

SAMPLES = 12
LEAST_STRIDE = 8
NEVER = np.iinfo(np.int64).max


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
        self.reached: set[int] = set()
        self._stride = max(LEAST_STRIDE, -(-steps // SAMPLES))
        count = len(self.variables)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._samples = tf.Variable(0.0, trainable=False)
        self._squares = tf.Variable(tf.zeros([2, count]), trainable=False)
        self._broken_at = tf.Variable(tf.fill([count], tf.constant(NEVER, tf.int64)), trainable=False)
        self._measure = tf.function(self._norms_and_distances)

    @contextmanager
    def watching(self, optimizer: Any) -> Iterator[None]:
        """Stand between the training step and this optimizer object; the step must be traced inside."""
        apply = optimizer.apply_gradients

        def apply_and_record(grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
            pairs = list(grads_and_vars)
            return self._recorded(pairs, lambda: apply(pairs, *args, **kwargs))

        optimizer.apply_gradients = apply_and_record
        try:
            yield
        finally:
            del optimizer.apply_gradients

    def _recorded(self, pairs: Sequence[tuple[Any, Any]], apply: Callable[[], Any]) -> Any:
        place = {id(variable): number for number, variable in enumerate(self.variables)}
        watched = [
            (place[id(variable)], gradient, variable)
            for gradient, variable in pairs
            if gradient is not None and id(variable) in place
        ]
        if not watched:
            return apply()
        numbers = [number for number, _, _ in watched]
        self.reached.update(numbers)
        gradients = [gradient for _, gradient, _ in watched]
        sampled = tf.equal(self._step % self._stride, 0)
        before = tf.cond(
            sampled,
            lambda: [tf.reshape(variable, [-1]) for _, _, variable in watched],
            lambda: [tf.zeros([0], variable.dtype) for _, _, variable in watched],
        )
        self._note_broken(gradients, numbers)
        result = apply()

        def measure() -> Any:
            pairs = zip(watched, before, strict=True)
            squares = [
                [_square(_summed(gradient)) for gradient in gradients],
                [_square(tf.reshape(variable, [-1]) - old) for (_, _, variable), old in pairs],
            ]
            spread = tf.one_hot(numbers, len(self.variables))
            self._squares.assign_add(tf.matmul(tf.stack(squares), spread))
            return self._samples.assign_add(1.0)

        tf.cond(sampled, measure, lambda: tf.identity(self._samples))
        self._step.assign_add(1)
        return result

    def _note_broken(self, gradients: Sequence[Any], numbers: Sequence[int]) -> None:
        """Remember the first step on which each gradient was not finite."""
        sums = tf.stack([_square(g.values if isinstance(g, tf.IndexedSlices) else g) for g in gradients])
        broken = tf.logical_not(tf.math.is_finite(sums))

        def note() -> Any:
            here = tf.where(broken, self._step, NEVER)
            places = [[number] for number in numbers]
            return self._broken_at.assign(tf.tensor_scatter_nd_min(self._broken_at, places, here))

        tf.cond(tf.reduce_any(broken), note, lambda: tf.identity(self._broken_at))

    def begin_epoch(self) -> None:
        """Count from the epoch's first step."""
        self._step.assign(0)
        self._samples.assign(0.0)
        self._squares.assign(tf.zeros_like(self._squares))
        self._broken_at.assign(tf.fill(self._broken_at.shape, tf.constant(NEVER, tf.int64)))

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
        steps = self._broken_at.numpy()
        first = int(steps.min())
        return None if first == NEVER else (first, [int(number) for number in np.flatnonzero(steps == first)])


def _square(values: Any) -> Any:
    return 2.0 * tf.nn.l2_loss(tf.cast(values, tf.float32))


def _summed(gradient: Any) -> Any:
    """Give the numbers of a gradient; rows of a sparse one that mean the same row of the variable are added up."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, places = tf.unique(gradient.indices)
    return tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
