"""What training did to each variable: plain data, joined to the ledger by the variables' keys."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from s2s_magic.ledger.records import Record

Verdict = Literal["trained", "no gradient", "did not move", "barely moved", "frozen", "not in the model"]


class VariableEvidence(Record):
    """One variable over the epochs of all fits; every tuple has one number an epoch.

    Attributes
    ----------
    gradient_norm
        Euclidean norm of the gradient, root mean square over the epoch's measured steps, before clipping. Zero where
        there was none.
    update_norm
        Euclidean norm of one step's change, root mean square over the epoch's measured steps.
    update_ratio
        Update norm divided by the variable's norm.
    distance
        Distance from where the variable stood before the first fit, at the end of the epoch.
    """

    gradient_norm: tuple[float, ...] = ()
    update_norm: tuple[float, ...] = ()
    update_ratio: tuple[float, ...] = ()
    distance: tuple[float, ...] = ()
    norm: tuple[float, ...] = ()
    verdict: Verdict
    text: str


class CallShare(Record):
    """How much of a variable's gradient came through one call of its owner, on one batch."""

    variable: str
    event: int
    norm: float
    share: float


class Run(Record):
    """One fit: its epochs, how it ended, and what it took."""

    epochs: int
    seconds: float
    steps: int
    batch: int
    optimizer: str
    interrupted: bool = False
    stopped: str | None = None
    accelerated: dict[str, str] = Field(default_factory=dict)


class Evidence(Record):
    """All that was measured while fitting: histories by epoch, evidence by variable, the runs.

    ``history`` has one number an epoch for ``loss``, each metric and their ``val_`` twins (None where a run did not
    have it).
    """

    history: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)
    variables: dict[str, VariableEvidence] = Field(default_factory=dict)
    by_call: tuple[CallShare, ...] = ()
    runs: tuple[Run, ...] = ()
