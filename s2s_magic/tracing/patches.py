"""Hook a recorder into Keras's base classes while a cell runs."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from s2s_magic import backend
from s2s_magic.errors import UsageError
from s2s_magic.tracing.recorder import Recorder
from s2s_magic.undoing import Changes

_MARK = "_s2s_magic_hook"


def recorded(recorder: Recorder, work: Callable[[], None]) -> None:
    """Run ``work`` while ``recorder`` is notified of constructions, calls and variables.

    Only base classes are changed: subclasses that override a method still go through it, and so do objects made
    earlier.

    Raises
    ------
    UsageError
        If another trace is running: two would count each other's calls.
    """
    if any(_is_hook(method) and _is_running(method) for method in map(_now, _hooked())):
        raise UsageError("a trace is running already: a traced cell cannot trace another one")
    unhook()
    with Changes() as changes, changes, changes:
        changes.undo_by(recorder.stop)
        changes.undo_by(unhook)
        backend.take_symbols(changes)
        backend.skip_gpu_forms(changes, only_scratch=True)
        backend.hear_variables(changes, recorder.creating)
        for place in backend.CONSTRUCTORS:
            _hook(place, _constructing(recorder, _now(place)))
        for place in backend.CALLS:
            _hook(place, _passing(recorder.calling, _now(place)))
        _hook(_ADDING, _passing(recorder.adding, _now(_ADDING)))
        work()


def _constructing(recorder: Recorder, original: Any) -> Any:
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        recorder.constructing(self)
        original(self, *args, **kwargs)

    return construct


def _passing(hear: Callable[..., Any], original: Any) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return hear(original, self, args, kwargs)

    return call


_ADDING = (backend.Layer, "add_weight")


def _hooked() -> list[tuple[type, str]]:
    return [*backend.CONSTRUCTORS, *backend.CALLS, _ADDING]


def unhook() -> None:
    """Remove our hooks from Keras's base classes; a method that the user's code has replaced since stays."""
    for owner, name in _hooked():
        method = _now((owner, name))
        if _is_hook(method):
            setattr(owner, name, method.__wrapped__)


def _now(place: tuple[type, str]) -> Any:
    return getattr(*place)


def _hook(place: tuple[type, str], hook: Any) -> None:
    setattr(*place, _like(_now(place), hook))


def _like(original: Any, hook: Any) -> Any:
    """Make ``hook`` look like ``original``: Keras reads signatures, and autograph the module."""
    functools.update_wrapper(hook, original)
    hook.__signature__ = inspect.signature(original)
    setattr(hook, _MARK, (hook, threading.get_ident()))
    return hook


def _is_hook(method: Any) -> bool:
    """Return whether a method is itself a hook: a user's decorator may have copied a hook's attributes."""
    return getattr(method, _MARK, (None,))[0] is method


def _is_running(hook: Any) -> bool:
    """Return whether a hook's trace is still running in its thread; a hook left behind does not block a new trace."""
    frame: FrameType | None = sys._current_frames().get(getattr(hook, _MARK)[1])
    while frame is not None and frame.f_code is not _CODE:
        frame = frame.f_back
    return frame is not None


_CODE = recorded.__code__
