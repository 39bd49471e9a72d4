"""One display that says how far a fit is, and stays where it is when the fit is over."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

PAUSE = 0.25
"""Seconds between two updates, at least."""


@dataclass(frozen=True)
class Progress:
    """How far a fit is.

    Attributes
    ----------
    name
        The model's name.
    epoch, epochs, step, steps
        Counted from 1; ``epoch`` is the one being worked on.
    values
        Loss and metrics: of the epoch so far, or of the last whole one.
    seconds
        Since the fit began.
    state
        ``"running"``, or how it ended: ``"done"``, ``"interrupted"``, or why it stopped.
    """

    name: str
    epoch: int
    epochs: int
    step: int
    steps: int
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    state: str = "running"

    @property
    def fraction(self) -> float:
        """The part of all steps that is done."""
        return ((self.epoch - 1) * self.steps + self.step) / max(1, self.epochs * self.steps)

    @property
    def left(self) -> float | None:
        """Seconds that are left if it goes on as it did; None before the first step."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction else None

    def __str__(self) -> str:
        """Give the one line that says it all."""
        parts = [f"{self.name}: epoch {self.epoch}/{self.epochs}"]
        if self.state == "running":
            parts.append(f"step {self.step}/{self.steps}")
        parts += [f"{name} {value:.4g}" for name, value in self.values.items()]
        if self.state != "running":
            parts.append(f"{_clock(self.seconds)}, {self.state}")
        elif self.left is not None:
            parts.append(f"{_clock(self.left)} left")
        return " · ".join(parts)


Show = Callable[[Progress], None]


def throttled(show: Show, pause: float = PAUSE) -> Show:
    """Pass on at most one running state every ``pause`` seconds; the first and the final one always."""
    shown = float("-inf")

    def pass_on(progress: Progress) -> None:
        nonlocal shown
        now = time.monotonic()
        if progress.state != "running" or now - shown >= pause:
            shown = now
            show(progress)

    return pass_on


def surroundings() -> Show:
    """Choose how to show progress: a display of the notebook's, or a line in a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or type(shell).__name__ == "TerminalInteractiveShell":
        return terminal_line()
    return notebook_display()


def notebook_display() -> Show:
    """Show in one display of the running cell, which is updated in place and never wipes another."""
    from IPython.display import display

    handle = None

    def show(progress: Progress) -> None:
        nonlocal handle
        bundle = {"text/plain": str(progress), "text/html": _html(progress)}
        if handle is None:
            handle = display(bundle, raw=True, display_id=True)
        else:
            handle.update(bundle, raw=True)

    return show


def terminal_line() -> Show:
    """Show as one line on standard error; where that is no terminal, the final state alone."""
    width = 0

    def show(progress: Progress) -> None:
        nonlocal width
        over = progress.state != "running"
        line = str(progress)
        if sys.stderr.isatty():
            print("\r" + line.ljust(width), end="\n" if over else "", file=sys.stderr, flush=True)
        elif over:
            print(line, file=sys.stderr)
        width = len(line)

    return show


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _html(progress: Progress) -> str:
    bar = ""
    if progress.state == "running":
        bar = f'<progress value="{progress.fraction:.4f}" max="1" aria-label="progress of the fit"></progress> '
    return f"<div>{bar}<span>{html.escape(str(progress))}</span></div>"
