"""Verdicts are right: held against the weights before and after, and against gradients that a plain tape computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from tensorflow import keras

from s2s_magic import api
from s2s_magic.ledger import Ledger
from verdict_models import FATES, HEAD, Fate

BATCH, EPOCHS = 8, 2


def quiet(progress: Any) -> None:
    """Show nothing."""


def traced(code: str) -> Any:
    keras.utils.set_random_seed(3)
    return api.trace(HEAD + code)


def fit(seen: Any, fate: Fate, during: Any = None) -> None:
    def show(progress: Any) -> None:
        if during is not None and progress.epoch == 2:
            during(seen)

    body = f"source: S\ntarget: T\nbatch: {BATCH}\nepochs: {EPOCHS}\nshuffle: false\naccelerate: off"
    api.fit(seen, body, {"S": fate.data, "T": fate.target}, progress=show)


def held(seen: Any) -> dict[str, Any]:
    """Give what the variables hold, as float64, by the ledger's keys."""
    return {key: np.array(variable.numpy(), np.float64) for key, variable in seen.live.variables.items()}


def names(seen: Any) -> dict[str, str]:
    """Give the ledger's keys by the names of variables."""
    return {(v.paths or (v.name,))[0]: key for key, v in seen.ledger.variables.items()}


def expected(fate: Fate, name: str) -> str | None:
    found = fate.verdicts
    owner = name.rpartition(".")[0]
    return found.get(name, found.get(owner, found.get("")))


def steps_with_gradient(code: str, fate: Fate) -> dict[str, int]:
    """Train a twin by hand, and count by variable the steps on which a tape's gradient is finite and not zero."""
    twin = traced(code)
    model = twin.model
    variables = model.trainable_variables
    keys = {id(getattr(v, "_variable", v)): key for key, v in twin.live.variables.items()}
    counts = {keys[id(getattr(v, "_variable", v))]: 0 for v in variables}
    for _ in range(EPOCHS):
        for start in range(0, len(fate.data), BATCH):
            batch = tf.constant(fate.data[start : start + BATCH])
            with tf.GradientTape() as tape:
                output = model(batch, training=True)
                loss = model.compute_loss(batch, tf.constant(fate.target[start : start + BATCH]), output)
            if hasattr(model.optimizer, "compute_gradients"):
                pairs = model.optimizer.compute_gradients(loss, variables, tape)
            else:
                pairs = list(zip(tape.gradient(loss, variables), variables, strict=True))
            for gradient, variable in pairs:
                if gradient is not None:
                    exact = np.asarray(tf.convert_to_tensor(gradient), np.float64)
                    counts[keys[id(getattr(variable, "_variable", variable))]] += bool(
                        np.isfinite(exact).all() and exact.any()
                    )
            model.optimizer.apply_gradients(pairs)
    return counts


@pytest.mark.parametrize("name", FATES)
def test_a_verdict_is_what_weights_and_gradients_say(name: str) -> None:
    fate = FATES[name]
    seen = traced(fate.code)
    created = held(seen)
    if fate.before is not None:
        fate.before(seen)
    stood = [held(seen)]
    fit(seen, fate, fate.during)
    stood.append(held(seen))
    if fate.between is not None:
        fate.between(seen)
        fit(seen, fate)
        stood.append(held(seen))
    evidence = seen.evidence.variables
    said = {name: evidence[key] for name, key in names(seen).items()}
    assert {name: found.verdict for name, found in said.items()} == {
        name: expected(fate, name) or found.verdict for name, found in said.items()
    }, {name: found.text for name, found in said.items()}
    for variable, words in fate.says.items():
        assert words in said[variable].text, said[variable].text
    for key, found in evidence.items():
        assert len(found.fits) == len(stood) - 1
        for before, after, effect in zip(stood[:-1], stood[1:], found.fits, strict=True):
            moved = np.linalg.norm(after[key] - before[key])
            assert effect.moved == pytest.approx(moved, rel=1e-5), found.text
            assert (effect.moved == 0) == np.array_equal(after[key], before[key])
            assert effect.norm_before == pytest.approx(np.linalg.norm(before[key]), rel=1e-5)
            if effect.rows_moved is not None:
                assert effect.rows_moved == int((after[key] != before[key]).any(axis=1).sum())
        if found.distance:
            assert found.since == "creation"
            distance = np.linalg.norm(stood[-1][key] - created[key])
            assert found.distance[-1] == pytest.approx(distance, rel=1e-5)
            assert found.norm[-1] == pytest.approx(np.linalg.norm(stood[-1][key]), rel=1e-5)
        else:
            assert np.array_equal(stood[-1][key], stood[0][key])
    if fate.plain:
        counts = steps_with_gradient(fate.code, fate)
        assert {key: found.with_gradient for key, found in evidence.items()} == {
            key: counts.get(key, 0) for key in evidence
        }
    assert Ledger.from_dict(seen.ledger.to_dict()).training == seen.evidence
