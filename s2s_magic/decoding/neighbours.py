"""Training pairs in which the decoder was in a state like that of a step: what Seq2Seq-Vis calls nearest neighbours.

Strobelt et al., 2018, https://arxiv.org/abs/1804.09299.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data import sequences
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.decoding.inference import BATCH, Prepared, batches
from s2s_magic.decoding.model_settings import classes_of
from s2s_magic.decoding.search import Steps
from s2s_magic.decoding.sources import Sources, read
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq
from s2s_magic.told import Neighbour

MOST_PAIRS = 2_000
"""So many pairs are compared, the first ones."""


@dataclass(frozen=True)
class Pairs:
    """Training pairs as a model reads them.

    Attributes
    ----------
    source, target
        The rows; targets without start and end.
    given
        How many pairs were given; those after the first `MOST_PAIRS` are left out.
    """

    source: Sources
    target: Rows
    given: int

    @property
    def compared(self) -> str:
        """What the states were compared with, and how."""
        number = len(self.target)
        which = f"{number:,} pair{'' if number == 1 else 's'}"
        which = which if number == self.given else f"the first {number:,} of {self.given:,} pairs"
        return f"the nearest of {which}, by the cosine distance of the decoder's states while it is fed with the target"


def read_pairs(seq2seq: Seq2Seq, ready: Prepared, among: Any) -> Pairs:
    """Read training pairs.

    Parameters
    ----------
    seq2seq, ready
        The model, and what a decoding of it needs.
    among
        The sources and the targets, as for a fit.

    Raises
    ------
    DecodeError
        When they cannot be read, or are not pairs.
    """
    if not isinstance(among, tuple | list) or len(among) != 2:
        raise DecodeError("among needs two parts, the sources and the targets of the training pairs")
    source = _plain(seq2seq, among[0], "sources")
    target = _plain(seq2seq, among[1], "targets")
    if len(source) != len(target):
        raise DecodeError(f"among has {len(source):,} sources and {len(target):,} targets; expected as many of each")
    if not len(source):
        raise DecodeError("among has no pairs to compare with")
    try:
        rows = _targets(seq2seq, ready, target[:MOST_PAIRS])
    except sequences.Unreadable as error:
        raise DecodeError(f"the targets {error}".replace("NAME", "targets")) from error
    return Pairs(read(seq2seq, ready.plan.way, source[:MOST_PAIRS]), rows, len(source))


def _plain(seq2seq: Seq2Seq, value: Any, what: str) -> Any:
    try:
        found = sequences.plain(value, seq2seq.ids.padding)
        if not hasattr(found, "__len__") or isinstance(found, str):
            raise sequences.Unreadable("are no rows")
    except sequences.Unreadable as error:
        raise DecodeError(f"the {what} {error}".replace("NAME", what)) from error
    return found


def _targets(seq2seq: Seq2Seq, ready: Prepared, value: Any) -> Rows:
    """Return the ids of targets, without start, end and padding."""
    tokenizer, words, ids = seq2seq.tokenizers.get("target"), ready.plan.way.words, ready.plan.ids
    if sequences.is_text(value):
        if tokenizer is None and words is None:
            raise sequences.Unreadable(f"hold text, and {seq2seq.name} writes ids")
        texts = sequences.texts(value)
        found = Rows.of(
            [tokenizer.encode(text) for text in texts] if tokenizer is not None else _vectorized(words, texts)
        )
    elif tokenizer is not None:
        raise sequences.Unreadable(f"hold no texts, and {seq2seq.name} writes texts")
    else:
        one_hot = isinstance(value, np.ndarray) and value.ndim == 3
        found = sequences.ids(np.argmax(value, axis=-1) if one_hot else value)
    classes = classes_of(seq2seq, ready.plan.way)
    outside = (found.values < 0) | (found.values >= (classes or np.inf))
    if outside.any():
        row, place = found.place(int(np.argmax(outside)))
        raise sequences.Unreadable(
            f"have the id {found[row][place]} in row {row}, and ids are 0 to {(classes or 1) - 1}"
        )
    return Rows.of([_bare(row, ids.start, ids.end, ids.padding) for row in map(found.__getitem__, range(len(found)))])


def _vectorized(words: Any, texts: Sequence[str]) -> list[Numbers]:
    return [row[row != 0] for row in np.asarray(words(tf.constant(list(texts))))]


def _bare(row: Numbers, start: int | None, end: int | None, padding: int | None) -> Numbers:
    if end is not None and (row == end).any():
        row = row[: int(np.argmax(row == end))]
    if padding is not None:
        row = row[row != padding]
    return row[1:] if len(row) and row[0] == start and start is not None else row


def nearest_pairs(
    ready: Prepared,
    steps: Steps,
    pairs: Pairs,
    states: Sequence[Sequence[Any]],
    most: int,
    sourced: Callable[[Any], list[str]],
    name: Callable[[int], str],
) -> list[tuple[Neighbour, ...]]:
    """Return for each step of an output the pairs in which a state of the decoder is nearest to its state.

    A state is what the recurrent layers carry on (h and c of each LSTM, h of each GRU), after the id before was read
    and while the next one is scored. Its distance is the least over the positions of the pair's target, its end
    included.

    Parameters
    ----------
    ready, steps
        The model's decoding, and its decoder's steps.
    pairs
        What to compare with.
    states
        The decoder's state at each step of the output, for one row.
    most
        So many pairs of each step.
    sourced
        From what the encoder reads of a row to its tokens.
    name
        From a target's id to its token.

    Raises
    ------
    DecodeError
        When the decoder carries no state on.
    """
    wanted = _unit(np.concatenate([_vectors(steps, state) for state in states]))
    if not wanted.shape[1]:
        raise DecodeError("its decoder has no recurrent layer, and so no state to compare")
    distances = np.full((len(pairs.target), len(states)), np.inf)
    positions = np.zeros((len(pairs.target), len(states)), int)
    for numbers, batch in batches(pairs.source, BATCH):
        for position, kept, vectors in _fed(ready, steps, batch, [pairs.target[number] for number in numbers]):
            rows = np.asarray(numbers)[kept]
            found = 1 - _unit(vectors[kept]) @ wanted.T
            nearer = found < distances[rows]
            distances[rows] = np.where(nearer, found, distances[rows])
            positions[rows] = np.where(nearer, position, positions[rows])

    def neighbour(row: int, step: int) -> Neighbour:
        end = ready.plan.ids.end
        said = [*map(name, pairs.target[row].tolist()), *([] if end is None else [name(end)])]
        given = sourced(np.asarray(pairs.source.take([row]))[0])
        distance = max(float(distances[row, step]), 0.0)  # a rounding error below zero is none
        return Neighbour(row, tuple(given), tuple(said), int(positions[row, step]), distance)

    order = np.argsort(distances, axis=0, kind="stable")[:most]
    return [
        tuple(neighbour(int(row), step) for row in order[:, step] if np.isfinite(distances[row, step]))
        for step in range(len(states))
    ]


def _fed(ready: Prepared, steps: Steps, batch: Any, targets: Sequence[Numbers]) -> Any:
    """Feed targets to the decoder; yield each position, the rows that have it, and the states of all rows."""
    start, end = ready.plan.ids.start or 0, ready.plan.ids.end
    lengths = np.array([len(row) for row in targets]) + (end is not None)
    fed = np.full((len(targets), max(lengths.max(), 1)), start, np.int32)
    for place, row in enumerate(targets):
        fed[place, 1 : 1 + len(row)] = row[: fed.shape[1] - 1]
    state, step = steps.begin(tf.convert_to_tensor(batch))
    for position in range(int(lengths.max(initial=0))):
        _, state = step(tf.constant(fed[:, position]), state)
        yield position, np.flatnonzero(position < lengths), _vectors(steps, state)


def _vectors(steps: Steps, state: Sequence[Any]) -> Numbers:
    """Return what the recurrent layers carry on, float array of shape (rows, units)."""
    carried = steps.carried if steps.carried is not None else len(state) - steps.constant
    parts = [np.asarray(tf.cast(part, tf.float32)) for part in state[:carried] if len(part.shape) == 2]
    return np.concatenate(parts, axis=-1) if parts else np.zeros((1, 0))


def _unit(vectors: Numbers) -> Numbers:
    """Scale vectors to length 1; zeros stay."""
    vectors = vectors.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1))
