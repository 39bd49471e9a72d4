"""Searching with several hypotheses for each row: beam search, and independent samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from s2s_magic.decoding.constraints import NEVER, Constraint
from s2s_magic.decoding.search import Step
from s2s_magic.decoding.settings import SearchSettings


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
    """

    ids: Any
    lengths: Any
    log_probs: Any
    scores: Any


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
    rank: Rank | None = None,
    alike: bool = False,
    constant: int = 0,
) -> Hypotheses:
    """Continue ``width`` hypotheses for each row until all have ended.

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
        Gives the scores of what was found; log-probabilities unless given.
    alike
        Whether all hypotheses of a row count from the start, as for samples; of a beam, only one does.
    constant
        How many of the last tensors of the state no step changes: they are the same for all hypotheses of a row.
    """
    changing = len(state) - constant
    batch = tf.size(start)
    first = 0.0 if alike else NEVER
    likely = tf.repeat(tf.one_hot([0], width, on_value=0.0, off_value=first), batch, axis=0)
    beams = _Beams(
        ids=tf.repeat(start[:, None], width, axis=1),
        said=tf.fill([batch, width, longest], end),
        log_probs=likely,
        lengths=tf.zeros([batch, width], tf.int32),
        finished=tf.fill([batch, width], False),
    )

    def body(time: Any, beams: _Beams, *state: Any) -> Any:
        flat = tf.reshape(beams.ids, [-1])
        log_probs, after = step(flat, state)
        classes = log_probs.shape[-1] or tf.shape(log_probs)[-1]
        log_probs = allowed(tf.cast(log_probs, tf.float32), tf.reshape(beams.said, [-1, longest]), time)
        log_probs = tf.reshape(log_probs, [batch, width, classes])
        is_end = tf.equal(tf.range(classes), end)
        # an ended hypothesis can only say the end id again, at no cost
        log_probs = tf.where(beams.finished[..., None], tf.where(is_end, 0.0, NEVER), log_probs)
        parents, ids, totals = advance(log_probs, beams, time)

        def of_parents(value: Any) -> Any:
            return tf.gather(value, parents, batch_dims=1)

        ended = of_parents(beams.finished)
        said = tf.tensor_scatter_nd_update(
            tf.transpose(of_parents(beams.said), [2, 0, 1]), [[time]], [tf.where(ended, end, ids)]
        )
        rows = tf.reshape(parents + width * tf.range(batch)[:, None], [-1])
        next_beams = _Beams(
            ids=ids,
            said=tf.transpose(said, [1, 2, 0]),
            log_probs=totals,
            lengths=of_parents(beams.lengths) + tf.cast(~ended, tf.int32),
            finished=ended | tf.equal(ids, end),
        )
        return time + 1, next_beams, *(tf.gather(one, rows) for one in after[:changing]), *after[changing:]

    tiled = [tf.repeat(one, width, axis=0) for one in state]
    shapes = _Beams(*(tf.TensorShape([None] * len(one.shape)) for one in beams))
    _, beams, *_ = tf.while_loop(
        lambda time, beams, *_: (time < longest) & tf.reduce_any(~beams.finished),
        body,
        [tf.constant(0), beams, *tiled],
        shape_invariants=[tf.TensorShape([]), shapes, *(tf.TensorShape([None, *one.shape[1:]]) for one in state)],
        parallel_iterations=1,
    )
    scores = beams.log_probs if rank is None else rank(beams.log_probs, beams.lengths)
    order = tf.argsort(scores, direction="DESCENDING", stable=True)
    found = [tf.gather(one, order, batch_dims=1) for one in (beams.said, beams.lengths, beams.log_probs, scores)]
    steps = tf.reduce_max(tf.concat([[0], tf.reshape(beams.lengths, [-1])], axis=0))
    return Hypotheses(found[0][:, :, :steps], *found[1:])


def penalized(settings: SearchSettings) -> Rank:
    """Return the score of a beam search: log-probabilities divided by ``((5 + length) / 6) ** length_penalty``."""

    def rank(log_probs: Any, lengths: Any) -> Any:
        if not settings.length_penalty:
            return log_probs
        return log_probs / ((5.0 + tf.cast(lengths, tf.float32)) / 6.0) ** settings.length_penalty

    return rank


def best_extensions(settings: SearchSettings, end: Any) -> Advance:
    """Return the step of a beam search: the hypotheses with the highest scores, of all extensions of all of them.

    As in TensorFlow Addons' ``BeamSearchDecoder``, the length by which the end of a hypothesis is judged does not count
    the end id until the next step.
    """
    width, rank = settings.beam, penalized(settings)

    def advance(log_probs: Any, beams: _Beams, time: Any) -> tuple[Any, Any, Any]:
        batch, _, classes = tf.unstack(tf.shape(log_probs))
        totals = tf.maximum(beams.log_probs[..., None] + log_probs, NEVER)
        longer = ~beams.finished[..., None] & tf.not_equal(tf.range(classes), end)
        scores = rank(totals, beams.lengths[..., None] + tf.cast(longer, tf.int32))
        places = tf.math.top_k(tf.reshape(scores, [batch, -1]), width).indices
        best_totals = tf.gather(tf.reshape(totals, [batch, -1]), places, batch_dims=1)
        return places // classes, places % classes, best_totals

    return advance


def drawn(settings: SearchSettings, seed: Any) -> Advance:
    """Return the step of a sampling: an id for each hypothesis, drawn from its probabilities.

    Temperature, top-k and top-p change what is drawn and not the log-probabilities that are returned.
    """

    def advance(log_probs: Any, beams: _Beams, time: Any) -> tuple[Any, Any, Any]:
        batch, width, classes = tf.unstack(tf.shape(log_probs))
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
