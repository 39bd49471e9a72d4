"""What training did to each variable: plain data, joined to the ledger by the variables' keys."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from s2s_magic.ledger.records import Record

Verdict = Literal[
    "trained",
    "barely moved",
    "moved without gradient",
    "own update",
    "did not move",
    "no gradient",
    "frozen",
    "not in the model",
    "not measured",
]
"""The strongest first: over several fits, the first of those that they have stands."""


class Effect(Record):
    """What one fit did to one variable; see `s2s_magic.ledger.verdicts` for what is made of it.

    Attributes
    ----------
    fit
        Which fit, from 1.
    model
        Key into the ledger's layers of the model that was fitted; None in documents from before it was kept.
    given
        Whether the model's optimizer was given the variable, with a gradient or with None.
    connected
        Whether it was given a gradient at all: not None, though perhaps zero.
    steps
        On how many steps of this fit an optimizer of the model's was given the variable, with a gradient or with None;
        for one that never was given, on how many one was asked at all.
    with_gradient
        On how many of those steps the variable's gradient was finite and not zero. Counted on every step.
    not_finite
        On how many of them it was not finite.
    norm_before
        Euclidean norm of the variable before the fit.
    moved
        Distance between what it was before the fit and what stands in the model after it.
    rows_moved
        Of a variable that is read by rows, such as an embedding: rows that are not what they were before the fit.
    verdict
        What the rules make of this fit alone.
    """

    fit: int
    model: str | None = None
    given: bool
    connected: bool
    steps: int
    with_gradient: int
    not_finite: int = 0
    norm_before: float
    moved: float
    rows_moved: int | None = None
    verdict: Verdict = "did not move"


class VariableEvidence(Record):
    """One variable over the epochs of all fits; every tuple of numbers has one an epoch.

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
        Distance from where the variable started (see ``since``), at the end of the epoch; after the last epoch of a
        fit, that of what the fit left in the model.
    since
        What ``distance`` counts from: the variable's creation, or the first ``%%seq2seq fit`` where its creation was
        not seen or its first value too large to keep.
    rows_moved
        Of a variable that is read by rows: rows that any fit changed.
    fits
        What each fit did, in order; empty in documents from before it was kept.
    """

    gradient_norm: tuple[float, ...] = ()
    update_norm: tuple[float, ...] = ()
    update_ratio: tuple[float, ...] = ()
    distance: tuple[float, ...] = ()
    norm: tuple[float, ...] = ()
    since: Literal["creation", "first fit"] = "first fit"
    rows_moved: int | None = None
    fits: tuple[Effect, ...] = ()
    verdict: Verdict
    text: str

    @property
    def steps(self) -> int:
        """Steps of all fits."""
        return sum(effect.steps for effect in self.fits)

    @property
    def with_gradient(self) -> int:
        """Steps of all fits on which the gradient was finite and not zero."""
        return sum(effect.with_gradient for effect in self.fits)


class CallShare(Record):
    """How much of a variable's gradient came through one of the calls that use it, on one batch."""

    variable: str
    event: int
    norm: float
    share: float


class Run(Record):
    """One fit: its epochs, how it ended, and what it took; ``model`` is the name of the one fitted, of several."""

    epochs: int
    seconds: float
    steps: int
    batch: int
    optimizer: str
    interrupted: bool = False
    stopped: str | None = None
    model: str | None = None
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
