"""Signals that end a fit between two steps: TensorFlow 2.21 can crash when one is raised while it converts a value."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from s2s_magic.undoing import Changes

SIGNALS = (signal.SIGINT, signal.SIGTERM)


Heed = Callable[[Callable[[], object]], None]


def heed_between_steps(changes: Changes) -> Heed:
    """Put off what handlers in Python do at a signal, until changes are undone.

    A second signal is handled at once, in whatever the process is doing then. Signals that the system handles itself,
    and those of a process whose fit runs in another thread than the first, are left alone.

    Returns
    -------
    callable
        Handles the signal that came since, if there was one; to be called between two steps. Calls its argument before.
    """
    waiting: list[Callable[[], object]] = []
    over: list[bool] = []

    def heed(first: Callable[[], object]) -> None:
        if waiting:
            first()
            waiting.pop()()

    def end() -> None:
        over.append(True)
        heed(lambda: None)  # what came after the last step

    def put_off(handler: Callable[[int, Any], object], number: int, frame: Any) -> None:
        at_once = bool(waiting or over)  # over, where something put this handler back after the fit
        waiting[:] = [partial(handler, number, frame)]
        if at_once:
            waiting.pop()()

    changes.undo_by(end)
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                changes.undo_by(partial(signal.signal, number, handler))
                signal.signal(number, partial(put_off, handler))
    return heed
