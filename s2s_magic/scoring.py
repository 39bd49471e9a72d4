"""Scoring a model: its outputs beside references, and its probabilities for the tokens of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from s2s_magic import backend
from s2s_magic.errors import DataError, DecodeError, Fault, LookupFailed
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.data.lookup import Desk
    from s2s_magic.decoded import Decodings
    from s2s_magic.decoding.inference import Prepared
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.scored import Bad, Scored
    from s2s_magic.scores.measures import Compared, Measured, Numbers
    from s2s_magic.spec import FitPlan, ScorePlan


def score(model: Seq2Seq, body: str, namespace: Mapping[str, Any], *, first_line: int = 1) -> Scored:
    """Score a model on sources and their references; nothing about the model is changed.

    Outputs are decoded as `s2s_magic.decode` does, and measured beside the references: ``exact``, ``bleu``, ``chrf``,
    ``ter``, ``wer`` and ``per``, for which see `s2s_magic.scores.measures.of_outputs`. ``token_accuracy`` and
    ``perplexity`` are of the tokens of the first reference, each after the true ones before it (teacher forcing);
    padding does not count, and the perplexity is the exponential of the mean cross-entropy that ``Model.evaluate``
    gives. A model over ids is scored too: its ids are words, with blanks between them.

    Parameters
    ----------
    model
        The result of `build` or `trace`.
    body
        The keys of a score, in YAML: ``source``, ``target``, ``metrics`` and so on. Where ``target`` names several
        variables, each row has as many references; an empty text in a further one means that the row has none there.
    namespace
        Where the names in the body are looked up.
    first_line
        The line number of the body's first line, for faults.

    Returns
    -------
    Scored
        The metrics with 95 % intervals, the outputs, and the worst of them.

    Raises
    ------
    SpecError
        When the body cannot be read.
    DataError
        When the data, or an option of the search, do not fit the model.
    DecodeError
        When the model cannot be decoded.
    SetupError
        When a metric needs a library that is not installed, or Keras computes with another backend than TensorFlow.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}")
    >>> found = s2s_magic.score(model, "{source: X, target: Y, metrics: [exact]}", {"X": [[3, 4]], "Y": [[8, 8, 8]]})
    >>> found.rows, list(found.scores)
    (1, ['exact'])
    """
    from s2s_magic.scores.measures import check_installed
    from s2s_magic.spec import parse_score

    backend.check_runs_on_tensorflow("scoring")
    plan = parse_score(body, first_line=first_line)
    if model.model is None:
        raise DecodeError(f"{model.name} has no model to score: its cell ended before a Model was made")
    check_installed(plan.metrics)
    model.refresh()
    with Changes() as changes, changes, changes:
        try:
            changes.enter(model.chosen(plan.model))
        except LookupFailed as error:
            raise DataError([Fault(*plan.place_of("model"), str(error))]) from error
        backend.keep_as_it_runs(changes, model.model)
        return _scored(model, plan, namespace)


def _scored(model: Seq2Seq, plan: ScorePlan, namespace: Mapping[str, Any]) -> Scored:
    from s2s_magic.data.lookup import Desk
    from s2s_magic.decoding.comparing import compared
    from s2s_magic.decoding.inference import decoded
    from s2s_magic.scored import Score, Scored
    from s2s_magic.scores.measures import HIGHER_IS_BETTER, measure
    from s2s_magic.scores.resampling import intervals

    desk = Desk(model, _as_fit(plan), namespace)
    sources, targets = _read(desk, plan)
    ready, obstacle = _ready(model, plan, sources)
    references = [] if ready is None else _references(desk, plan, ready, targets)
    metrics, tokens, notes = _tokens(model, plan, namespace)
    outputs = None if ready is None else decoded(model, sources, ready)
    found = None if outputs is None else compared(outputs, references)
    measured = measure(metrics, found, tokens and tokens(), plan.bootstrap, plan.seed)
    ends = intervals(measured, plan.bootstrap, plan.seed) if plan.bootstrap else [(None, None)] * len(measured)
    worst: tuple[Bad, ...] = ()
    if ready is not None and outputs is not None and found is not None:
        worst = _worst(model, plan.worst, sources, found, measured)
        notes += _notes_of_outputs(model, plan, ready, outputs, found)
    return Scored(
        model.name,
        len(sources),
        {
            one.name: Score(one.total, low, high, one.signature, one.name in HIGHER_IS_BETTER)
            for one, (low, high) in zip(measured, ends, strict=True)
        },
        worst,
        tuple(outputs or ()),
        (*notes, *obstacle, *_notes_of_weights(model)),
    )


def _as_fit(plan: ScorePlan) -> FitPlan:
    """Return the plan of a fit on the first reference, with the places of the score's keys."""
    from s2s_magic.scores.measures import FORCED
    from s2s_magic.spec import FitPlan

    forced = [f"metrics.{number}" for number, name in enumerate(plan.metrics) if name in FORCED]
    places = {**plan.places, "target": plan.place_of("target.0")}
    if forced and "metrics" in plan.given:  # a fault in what the inputs are derived from
        places.setdefault("inputs", plan.place_of(forced[0]))
    return FitPlan(
        source=None if plan.inputs else plan.source,
        target=plan.target[0],
        inputs=plan.inputs,
        shuffle=False,
        verb="score",
        given=plan.given,
        places=places,
    )


def _read(desk: Desk, plan: ScorePlan) -> tuple[Any, list[Any]]:
    """Look up the sources and the references, and check their numbers."""
    sources = desk.value("source", plan.source)
    targets = [desk.value(f"target.{number}", name) for number, name in enumerate(plan.target)]
    desk.raise_faults()
    if not len(sources):
        desk.fault("source", f"{plan.source} holds no rows to score")
    for number, (name, target) in enumerate(zip(plan.target, targets, strict=True)):
        if len(target) != len(sources):
            said = (
                f"{name} has {len(target)} rows, and the source {plan.source} {len(sources)}: give a reference for each"
            )
            desk.fault(f"target.{number}", said)
    desk.raise_faults()
    return sources, targets


def _ready(model: Seq2Seq, plan: ScorePlan, sources: Any) -> tuple[Prepared | None, list[str]]:
    """Prepare the decoding; what is wrong with a key is a fault at its place.

    Where only tokens are scored, a model that cannot be decoded has no outputs; the second result says why.
    """
    from s2s_magic.decoding.inference import prepared
    from s2s_magic.scores.measures import FORCED

    search = {**plan.search, **({"seed": plan.seed} if plan.search.get("sample") else {})}
    try:
        ready = prepared(model, sources, max_length=plan.max_length, start=plan.start, end=plan.end, **search)
    except DecodeError as error:
        if error.about in plan.given:
            raise DataError([Fault(*plan.place_of(error.about), str(error).removeprefix("--"))]) from error
        if "metrics" in plan.given and all(name in FORCED for name in plan.metrics):
            return None, [f"no outputs: {error}"]
        raise
    assert ready is not None
    return ready, []


def _references(desk: Desk, plan: ScorePlan, ready: Prepared, targets: Sequence[Any]) -> list[list[str]]:
    from s2s_magic.data.lookup import Asked
    from s2s_magic.decoding.comparing import references_of

    found: list[list[str]] = []
    for number, (name, value) in enumerate(zip(plan.target, targets, strict=True)):
        found.append(desk.reading(Asked(f"target.{number}", name), partial(references_of, desk.seq2seq, ready, value)))
    desk.raise_faults()
    return found


def _tokens(
    model: Seq2Seq, plan: ScorePlan, namespace: Mapping[str, Any]
) -> tuple[Sequence[str], Callable[[], Numbers] | None, list[str]]:
    """Return the metrics, what measures the tokens if a metric needs it, and notes on that."""
    from s2s_magic.data.reader import prepare
    from s2s_magic.scores.measures import FORCED
    from s2s_magic.training.forcing import forcing, obstacle_to_forcing

    forced = [name for name in plan.metrics if name in FORCED]
    if not forced:
        return plan.metrics, None, []
    fit = _as_fit(plan)
    try:
        table = prepare(model, fit, namespace).train
        obstacle = obstacle_to_forcing(model, table)
    except DataError as error:
        if any(fault.line for fault in error.faults):
            raise
        obstacle = str(error)  # nothing says what feeds an input, and no metric that needs it was asked for
    if obstacle is not None and "metrics" in plan.given:
        places = [plan.place_of(f"metrics.{number}") for number, name in enumerate(plan.metrics) if name in FORCED]
        raise DataError(Fault(*place, f"{obstacle}: leave out {' and '.join(forced)}") for place in places)
    if obstacle is not None:
        return [name for name in plan.metrics if name not in FORCED], None, [f"no {' and '.join(forced)}: {obstacle}"]
    several = [f"{' and '.join(forced)}: of the first reference, {plan.target[0]}"] if len(plan.target) > 1 else []
    return plan.metrics, forcing(model, fit, table), several


def _worst(model: Seq2Seq, most: int, sources: Any, found: Compared, measured: Sequence[Measured]) -> tuple[Bad, ...]:
    """Return the worst outputs, of those that equal none of their references."""
    from s2s_magic.decoded import as_text
    from s2s_magic.scored import Bad
    from s2s_magic.scores.differences import closest, differences

    wrong = [row for row, output in enumerate(found.outputs) if output not in found.of_row(row)]
    wrong.sort(key=lambda row: [-one.loss_of_row(row) for one in measured])
    tokenizer = model.tokenizers.get("target")
    by_letter = tokenizer is not None and tokenizer.unit == "char"
    return tuple(
        Bad(
            row,
            as_text(sources[row]),
            found.outputs[row],
            tuple(found.of_row(row)),
            {one.name: one.of_row(one.statistics[row]) for one in measured},
            differences(found.outputs[row], closest(found.outputs[row], found.of_row(row)), by_letter=by_letter),
        )
        for row in wrong[:most]
    )


def _notes_of_outputs(
    model: Seq2Seq, plan: ScorePlan, ready: Prepared, outputs: Decodings, found: Compared
) -> list[str]:
    """Return what a reader should know of the outputs."""
    notes = [note.replace("--", "") for note in ready.plan.notes]  # an option there, a key here
    texts = [name for name in plan.metrics if name in ("bleu", "chrf", "ter", "wer", "per")]
    if found.of_ids and texts:
        notes.append(f"{model.name} writes ids: for {', '.join(texts)} each id is a word, and none is split further")
    cut = sum(len(ids) >= ready.longest for ids in outputs.ids)
    if cut and ready.plan.ids.end is not None:
        notes.append(f"{cut} of {len(outputs)} outputs did not end by max_length, {ready.longest}, and were cut there")
    return notes


def _notes_of_weights(model: Seq2Seq) -> list[str]:
    import numpy as np

    broken = [
        model.ledger.variables[key].paths[0]
        for key, variable in model.live.variables.items()
        if backend.floats(variable) and not np.isfinite(np.asarray(variable.numpy(), np.float64)).all()
    ]
    return [f"not finite are weights of {', '.join(broken[:3])}{'' if len(broken) < 4 else ' and others'}"] * bool(
        broken
    )
