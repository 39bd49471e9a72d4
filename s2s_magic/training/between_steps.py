"""What a fit does between two steps: save itself when it is time to, and end when it was asked to."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.handle import Seq2Seq
from s2s_magic.training.callback import NotFinite
from s2s_magic.training.course import Course
from s2s_magic.training.heeding import Heed
from s2s_magic.training.snapshots import Snapshot, lowering_goes_on, lowering_pauses, taken_down

MINUTES = 10
"""Minutes from one checkpoint to the next where a fit does not say."""

Save = Callable[[Seq2Seq, Snapshot], None]
"""Saves a model, and where its fit stands."""


class BetweenSteps(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves a fit, and ends it, where its state is whole: after a step, or after all that belongs to an epoch.

    Keras must call this last.

    Parameters
    ----------
    course
        The fit, whose plan says when it is saved.
    heed
        Handles a signal.
    save
        Saves the fit; None to save nothing.
    """

    _supports_tf_logs = True

    def __init__(self, course: Course, heed: Heed, save: Callable[[], object] | None) -> None:
        super().__init__()
        assert course.loop is not None
        self._course, self._loop, self._heed, self._write = course, course.loop, heed, save
        when = course.plan.checkpoint
        self._epochs: int | None = None
        self._minutes: float | None = None
        if when is not None:
            by_default = when.epochs is None and when.minutes is None
            self._epochs, self._minutes = (1, MINUTES) if by_default else (when.epochs, when.minutes)
        self._last = time.monotonic()
        self._saved = -1

    def on_train_begin(self, logs: Any = None) -> None:
        """Let what lowers the learning rate go on."""
        lowering_goes_on(self._course)

    def pause(self) -> None:
        """Note what Keras would begin anew."""
        lowering_pauses(self._course)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Save after a step if it is time to; the last one of an epoch is not over yet."""
        if self._is_late():
            self._save_within()
        self._heed(self._save_within, within=True)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """End the fit between two batches of its validation, if it was asked to."""
        self._heed(lambda: None)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save after an epoch if it is time to, and in any case after the last one."""
        ends = epoch + 1 >= self._course.plan.epochs or self.model.stop_training
        if ends or self._is_late() or (self._epochs is not None and (epoch + 1) % self._epochs == 0):
            self._save()
        self._heed(self._save)

    def _is_late(self) -> bool:
        return self._minutes is not None and time.monotonic() - self._last >= 60 * self._minutes

    def _save_within(self) -> None:
        """Save within an epoch, where the order of its batches can be told, and no gradient waits for an update."""
        waits = self._course.accumulation is not None and self._course.accumulation.rest
        if self._loop.within_epoch and self._course.plan.data is None and not waits:
            self._save()

    def _save(self) -> None:
        if self._write is not None and self._loop.steps_seen != self._saved:
            self._write()
            self._last, self._saved = time.monotonic(), self._loop.steps_seen


def saving(course: Course, save: Save | None) -> Callable[[], object] | None:
    """Return what saves a fit with its evidence so far; None if there is nothing to save it with."""
    if save is None:
        return None
    told: list[str] = []

    def write() -> None:
        assert course.recorder is not None
        if not np.isfinite(course.recorder.standing()[0]).all():
            raise NotFinite
        if not told and (draws := backend.hidden_draws(course.seq2seq.model)):
            told.append(
                f"its step draws random numbers by {' and '.join(draws)}, whose state TensorFlow keeps to itself: a "
                "fit that is resumed will draw others"
            )
            warnings.warn_explicit(told[0], UserWarning, f"fit {course.seq2seq.name}", 0)
        course.keep("going on")
        save(course.seq2seq, taken_down(course))

    return write
