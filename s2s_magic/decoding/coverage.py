"""The coverage penalty: outputs that a beam met are ranked lower for each part of the source that was passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from s2s_magic.decoded import Alignment
from s2s_magic.decoding.constraints import IMPOSSIBLE
from s2s_magic.decoding.hypotheses import Met

Row = list[tuple[Any, ...]]
"""The outputs of one source: ids, log-probability and score."""
_LEAST = 1e-9
"""The least coverage of a position, so that one that was not looked at at all costs a finite amount."""
AT_ONCE = 8
"""How many outputs of a source are looked at in one go: what is computed together costs less than what it spares."""


def coverage(alignments: Sequence[Alignment]) -> float:
    """Return the sum over a source's positions of log(min(what the steps' weights add up to, 1)), at most 0.

    Wu et al., 2016, https://arxiv.org/abs/1609.08144, equation 14. Several attention layers count by their mean.
    """
    sums = [np.asarray(one.weights, float).sum(axis=0) for one in alignments]
    return float(np.mean([np.log(np.clip(one, _LEAST, 1.0)).sum() for one in sums]))


def with_met(rows: Iterable[Row], met: Met) -> Iterator[Row]:
    """Add to what a beam ended with, for each source, all outputs that it met: each hypothesis, ended at each step.

    So an output is not lost that had to leave the beam for more probable ones before its coverage was looked at.
    """
    ids, parents, log_probs, scores = (np.asarray(table) for table in met)
    for number, row in enumerate(rows):
        found = {tuple(said): (said, *rated) for said, *rated in row}
        said = np.zeros((ids.shape[2], 0), ids.dtype)
        for time in range(len(ids)):
            for place in np.flatnonzero(log_probs[time, number] > IMPOSSIBLE):
                rated = float(log_probs[time, number, place]), float(scores[time, number, place])
                found.setdefault(tuple(said[place].tolist()), (said[place].tolist(), *rated))
            said = np.concatenate([said[parents[time, number]], ids[time, number][:, None]], axis=1)
        yield list(found.values())


def ranked(
    rows: Sequence[Row],
    weight: float,
    wanted: int,
    attended: Callable[[list[tuple[int, Sequence[int]]]], list[list[Alignment]]],
) -> list[Row]:
    """Return the ``wanted`` best outputs of each source by their scores and ``weight`` times their coverage.

    ``attended`` maps the numbers of sources and outputs of them to the outputs' alignments. Coverage is at most 0, so
    outputs are looked at by falling scores, some of each source at a time, until no other can be among the best.
    """
    waiting = [sorted(row, key=lambda one: one[-1]) for row in rows]
    best: list[Row] = [[] for _ in rows]
    while True:
        looked = [
            (number, left.pop())
            for number, (left, found) in enumerate(zip(waiting, best, strict=True))
            for _ in range(AT_ONCE)
            if left and (len(found) < wanted or left[-1][-1] > found[-1][-1])
        ]
        if not looked:
            return best
        told = attended([(number, one[0]) for number, one in looked])
        for (number, (*rest, score)), alignments in zip(looked, told, strict=True):
            best[number].append((*rest, score + weight * coverage(alignments)))
        best = [sorted(found, key=lambda one: -one[-1])[:wanted] for found in best]
