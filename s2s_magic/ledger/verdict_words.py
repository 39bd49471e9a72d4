"""The sentence about what training did to a variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose

from s2s_magic.ledger.evidence import Effect, VariableEvidence, Verdict
from s2s_magic.ledger.gradient import Ways, why_none
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import Variable
from s2s_magic.ledger.roles import ModelRecord
from s2s_magic.ledger.words import listing, plural


def sentence(told: Told, verdict: Verdict) -> str:
    """Say what became of a variable, with the numbers and the reason for its verdict."""
    others: dict[Verdict, list[Effect]] = {}
    for effect in told.seen.fits:
        if effect.verdict not in (verdict, "not measured"):
            others.setdefault(effect.verdict, []).append(effect)
    more = "".join(f" In {_fits(told, effects)}: {other}." for other, effects in others.items())
    return f"{title(told.variable)} {_SAYING[verdict](told)}.{more}"


@dataclass(frozen=True)
class Told:
    """The material of a sentence: the variable, its evidence, and the fits that have the verdict."""

    ledger: Ledger
    key: str
    variable: Variable
    seen: VariableEvidence
    fits: Sequence[Effect]
    found: Ways | None

    @property
    def steps(self) -> int:
        """Steps of those fits."""
        return sum(effect.steps for effect in self.fits)

    @property
    def why(self) -> str | None:
        """Why no gradient of the loss reaches it; None if one does."""
        return why_none(self.ledger, self.key, self.found)


def meant(variable: Variable) -> bool:
    """Return whether a variable was made to be trained, frozen or not."""
    return variable.trainable or variable.frozen_by is not None


def title(variable: Variable) -> str:
    """Return the name that a sentence uses for a variable."""
    return variable.paths[0] if variable.paths else f"{variable.owner} ({variable.name})"


def fitted_in(ledger: Ledger, effect: Effect) -> ModelRecord | None:
    """Return the model that a fit fitted; the main one if that was not recorded."""
    return next((model for model in ledger.models if model.object == effect.model), ledger.main_model)


def _fits(told: Told, effects: Sequence[Effect]) -> str:
    """Name fits by their numbers, and by model if several were fitted."""
    said = [str(effect.fit) for effect in effects]
    if len({effect.model for effect in told.seen.fits}) > 1:
        models = [fitted_in(told.ledger, effect) for effect in effects]
        said = [f"{number} of {model.name}" if model else number for number, model in zip(said, models, strict=True)]
    return f"{plural('fit', len(said))} {', '.join(said)}"


def _on_steps(told: Told) -> str:
    live = sum(effect.with_gradient for effect in told.fits)
    if live == told.steps:
        return "on its only step" if live == 1 else f"on all {live:,} steps"
    return f"on {live:,} of {told.steps:,} steps"


def _steps_and_norm(told: Told) -> str:
    norm = f", norm at most {max(told.seen.gradient_norm):.2g}" if told.seen.gradient_norm else ""
    broken = _broken(told)
    return f"{_on_steps(told)}{norm}" + (f"; {broken}" if broken else "")


def _broken(told: Told) -> str:
    count = sum(effect.not_finite for effect in told.fits)
    return f"it was not finite on {count:,} of {told.steps:,} steps" if count else ""


def _movement(told: Told) -> str:
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


def _trained(told: Told) -> str:
    alone = told.why if told.variable.regularized else None
    by = f", by its regularizer alone: {alone}" if alone else ""
    off = told.variable.frozen_by if told.seen.fits[-1].given else None
    later = f"; {off}.trainable is False now, which counts from the next compile on" if off else ""
    return f"was trained (gradient {_steps_and_norm(told)}; {_movement(told)}{later}){by}"


def _barely(told: Told) -> str:
    return f"barely moved (gradient {_steps_and_norm(told)}; {_movement(told)})"


def _moved_without(told: Told) -> str:
    why = f"; it got no gradient because {told.why}" if told.why else ""
    return (
        f"got no gradient and moved all the same ({_movement(told)}): weight decay, a constraint or momentum did "
        f"that{why}"
    )


def _own_update(told: Told) -> str:
    by = "a training step of the model's own" if meant(told.variable) else "the layer's own update"
    return f"was moved by {by}, not by the model's optimizer ({_movement(told)})"


def _still(told: Told) -> str:
    if not any(effect.given for effect in told.fits):
        return "is listed by its owner as not trainable: no optimizer was given it, and it did not move"
    back = "; steps moved it, and after the fit it stands where it stood before" if any(told.seen.update_norm) else ""
    return f"did not move, though it got a gradient ({_steps_and_norm(told)}{back})"


def _no_gradient(told: Told) -> str:
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


def _frozen(told: Told) -> str:
    if told.variable.frozen_by:
        return f"is frozen by {told.variable.frozen_by}: the optimizer was not given it, and it did not move"
    return (
        "was not given to the optimizer and did not move: it was frozen when the training step was made, or the "
        "model's own training step leaves it out; where it is to be trained now, compile the model again"
    )


def _outside(told: Told) -> str:
    names = dict.fromkeys(model.name for effect in told.fits if (model := fitted_in(told.ledger, effect)) is not None)
    where = listing(list(names)) if len(told.ledger.models) > 1 and names else "the model"
    return f"is not in {where}: the optimizer was not given it, and it did not move"


def _unmeasured(told: Told) -> str:
    if not told.seen.fits:
        return "was not there, or held no numbers, when a fit began: what became of it was not measured"
    return "did not move: no step was seen on which the model's optimizer applied gradients"


_SAYING: Mapping[Verdict, Callable[[Told], str]] = {
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
