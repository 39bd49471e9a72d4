"""The progress of a fit as plain data, and a limit on how often it is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from s2s_magic.ledger.curves import Curves

PAUSE = 0.5
"""Least number of seconds between two updates."""


@dataclass(frozen=True)
class Progress:
    """The progress of a fit.

    Attributes
    ----------
    name
        The model's name.
    epoch, epochs, step, steps
        The current epoch, from 1, of ``epochs``; the steps done in it, of ``steps``.
    values
        Loss and metrics of the epoch so far, or of the last complete one.
    seconds
        Since the fit began.
    state
        ``"running"``, or how the fit ended: ``"done"``, ``"interrupted"``, or why it stopped.
    seen, pairs
        Where files are streamed: the pairs seen in the epoch, of ``pairs``; else 0.
    read
        Before the first epoch of such a fit, the pairs that were read and checked so far.
    curves
        The epochs so far, with what they did to each owner; one object for all of a fit.
    """

    name: str
    epoch: int
    epochs: int
    step: int
    steps: int
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    state: str = "running"
    seen: int = 0
    pairs: int = 0
    read: int = 0
    curves: Curves = field(default_factory=Curves)

    @property
    def fraction(self) -> float:
        """The fraction of all steps that is done."""
        return ((self.epoch - 1) * self.steps + self.step) / max(1, self.epochs * self.steps)

    @property
    def left(self) -> float | None:
        """Seconds left at the average speed so far; None before the first step."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction else None

    @property
    def pairs_a_second(self) -> float:
        """The average number of pairs in a second so far."""
        return ((self.epoch - 1) * self.pairs + self.seen) / max(self.seconds, 1e-6)

    def __str__(self) -> str:
        """Return the progress in one line."""
        if self.read:
            return f"{self.name}: {self.read:,} pairs read"
        parts = [f"{self.name}: epoch {self.epoch}/{self.epochs}"]
        if self.state == "running":
            parts.append(f"{self.seen:,} of {self.pairs:,} pairs" if self.pairs else f"step {self.step}/{self.steps}")
        parts += [f"{name} {value:.4g}" for name, value in self.values.items()]
        if self.state != "running":
            parts.append(f"{_clock(self.seconds)}, {self.state}")
        elif self.left is not None:
            parts += [f"{self.pairs_a_second:,.0f} pairs/s"] if self.pairs else []
            parts.append(f"{_clock(self.left)} left")
        return " · ".join(parts)


Show = Callable[[Progress], None]


def throttled(show: Show, pause: float = PAUSE) -> Show:
    """Limit ``show`` to one running state every ``pause`` seconds; the first and the final one are always shown."""
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
