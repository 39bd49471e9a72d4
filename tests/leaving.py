"""Interrupting a call at its lines, to check that it leaves nothing behind."""

from __future__ import annotations

import gc
import random
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow import keras
from tensorflow.python.autograph.impl.api import StagingError
from tensorflow.python.eager import context

from interrupting import Place, interrupted
from plainly import trained_state
from s2s_magic import backend
from s2s_magic.errors import SpecError
from s2s_magic.handle import Seq2Seq
from s2s_magic.tracing import run


def objects_of(model: Any) -> list[Any]:
    """Return the user's objects that a fit or a decoding touches."""
    return [*model._flatten_layers(), *([model.optimizer] if getattr(model, "optimizer", None) else [])]


def standing(seq2seq: Seq2Seq) -> dict[str, Any]:
    """Return what a call must not change: each object's attribute names, the callables among them, and the seeds."""
    eager = context.context()
    attributes = {id(one): sorted(vars(one)) for one in objects_of(seq2seq.model)}
    methods = {
        (id(one), name): value
        for one in objects_of(seq2seq.model)
        for name, value in vars(one).items()
        if callable(value)
    }
    numpy = np.random.get_state()
    return {
        "attributes": attributes,
        "methods": methods,
        "python's random state": random.getstate(),
        "numpy's random state": (numpy[1].tolist(), *numpy[2:]),
        "tensorflow's seed": (eager._seed, eager._rng.getstate() if "_rng" in vars(eager) else None),
        "who skips forms for a GPU": skipping(),
    }


def skipping() -> list[int]:
    """Return who has Keras trace no forms for a GPU: a file's fixture may, and calls must not after their end."""
    return [*map(id, getattr(sys.modules[backend.skip_gpu_forms.__module__], "_SKIPPING", ()))]


def trained_steps(seq2seq: Seq2Seq) -> int:
    """Return the number of steps that the optimizer took."""
    return int(seq2seq.model.optimizer.iterations)


def recorded_steps(seq2seq: Seq2Seq) -> int:
    """Return the number of steps in the evidence."""
    return sum(run.steps for run in seq2seq.evidence.runs) if seq2seq.evidence else 0


def stopped_by(error: BaseException | None, exception: type[BaseException]) -> bool:
    """Tell whether an error is the injected exception.

    TensorFlow turns a MemoryError in code that it converts into a StagingError whose text names it. Python's parser
    raises MemoryError for text that is nested too deeply, which then becomes a SpecError.
    """
    if exception is MemoryError and isinstance(error, StagingError):
        return "MemoryError" in str(error)
    return isinstance(error, (exception, SpecError) if exception is MemoryError else exception)


@dataclass(frozen=True)
class Left:
    """What an interrupted call left behind."""

    place: Place
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def left_behind(
    seq2seq: Seq2Seq,
    call: Callable[[], Any],
    found: Iterable[Place],
    exception: type[BaseException],
    *,
    steps: bool = True,
) -> list[Left]:
    """Interrupt a call at each of the places, and return all that it left behind.

    ``steps`` tells whether the model is compiled, so that its optimizer counts steps.
    """
    left = []
    for place in found:
        before, unknown = standing(seq2seq), trained_steps(seq2seq) - recorded_steps(seq2seq) if steps else 0
        state, done = (seq2seq.evidence, seq2seq.fitted, trained_state(seq2seq.model)), trained_steps(seq2seq)
        outcome = interrupted(call, place, exception)
        if not outcome.reached:
            left.append(Left(place, "was not reached"))
        elif not stopped_by(outcome.raised, exception):
            left.append(Left(place, f"raised {outcome.raised!r}"))
        after = standing(seq2seq)
        left += [Left(place, f"changed {name}") for name in before if before[name] != after[name]]
        if steps and trained_steps(seq2seq) - recorded_steps(seq2seq) != unknown:
            left.append(Left(place, f"{trained_steps(seq2seq)} steps done, {recorded_steps(seq2seq)} in the evidence"))
        if trained_steps(seq2seq) == done and not untouched(seq2seq, *state):
            left.append(Left(place, "took no step and changed the model or its record"))
    return left


def untouched(seq2seq: Seq2Seq, evidence: Any, fitted: Any, arrays: list[Any]) -> bool:
    """Return whether a model and its record are unchanged, to the last bit."""
    now = trained_state(seq2seq.model)
    same = len(now) == len(arrays) and all(np.array_equal(a, b) for a, b in zip(now, arrays, strict=True))
    return same and seq2seq.evidence is evidence and seq2seq.fitted is fitted


def left_by_running(call: Callable[[], Any], found: Iterable[Place], exception: type[BaseException]) -> list[Left]:
    """Interrupt a call that runs code under capture at each of the places, and return all that it left behind."""
    left = []
    for place in found:
        before = _of_the_process()
        outcome = interrupted(call, place, exception)
        if not outcome.reached:
            left.append(Left(place, "was not reached"))
        elif not stopped_by(outcome.raised, exception):
            left.append(Left(place, f"raised {outcome.raised!r}"))
        after = _of_the_process()
        left += [Left(place, f"changed {name}") for name in before if before[name] != after[name]]
        if _made_by("dense = keras.layers.Dense(1)") != ["keras.layers.Dense(1)"]:
            left.append(Left(place, "the next trace sees something else"))
    return left


def _of_the_process() -> dict[str, Any]:
    layer = keras.layers.Layer
    return {
        "Keras's methods": (layer.__init__, layer.__call__, layer.add_weight),
        "the garbage collector": gc.isenabled(),
        "the filters of warnings": list(warnings.filters),
        "who skips forms for a GPU": skipping(),
    }


def _made_by(code: str) -> list[str]:
    return [event.source for event in run(code, {"keras": keras}).ledger.events]
