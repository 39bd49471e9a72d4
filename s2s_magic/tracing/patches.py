"""A recorder on Keras's base class, for the time of a cell."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.errors import UsageError
from s2s_magic.tracing.recorder import Recorder
from s2s_magic.undoing import Changes

_METHODS = ("__init__", "__call__", "add_weight")
_MARK = "_s2s_magic_hook"


def recorded(recorder: Recorder, work: Callable[[], None]) -> None:
    """Run ``work`` while ``recorder`` hears of constructions, calls and variables.

    Only the base class is changed: subclasses that override a method go through it all the same, and so do objects
    made earlier.

    Raises
    ------
    UsageError
        When another trace is running: two would count each other's calls.
    """
    if any(_is_hook(method) and _is_running(method) for method in _methods()):
        raise UsageError("a trace is running already: a traced cell cannot trace another one")
    unhook()
    init, call, add = _methods()

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        recorder.constructing(self)
        init(self, *args, **kwargs)

    def call_layer(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return recorder.calling(call, self, args, kwargs)

    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return recorder.adding(add, self, args, kwargs)

    with Changes() as changes, changes, changes:
        changes.undo_by(recorder.stop)
        changes.undo_by(unhook)
        changes.enter(tf.variable_creator_scope(recorder.creating))
        for name, original, hook in zip(_METHODS, (init, call, add), (construct, call_layer, add_weight), strict=True):
            setattr(backend.Layer, name, _like(original, hook))
        work()


def unhook() -> None:
    """Take our hooks off Keras's base class; a method that the user's code replaced in the meantime stays."""
    for name, method in zip(_METHODS, _methods(), strict=True):
        if _is_hook(method):
            setattr(backend.Layer, name, method.__wrapped__)


def _methods() -> list[Any]:
    return [getattr(backend.Layer, name) for name in _METHODS]


def _like(original: Any, hook: Any) -> Any:
    """Let ``hook`` look like ``original``: Keras reads signatures, and autograph the module."""
    functools.update_wrapper(hook, original)
    hook.__signature__ = inspect.signature(original)
    setattr(hook, _MARK, (hook, threading.get_ident()))
    return hook


def _is_hook(method: Any) -> bool:
    """Return whether a method is a hook itself: a decorator of the user's may have taken over its attributes."""
    return getattr(method, _MARK, (None,))[0] is method


def _is_running(hook: Any) -> bool:
    """Say whether the trace that a hook is for goes on in its thread: what an accident left is in the way of none."""
    frame: FrameType | None = sys._current_frames().get(getattr(hook, _MARK)[1])
    while frame is not None and frame.f_code is not _CODE:
        frame = frame.f_back
    return frame is not None


_CODE = recorded.__code__
