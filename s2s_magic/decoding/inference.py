"""Decoding sources in batches of similar length, each searched in one compiled graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data import sequences
from s2s_magic.data.costs import long_batches
from s2s_magic.data.special_ids import Edge, ids_to_decode
from s2s_magic.decoded import Decodings, Hypothesis, beside_sources
from s2s_magic.decoding.alignments import alignments
from s2s_magic.decoding.code import way_to_decode
from s2s_magic.decoding.constraints import IMPOSSIBLE
from s2s_magic.decoding.coverage import ranked, with_met
from s2s_magic.decoding.hypotheses import Hypotheses
from s2s_magic.decoding.model_settings import fitted_to
from s2s_magic.decoding.recipe import DecodingModel, Way
from s2s_magic.decoding.runners import runner
from s2s_magic.decoding.settings import SearchSettings, read_settings
from s2s_magic.decoding.sources import Sources, read, unreadable
from s2s_magic.decoding.texts import as_texts
from s2s_magic.errors import DecodeError, first_line_of
from s2s_magic.handle import Seq2Seq, SpecialIds
from s2s_magic.tracing import Traced, refresh, run
from s2s_magic.undoing import Changes

BATCH = 256
MOST_ROWS = 2_048
"""The most hypotheses in flight at once, over the rows of a batch."""
UNKNOWN_LENGTH = 50
MOST_LENGTH = 100_000
"""The largest ``max_length`` allowed: without an end id, the loop runs for all of it."""


def decode(
    seq2seq: Seq2Seq,
    sources: Any,
    *,
    max_length: int | None = None,
    start: Edge = None,
    end: Edge = None,
    **search_options: Any,
) -> Decodings:
    """Decode with the trained layer objects; see `s2s_magic.decode` for the parameters and the result.

    The decoding model is created once, by code in the user's own names that runs under capture in a copy of their
    namespace. It is kept as ``seq2seq.inference``, whose ledger shows that it created no variable. If the user's code
    has its own inference models, these are used; see `s2s_magic.decoding.code.way_to_decode`.

    The maximum length of a row is the spec's ``max_length``, else the length of the longest fitted target, else twice
    the longest source plus ten. For a model that masks no padding, each batch has rows of one length, so that its
    encoder never reads padding.

    Nothing that a next fit draws or begins with is changed: on Keras 3 a layer with dropout counts its calls, also
    those without dropout.
    """
    if search_options.get("sample") and search_options.get("seed") is None:  # each decoding draws other ids
        search_options["seed"] = int(np.random.randint(2**31 - 1))
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, seq2seq.model)
        backend.skip_gpu_forms(changes)
        ready = prepared(seq2seq, sources, max_length=max_length, start=start, end=end, **search_options)
        if ready is None:
            return Decodings([], partial(beside_sources, seq2seq, sources), lambda ids: [])
        return decoded(seq2seq, sources, ready)


def decoded(seq2seq: Seq2Seq, sources: Any, ready: Prepared) -> Decodings:
    """Run a decoding that `prepared` got ready for the same sources."""
    plan, source, settings, longest, inference = ready
    covers = settings.coverage_penalty > 0
    searched = replace(settings, n_best=settings.beam, coverage_penalty=1.0) if covers else settings
    run_batch = runner(inference, longest, searched)
    found: list[Any] = [None] * len(source.lengths)
    for numbers, batch in batches(source, max(1, min(BATCH, MOST_ROWS // settings.width))):
        try:
            parts = run_batch(batch, tf.fill([len(numbers)], plan.ids.start))
        except tf.errors.InvalidArgumentError as error:
            if plan.way.stopped is None:
                raise
            raise DecodeError(f"{seq2seq.name} {plan.way.stopped(error)}") from error
        rows = _rows(parts, searched.n_best, longest, plan.ids.end)
        for number, row in zip(numbers, with_met(rows, parts.met) if covers else rows, strict=True):
            found[number] = row
    ids = plan.ids
    attended = partial(alignments, seq2seq, plan.way, source, start=ids.start or 0, end=ids.end, most=longest)
    if covers:
        found = ranked(found, settings.coverage_penalty, settings.n_best, attended)
    texts = iter(as_texts(seq2seq, plan.way, [ids for row in found for ids, *_ in row]))
    n_best = [[Hypothesis(next(texts), tuple(ids), *rated) for ids, *rated in row] for row in found]
    return Decodings(n_best, partial(beside_sources, seq2seq, sources), attended)


@dataclass(frozen=True)
class _Plan:
    """How a model is decoded, the ids that rows start and end with, and notes for the reader."""

    way: Way
    ids: SpecialIds
    notes: tuple[str, ...]


class Prepared(NamedTuple):
    """What a decoding needs: the plan, the rows, the checked settings, the most ids of an output, and the model."""

    plan: _Plan
    source: Sources
    settings: SearchSettings
    longest: int
    inference: DecodingModel


def prepared(
    seq2seq: Seq2Seq,
    sources: Any,
    *,
    max_length: int | None = None,
    start: Edge = None,
    end: Edge = None,
    **search_options: Any,
) -> Prepared | None:
    """Read the sources and settings of a decoding and make its model; None if there are no sources. See `decode`."""
    settings = read_settings(search_options)
    _check_length(max_length)
    try:
        value = sequences.plain(sources, seq2seq.ids.padding)
    except sequences.Unreadable as error:
        raise unreadable(error) from error
    _check_vocabulary(seq2seq)
    plan = _planned(seq2seq, start, end)
    if hasattr(value, "__len__") and not len(value):
        return None
    source = read(seq2seq, plan.way, value)
    longest = _bounded(seq2seq, plan.way, source, max_length)
    settings = fitted_to(seq2seq, plan.way, settings, longest)
    return Prepared(plan, source, settings, longest, _inference(seq2seq, plan, longest))


def _bounded(seq2seq: Seq2Seq, way: Way, source: Sources | None, max_length: int | None) -> int:
    """Return the most ids of an output."""
    if max_length is None:
        return way.longest if way.longest is not None else _longest(seq2seq, source)
    if way.longest is not None and max_length > way.longest:
        raise DecodeError(
            f"{seq2seq.name} gives rows of {way.longest} ids; max_length can only be smaller", "max_length"
        )
    return int(max_length)


def ready_for_any(
    seq2seq: Seq2Seq, *, max_length: int | None = None, start: Edge = None, end: Edge = None
) -> tuple[DecodingModel, int]:
    """Return the decoding model, and the most ids of an output, for sources that are not known yet.

    Raises
    ------
    DecodeError
        When the model cannot be decoded, has no vocabulary yet for the texts that it reads, or an option does not fit.
    """
    _check_length(max_length)
    _check_vocabulary(seq2seq)
    plan = _planned(seq2seq, start, end)
    longest = _bounded(seq2seq, plan.way, None, max_length)
    return _inference(seq2seq, plan, longest), longest


def _rows(parts: Hypotheses, n_best: int, longest: int, end: int | None) -> Iterator[list[tuple[Any, ...]]]:
    """Yield for each row its hypotheses: ids without the end id, log-probability and score."""
    ids, lengths = parts.ids.numpy(), parts.lengths.numpy()
    rated = [None if part is None else part.numpy() for part in (parts.log_probs, parts.scores)]
    for row in range(len(ids)):
        found = []
        for place in range(min(n_best, ids.shape[1])):
            numbers = [None if part is None else float(part[row, place]) for part in rated]
            if place == 0 or numbers[0] is None or numbers[0] > IMPOSSIBLE:
                said = ids[row, place, : min(lengths[row, place], longest)].tolist()
                found.append((_ended(said, end), *numbers))
        yield found


def _check_length(length: int | None) -> None:
    whole = isinstance(length, int | np.integer) and not isinstance(length, bool)
    if length is not None and not (whole and 1 <= length <= MOST_LENGTH):
        raise DecodeError(f"max_length is {length!r}; expected a whole number from 1 to {MOST_LENGTH}", "max_length")


def _check_vocabulary(seq2seq: Seq2Seq) -> None:
    if "source" in seq2seq.ids.tokens and "source" not in seq2seq.tokenizers:
        said = f"the sources cannot be read before the first fit, which counts the vocabulary of {seq2seq.name}"
        raise DecodeError(said, "source")


def _longest(seq2seq: Seq2Seq, source: Sources | None) -> int:
    if seq2seq.spec is not None and seq2seq.spec.max_length is not None:
        return seq2seq.spec.max_length
    if seq2seq.fitted is not None and seq2seq.fitted.longest is not None:
        return seq2seq.fitted.longest
    return UNKNOWN_LENGTH if source is None else 2 * source.longest + 10


def _planned(seq2seq: Seq2Seq, start: Edge, end: Edge) -> _Plan:
    way = way_to_decode(seq2seq)
    said = (way.note,) if way.note else ()
    own = way.takes == "sources"
    for name, given in (("start", start), ("end", end)):
        if given is not None and (own or (name == "end" and way.steps is None and way.note)):
            raise DecodeError(f"{seq2seq.name} is {way.note}: --{name} has no place there", name)
    if own:
        return _Plan(way, SpecialIds(start=0, end=way.end), said)
    ids, taken = ids_to_decode(seq2seq, way.words, way.source, start=start, end=end)
    return _Plan(way, ids if way.end is None else replace(ids, end=way.end), (*said, *taken))


def inference_model(
    seq2seq: Seq2Seq, *, max_length: int | None = None, start: Edge = None, end: Edge = None
) -> DecodingModel:
    """Return the decoding model, with its own ledger; it is created again only when its code has changed.

    Parameters
    ----------
    seq2seq
        The trained model.
    max_length
        The most ids to decode; by default the spec's, else the length of the longest fitted target, else 50.
    start, end
        As for `decode`.

    Raises
    ------
    DecodeError
        When the model cannot be decoded, or ``max_length`` is out of range.
    """
    _check_length(max_length)
    longest = _longest(seq2seq, None) if max_length is None else int(max_length)
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, seq2seq.model)
        return _inference(seq2seq, _planned(seq2seq, start, end), longest)


def _inference(seq2seq: Seq2Seq, plan: _Plan, longest: int) -> DecodingModel:
    before, code = seq2seq.inference, plan.way.code(longest, plan.ids.end)
    if isinstance(before, DecodingModel) and before.source == code and before.trained is seq2seq.model:
        before.ids, before.notes = plan.ids, plan.notes
        return before
    traced = run(
        code,
        dict(seq2seq.namespace),
        name=seq2seq.name,
        before=Traced(ledger=seq2seq.ledger, live=seq2seq.live, namespace=seq2seq.namespace),
        title="decoding",
    )
    if traced.error is not None:
        if isinstance(traced.error, Exception):
            said = first_line_of(traced.error)
            raise DecodeError(f"the decoding model of {seq2seq.name} cannot be made: {said}") from traced.error
        raise traced.error
    made = traced.ledger.changed(chosen=traced.ledger.models[-1].name)  # not the trained model
    seq2seq.inference = DecodingModel(
        name=f"{seq2seq.name}.inference",
        ledger=refresh(made, traced.live),
        live=traced.live,
        source=code,
        namespace=traced.namespace,
        ids=plan.ids,
        tokenizers=seq2seq.tokenizers,
        trained=seq2seq.model,
        notes=plan.notes,
        way=plan.way,
    )
    return seq2seq.inference


def batches(source: Sources, size: int) -> list[tuple[Sequence[int], Any]]:
    """Sort rows by length and cut them into batches; if lengths cannot be mixed, a batch has one length.

    Rows that are much longer than most get batches of their own, so that no other row is padded to their length.
    """
    alone = long_batches(source.lengths, size) if source.mixed else []
    order = np.argsort(source.lengths, kind="stable")
    order = order[~np.isin(order, np.concatenate(alone))] if alone else order
    lengths = source.lengths[order]
    edges = [0] if source.mixed else [0, *(np.flatnonzero(np.diff(lengths)) + 1)]
    spans = zip(edges, [*edges[1:], len(order)], strict=True)
    cut = [order[at : min(at + size, stop)] for start, stop in spans for at in range(start, stop, size)]
    return [(numbers.tolist(), source.take(numbers.tolist())) for numbers in [*cut, *alone]]


def _ended(row: list[int], end: int | None) -> list[int]:
    return row[: row.index(end)] if end in row else row
