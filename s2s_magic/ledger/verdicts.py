"""The rules that decide what training did to a variable, as a verdict and a sentence; they are nowhere else.

A rule looks at one fit: what the optimizer was actually given on every step, and the distance between the values in the
model before and after the fit. It does not look at a layer's present ``trainable`` switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, sqrt
from statistics import median
from typing import get_args

from s2s_magic.ledger.evidence import Effect, VariableEvidence, Verdict
from s2s_magic.ledger.explanation import Explanation
from s2s_magic.ledger.gradient import Ways, ways
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import Variable
from s2s_magic.ledger.verdict_words import Told, fitted_in, meant, sentence
from s2s_magic.ledger.words import listing

BARELY = 1e-3
"""Movement below this fraction of the fit's typical movement, relative to each variable's size, counts as bare."""
ROUNDING = 1e-6
"""Movement below this fraction of a variable's size is barely more than rounding."""


@dataclass(frozen=True)
class Case:
    """What a rule looks at.

    Attributes
    ----------
    effect
        What one fit did to the variable.
    in_model
        Whether the model has the variable.
    meant
        Whether the variable was made to be trained, frozen or not.
    relative
        How far it moved, divided by its size before the fit; see `relative_movement`.
    typical
        The median of ``relative`` over the fit's variables that had a gradient and moved.
    """

    effect: Effect
    in_model: bool
    meant: bool
    relative: float
    typical: float


@dataclass(frozen=True)
class Rule:
    """A verdict, with its condition in words and as a test."""

    verdict: Verdict
    words: str
    holds: Callable[[Case], bool]


RULES: tuple[Rule, ...] = (
    Rule(
        "not measured",
        "The fit ended before the optimizer applied a gradient, or the training step does not use the model's "
        "optimizer; and no number of the variable changed.",
        lambda c: c.effect.steps == 0 and c.effect.moved == 0,
    ),
    Rule(
        "not in the model",
        "The model does not have the variable, the optimizer was not given it, and no number of it changed.",
        lambda c: not c.effect.given and c.effect.moved == 0 and not c.in_model,
    ),
    Rule(
        "frozen",
        "It was made to be trained, the optimizer was not given it, and no number of it changed.",
        lambda c: not c.effect.given and c.effect.moved == 0 and c.meant,
    ),
    Rule(
        "own update",
        "The optimizer was not given it, and it changed: the layer itself did that, as batch normalization does with "
        "its averages, or a training step of the model's own.",
        lambda c: not c.effect.given and c.effect.moved > 0,
    ),
    Rule(
        "no gradient",
        "The optimizer was given it, on every step its gradient was None or zero, and no number of it changed.",
        lambda c: c.effect.given and c.effect.with_gradient == 0 and c.effect.moved == 0,
    ),
    Rule(
        "moved without gradient",
        "On every step its gradient was None or zero, and it changed: weight decay, a constraint or the optimizer's "
        "momentum did that.",
        lambda c: c.effect.given and c.effect.with_gradient == 0,
    ),
    Rule("did not move", "No number of it is another one after the fit than before it.", lambda c: c.effect.moved == 0),
    Rule(
        "barely moved",
        f"It had a gradient, and moved by less than {ROUNDING:g} of its size, or by less than {BARELY:g} of what the "
        "fit's variables typically moved, each relative to its size.",
        lambda c: c.relative < max(ROUNDING, BARELY * c.typical),
    ),
    Rule(
        "trained",
        "On at least one step the optimizer was given a gradient of it that was finite and not zero, and it moved by "
        "more than that.",
        lambda c: True,
    ),
)
"""Tried in this order: the first rule that holds decides the verdict of a fit."""

STRONGEST: tuple[Verdict, ...] = get_args(Verdict)
"""Over several fits, the first of these that any fit has is the verdict."""

NOTES = (
    "What is counted: on every step, whether the gradient that the optimizer was given is finite, and whether it is "
    "zero: before clipping, and however small or large its numbers are.",
    "What is measured: the distance between what stood in the model before a fit and what stands there after it, with "
    "moving averages or an earlier state put in place. A variable's size is its norm before the fit; for one that was "
    "all zeros it is the median size of the others, number by number. Of an embedding, only the rows that moved count.",
    "Over several fits, the strongest of their verdicts stands, in the order "
    + ", ".join(verdict for verdict in STRONGEST)
    + "; the sentence says in which fit it was another one.",
)
"""The meaning of the terms in the rules."""


def explain_verdicts(ledger: Ledger) -> Explanation:
    """Explain how a verdict is decided, and list a ledger's verdicts with the number of variables of each."""
    counts: dict[str, int] = {}
    for seen in ledger.training.variables.values() if ledger.training is not None else ():
        counts[seen.verdict] = counts.get(seen.verdict, 0) + 1
    found = listing([f"{count:,} {verdict}" for verdict, count in counts.items()])
    return Explanation(
        subject="verdicts",
        kind="rules",
        sentences=(
            f"Of the variables of {ledger.name}: {found}." if counts else f"{ledger.name} was not fitted here yet.",
            "What one fit did to a variable is judged by these rules: the first that is true gives the verdict.",
            *NOTES,
        ),
        rows=tuple((rule.verdict, rule.words) for rule in RULES),
    )


def judge_all(ledger: Ledger, measured: Mapping[str, VariableEvidence]) -> dict[str, VariableEvidence]:
    """Judge every variable of a ledger by `RULES`; return the evidence, by key, with verdicts and a sentence.

    Verdicts and sentences already in ``measured`` are ignored.
    """
    unseen = VariableEvidence(verdict="not measured", text="")
    measured = {key: measured.get(key, unseen) for key in ledger.variables}
    by_fit: dict[int, dict[str, Effect]] = {}
    for key, seen in measured.items():
        for effect in seen.fits:
            by_fit.setdefault(effect.fit, {})[key] = effect
    verdicts = {number: _verdicts(ledger, effects) for number, effects in by_fit.items()}
    judged = {}
    through: dict[str | None, Ways | None] = {}
    for key, seen in measured.items():
        fits = tuple(effect.model_copy(update={"verdict": verdicts[effect.fit][key]}) for effect in seen.fits)
        given = {effect.verdict for effect in fits}
        verdict = next((verdict for verdict in STRONGEST if verdict in given), STRONGEST[-1])
        seen = seen.model_copy(update={"fits": fits, "verdict": verdict})
        same = [effect for effect in fits if effect.verdict == verdict]
        fitted = same[-1].model if same else None
        if fitted not in through:
            through[fitted] = ways(ledger, fitted_in(ledger, same[-1]) if same else None)
        told = Told(ledger, key, ledger.variables[key], seen, same, through[fitted])
        judged[key] = seen.model_copy(update={"text": sentence(told, verdict)})
    return judged


def relative_movement(effect: Effect, variable: Variable, usual: float) -> float:
    """Return a variable's movement in a fit divided by its size before the fit, per number.

    Only rows that moved count, where any did. ``usual`` is the usual size of a number in the model, for a variable that
    was all zeros.
    """
    params = max(1, variable.params)
    size = effect.norm_before / sqrt(params) or usual
    counted = params
    if effect.rows_moved and variable.shape:
        counted = effect.rows_moved * params // max(1, variable.shape[0] or 1)
    return effect.moved / (size * sqrt(max(1, counted))) if size else inf


def _verdicts(ledger: Ledger, effects: Mapping[str, Effect]) -> dict[str, Verdict]:
    """Judge one fit."""
    sizes = [
        effect.norm_before / sqrt(max(1, ledger.variables[key].params))
        for key, effect in effects.items()
        if effect.given and effect.norm_before
    ]
    usual = median(sizes) if sizes else 1.0
    relative = {key: relative_movement(effect, ledger.variables[key], usual) for key, effect in effects.items()}
    moved = [relative[key] for key, effect in effects.items() if effect.with_gradient and effect.moved]
    typical = median(moved) if moved else 1.0
    found = {}
    for key, effect in effects.items():
        variable = ledger.variables[key]
        model = fitted_in(ledger, effect)
        case = Case(
            effect=effect,
            in_model=model is not None and model.name in variable.in_models,
            meant=meant(variable),
            relative=relative[key],
            typical=typical,
        )
        found[key] = next(rule.verdict for rule in RULES if rule.holds(case))
    return found
