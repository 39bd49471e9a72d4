"""The coverage penalty: outputs of a beam are ranked lower for each part of the source that attention passed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from s2s_magic.decoded import Alignment

Row = list[tuple[Any, ...]]
"""The outputs of one source, best first: ids, log-probability and score."""
_LEAST = 1e-9
"""The least coverage of a position, so that one that was not looked at at all costs a finite amount."""


def coverage(alignments: Sequence[Alignment]) -> float:
    """Return the sum over a source's positions of log(min(what the steps' weights add up to, 1)), at most 0.

    Wu et al., 2016, https://arxiv.org/abs/1609.08144, equation 14. Several attention layers count by their mean.
    """
    sums = [np.asarray(one.weights, float).sum(axis=0) for one in alignments]
    return float(np.mean([np.log(np.clip(one, _LEAST, 1.0)).sum() for one in sums]))


def ranked(
    rows: Sequence[Row], weight: float, wanted: int, attended: Callable[[Any], list[list[Alignment]]]
) -> list[Row]:
    """Return the ``wanted`` best outputs of each source by their scores and ``weight`` times their coverage.

    ``attended`` maps an output of each source to its alignments.
    """
    added: list[list[float]] = [[] for _ in rows]
    for place in range(max(map(len, rows), default=0)):
        # a source with fewer outputs has its last one looked at again
        found = attended([row[min(place, len(row) - 1)][0] for row in rows])
        for row, sums, alignments in zip(rows, added, found, strict=True):
            if place < len(row):
                sums.append(weight * coverage(alignments))
    scored = [
        [(*rest, score + more) for (*rest, score), more in zip(row, sums, strict=True)]
        for row, sums in zip(rows, added, strict=True)
    ]
    return [sorted(row, key=lambda one: -one[-1])[:wanted] for row in scored]
