"""Train on a corpus that is streamed, and say how much memory that takes, and how many pairs a second it reads.

    python tests/benchmarks/streaming.py [--pairs 5000000] [--steps 200] [--max-tokens 4096]

The pairs are made on the spot in a temporary folder. Each line of them is read, checked and made into ids, as before
each fit; then one epoch goes over all of them without training; then a model is fitted for so many steps. Memory is the
peak of this process above what it had after TensorFlow was imported and a small fit had run.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from s2s_magic import api
from s2s_magic.data.reader import prepare
from s2s_magic.spec import parse_fit
from s2s_magic.undoing import Changes

SPEC = (
    "vocab: {source: DIR/SIZE.en, target: DIR/SIZE.de}\ntokens: TOKENS\nembed: 32\nencoder: gru(32)\ndecoder: gru(32)\n"
)


class Enough(KeyboardInterrupt):
    """The fit has taken as many steps as it was to take."""


def peak() -> float:
    """Return the most memory that this process had so far, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def write(folder: Path, size: int) -> int:
    """Write pairs of 3 to 30 words out of 20,000, rare ones rarely; return the bytes."""
    draw = random.Random(size)
    words = [
        ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(20_000)] for _ in "ab"
    ]
    cumulated, total = [], 0.0
    for rank in range(20_000):
        total += 1 / (rank + 1)
        cumulated.append(total)
    with (folder / f"{size}.en").open("w") as source, (folder / f"{size}.de").open("w") as target:
        places = draw.choices(range(20_000), cum_weights=cumulated, k=1_000_000)
        for _ in range(size):
            length, first = draw.randint(3, 30), draw.randrange(len(places) - 30)
            chosen = places[first : first + length]
            source.write(" ".join([words[0][place] for place in chosen]) + "\n")
            target.write(" ".join([words[1][place] for place in chosen]) + "\n")
    return sum((folder / f"{size}.{side}").stat().st_size for side in ("en", "de"))


def unnamed() -> int:
    """Return the bytes of the files that this process has open and that have no name."""
    total = 0
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder itself was open while it was listed
            total += os.stat(file).st_size if os.readlink(file).endswith("(deleted)") else 0
    return total


def timed(what: str, pairs: int, call: Callable[[], Any]) -> Any:
    """Return what a call returns, and print how long it took."""
    began = time.monotonic()
    found = call()
    seconds = time.monotonic() - began
    print(f"{what}: {seconds:,.1f} s, {pairs / seconds:,.0f} pairs/s, peak {peak():,.0f} MiB", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--steps", type=int, default=200, help="steps of the fit")
    parser.add_argument("--max-tokens", type=int, default=4096)
    parser.add_argument("--tokens", default="word(max_size=10000)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), asked)


def measure(folder: Path, asked: argparse.Namespace) -> None:
    """Make the pairs, read them and train on them."""

    def texts_of(size: int) -> tuple[str, str]:
        spec = SPEC.replace("DIR", str(folder)).replace("SIZE", str(size)).replace("TOKENS", asked.tokens)
        body = f"source: {folder}/{size}.en\ntarget: {folder}/{size}.de\nstreaming: true\nseed: 1\n"
        return spec, body + f"max_tokens: {asked.max_tokens}\n"

    write(folder, 1_000)
    spec, body = texts_of(1_000)
    api.fit(api.build(spec), body, {}, progress=lambda _: None)
    before = peak()
    print(f"after importing TensorFlow and a small fit: {before:,.0f} MiB", flush=True)

    size = write(folder, asked.pairs)
    print(f"{asked.pairs:,} pairs, {size / 1e6:,.0f} MB of text", flush=True)
    spec, body = texts_of(asked.pairs)
    model = timed("vocabularies counted", asked.pairs, lambda: api.build(spec))
    plan = parse_fit(body)
    with Changes() as changes, changes, changes:
        prepared = timed("read, checked and made into ids", asked.pairs, lambda: prepare(model, plan, {}, changes))
        print(f"ids in the temporary file: {unnamed() / 1e6:,.0f} MB; {prepared.train.steps:,} batches", flush=True)
        timed("an epoch without training", asked.pairs, lambda: sum(1 for _ in prepared.train.begun_at(0)))

    last: list[Any] = []

    def progress(told: Any) -> None:
        last.append(told)
        if told.step >= asked.steps:
            raise Enough

    def fit() -> None:
        with suppress(KeyboardInterrupt):
            api.fit(model, body, {}, progress=progress)

    timed("the fit, with its reading", asked.pairs, fit)
    print(last[-1])
    print(f"peak above TensorFlow's own: {peak() - before:,.0f} MiB")


if __name__ == "__main__":
    main()
