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
"""Strongest first: over several fits, the first one in this order that any fit has applies."""


class Effect(Record):
    """What one fit did to one variable; `s2s_magic.ledger.verdicts` judges it.

    Attributes
    ----------
    fit
        Number of the fit, from 1.
    model
        Key into the ledger's layers of the model that was fitted; None in older documents.
    given
        Whether the model's optimizer was given the variable, with a gradient or with None.
    connected
        Whether its gradient was not None, though perhaps zero.
    steps
        Number of steps of this fit on which an optimizer of the model was given the variable, with a gradient or None;
        for a variable that never was, the number on which an optimizer was called at all.
    with_gradient
        Number of those steps on which its gradient was finite and not zero, counted on every step.
    not_finite
        Number of those steps on which it was not finite.
    norm_before
        Euclidean norm of the variable before the fit.
    moved
        Distance between its value before the fit and its value in the model after it.
    rows_moved
        For a variable that is read by rows, such as an embedding: number of rows that the fit changed.
    verdict
        The verdict of the rules on this fit alone.
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
    """One variable over the epochs of all fits; every tuple of numbers has one per epoch.

    Attributes
    ----------
    gradient_norm
        Euclidean norm of the gradient, root mean square over the epoch's measured steps, before clipping. Zero if
        there was none.
    update_norm
        Euclidean norm of one step's change, root mean square over the epoch's measured steps.
    update_ratio
        Update norm divided by the variable's norm.
    distance
        Distance from where the variable started (see ``since``) at the end of the epoch; after the last epoch of a fit,
        that of the value left in the model.
    since
        Where ``distance`` is measured from: the variable's creation, or the first ``%%seq2seq fit`` if its creation was
        not seen or its initial value was too large to keep.
    rows_moved
        For a variable that is read by rows: number of rows that any fit changed.
    fits
        What each fit did, in order; empty in older documents.
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
    """How much of a variable's gradient came through one of the calls that use it, measured on one batch."""

    variable: str
    event: int
    norm: float
    share: float


class Run(Record):
    """One fit: its epochs, how it ended, and its cost.

    ``model`` names the fitted one of several; ``accumulate`` is the number of steps whose gradients made an update.
    """

    epochs: int
    seconds: float
    steps: int
    batch: int
    optimizer: str
    accumulate: int = 1
    interrupted: bool = False
    stopped: str | None = None
    model: str | None = None
    accelerated: dict[str, str] = Field(default_factory=dict)


class Evidence(Record):
    """Everything measured during fits: histories by epoch, evidence by variable, and the runs.

    ``history`` has one number per epoch for ``loss``, each metric and their ``val_`` twins (None if a run did not have
    it).
    """

    history: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)
    variables: dict[str, VariableEvidence] = Field(default_factory=dict)
    by_call: tuple[CallShare, ...] = ()
    runs: tuple[Run, ...] = ()
