"""How far a fit is, as plain data, and how often that is passed on."""

from __future__ import annotations

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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
