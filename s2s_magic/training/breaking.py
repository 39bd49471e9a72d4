"""The error message of a fit whose loss became non-finite."""

from __future__ import annotations

import numpy as np

from s2s_magic.handle import Seq2Seq
from s2s_magic.training.callback import Loop
from s2s_magic.training.norms import Recorder


def broken_loss(seq2seq: Seq2Seq, loop: Loop, recorder: Recorder, keys: list[str], *, of: str) -> str:
    """Return a message that says where the loss broke, the likely cause, and which state was restored.

    ``of`` is what a gradient was of: a ``step``, or an ``update`` if several steps make one.
    """
    found = recorder.first_broken()
    cause = f"no gradient broke before it, and {_greatest(seq2seq, recorder, keys)}" if found is None else ""
    epoch = len(loop.epochs) + 1
    where = f"in epoch {epoch}"
    if found is not None:
        step, numbers = found
        names = [_variable_name(seq2seq, keys[number]) for number in numbers]
        others = f" (and of {len(names) - 1} more)" if len(names) > 1 else ""
        cause = f"the first gradient to break is that of {names[-1]}{others}, in {of} {step + 1} of epoch {epoch}"
    kept = f"the state after epoch {epoch - 1}" if epoch > 1 else "the state before the fit"
    return (
        f"the loss became non-finite {where}: {cause}; {kept} was put back, and what the model was "
        "compiled with before the fit. Try a smaller learning rate, or clipnorm=1"
    )


def _greatest(seq2seq: Seq2Seq, recorder: Recorder, keys: list[str]) -> str:
    """Name the variable with the greatest norm at the time the loss broke."""
    norms = {
        number: float(np.linalg.norm(variable.numpy().astype(np.float64)))
        for number, variable in enumerate(recorder.variables)
        if recorder.steps().given[number]
    }
    if not norms:
        return "the model has nothing to train"
    # argmax returns the first NaN if there is one
    number = list(norms)[int(np.argmax(list(norms.values())))]
    return f"the greatest weights are those of {_variable_name(seq2seq, keys[number])} (norm {norms[number]:.3g})"


def _variable_name(seq2seq: Seq2Seq, key: str) -> str:
    variable = seq2seq.ledger.variables[key]
    return variable.paths[0] if variable.paths else variable.name
