"""Take down where a fit stands between two steps, and go on from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from s2s_magic import backend
from s2s_magic.data.sequences import Numbers
from s2s_magic.errors import FitError
from s2s_magic.ledger import Evidence, VariableEvidence
from s2s_magic.training.course import Course
from s2s_magic.training.measured import SERIES
from s2s_magic.training.norms import Epoch
from s2s_magic.training.reached import Reached
from s2s_magic.training.standing import Standing

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

Snapshot = tuple[Standing, Mapping[str, Numbers]]
"""Where a fit stands, and its arrays by name."""

_FREE = (
    *("epochs", "log", "checkpoint", "resume", "seed", "verb", "given", "places"),
    *("source", "target", "data", "inputs", "decoder_input", "lengths"),
)
"""What a fit may change when it goes on: the names of its data are free, since the data are compared."""
_NORMS = ("gradient", "update", "norm", "distance")
_LOWERING = ("wait", "best", "cooldown_counter")


def body_of(plan: FitPlan) -> dict[str, str]:
    """Return what a fit may not change when it goes on, as text by key."""
    values = {key: getattr(plan, key) for key in type(plan).model_fields if key not in _FREE}
    return {key: str(value) for key, value in values.items() if value != type(plan).model_fields[key].default}


def taken_down(course: Course) -> Snapshot:
    """Return where a fit stands, which is between two steps."""
    loop, recorder, noted = course.loop, course.recorder, course.noted
    assert loop is not None
    assert recorder is not None
    assert noted is not None
    reached = loop.reached_so_far()
    groups: dict[str, Mapping[str, Numbers]] = {
        "recorder": recorder.arrays(),
        "metrics": _numbered(variable.numpy() for variable in _metrics(course)),
        "random": _numbered(np.asarray(state.numpy()) for state in course.random_states),
        "best": _numbered(reached.best_state or ()),
        "measured": {name: np.array([getattr(norms, name) for _, norms, _ in reached.measured]) for name in _NORMS},
    }
    if course.averaging is not None:
        groups["averaging"] = course.averaging.arrays()
    standing = Standing(
        body=body_of(course.plan),
        seed=course.plan.seed or 0,
        data=course.data,
        steps=loop.steps,
        taken=reached.steps,
        seconds=reached.seconds,
        ends=[done for *_, done in reached.measured],
        values=[dict(values) for values, *_ in reached.measured],
        best=None if reached.best is None else [*reached.best],
        lowering=None if course.lowering is None else _state_of(course.lowering),
    )
    arrays = {f"{group}/{name}": each for group, found in groups.items() for name, each in found.items()}
    return standing, {name: np.asarray(each, order="C") for name, each in arrays.items()}


def check_goes_on(plan: FitPlan, standing: Standing) -> None:
    """Compare a body with the one that a fit began with.

    Raises
    ------
    FitError
        With each key that is another.
    """
    now = body_of(plan)
    keys = [key for key in {**standing.body, **now} if standing.body.get(key) != now.get(key)]
    said = [f"{key} was {standing.body.get(key, 'not given')}, and is {now.get(key, 'not given')} now" for key in keys]
    if plan.seed is not None and plan.seed != standing.seed:
        said.append(f"seed was {standing.seed}, and is {plan.seed} now")
    finished = len(standing.ends)
    if plan.epochs < finished:
        said.append(f"{finished} epochs are done, and the body has {plan.epochs}")
    if said:
        raise FitError(f"the fit cannot go on from {plan.resume}, which has another body: {'; '.join(said)}")


def go_on(course: Course, snapshot: Snapshot, first: Callable[[], Any]) -> None:
    """Set a fit that is about to train to where it stood; its model has the variables of then already.

    ``first`` returns a batch.

    Raises
    ------
    FitError
        When the data are others, or the arrays are not those of this fit.
    """
    standing, arrays = snapshot
    loop, recorder, plan = course.loop, course.recorder, course.plan
    assert loop is not None
    assert recorder is not None
    if (standing.data, standing.steps) != (course.data, loop.steps):
        raise FitError(
            f"the fit cannot go on from {plan.resume}: its data were others; then an epoch had {standing.steps:,} "
            f"steps, and now it has {loop.steps:,}"
        )
    groups: dict[str, dict[str, Numbers]] = {}
    for name, each in arrays.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = each
    state = backend.state_of(course.seq2seq.model)
    _check_alike(plan, recorder.arrays(), {"recorder": groups.get("recorder", {})})
    best = _in_order(groups.get("best", {}))
    measured = [groups.get("measured", {}).get(name, np.zeros((0, 0))) for name in _NORMS]
    epochs = [Epoch(*norms) for norms in zip(*measured, strict=True)]
    if len(epochs) != len(standing.ends) or len(standing.values) != len(epochs) or len(best) not in (0, len(state)):
        raise _other(plan)
    loop.go_on(
        Reached(
            standing.seconds,
            standing.taken,
            tuple(zip(standing.values, epochs, standing.ends, strict=True)),
            None if standing.best is None else (float(standing.best[0]), int(standing.best[1])),
            best or None,
        )
    )
    recorder.take(groups["recorder"])
    _assign(plan, course.random_states, _in_order(groups.get("random", {})))
    if course.averaging is not None:
        course.averaging.take(groups.get("averaging", {}))
    course.lowered = standing.lowering
    if not standing.taken - (standing.ends[-1] if standing.ends else 0):
        return
    left = [_in_order(groups.get("metrics", {}))]

    def within_epoch() -> None:
        if left:
            metrics = left.pop()
            recorder.take(groups["recorder"])
            if len(_metrics(course)) != len(metrics):
                backend.make_metrics(course.seq2seq.model, first())
            _assign(plan, _metrics(course), metrics)

    loop.after_beginning = within_epoch


def lowering_goes_on(course: Course) -> None:
    """Restore what lowers the learning rate, which begins anew whenever Keras begins to train."""
    if course.lowering is not None and course.lowered is not None:
        vars(course.lowering).update({name: course.lowered[name] for name in _LOWERING if name in course.lowered})


def lowering_pauses(course: Course) -> None:
    """Note the state of what lowers the learning rate, for `lowering_goes_on`."""
    if course.lowering is not None:
        course.lowered = _state_of(course.lowering)


def _state_of(lowering: Any) -> dict[str, float]:
    found = {name: getattr(lowering, name) for name in _LOWERING}
    return {name: float(value) for name, value in found.items() if value is not None}


def without_last_run(evidence: Evidence | None) -> Evidence:
    """Return evidence as it was before its last run."""
    if evidence is None or len(evidence.runs) < 2:
        return Evidence()
    runs = evidence.runs[:-1]
    past = sum(run.epochs for run in runs)

    def earlier(found: VariableEvidence) -> VariableEvidence:
        series = {name: getattr(found, name)[:past] for name in SERIES}
        fits = tuple(effect for effect in found.fits if effect.fit <= len(runs))
        return found.model_copy(update={**series, "fits": fits})

    variables = {key: earlier(found) for key, found in evidence.variables.items()}
    return Evidence(
        history={name: values[:past] for name, values in evidence.history.items() if any(values[:past])},
        variables={key: found for key, found in variables.items() if found.fits},
        by_call=evidence.by_call,
        runs=runs,
    )


def _metrics(course: Course) -> list[Any]:
    return [variable for metric in backend.metrics_of(course.seq2seq.model) for variable in metric.variables]


def _numbered(values: Any) -> dict[str, Numbers]:
    return {str(number): value for number, value in enumerate(values)}


def _in_order(arrays: Mapping[str, Numbers]) -> list[Numbers]:
    return [arrays[str(number)] for number in range(len(arrays))]


def _assign(plan: FitPlan, variables: Sequence[Any], values: Sequence[Numbers]) -> None:
    if [tuple(backend.shape_of(each) or ()) for each in variables] != [value.shape for value in values]:
        raise _other(plan)
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _check_alike(plan: FitPlan, present: Mapping[str, Numbers], saved: Mapping[str, Mapping[str, Numbers]]) -> None:
    counts = {name: each.shape for name, each in present.items() if not name.startswith(("before.", "by_rows"))}
    found = {name: each.shape for name, each in saved["recorder"].items() if name in counts}
    if counts != found:
        raise _other(plan)


def _other(plan: FitPlan) -> FitError:
    return FitError(f"the fit cannot go on from {plan.resume}: what was counted there is of another model")
