"""Fitting one program by Keras and by this package, and saying where the two differ."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

import s2s_magic
from addons import run_plainly
from forgetting import gradients_forgotten
from kerases import KERAS3
from programs import Program
from s2s_magic.errors import Seq2SeqError
from truths import untrue, updates, values

SEED, FITS = 11, 2
"""Of each of the fits in a row.

It is the same one for all: Keras keeps the step that it traced in the first fit, and with it the seeds of the random
numbers in it, so that another seed would change the order of the rows and nothing else.
"""

CLOSE = {"float64": 1e-9, "float32": 1e-5, "half": 0.05}
"""How far numbers may be apart, relative to the largest of their array.

Half precision keeps three digits (bfloat16 two), and each of a few steps rounds anew in another order.
"""
LEAST = {"float64": 1e-4, "float32": 1e-2, "half": 0.1}
"""Arrays whose largest number is smaller than this are compared as if it were this one."""


NEARLY = 4
"""How much nearer to Keras's numbers those from a change in the weights' last digit may be and count as no nearer."""


@dataclass(frozen=True)
class State:
    """What there is after the fits of a program: every number that a fit can change."""

    history: list[dict[str, list[float]]]
    weights: list[Any]
    optimizer: list[Any]
    accelerated: dict[str, str]
    draws_in_a_loop: bool = False


class Refused(Exception):
    """What this package said instead of fitting."""


class Untrue(Exception):
    """What was said of the fit, and is not so."""


class Invalid(Exception):
    """A program that Keras itself cannot fit."""


@contextlib.contextmanager
def fresh() -> Iterator[None]:
    """Start from Keras's own settings, and go back to them."""
    try:
        keras.backend.clear_session()
        keras.utils.set_random_seed(3)
        yield
    finally:
        keras.backend.set_floatx("float32")
        keras.mixed_precision.set_global_policy("float32" if KERAS3 else None)  # which is that of floatx
        tf.config.optimizer.set_jit(False)


def by_keras(program: Program, *, nudged: bool = False) -> State:
    """Run a program and fit it twice with ``Model.fit``, where asked from weights that differ in their last digit."""
    with fresh():
        names: dict[str, Any] = {"__name__": "__main__"}
        try:
            run_plainly(program.code, names)
            if nudged:
                _nudge(names["model"])
            history = []
            for number in range(FITS):
                if number:
                    exec(program.between, names)
                keras.utils.set_random_seed(SEED)
                history.append(eval(program.fit_code(number), names).history)
        except Exception as error:
            raise Invalid(_in_one_line(error)) from error
        return _state(names["model"], history, {})


def _nudge(model: Any) -> None:
    for variable in model.weights:
        value = variable.numpy()
        if value.dtype in (np.float32, np.float64):
            variable.assign(np.nextafter(value, np.inf, dtype=value.dtype))


def by_us(program: Program, accelerate: bool) -> State:
    """Trace a program and fit it twice with this package."""
    with fresh():
        names: dict[str, Any] = {}
        traced = s2s_magic.trace(program.code, names)
        model = names["model"]
        told: dict[str, str] = {}
        epochs, history = 0, []
        for number in range(FITS):
            if number:
                exec(program.between, names)
            before, stood, updated = [v.numpy() for v in model.weights], values(traced), updates(model)
            body = f"{program.body(number)}seed: {SEED}\naccelerate: {'on' if accelerate else 'off'}\n"
            try:
                s2s_magic.fit(traced, body, names, progress=lambda _: None)
            except Seq2SeqError as error:
                if any(not np.array_equal(v.numpy(), b) for v, b in zip(model.weights, before, strict=True)):
                    raise RuntimeError(f"refused after it had trained: {error}") from error
                if "\n" in str(error):
                    raise RuntimeError(f"refused in more than one line: {error}") from error
                raise Refused(str(error)) from error
            told = dict(traced.evidence.runs[-1].accelerated) if traced.evidence else {}
            if wrong := untrue(traced, model, stood, updated):
                raise Untrue("; ".join(wrong[:6]))
            history.append({key: list(values[epochs:]) for key, values in traced.history.items()})
            epochs += program.epochs
        return _state(model, history, told)


def _state(model: Any, history: list[dict[str, list[float]]], accelerated: dict[str, str]) -> State:
    variables = model.optimizer.variables
    variables = variables() if callable(variables) else variables
    return State(history, _named(model.weights), _named(variables), accelerated, _draws_in_a_loop(model))


def _draws_in_a_loop(model: Any) -> bool:
    """Say whether Keras draws dropout within a loop over time, where several steps are in flight and numbers vary."""
    if KERAS3:  # which draws one mask for all steps, outside the loop
        return False
    layers = list(model._flatten_layers())
    outside = {id(layer.cell) for layer in layers if getattr(layer, "_could_use_gpu_kernel", False)}
    cells = [layer for layer in layers if hasattr(layer, "recurrent_dropout") and not hasattr(layer, "cell")]
    return any((cell.dropout or cell.recurrent_dropout) and id(cell) not in outside for cell in cells)


def _named(variables: Any) -> list[tuple[str, Any]]:
    return [(v.name, v.numpy()) for v in variables]


def differences(ours: State, theirs: State, dtype: str) -> list[str]:
    """List in words where two states are apart."""
    found: list[str] = []
    for number, (mine, other) in enumerate(zip(ours.history, theirs.history, strict=True), start=1):
        if mine.keys() != other.keys():
            found.append(f"fit {number} has {sorted(mine)}, and Keras's {sorted(other)}")
        for key in mine.keys() & other.keys():
            # in half precision, one row may be counted otherwise by an accuracy
            least = 1.0 if dtype == "half" else LEAST[dtype]
            found += _apart(f"{key} of fit {number}", np.array(mine[key]), np.array(other[key]), dtype, least)
    for what in ("weights", "optimizer"):
        mine, other = getattr(ours, what), getattr(theirs, what)
        if len(mine) != len(other):
            found.append(f"{len(mine)} variables of the {what}, and Keras's {len(other)}")
            continue
        for (name, value), (_, expected) in zip(mine, other, strict=True):
            found += _apart(name, value, expected, dtype, LEAST[dtype])
    return found


def _apart(name: str, ours: Any, theirs: Any, dtype: str, least: float) -> list[str]:
    if ours.shape != theirs.shape or ours.dtype.kind != theirs.dtype.kind:
        return [f"{name} is {ours.dtype}{ours.shape}, and Keras's {theirs.dtype}{theirs.shape}"]
    if ours.dtype.kind not in "fV":
        return [] if np.array_equal(ours, theirs) else [f"{name} is {ours}, and Keras's {theirs}"]
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return [f"{name} is {a}, and Keras's {b}"]
    apart = np.nanmax(np.abs(a - b), initial=0.0)
    scale = max(np.nanmax(np.abs(b), initial=0.0), least)
    return [] if apart <= CLOSE[dtype] * scale else [f"{name} is {apart / scale:.2g} off, of {scale:.3g}"]


def _distance(one: State, other: State, dtype: str) -> float:
    """Give how far the numbers of two states are apart at most, relative to the largest of their array."""
    pairs = zip([*one.weights, *one.optimizer], [*other.weights, *other.optimizer], strict=True)
    return max(
        (
            float(np.nanmax(np.abs(np.float64(a) - np.float64(b)), initial=0.0))
            / max(float(np.nanmax(np.abs(np.float64(b)), initial=0.0)), LEAST[dtype])
            for (_, a), (_, b) in pairs
            if b.dtype.kind in "fV" and a.shape == b.shape
        ),
        default=0.0,
    )


def _in_one_line(error: BaseException) -> str:
    told = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {told[0]} ... {told[-1]}"[:400]


@dataclass(frozen=True)
class Outcome:
    """How one program ended, and the details in words.

    Ends are ``same``, ``differs``, ``untrue`` (what is said of the fit), ``refused``, ``fails`` and ``invalid``.
    """

    program: Program
    ended: str
    details: str = ""
    accelerated: bool | None = None
    told: tuple[str, ...] = ()

    def __str__(self) -> str:
        how = {True: "accelerated", False: "not accelerated", None: "by Keras"}[self.accelerated]
        program = self.program
        seeded = [f"keras.utils.set_random_seed({SEED})\n{program.fit_code(number)}\n" for number in range(FITS)]
        twice = f"{program.between}\n".join(seeded)
        return f"{self.ended}, {how}: {self.details}\n{program.code}{twice}# in words:\n{program.body(0)}"


def reported(outcomes: list[Outcome]) -> str:
    """Count how programs ended, in words."""
    counts = Counter(outcome.ended for outcome in outcomes)
    return ", ".join(f"{count} {ended}" for ended, count in counts.most_common())


def _beyond_comparison(program: Program, ours: State, theirs: State, times: int = 4) -> str | None:
    """Say why the numbers of a program are nobody's to compare: where Keras itself does not come to them again.

    A gradient that is zero but for rounding, as that of a shift before a batch normalization, makes Adam go either way.
    """
    if theirs.draws_in_a_loop or any(differences(by_keras(program), theirs, program.dtype) for _ in range(times)):
        return "Keras itself gives other numbers another time"
    if NEARLY * _distance(by_keras(program, nudged=True), theirs, program.dtype) >= _distance(
        ours, theirs, program.dtype
    ):
        return "Keras itself goes as far from its numbers when weights differ in their last digit"
    return None


def compared(program: Program, ways: tuple[bool, ...] = (True, False)) -> list[Outcome]:
    """Fit a program by Keras and by this package, accelerated or not, and compare."""
    with gradients_forgotten():
        return _compared(program, ways)


def _compared(program: Program, ways: tuple[bool, ...]) -> list[Outcome]:
    try:
        theirs = by_keras(program)
    except Invalid as error:
        return [Outcome(program, "invalid", str(error))]
    if not all(np.isfinite(value).all() for _, value in theirs.weights if value.dtype.kind == "f"):
        return [Outcome(program, "invalid", "Keras's own numbers are not finite")]
    found = []
    for accelerate in ways:
        state = random.getstate()
        try:
            ours = by_us(program, accelerate)
        except Refused as error:
            found.append(Outcome(program, "refused", str(error), accelerate))
            continue
        except Untrue as error:
            found.append(Outcome(program, "untrue", str(error), accelerate))
            continue
        except Exception as error:
            found.append(Outcome(program, "fails", _in_one_line(error), accelerate))
            continue
        finally:
            random.setstate(state)
        apart = differences(ours, theirs, program.dtype)
        if apart and (reason := _beyond_comparison(program, ours, theirs)):
            found.append(Outcome(program, "invalid", reason))
            continue
        told = tuple(sorted(set(ours.accelerated.values())))
        found.append(Outcome(program, "differs" if apart else "same", "; ".join(apart[:6]), accelerate, told))
    return found
