"""Searching with several hypotheses for each row: beam search, and independent samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from s2s_magic.decoding.constraints import NEVER, Constraint
from s2s_magic.decoding.search import Step
from s2s_magic.decoding.settings import SearchSettings


class Met(NamedTuple):
    """What a beam was at each step, tensors (steps, batch, hypotheses): how to read its outputs, in or out of it.

    Attributes
    ----------
    ids, parents : tensor
        int32: the last ids of the hypotheses after a step, and which hypotheses before it they continue.
    log_probs, scores : tensor
        float32: those of the hypotheses before the step, if the end id is their next one.
    """

    ids: Any
    parents: Any
    log_probs: Any
    scores: Any


class Hypotheses(NamedTuple):
    """What a search found, best first.

    Attributes
    ----------
    ids : tensor
        int32 of shape (batch, hypotheses, steps); after its end, a row is padded with the end id.
    lengths : tensor
        int32 of shape (batch, hypotheses): the number of ids, including the end id.
    log_probs : tensor
        float32 of shape (batch, hypotheses): the sum of the natural logarithms of the ids' probabilities.
    scores : tensor
        float32 of shape (batch, hypotheses): what they are ranked by.
    met : Met or None
        What the beam was at each step, if the search was asked for it.
    """

    ids: Any
    lengths: Any
    log_probs: Any
    scores: Any
    met: Any = None


class _Beams(NamedTuple):
    """The hypotheses in flight: tensors (batch, width, ...)."""

    ids: Any
    said: Any
    log_probs: Any
    lengths: Any
    finished: Any


Advance = Callable[[Any, _Beams, Any], tuple[Any, Any, Any]]
"""From log-probabilities (batch, width, classes), the hypotheses and the time to the parents, ids and log-probabilities
of the next ones, each (batch, width)."""


Rank = Callable[[Any, Any], Any]
"""From log-probabilities and lengths, each (batch, ...), to scores."""


def by_log_probability(log_probs: Any, lengths: Any) -> Any:
    """Rank by log-probability alone."""
    return log_probs


def search(
    step: Step,
    advance: Advance,
    allowed: Constraint,
    start: Any,
    state: Sequence[Any],
    *,
    width: int,
    end: Any,
    longest: Any,
    rank: Rank = by_log_probability,
    wanted: int = 1,
    alike: bool = False,
    constant: int = 0,
    all_met: bool = False,
) -> Hypotheses:
    """Continue ``width`` hypotheses for each row until they, or the best of them, have ended.

    Rows that are done leave the batch at once.

    Parameters
    ----------
    step
        The decoder's step; its scores are log-probabilities.
    advance
        Chooses the next hypotheses.
    allowed
        Rules out ids.
    start
        The ids fed in first, int32 of shape (batch,).
    state
        The initial state of each row; tensors of shape (batch, ...).
    width
        Hypotheses for each row.
    end, longest
        As for `s2s_magic.decoding.search.greedy`.
    rank
        Gives the scores of what was found; log-probabilities unless given. They must not rise by further ids.
    wanted
        How many of the best hypotheses of each row are asked for: a row is done when these can change no more, and the
        others may then be unfinished.
    alike
        Whether all hypotheses of a row count from the start, as for samples; of a beam, only one does.
    constant
        How many of the last tensors of the state no step changes: they are the same for all hypotheses of a row.
    all_met
        Return what the beam was at each step too.
    """
    changing = len(state) - constant
    first = 0.0 if alike else NEVER
    rows = tf.range(tf.size(start))
    beams = _Beams(
        ids=tf.repeat(start[:, None], width, axis=1),
        said=tf.fill([tf.size(rows), width, longest], end),
        log_probs=tf.repeat(tf.one_hot([0], width, on_value=0.0, off_value=first), tf.size(rows), axis=0),
        lengths=tf.zeros([tf.size(rows), width], tf.int32),
        finished=tf.fill([tf.size(rows), width], False),
    )

    def body(time: Any, rows: Any, met: Sequence[Any], found: _Beams, beams: _Beams, *state: Any) -> Any:
        log_probs, after = step(tf.reshape(beams.ids, [-1]), state)
        classes = log_probs.shape[-1] or tf.shape(log_probs)[-1]
        log_probs = allowed(tf.cast(log_probs, tf.float32), tf.reshape(beams.said, [-1, longest]), time)
        log_probs = tf.reshape(log_probs, [-1, width, classes])
        parents, ids, totals = advance(log_probs, beams, time)
        if all_met:
            stopped = tf.maximum(beams.log_probs + (log_probs[:, :, end] if end >= 0 else NEVER), NEVER)
            stopped = tf.where(beams.finished, NEVER, stopped)
            seen = Met(ids, parents, stopped, rank(stopped, beams.lengths + 1))
            met = [
                table.write(time, tf.tensor_scatter_nd_update(none, rows[:, None], one))
                for table, none, one in zip(met, nothing, seen, strict=True)
            ]

        def of_parents(value: Any) -> Any:
            return tf.gather(value, parents, batch_dims=1)

        ended = of_parents(beams.finished)
        said = tf.tensor_scatter_nd_update(
            tf.transpose(of_parents(beams.said), [2, 0, 1]), [[time]], [tf.where(ended, end, ids)]
        )
        beams = _Beams(
            ids=ids,
            said=tf.transpose(said, [1, 2, 0]),
            log_probs=totals,
            lengths=of_parents(beams.lengths) + tf.cast(~ended, tf.int32),
            finished=ended | tf.equal(ids, end),
        )
        kept = tf.reshape(parents + width * tf.range(tf.size(rows))[:, None], [-1])
        after = [*(tf.gather(one, kept) for one in after[:changing]), *after[changing:]]
        done = tf.reduce_all(beams.finished, axis=1)
        if not alike:
            done |= _settled(beams, rank, wanted, longest)
        rows, *left = tf.cond(
            tf.reduce_any(done),
            lambda: _without(done, rows, found, beams, after, width),
            lambda: (rows, found, beams, *after),
        )
        return time + 1, rows, met, *left

    nothing = [tf.fill([tf.size(start), width], empty) for empty in (Met(end, 0, NEVER, NEVER) if all_met else ())]
    tables = [tf.TensorArray(one.dtype, 0, dynamic_size=True, element_shape=[None, width]) for one in nothing]
    tiled = [tf.repeat(one, width, axis=0) for one in state]
    loose = _Beams(*(tf.TensorShape([None] * len(one.shape)) for one in beams))
    _, rows, tables, found, beams, *_ = tf.while_loop(
        lambda time, rows, *_: (time < longest) & (tf.size(rows) > 0),
        body,
        [tf.constant(0), rows, tables, beams, beams, *tiled],
        shape_invariants=[
            *(tf.TensorShape([]), tf.TensorShape([None]), [tf.TensorShape([]) for _ in tables], loose, loose),
            *(tf.TensorShape([None, *one.shape[1:]]) for one in state),
        ],
        parallel_iterations=1,
    )
    beams = _put(rows, beams, found)
    scores = rank(beams.log_probs, beams.lengths)
    order = tf.argsort(scores, direction="DESCENDING", stable=True)
    said, lengths, log_probs, scores = (
        tf.gather(one, order, batch_dims=1) for one in (beams.said, beams.lengths, beams.log_probs, scores)
    )
    steps = tf.reduce_max(tf.concat([[0], tf.reshape(beams.lengths, [-1])], axis=0))
    met = Met(*(table.stack() for table in tables)) if all_met else None
    return Hypotheses(said[:, :, :steps], lengths, log_probs, scores, met)


def _settled(beams: _Beams, rank: Rank, wanted: int, longest: Any) -> Any:
    """Return for each row whether its best hypotheses have ended and none that goes on can be ranked before them.

    Log-probabilities fall with each id, so a hypothesis is at best ranked as if it had its present log-probability, at
    its present length or at the greatest.
    """
    scores = rank(beams.log_probs, beams.lengths)
    at_best = tf.maximum(scores, rank(beams.log_probs, longest * tf.ones_like(beams.lengths)))
    open_ = tf.reduce_max(tf.where(beams.finished, NEVER, at_best), axis=1)
    ended = tf.math.top_k(tf.where(beams.finished, scores, NEVER), wanted).values[:, -1]
    return ended > tf.maximum(open_, NEVER)


def _put(rows: Any, beams: _Beams, found: _Beams) -> _Beams:
    """Return all rows' hypotheses with some rows' replaced."""
    return _Beams(*(tf.tensor_scatter_nd_update(a, rows[:, None], b) for a, b in zip(found, beams, strict=True)))


def _without(done: Any, rows: Any, found: _Beams, beams: _Beams, state: Sequence[Any], width: int) -> tuple[Any, ...]:
    """Put the rows that are done to what was found; return what is left in flight."""
    (away,), (left,) = (tf.unstack(tf.where(mask), axis=1) for mask in (done, ~done))
    found = _put(tf.gather(rows, away), _Beams(*(tf.gather(one, away) for one in beams)), found)
    places = tf.reshape(width * left[:, None] + tf.range(width, dtype=tf.int64), [-1])
    beams = _Beams(*(tf.gather(one, left) for one in beams))
    return tf.gather(rows, left), found, beams, *(tf.gather(one, places) for one in state)


def penalized(settings: SearchSettings) -> Rank:
    """Return the score of a beam search: log-probabilities divided by ``((5 + length) / 6) ** length_penalty``."""

    def rank(log_probs: Any, lengths: Any) -> Any:
        if not settings.length_penalty:
            return log_probs
        return log_probs / ((5.0 + tf.cast(lengths, tf.float32)) / 6.0) ** settings.length_penalty

    return rank


def best_extensions(settings: SearchSettings, end: int) -> Advance:
    """Return the step of a beam search: the hypotheses with the highest scores, of all extensions of all of them.

    As in TensorFlow Addons' ``BeamSearchDecoder``, the length by which the end of a hypothesis is judged does not count
    the end id until the next step.
    """
    width, rank = settings.beam, penalized(settings)

    def advance(log_probs: Any, beams: _Beams, time: Any) -> tuple[Any, Any, Any]:
        classes = tf.shape(log_probs)[-1]
        # of each hypothesis, its most probable ids but the end id, and the end id
        likely, ids = tf.math.top_k(log_probs, tf.minimum(width + 1, classes))
        likely = tf.where(beams.finished[..., None] | tf.equal(ids, end), NEVER, likely)
        stop = log_probs[:, :, end] if end >= 0 else tf.fill(tf.shape(log_probs)[:2], NEVER)
        stop = tf.where(beams.finished, 0.0, stop)
        likely = tf.concat([likely, stop[..., None]], axis=-1)
        ids = tf.concat([ids, tf.fill(tf.shape(stop), end)[..., None]], axis=-1)
        totals = tf.maximum(beams.log_probs[..., None] + likely, NEVER)
        longer = ~beams.finished[..., None] & tf.not_equal(ids, end)
        scores = rank(totals, beams.lengths[..., None] + tf.cast(longer, tf.int32))
        flat = [tf.reshape(one, [tf.shape(one)[0], -1]) for one in (scores, totals, ids)]
        places = tf.math.top_k(flat[0], width).indices
        best, chosen = (tf.gather(one, places, batch_dims=1) for one in flat[1:])
        return places // tf.shape(ids)[-1], chosen, best

    return advance


def drawn(settings: SearchSettings, seed: Any, end: Any) -> Advance:
    """Return the step of a sampling: an id for each hypothesis, drawn from its probabilities.

    Temperature, top-k and top-p change what is drawn and not the log-probabilities that are returned.
    """

    def advance(log_probs: Any, beams: _Beams, time: Any) -> tuple[Any, Any, Any]:
        batch, width, classes = tf.unstack(tf.shape(log_probs))
        # an ended hypothesis can only say the end id again, at no cost
        is_end = tf.equal(tf.range(classes), end)
        log_probs = tf.where(beams.finished[..., None], tf.where(is_end, 0.0, NEVER), log_probs)
        flat = tf.reshape(log_probs, [-1, classes])
        logits = flat / settings.temperature
        if settings.top_k:
            least = tf.math.top_k(logits, tf.minimum(settings.top_k, classes)).values[:, -1:]
            logits = tf.where(logits < least, NEVER, logits)
        if settings.top_p < 1:
            order = tf.argsort(logits, direction="DESCENDING", stable=True)
            probabilities = tf.gather(tf.nn.softmax(logits), order, batch_dims=1)
            before = tf.cumsum(probabilities, axis=1, exclusive=True)
            kept = tf.gather(before < settings.top_p, tf.argsort(order), batch_dims=1)
            logits = tf.where(kept, logits, NEVER)
        ids = tf.random.stateless_categorical(logits, 1, [seed, time], tf.int32)
        totals = tf.reshape(beams.log_probs, [-1, 1]) + tf.gather(flat, ids, batch_dims=1)
        shape = [batch, width]
        parents = tf.repeat(tf.range(width)[None], batch, axis=0)
        return parents, tf.reshape(ids, shape), tf.reshape(totals, shape)

    return advance
