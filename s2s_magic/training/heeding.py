"""Signals that end a fit between two steps: TensorFlow 2.21 can crash when one is raised while it converts a value."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from s2s_magic.undoing import Changes

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Heed(Protocol):
    """Handles the signal that came since, if there was one."""

    def __call__(self, first: Callable[[], object], *, within: bool = False) -> None:
        """Call ``first``, then the handler; ``within`` says that a step has just ended, and others follow."""


class Agree(Protocol):
    """Finds out which signal came to any of several workers."""

    def __call__(self, number: int, *, within: bool) -> int:
        """Return the signal that all of them are to heed now, 0 for none; ``number`` came to this one."""


def heed_between_steps(changes: Changes, agree: Agree | None = None) -> Heed:
    """Put off what handlers in Python do at a signal, until changes are undone.

    A second signal is handled at once, in whatever the process is doing then. Signals that the system handles itself,
    and those of a process whose fit runs in another thread than the first, are left alone. With ``agree``, a signal
    that came to another worker is handled as if it had come to this one, between the same two steps.

    Returns
    -------
    callable
        To be called between two steps.
    """
    waiting: list[tuple[int, Callable[[], object]]] = []
    over: list[bool] = []

    def heed(first: Callable[[], object], *, within: bool = False) -> None:
        number = waiting[0][0] if waiting else 0
        if agree is not None:
            number = agree(number, within=within)
        if number and not waiting:
            signal.raise_signal(number)
        if number and waiting:
            first()
            handle()

    def handle() -> None:
        waiting.pop()[1]()

    def end() -> None:
        over.append(True)
        if waiting:
            handle()  # what came after the last step

    def put_off(handler: Callable[[int, Any], object], number: int, frame: Any) -> None:
        at_once = bool(waiting or over)  # over, where something put this handler back after the fit
        waiting[:] = [(number, partial(handler, number, frame))]
        if at_once:
            handle()

    changes.undo_by(end)
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                changes.undo_by(partial(signal.signal, number, handler))
                signal.signal(number, partial(put_off, handler))
    return heed
