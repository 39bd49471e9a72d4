"""From measured norms to a ledger's evidence, and to a verdict in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from s2s_magic.ledger import Ledger, Variable, VariableEvidence, Verdict

BARELY = 1e-3
"""Movement below this part of what the model's variables typically moved, each relative to its norm, is bare."""
ROUNDING = 1e-6
"""A movement below this part of the variable's norm is barely more than rounding."""


def judged(ledger: Ledger, key: str, measured: VariableEvidence | None, typical: float) -> VariableEvidence:
    """Judge one variable of a ledger.

    Parameters
    ----------
    ledger, key
        The ledger, and the variable's key in it.
    measured
        Its norms by epoch; None where it was not among those the training step updates.
    typical
        The median distance that the model's variables moved, each relative to its norm.
    """
    variable = ledger.variables[key]
    model = ledger.main_model
    if model is None or model.name not in variable.in_models:
        return _say("not in the model", f"{_title(variable)} is not in the model, so no fit can reach it.")
    if measured is None or not variable.trainable:
        by = f" by {variable.frozen_by}" if variable.frozen_by else ""
        return _with(measured, "frozen", f"{_title(variable)} is frozen{by}: fitting leaves it as it is.")
    if not measured.distance:
        return _with(measured, "did not move", f"{_title(variable)}: no epoch was measured.")
    gradient, distance = max(measured.gradient_norm), measured.distance[-1]
    if gradient == 0.0:
        return _with(
            measured, "no gradient", f"{_title(variable)} got no gradient: nothing the loss sees depends on it."
        )
    numbers = f"gradient norm at most {gradient:.2g}, moved {distance:.2g} from its start"
    if max(measured.distance) == 0.0:
        return _with(
            measured, "did not move", f"{_title(variable)} did not move, though it got a gradient ({numbers})."
        )
    relative = distance / measured.norm[-1] if measured.norm[-1] else np.inf
    if relative < max(ROUNDING, BARELY * typical):
        return _with(measured, "barely moved", f"{_title(variable)} barely moved ({numbers}).")
    return _with(measured, "trained", f"{_title(variable)} was trained ({numbers}).")


def judge_all(ledger: Ledger, measured: Mapping[str, VariableEvidence]) -> dict[str, VariableEvidence]:
    """Judge every variable of a ledger; ``measured`` holds those that the training step updates."""
    relative = [m.distance[-1] / m.norm[-1] for m in measured.values() if m.distance and m.norm[-1]]
    typical = float(np.median(relative)) if relative else 1.0
    return {key: judged(ledger, key, measured.get(key), typical) for key in ledger.variables}


def _title(variable: Variable) -> str:
    return variable.paths[0] if variable.paths else f"{variable.owner} ({variable.name})"


def _say(verdict: Verdict, text: str) -> VariableEvidence:
    return VariableEvidence(verdict=verdict, text=text)


def _with(measured: VariableEvidence | None, verdict: Verdict, text: str) -> VariableEvidence:
    if measured is None:
        return _say(verdict, text)
    return measured.model_copy(update={"verdict": verdict, "text": text})
