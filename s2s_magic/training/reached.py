"""How far a fit got: what its loop knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2s_magic.data.sequences import Numbers
from s2s_magic.training.norms import Epoch

State = list[tuple[Any, Numbers]]
"""Variables with the values to restore."""


@dataclass(frozen=True)
class Reached:
    """How far a fit got.

    Attributes
    ----------
    seconds, steps
        Its time, and its steps.
    measured
        For each finished epoch its metrics, its norms and the steps until then.
    best
        The least loss, or metric turned round where more is better, and the epoch that has it; None before the first.
    best_state
        The values after that epoch of `backend.state_of` the model; None without a patience.
    """

    seconds: float
    steps: int
    measured: tuple[tuple[dict[str, float], Epoch, int], ...]
    best: tuple[float, int] | None
    best_state: list[Numbers] | None


def put_values(state: State) -> None:
    """Restore values."""
    for variable, value in state:
        variable.assign(value)
