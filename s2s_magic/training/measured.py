"""Turn what a recorder measured into evidence in a ledger, joined to that of earlier fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data.sequences import Numbers
from s2s_magic.handle import Fitted, Seq2Seq
from s2s_magic.ledger import Effect, Evidence, Run, VariableEvidence
from s2s_magic.ledger.verdicts import judge_all
from s2s_magic.training.callback import merged
from s2s_magic.training.norms import Epoch, Recorder

SERIES = ("gradient_norm", "update_norm", "update_ratio", "distance", "norm")

Epochs = Sequence[tuple[Mapping[str, float], Epoch]]


@dataclass(frozen=True)
class Watched:
    """The variables that a fit watches: all numeric ones in the ledger, trainable or not.

    Attributes
    ----------
    variables
        By ledger key.
    starts
        The value from which each one's distance is measured: that at its creation, else before the first fit.
    before
        The value of each when this fit began.
    """

    variables: Mapping[str, Any]
    starts: Mapping[str, Any]
    before: Mapping[str, Any]

    def recorder(self, steps: int, *, compiled: bool) -> Recorder:
        """Return the recorder of a fit with ``steps`` an epoch; ``compiled`` says whether XLA compiles them."""
        return Recorder(
            list(self.variables.values()), list(self.starts.values()), list(self.before.values()), steps, compiled
        )


def watched(seq2seq: Seq2Seq) -> Watched:
    """Return the variables of a model that was compiled for a fit, with their values before it."""
    seq2seq.refresh()  # which outputs have a loss is known only once it is compiled
    variables, starts, before = {}, {}, {}
    earlier = seq2seq.fitted.starts if seq2seq.fitted else {}
    for key, variable in seq2seq.live.variables.items():
        value = backend.value(variable)
        if value is None:
            continue
        start = seq2seq.live.starts.get(key, earlier.get(key))
        if start is None or start.shape != value.shape:
            start = value
        elif bool(tf.reduce_all(start == value)):
            value = start  # one tensor in memory, not two
        variables[key], starts[key], before[key] = variable, start, value
    return Watched(variables, starts, before)


def keep_evidence(
    seq2seq: Seq2Seq, before: Evidence, epochs: Epochs, recorder: Recorder, noted: Watched, run: Run
) -> None:
    """Join a fit, or the part of it done so far, to the evidence of earlier fits (``before``).

    Updates the model's evidence, its ledger's ``training``, and the record of rows moved by fits. ``noted`` is what
    `watched` returned before the fit; ``run`` says how the fit went.
    """
    fitted = seq2seq.ledger.main_model
    model = seq2seq.model
    idle = 0 if backend.trained_by_fit(model) or backend.has_own_step(model) else run.steps
    effects = _effects(recorder, len(before.runs) + 1, fitted.object if fitted is not None else None, idle)
    rows = _rows(seq2seq, recorder, list(noted.variables))
    norm, distance = recorder.standing()
    past = sum(r.epochs for r in before.runs)
    measured = dict(before.variables)
    for place, (key, effect) in enumerate(zip(noted.variables, effects, strict=True)):
        old = before.variables.get(key) or VariableEvidence(verdict="not measured", text="")
        series: dict[str, tuple[float, ...]] = {}
        if old.distance or effect.given or effect.moved:  # else there is nothing to draw: it has not moved
            for name in SERIES:
                values = list(getattr(old, name))
                values += [0.0] * (past - len(values))
                values += [_value(epoch, name, place) for _, epoch in epochs]
                series[name] = tuple(values)
            if epochs:  # the final values: averages or an earlier state may have replaced those of the last epoch
                series["norm"] = (*series["norm"][:-1], float(norm[place]))
                series["distance"] = (*series["distance"][:-1], float(distance[place]))
        update = {
            **series,
            "since": "creation" if key in seq2seq.live.starts else "first fit",
            "fits": (*old.fits, effect),
            "rows_moved": int(rows[key].sum()) if key in rows else None,
        }
        measured[key] = old.model_copy(update=update)
    ledger = seq2seq.ledger.with_training(None)
    seq2seq.evidence = Evidence(
        history=merged(before.history, [values for values, _ in epochs]),
        variables=judge_all(ledger, measured),
        by_call=before.by_call,
        runs=(*before.runs, run),
    )
    seq2seq.ledger = ledger.with_training(seq2seq.evidence)
    seq2seq.fitted = replace(seq2seq.fitted or Fitted(), rows=rows)


def _effects(recorder: Recorder, number: int, model: str | None, idle: int) -> list[Effect]:
    """Return what a fit of a model did to each variable up to now.

    ``idle`` is the number of steps on which Keras 3 did not call the optimizer, because there was nothing to train.
    """
    steps = recorder.steps()
    before, moved, rows = recorder.norms_before, recorder.moved(), recorder.rows_moved()
    return [
        Effect(
            fit=number,
            model=model,
            given=bool(steps.given[place]),
            connected=steps.connected[place],
            steps=int(steps.given[place]) or steps.applied or idle,
            with_gradient=int(steps.live[place]),
            not_finite=int(steps.broken[place]),
            norm_before=float(before[place]),
            moved=float(moved[place]),
            rows_moved=int(rows[place].sum()) if place in rows else None,
        )
        for place in range(len(recorder.variables))
    ]


def _rows(seq2seq: Seq2Seq, recorder: Recorder, keys: Sequence[str]) -> dict[str, Numbers]:
    """Return by key, for each variable that is read by rows, which rows any fit has moved so far."""
    found = dict(seq2seq.fitted.rows) if seq2seq.fitted else {}
    for place, moved in recorder.rows_moved().items():
        earlier = found.get(keys[place])
        found[keys[place]] = moved if earlier is None else np.logical_or(earlier, moved)
    return found


def _value(epoch: Epoch, name: str, place: int) -> float:
    if name == "update_ratio":
        norm = float(epoch.norm[place])
        return float(epoch.update[place]) / norm if norm else 0.0
    return float(getattr(epoch, name.removesuffix("_norm"))[place])
