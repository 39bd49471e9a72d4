"""Intervals by bootstrap resampling of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2s_magic.scores.measures import Measured


def intervals(measured: Sequence[Measured], resamples: int, seed: int) -> list[tuple[float, float]]:
    """Return the 95 % interval of each metric: rows are drawn with replacement, as many as there are, again and again.

    Koehn, 2004, https://aclanthology.org/W04-3250. The draws and the ends of the interval are those of sacrebleu's own
    bootstrap with the same seed, of which it tells the mean and half the width; here all metrics share the draws, and
    only the sums of a resample are kept.

    Parameters
    ----------
    measured
        Metrics of the same rows.
    resamples
        How often rows are drawn, at least once.
    seed
        Of the draws; the same seed gives the same intervals.

    Returns
    -------
    list of (low, high)
        In the order of the metrics.
    """
    rows = len(measured[0].statistics)
    random = np.random.default_rng(seed)
    values = np.empty((resamples, len(measured)))
    for number in range(resamples):
        times = np.bincount(random.choice(rows, size=rows, replace=True), minlength=rows)
        values[number] = [one.value(times @ one.statistics) for one in measured]
    values.sort(axis=0)
    low, high = values[resamples // 40], values[resamples - resamples // 40 - 1]
    return list(zip(low.tolist(), high.tolist(), strict=True))
