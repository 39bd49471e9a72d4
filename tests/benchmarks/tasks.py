"""Three tasks of encoder-decoders, each learned from a few lines of a spec and scored on pairs that it never saw.

    python tests/benchmarks/tasks.py [dates] [reversal] [addition] [--epochs N]

- dates: from ``April 22, 2019`` to ``2019-04-22``; the part that is exactly right is to be at least 99.8 %.
- reversal: up to 25 numbers from 0 to 49, read backwards; BLEU (sacrebleu) is to be at least 95. The model and the data
  are those of JoeyNMT's tutorial: a BiLSTM of 64 units, Luong's attention, and input feeding.
- addition: from ``407+58`` to ``465``, numbers of up to three digits; exactly right is to be at least 99 %.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import s2s_magic

Pairs = tuple[list[Any], list[Any]]


@dataclass(frozen=True)
class Task:
    """A task: its data, the spec and the fit, and how outputs are scored."""

    pairs: Callable[[np.random.Generator, int], Pairs]
    spec: str
    fit: str
    rows: int
    held: int
    score: str
    least: float


def dates(draws: np.random.Generator, count: int) -> Pairs:
    """Draw dates of the years 1000 to 2999, as people write them and as ISO 8601 does."""
    days = draws.choice(730_000, size=count, replace=False)
    found = [datetime.date(1000, 1, 1) + datetime.timedelta(days=int(day)) for day in days]
    return [f"{day:%B} {day.day}, {day.year}" for day in found], [day.isoformat() for day in found]


def reversal(draws: np.random.Generator, count: int) -> Pairs:
    """Draw rows of 1 to 25 numbers from 0 to 49, as words."""
    lengths = draws.integers(1, 26, size=count)
    rows = [list(map(str, draws.integers(0, 50, size=length))) for length in lengths]
    return [" ".join(row) for row in rows], [" ".join(row[::-1]) for row in rows]


def addition(draws: np.random.Generator, count: int) -> Pairs:
    """Draw different pairs of numbers with up to three digits, and their sums."""
    codes = draws.choice(1_000_000, size=count, replace=False)
    return [f"{code // 1000}+{code % 1000}" for code in codes], [str(code // 1000 + code % 1000) for code in codes]


TASKS = {
    "dates": Task(
        dates,
        "vocab: {source: X, target: Y}\nembed: 32\nencoder: bidirectional(lstm(64))\ndecoder: lstm(128)\n"
        "attention: luong\ntokens: char\nmax_length: 12\n",
        "source: X\ntarget: Y\nepochs: 12\nbatch: 64\noptimizer: adam(2e-3)\nseed: 1\n",
        rows=10_000,
        held=2_000,
        score="exact",
        least=99.8,
    ),
    "reversal": Task(
        reversal,
        "vocab: X\nembed: 16\nencoder: bidirectional(lstm(64))\ndecoder: lstm(64)\nbridge: dense\nattention: luong\n"
        "input_feeding: true\ntokens: word\nmax_length: 30\n",
        "source: X\ntarget: Y\nepochs: 6\nbatch: 64\noptimizer: adam(2e-3, clipnorm=1)\nseed: 1\n",
        rows=50_000,
        held=1_000,
        score="BLEU",
        least=95.0,
    ),
    "addition": Task(
        addition,
        "vocab: {source: X, target: Y}\nembed: 16\nencoder: bidirectional(lstm(64))\ndecoder: lstm(128)\n"
        "attention: luong\ntokens: char\nmax_length: 5\n",
        "source: X\ntarget: Y\nepochs: 30\nbatch: 128\noptimizer: adam(3e-3)\nseed: 1\n",
        rows=40_000,
        held=2_000,
        score="exact",
        least=99.0,
    ),
}


def score(kind: str, found: list[str], expected: list[str]) -> float:
    """Return the per cent that are exactly right, or the corpus BLEU."""
    if kind == "exact":
        return 100 * sum(a == b for a, b in zip(found, expected, strict=True)) / len(expected)
    import sacrebleu

    return float(sacrebleu.corpus_bleu(found, [expected], tokenize="none").score)


def run(name: str, epochs: int | None) -> bool:
    """Train one task, print its score, and return whether it is good enough."""
    task = TASKS[name]
    sources, targets = task.pairs(np.random.default_rng(7), task.rows + task.held)
    data = {"X": sources[: task.rows], "Y": targets[: task.rows]}
    begun = time.perf_counter()
    model = s2s_magic.build(task.spec, namespace=data)
    fit = task.fit if epochs is None else task.fit.replace("epochs: ", f"epochs: {epochs}\n# ")
    s2s_magic.fit(model, fit, data, progress=lambda _: None)
    print("  loss of each epoch: " + " ".join(f"{loss:.3g}" for loss in model.history["loss"]), flush=True)
    trained = time.perf_counter()
    found = s2s_magic.decode(model, sources[task.rows :])
    reached = score(task.score, list(found), targets[task.rows :])
    good = reached >= task.least
    print(
        f"{name}: {task.score} {reached:.2f}, to be at least {task.least}: {'yes' if good else 'NO'}; trained in "
        f"{trained - begun:.0f} s, {task.held} held-out rows decoded in {time.perf_counter() - trained:.1f} s",
        flush=True,
    )
    return good


def main() -> None:
    """Run the tasks that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; all unless given")
    parser.add_argument("--epochs", type=int, help="instead of each task's own")
    arguments = parser.parse_args()
    reached = [run(name, arguments.epochs) for name in arguments.tasks or TASKS]
    if not all(reached):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
