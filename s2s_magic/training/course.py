"""How far a fit got, what of it is kept, and how an interrupted one is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import CallShare, Evidence, Run
from s2s_magic.training.accumulating import Accumulation
from s2s_magic.training.averaging import Averaging
from s2s_magic.training.callback import Loop, merged
from s2s_magic.training.measured import Watched, keep_evidence
from s2s_magic.training.norms import Recorder
from s2s_magic.training.together import Together

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


@dataclass
class Course:
    """How far a fit got, and how it ended: ``interrupted`` until another end is known.

    ``failed_on`` is a batch, or the types of batches, if its first step failed.
    """

    seq2seq: Seq2Seq
    plan: FitPlan
    before: Evidence
    state: str = "interrupted"
    broken: bool = False
    loop: Loop | None = None
    optimizer: Callable[[], str] = str
    batch: int = 0
    accelerated: Mapping[str, str] = field(default_factory=dict)
    noted: Watched | None = None
    recorder: Recorder | None = None
    accumulation: Accumulation | None = None
    averaging: Averaging | None = None
    averaged: str = ""
    lowering: Any = None
    lowered: Mapping[str, float] | None = None
    random_states: Sequence[Any] = ()
    data: str = ""
    by_call: tuple[CallShare, ...] | None = None
    together: Together | None = None
    failed_on: Any = None

    @property
    def trained(self) -> bool:
        """Whether at least one step was taken, or a fit that went on had none left."""
        loop = self.loop
        return loop is not None and (loop.steps_done > loop.steps_before or self.state not in ("interrupted", "failed"))

    def keep(self, state: str | None = None) -> None:
        """Record what was trained so far."""
        assert self.loop is not None
        assert self.recorder is not None
        assert self.noted is not None
        state = state or self.state
        run = Run(
            epochs=len(self.loop.epochs),
            seconds=self.loop.seconds,
            steps=self.loop.steps_done,
            batch=self.batch,
            optimizer=self.optimizer(),
            accumulate=self.plan.accumulate,
            interrupted=state == "interrupted",
            model=_named(self.seq2seq),
            stopped=None if state in ("done", "interrupted") else state,
            accelerated=dict(self.accelerated),
        )
        before = self.before if self.by_call is None else self.before.model_copy(update={"by_call": self.by_call})
        epochs = self.loop.epochs
        history = merged(before.history, [values for values, _ in epochs])
        # first the record alone, which stays even if the rest fails
        self.seq2seq.evidence = before.model_copy(update={"history": history, "runs": (*before.runs, run)})
        self.seq2seq.ledger = self.seq2seq.ledger.with_training(self.seq2seq.evidence)
        keep_evidence(self.seq2seq, before, epochs, self.recorder, self.noted, run)

    def interrupted(self) -> str:
        """Say in one sentence where the fit was interrupted, what is kept, and how to continue."""
        name, plan = self.seq2seq.name, self.plan
        if self.loop is None or not self.trained:
            return f"the fit of {name} was interrupted before its first step: nothing was changed"
        epoch, steps = self.loop.reached
        left = plan.epochs - epoch + (steps < self.loop.steps)
        rest = self.accumulation.rest if self.accumulation is not None else 0
        dropped = (
            f"; the gradients of its last {'batch' if rest == 1 else f'{rest} batches'} are dropped" if rest else ""
        )
        how = f"to go on, fit again with epochs: {left}" if left else "all its epochs were done"
        kept = "weights, optimizer and evidence are kept as they are now"
        if self.averaged:
            kept = f"{self.averaged}; optimizer and evidence are kept as they are now"
        return (
            f"the fit of {name} was interrupted in epoch {epoch} of {plan.epochs}, after step {steps} of "
            f"{self.loop.steps}: {kept}{dropped}; {how}"
        )


def _named(seq2seq: Seq2Seq) -> str | None:
    """Name the model to fit; None if there is only one."""
    model = seq2seq.ledger.main_model
    return model.name if model is not None and len(seq2seq.ledger.models) > 1 else None
