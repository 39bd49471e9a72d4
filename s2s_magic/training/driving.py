"""Call ``Model.fit`` once, or twice for a fit that goes on within an epoch, and record how the training ended."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data.batches import Feed, types_of
from s2s_magic.errors import FitError
from s2s_magic.training.accumulating import UpdatesTheRest
from s2s_magic.training.between_steps import BetweenSteps
from s2s_magic.training.breaking import broken_loss
from s2s_magic.training.callback import Loop, NotFinite
from s2s_magic.training.course import Course
from s2s_magic.training.schedules import plateau_callback
from s2s_magic.training.together import Meeting
from s2s_magic.undoing import Changes

BegunAt = Callable[[int], Feed]
"""Returns the data from a batch on, counted over all epochs."""


def train_to_an_end(changes: Changes, course: Course, begun_at: BegunAt, between: BetweenSteps) -> None:
    """Train, and record how the training ended."""
    loop = course.loop
    assert loop is not None
    taken = loop.steps_seen
    try:
        _train(changes, course, loop, begun_at, between)
        course.state = loop.stopped or "done"
    except NotFinite as error:
        assert course.recorder is not None
        assert course.noted is not None
        course.broken = True
        of = "step" if course.accumulation is None else "update"
        course.state = broken_loss(course.seq2seq, loop, course.recorder, list(course.noted.variables), of=of)
        raise FitError(course.state) from error
    except Exception as error:
        course.state = "failed"
        at_once = backend.compiled_settings(course.seq2seq.model).get("steps_per_execution") or 1
        loop.failed = isinstance(error, tf.errors.OpError) and at_once == 1
        course.failed_on = None if loop.steps_done > taken else types_of(begun_at(0))
        raise


def _train(changes: Changes, course: Course, loop: Loop, begun_at: BegunAt, between: BetweenSteps) -> None:
    """Fit; if XLA cannot compile the step as requested, start again without it."""
    model, name = course.seq2seq.model, course.seq2seq.name
    taken = loop.steps_seen
    try:
        _fit(course, loop, begun_at, between)
        return
    except tf.errors.OpError as error:
        obstacle = backend.xla_obstacle(model, error)
        if obstacle is None or loop.steps_done > taken:
            raise
    loop.put_back()
    backend.leave_xla_out(changes, model)
    backend.set_traces_aside(changes, model)
    said = f"XLA cannot compile {obstacle}: trained without it, as by compile(jit_compile=False)"
    course.accelerated = {**course.accelerated, "step": said}
    warnings.warn_explicit(said, UserWarning, f"fit {name}", 0)
    _fit(course, loop, begun_at, between)


def _fit(course: Course, loop: Loop, begun_at: BegunAt, between: BetweenSteps) -> None:
    model, plan = course.seq2seq.model, course.plan
    taken = loop.steps_seen
    epoch, within = divmod(taken, loop.steps) if taken else (0, 0)
    given = begun_at(taken if within or epoch < plan.epochs else 0)
    callbacks: list[Any] = [loop] if course.together is None else [Meeting(course.together), loop]
    if course.accumulation is not None:
        callbacks.insert(0, UpdatesTheRest(course.accumulation))
    if course.averaging is not None:
        callbacks.append(course.averaging)
    if plan.lowers_the_rate is not None:
        monitored = "val_loss" if given.validation else "loss"
        course.lowering = plateau_callback(plan.lowers_the_rate, monitor=monitored)
        callbacks.append(course.lowering)
    callbacks.append(between)
    how = {"epochs": plan.epochs, "callbacks": callbacks, "verbose": 0}
    if within:
        with Changes() as changes, changes, changes:
            changes.replace(loop, "pauses", True)
            backend.leave_averages_out(changes, model)
            rest = {"steps_per_epoch": loop.steps - within, "epochs": epoch + 1, "initial_epoch": epoch}
            model.fit(**{**given.arguments, **given.validation, **how, **rest})
        between.pause()
        epoch = plan.epochs if model.stop_training else epoch + 1
        given = begun_at(epoch * loop.steps if epoch < plan.epochs else 0)
    model.fit(**given.arguments, **given.validation, **how, initial_epoch=epoch)
