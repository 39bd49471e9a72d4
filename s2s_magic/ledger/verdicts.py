"""What training did to a variable, in one word and in one sentence: the rules, written down here and nowhere else.

A rule looks at what one fit did: what the optimizer was really given on every step, and how far what stands in the
model after the fit is from what stood there before. It does not ask whether a layer's ``trainable`` switch is on now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isclose, sqrt
from statistics import median

from s2s_magic.ledger.evidence import Effect, VariableEvidence, Verdict
from s2s_magic.ledger.gradient import Ways, ways, why_none
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import ModelRecord, Variable
from s2s_magic.ledger.wording import listing

BARELY = 1e-3
"""Movement below this part of what the fit's variables typically moved, each relative to its size, is bare."""
ROUNDING = 1e-6
"""Movement below this part of a variable's size is barely more than rounding."""


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
        The median of that over the variables of the fit that had a gradient and moved.
    """

    effect: Effect
    in_model: bool
    meant: bool
    relative: float
    typical: float


@dataclass(frozen=True)
class Rule:
    """A verdict, when it is given in words, and the same as a test."""

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
    Rule(
        "did not move",
        "No number of it is another one after the fit than before it.",
        lambda c: c.effect.moved == 0,
    ),
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
"""In this order: the first rule that holds gives the verdict of a fit."""

STRONGEST: tuple[Verdict, ...] = (
    "trained",
    "barely moved",
    "moved without gradient",
    "own update",
    "did not move",
    "no gradient",
    "frozen",
    "not in the model",
    "not measured",
)
"""Over several fits, the verdict that comes first here of those that the fits have."""

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
"""What the rules' words mean."""


def rules_text() -> tuple[str, ...]:
    """Give the rules in words, one sentence or two each, in the order in which they are tried."""
    return (*(f"{rule.verdict}: {rule.words}" for rule in RULES), *NOTES)


def judge_all(ledger: Ledger, measured: Mapping[str, VariableEvidence]) -> dict[str, VariableEvidence]:
    """Judge every variable of a ledger by `RULES`.

    Parameters
    ----------
    ledger
        The records.
    measured
        What was measured, by variable key; verdict and text in it are not looked at.

    Returns
    -------
    dict
        For every variable of the ledger its evidence with verdicts and a sentence.
    """
    unseen = VariableEvidence(verdict="not measured", text="")
    measured = {key: measured.get(key, unseen) for key in ledger.variables}
    by_fit: dict[int, dict[str, Effect]] = {}
    for key, seen in measured.items():
        for effect in seen.fits:
            by_fit.setdefault(effect.fit, {})[key] = effect
    verdicts = {number: _verdicts(ledger, effects) for number, effects in by_fit.items()}
    found = ways(ledger)
    judged = {}
    for key, seen in measured.items():
        fits = tuple(effect.model_copy(update={"verdict": verdicts[effect.fit][key]}) for effect in seen.fits)
        judged[key] = _judged(ledger, key, seen.model_copy(update={"fits": fits}), found)
    return judged


def relative_movement(effect: Effect, variable: Variable, usual: float) -> float:
    """Divide how far a variable moved in a fit by its size before the fit, number by number.

    Parameters
    ----------
    effect
        What the fit did. Where rows of the variable moved, only those count.
    variable
        Gives the count of numbers.
    usual
        The size of one number in the model, for a variable that was all zeros.
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
        model = _fitted_in(ledger, effect)
        case = Case(
            effect=effect,
            in_model=model is not None and model.name in variable.in_models,
            meant=_meant(variable),
            relative=relative[key],
            typical=typical,
        )
        found[key] = next(rule.verdict for rule in RULES if rule.holds(case))
    return found


def _judged(ledger: Ledger, key: str, seen: VariableEvidence, found: Ways | None) -> VariableEvidence:
    variable = ledger.variables[key]
    given = {effect.verdict for effect in seen.fits}
    verdict = next((verdict for verdict in STRONGEST if verdict in given), STRONGEST[-1])
    told = _Told(ledger, key, variable, seen, [effect for effect in seen.fits if effect.verdict == verdict], found)
    sentence = f"{title(variable)} {_SAYING[verdict](told)}."
    others: dict[Verdict, list[Effect]] = {}
    for effect in seen.fits:
        if effect.verdict not in (verdict, "not measured"):
            others.setdefault(effect.verdict, []).append(effect)
    more = "".join(f" In {_fits(ledger, seen, effects)}: {other}." for other, effects in others.items())
    return seen.model_copy(update={"verdict": verdict, "text": sentence + more})


@dataclass(frozen=True)
class _Told:
    """What a sentence is made of: the variable, all that was measured of it, and the fits that have the verdict."""

    ledger: Ledger
    key: str
    variable: Variable
    seen: VariableEvidence
    fits: Sequence[Effect]
    found: Ways | None

    @property
    def steps(self) -> int:
        return sum(effect.steps for effect in self.fits)

    @property
    def why(self) -> str | None:
        """Why no gradient of the loss comes to it; None where one does."""
        return why_none(self.ledger, self.key, self.found)


def _meant(variable: Variable) -> bool:
    """Say whether a variable was made to be trained, frozen or not."""
    return variable.trainable or variable.frozen_by is not None


def title(variable: Variable) -> str:
    """Give the name by which a sentence speaks of a variable."""
    return variable.paths[0] if variable.paths else f"{variable.owner} ({variable.name})"


def _fitted_in(ledger: Ledger, effect: Effect) -> ModelRecord | None:
    """Give the model that a fit fitted; the one that is meant where that was not kept."""
    return next((model for model in ledger.models if model.object == effect.model), ledger.main_model)


def _fits(ledger: Ledger, seen: VariableEvidence, effects: Sequence[Effect]) -> str:
    """Name fits by their numbers, and by their models where several were fitted."""
    said = [str(effect.fit) for effect in effects]
    if len({effect.model for effect in seen.fits}) > 1:
        models = [_fitted_in(ledger, effect) for effect in effects]
        said = [f"{number} of {model.name}" if model else number for number, model in zip(said, models, strict=True)]
    return f"fit{'' if len(said) == 1 else 's'} {', '.join(said)}"


def _on_steps(told: _Told) -> str:
    live = sum(effect.with_gradient for effect in told.fits)
    if live == told.steps:
        return "on its only step" if live == 1 else f"on all {live:,} steps"
    return f"on {live:,} of {told.steps:,} steps"


def _gradient(told: _Told) -> str:
    norm = f", norm at most {max(told.seen.gradient_norm):.2g}" if told.seen.gradient_norm else ""
    broken = _broken(told)
    return f"gradient {_on_steps(told)}{norm}" + (f"; {broken}" if broken else "")


def _broken(told: _Told) -> str:
    count = sum(effect.not_finite for effect in told.fits)
    return f"it was not finite on {count:,} of {told.steps:,} steps" if count else ""


def _movement(told: _Told) -> str:
    seen, last = told.seen, told.seen.fits[-1]
    if not seen.distance:
        said = f"moved {last.moved:.2g}"
    else:
        since = "from its creation" if seen.since == "creation" else "since the first %%seq2seq fit"
        said = f"moved {seen.distance[-1]:.2g} {since}"
        if len(seen.fits) > 1 or not isclose(seen.distance[-1], last.moved, rel_tol=1e-3):
            said += f", {last.moved:.2g} in {'the fit' if len(seen.fits) == 1 else 'the last fit'}"
    if seen.rows_moved is not None and told.variable.shape:
        said += f"; {seen.rows_moved:,} of {told.variable.shape[0]:,} rows moved"
    return said


def _trained(told: _Told) -> str:
    alone = told.why if told.variable.regularized else None
    by = f", by its regularizer alone: {alone}" if alone else ""
    off = told.variable.frozen_by if told.seen.fits[-1].given else None
    later = f"; {off}.trainable is False now, which counts from the next compile on" if off else ""
    return f"was trained ({_gradient(told)}; {_movement(told)}{later}){by}"


def _barely(told: _Told) -> str:
    return f"barely moved ({_gradient(told)}; {_movement(told)})"


def _moved_without(told: _Told) -> str:
    why = f"; it got no gradient because {told.why}" if told.why else ""
    return (
        f"got no gradient and moved all the same ({_movement(told)}): weight decay, a constraint or momentum did "
        f"that{why}"
    )


def _own_update(told: _Told) -> str:
    by = "a training step of the model's own" if _meant(told.variable) else "the layer's own update"
    return f"was moved by {by}, not by the model's optimizer ({_movement(told)})"


def _still(told: _Told) -> str:
    if not any(effect.given for effect in told.fits):
        return "is its layer's own state, which no optimizer changes; it did not move"
    back = "; steps moved it, and after the fit it stands where it stood before" if any(told.seen.update_norm) else ""
    return f"did not move, though it got a gradient ({_gradient(told)}{back})"


def _no_gradient(told: _Told) -> str:
    why = told.why
    if not any(effect.connected for effect in told.fits):
        return f"got no gradient: {why or 'nothing the loss sees depends on it'}"
    if broken := _broken(told):
        return f"got no gradient that is of use: {broken}, and zero on the others"
    zero = f"got no gradient: it was zero on {'the only step' if told.steps == 1 else f'all {told.steps:,} steps'}"
    if why:
        return f"{zero}; {why}"
    small = ", or its numbers are too small for float16" if _has_float16(told.ledger) else ""
    return f"{zero}, though wires lead from it to the loss: on the way an activation is off or a factor is 0{small}"


def _has_float16(ledger: Ledger) -> bool:
    return any(tensor.dtype == "float16" for event in ledger.events for tensor in event.outputs)


def _frozen(told: _Told) -> str:
    if told.variable.frozen_by:
        return f"is frozen by {told.variable.frozen_by}: the optimizer was not given it, and it did not move"
    return (
        "was not given to the optimizer and did not move: it was frozen when the training step was made, or the "
        "model's own training step leaves it out; where it is to be trained now, compile the model again"
    )


def _outside(told: _Told) -> str:
    names = dict.fromkeys(model.name for effect in told.fits if (model := _fitted_in(told.ledger, effect)) is not None)
    where = listing(list(names)) if len(told.ledger.models) > 1 and names else "the model"
    return f"is not in {where}: the optimizer was not given it, and it did not move"


def _unmeasured(told: _Told) -> str:
    if not told.seen.fits:
        return "was not there, or held no numbers, when a fit began: what became of it was not measured"
    return "did not move: no step was seen on which the model's optimizer applied gradients"


_SAYING: Mapping[Verdict, Callable[[_Told], str]] = {
    "trained": _trained,
    "barely moved": _barely,
    "moved without gradient": _moved_without,
    "own update": _own_update,
    "did not move": _still,
    "no gradient": _no_gradient,
    "frozen": _frozen,
    "not in the model": _outside,
    "not measured": _unmeasured,
}
