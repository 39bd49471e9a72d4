"""Errors of a fit that are no fault of this package: each as a line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from tensorflow.errors import OpError

from s2s_magic.data.assignment import training_part
from s2s_magic.data.rehearsing import why_not_trained
from s2s_magic.errors import FitError, Seq2SeqError
from s2s_magic.training.collectives import loss_of_a_worker
from s2s_magic.training.course import Course
from s2s_magic.training.failing_steps import failing_step
from s2s_magic.training.workers import joined


def told_in_a_line(course: Course, train: Callable[[], None]) -> None:
    """Train; raise a `FitError` in place of an error that is no fault of this package.

    By then, the model's methods are the user's again.
    """
    try:
        train()
    except Seq2SeqError:
        raise
    except Exception as error:
        told = _told(course, error)
        if told is None:
            raise
        raise told from error


def _told(course: Course, error: Exception) -> FitError | None:
    steps = course.loop.steps_done if course.loop is not None else 0
    if isinstance(error, OpError):
        lost = loss_of_a_worker(joined(), error, steps)
        why = failing_step(course.seq2seq, error, steps)
        return lost or (None if why is None else FitError(why))
    batch = course.failed_on
    why = None if batch is None else why_not_trained(course.seq2seq, training_part(course.plan), batch)
    return None if why is None else FitError(why)
