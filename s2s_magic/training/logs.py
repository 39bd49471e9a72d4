"""Write what a fit measures as TensorBoard logs: losses and metrics, and the evidence of each variable."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import tensorflow as tf

from s2s_magic.errors import DataError, Fault, SetupError
from s2s_magic.ledger.words import full_name
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan
    from s2s_magic.training.course import Course

_MEASURED = {"gradient norm": "gradient", "update norm": "update", "distance": "distance", "norm": "norm"}
"""What is written of each variable, with the arrays of `s2s_magic.training.norms.Epoch`."""


def logged(changes: Changes, course: Course, plan: FitPlan) -> Callable[[], None]:
    """Return what writes the epoch just measured into the folder that the plan names, until changes are undone.

    The steps of the logs are epochs, counted over all fits. TensorBoard shows the folder: ``%tensorboard --logdir``.

    Raises
    ------
    DataError
        If the folder cannot be written.
    SetupError
        If TensorBoard is not installed.
    """
    assert plan.log is not None
    if find_spec("tensorboard") is None:
        raise SetupError("logs are written with TensorBoard, which is not installed: pip install tensorboard")
    folder = os.path.expanduser(plan.log)
    try:
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(0, "Permission denied")
        writer = tf.summary.create_file_writer(folder)
    except (OSError, ValueError, tf.errors.OpError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError([Fault(*plan.place_of("log"), f"logs cannot be written to {plan.log!r}: {why}")]) from error
    changes.undo_by(writer.close)
    past = sum(run.epochs for run in course.before.runs)

    def write() -> None:
        assert course.loop is not None
        assert course.noted is not None
        values, epoch = course.loop.epochs[-1]
        number = past + len(course.loop.epochs)
        names = [full_name(course.seq2seq.ledger.variables[key]) for key in course.noted.variables]
        scalars = {f"epoch/{name}": value for name, value in values.items()}
        for place, name in enumerate(names):
            for title, array in _MEASURED.items():
                scalars[f"{title}/{name}"] = float(getattr(epoch, array)[place])
        with Changes() as entered, entered, entered:
            entered.enter(writer.as_default(number))
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        writer.flush()

    return write
