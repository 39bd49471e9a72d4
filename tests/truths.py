"""Holding what is said after a fit against a second reading of the weights: what stood in them before and after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from s2s_magic import backend
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger.evidence import Effect
from s2s_magic.ledger.explain import explain
from s2s_magic.view import report, to_text

STILL = {"not measured", "not in the model", "frozen", "no gradient", "did not move"}
"""Verdicts that say that no number of a variable changed."""
MOVED = {"own update", "moved without gradient", "barely moved", "trained"}


def values(traced: Seq2Seq) -> dict[str, Any]:
    """Read the present value of every variable of a traced program, by its key."""
    return {key: np.array(variable) for key, variable in traced.live.variables.items()}


def updates(model: Any) -> int | None:
    """Return how often a model's optimizer has updated; None where it leaves out steps that overflow."""
    optimizer = model.optimizer
    if optimizer is None or hasattr(optimizer, "inner_optimizer"):
        return None
    return int(np.array(optimizer.iterations))


def untrue(traced: Seq2Seq, model: Any, before: dict[str, Any], updated: int | None) -> list[str]:
    """List in words what the evidence of the last fit says otherwise than the weights do.

    Parameters
    ----------
    traced
        The program, just fitted.
    model
        The model that was fitted.
    before
        What `values` returned before the fit.
    updated
        What `updates` returned before the fit.
    """
    evidence, found = traced.evidence, []
    assert evidence is not None
    number = len(evidence.runs)
    now = updates(model)
    steps = now - updated if None not in (now, updated) else None
    listed = _identities(model.weights)
    for key, variable in traced.live.variables.items():
        said = evidence.variables[key]
        (effect,) = [effect for effect in said.fits if effect.fit == number] or [None]
        name = f"{traced.ledger.variables[key].owner}, {traced.ledger.variables[key].name}"
        if effect is None:
            found.append(f"{name}: nothing is said of fit {number}")
        elif key in before:
            told = _apart(effect, before[key], np.array(variable))
            if effect.given and steps is not None and id(backend.bare(variable)) in listed and effect.steps != steps:
                told.append(f"{effect.steps} steps, and the optimizer counts {steps}")
            if effect.with_gradient + effect.not_finite > effect.steps:
                told.append(f"{effect.with_gradient} steps with a gradient, of {effect.steps}")
            found += [f"{name}: {each} ({effect.verdict})" for each in told]
        if not said.text.startswith(traced.ledger.variables[key].owner.split(" ")[0]):
            found.append(f"{name}: {said.text}")
    found += _misplaced(traced, model)
    to_text(report(traced.ledger))
    for record in [*traced.ledger.layers.values(), *traced.ledger.variables]:
        name = record if isinstance(record, str) else record.name
        if isinstance(record, str) or record.is_written:
            explain(traced.ledger, name)
    return found


def _identities(variables: Any) -> set[int]:
    return {id(backend.bare(variable)) for variable in variables}


def _misplaced(traced: Seq2Seq, model: Any) -> list[str]:
    """Say where the ledger gives a variable to an owner or a model that does not list it, or lists it otherwise."""
    ledger, live, found = traced.ledger, traced.live, []
    weights, trained = _identities(model.weights), _identities(model.trainable_weights)
    (name,) = [record.name for record in ledger.models if live.layers[record.object] is model]
    known = {id(backend.bare(variable)) for variable in live.variables.values()}
    found += [f"nothing is said of {v.name}" for v in model.weights if id(backend.bare(v)) not in known]
    for key, variable in live.variables.items():
        said, identity = ledger.variables[key], id(backend.bare(variable))
        if (name in said.in_models) != (identity in weights):
            found.append(f"{said.owner}, {said.name}: it is {'' if identity in weights else 'not '}in {name}")
        elif identity in weights and said.trainable != (identity in trained):
            found.append(f"{said.owner}, {said.name}: trainable is {said.trainable}")
        if said.object is not None and not said.dropped:
            owner = live.layers[said.object]
            if said.tracked and identity not in _identities(owner.weights):
                found.append(f"{said.owner}, {said.name}: {owner.name} does not list it")
            parts = [part for part in backend.flattened(owner) if part is not owner and backend.is_layer(part)]
            if any(identity in _identities(part.weights) for part in parts):
                found.append(f"{said.owner}, {said.name}: a layer within {owner.name} lists it")
    return found


def _apart(effect: Effect, before: Any, after: Any) -> list[str]:
    """Say where the evidence of one variable differs from its values before and after."""
    found = []
    if before.dtype.kind not in "fiubV" or before.shape != after.shape:
        return found
    still = np.array_equal(before, after)
    first, last = before.astype(np.float64), after.astype(np.float64)
    if not (np.isfinite(first).all() and np.isfinite(last).all()):
        return found
    moved, norm = float(np.linalg.norm(last - first)), float(np.linalg.norm(first))
    otherwise = still != (effect.moved == 0) and not 0 < moved < 1e-25
    if otherwise or not np.isclose(effect.moved, moved, rtol=1e-3, atol=1e-6 * norm):
        found.append(f"moved by {effect.moved}, and its values by {moved}")
    if not np.isclose(effect.norm_before, norm, rtol=1e-3, atol=1e-12):
        found.append(f"norm {effect.norm_before} before, and that of its values was {norm}")
    if effect.verdict in (STILL if moved else MOVED) and not 0 < moved < 1e-25:
        found.append(f"it moved by {moved}")
    if effect.rows_moved is not None:
        rows = int((before != after).reshape(len(before), -1).any(axis=1).sum())
        if rows != effect.rows_moved:
            found.append(f"{effect.rows_moved} rows moved, and {rows} have other values")
    return found
