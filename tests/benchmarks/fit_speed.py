"""How fast a training step is: written by hand with TFA, by this package's fit, and by PyTorch.

Run ``python tests/benchmarks/fit_speed.py``. All sides train the same encoder-decoder on the same numbers and take
turns in one process; the table shows medians and the medians of the ratios of neighbouring runs, so that other work on
the machine affects all of them alike. A run is a few steps; the first run, which traces the step, is left out.

- by hand: hand-written code with ``Model.fit``, with TFA where it is installed, else in plain Keras layers of the Keras
  at hand; rows of different lengths are padded to the longest, and weighted; with attention, TFA's ``AttentionWrapper``
  in a model that is a class, which is the only way in which it can be trained;
- s2s_magic: the same code with the step of `s2s_magic.fit`: accelerated, with evidence, on its own batches; with
  attention, the code of the spec: its attention reads the decoder's outputs, or is fed into the next step, as TFA's is;
- PyTorch: ``nn.LSTM`` or ``nn.GRU`` and Adam, if torch is installed; packed sequences for rows of different lengths.

Peak memory is measured in a separate process for each side, and excludes what importing TensorFlow takes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf

from models import attending_by_hand, by_hand, by_hand_in_keras
from s2s_magic import build
from s2s_magic.acceleration import ACCELERATED, accelerate
from s2s_magic.data.batches import Lengths, Shifted, Table, batches
from s2s_magic.data.sequences import Rows
from s2s_magic.training.norms import Recorder
from s2s_magic.undoing import Changes

WITH_ADDONS = importlib.util.find_spec("tensorflow_addons") is not None
OPEN = ExitStack()
"""Keeps models accelerated until the script ends: a context that is not referenced is closed."""


@dataclass(frozen=True)
class Case:
    """Sizes of one comparison; ``skewed`` draws lengths from 4 to ``steps_out``; ``attention`` names its kind, and
    ``fed`` says whether it is fed into the next step; ``drawn`` is the part of drawn ids that the decoder reads."""

    vocab: int
    embed: int
    units: int
    batch: int
    steps_in: int
    steps_out: int
    steps: int
    skewed: bool = False
    cell: str = "LSTM"
    attention: str = ""
    fed: bool = False
    drawn: float = 0


CASES = {
    "a: 100 ids, 512 units, 32 x 10 -> 15": Case(100, 10, 512, 32, 10, 15, 4),
    "b: 8,000 ids, 256 units, 64 x 20 -> 20": Case(8000, 128, 256, 64, 20, 20, 2),
    "c: 20,000 ids, 256 units, 64 x 20 -> 40": Case(20000, 128, 256, 64, 20, 40, 1),
    "d: 8,000 ids, 256 units, 64 x 4 to 40": Case(8000, 128, 256, 64, 40, 40, 12, skewed=True),
    "e: as a, GRU": Case(100, 10, 512, 32, 10, 15, 4, cell="GRU"),
    "f: as b, GRU": Case(8000, 128, 256, 64, 20, 20, 2, cell="GRU"),
    "g: 100 ids, 64 units, 64 x 25, Luong": Case(100, 32, 64, 64, 25, 25, 8, attention="luong"),
    "h: as g, Bahdanau": Case(100, 32, 64, 64, 25, 25, 8, attention="bahdanau"),
    "i: 1,000 ids, 256 units, 64 x 20, Luong": Case(1000, 128, 256, 64, 20, 20, 2, attention="luong"),
    "j: as i, Bahdanau": Case(1000, 128, 256, 64, 20, 20, 2, attention="bahdanau"),
    "k: as g, input feeding": Case(100, 32, 64, 64, 25, 25, 8, attention="luong", fed=True),
    "l: as h, input feeding": Case(100, 32, 64, 64, 25, 25, 8, attention="bahdanau", fed=True),
    "m: as i, input feeding": Case(1000, 128, 256, 64, 20, 20, 2, attention="luong", fed=True),
    "n: as j, input feeding": Case(1000, 128, 256, 64, 20, 20, 2, attention="bahdanau", fed=True),
    "o: as a, scheduled sampling": Case(100, 10, 512, 32, 10, 15, 4, drawn=0.3),
    "p: 1,000 ids, 256 units, the same": Case(1000, 128, 256, 64, 20, 20, 2, drawn=0.3),
    "q: as k, scheduled sampling": Case(100, 32, 64, 64, 25, 25, 8, attention="luong", fed=True, drawn=0.3),
    "r: as m, scheduled sampling": Case(1000, 128, 256, 64, 20, 20, 2, attention="luong", fed=True, drawn=0.3),
    "s: as n, scheduled sampling": Case(1000, 128, 256, 64, 20, 20, 2, attention="bahdanau", fed=True, drawn=0.3),
}


def lengths(case: Case) -> Any:
    """Draw target lengths: all equal, or many short ones and a few long ones."""
    rows = case.batch * case.steps
    if not case.skewed:
        return np.full(rows, case.steps_out)
    drawn = np.random.default_rng(1).lognormal(np.log(9), 0.6, size=rows)
    return np.clip(drawn, 4, case.steps_out).astype(int)


def rows_of(case: Case) -> tuple[Any, list[Any], list[Any]]:
    """Return lengths, source rows and target rows."""
    numbers, ends = np.random.default_rng(0), lengths(case)
    sources = [numbers.integers(1, case.vocab, size=n if case.skewed else case.steps_in) for n in ends]
    return ends, sources, [numbers.integers(1, case.vocab, size=n) for n in ends]


def model_of(case: Case, *, by_spec: bool = False) -> Any:
    """Return the model that the hand-written code makes, or with attention that of a spec."""
    names: dict[str, Any] = {}
    if by_spec:
        return build(
            f"vocab: {case.vocab}\nembed: {case.embed}\nencoder: lstm({case.units})\ndecoder: lstm({case.units})\n"
            f"attention: {case.attention}\ninput_feeding: {str(case.fed).lower()}\n"
            f"feeding: {f'scheduled({case.drawn})' if case.drawn else 'teacher_forcing'}\n"
        ).model
    code = attending_by_hand if case.attention else by_hand if WITH_ADDONS else by_hand_in_keras
    drawn = [case.drawn] if case.drawn else []
    exec(code(case.vocab, case.embed, case.units, case.attention or case.cell, *drawn), names)
    names["model"].compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    return names["model"]


def padded(rows: list[Any]) -> Any:
    """Pad rows with zeros to the longest."""
    filled = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return filled


def by_hand_run(case: Case) -> Callable[[], None]:
    """Return a function that runs steps of ``Model.fit`` on arrays."""
    ends, sources, targets = rows_of(case)
    source, target, model = padded(sources), padded(targets), model_of(case)
    shifted = np.c_[np.zeros((len(target), 1), np.int32), target[:, :-1]]
    # All rows run to the longest: the lengths only determine the loss weights, which exclude padding.
    has_lengths = WITH_ADDONS and not case.attention
    inputs = [source, shifted, *([np.full(len(target), target.shape[1], np.int32)] if has_lengths else [])]
    weights = (np.arange(target.shape[1]) < ends[:, None]).astype("float32")
    whole = (tuple(inputs), target, weights) if case.skewed else (tuple(inputs), target)
    dataset = tf.data.Dataset.from_tensor_slices(whole).shuffle(len(target)).batch(case.batch).repeat().prefetch(2)
    return stepping(model, iter(dataset), case.steps)


def stepping(model: Any, rows: Any, steps: int) -> Callable[[], None]:
    """Return a function that runs some steps as ``Model.fit`` does."""
    model.make_train_function()

    def run() -> None:
        for _ in range(steps):
            logs = model.train_function(rows)
        float(logs["loss"])

    return run


def package_run(case: Case) -> Callable[[], None]:
    """Return a function that runs steps as `s2s_magic.fit` does in a long fit; the model stays accelerated."""
    _, sources, targets = rows_of(case)
    has_lengths = case.fed or (WITH_ADDONS and not case.attention)
    given = (Rows.of(sources), Shifted(0), *([Lengths()] if has_lengths else []))
    table = Table(given, Rows.of(targets), weighted=case.skewed)
    dataset, _ = batches(table, size=case.batch, epochs=1000, shuffle=True)
    model = model_of(case, by_spec=bool(case.attention))
    model.optimizer.build(model.trainable_variables)
    variables = model.trainable_variables
    values = [tf.identity(tf.convert_to_tensor(variable)) for variable in variables]
    recorder = Recorder(variables, values, values, 128)
    found = OPEN.enter_context(accelerate(model, table.fixed_lengths))
    assert set(found.values()) == {ACCELERATED}, found
    recorder.watch(OPEN.enter_context(Changes()), model.optimizer)
    recorder.begin_epoch()
    return stepping(model, iter(dataset), case.steps)


def torch_run(case: Case) -> Callable[[], None]:
    """Return a function that runs as many steps of the same work in PyTorch, padded to the longest row."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    torch.set_num_threads(os.cpu_count() or 1)
    words, out = nn.Embedding(case.vocab, case.embed), nn.Linear(case.units, case.vocab)
    reader, writer = (getattr(nn, case.cell)(case.embed, case.units, batch_first=True) for _ in range(2))
    optimizer = torch.optim.Adam([p for part in (words, out, reader, writer) for p in part.parameters()], eps=1e-7)
    ends, sources, targets = rows_of(case)
    sizes = torch.from_numpy(np.asarray(ends, "int64"))
    source, target = (torch.from_numpy(padded(rows).astype("int64")) for rows in (sources, targets))
    shifted = torch.cat([torch.zeros(len(target), 1, dtype=torch.int64), target[:, :-1]], 1)

    def epoch() -> None:
        for first in range(0, len(target), case.batch):
            here = slice(first, first + case.batch)
            read, fed, wanted = words(source[here]), words(shifted[here]), target[here]
            if case.skewed:
                read, fed = (pack_padded_sequence(x, sizes[here], True, enforce_sorted=False) for x in (read, fed))
            _, state = reader(read)
            said = writer(fed, state)[0]
            if case.skewed:
                said, _ = pad_packed_sequence(said, batch_first=True)
                wanted = wanted[:, : said.shape[1]]
            # targets are at least 1: padding is 0
            loss = nn.functional.cross_entropy(out(said).flatten(0, 1), wanted.flatten(), ignore_index=0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


SIDES = {"by hand": by_hand_run, "s2s_magic": package_run, "PyTorch": torch_run}


def measure(case: Case, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every run by side; the sides take turns."""
    has_torch = importlib.util.find_spec("torch") and not case.attention and not case.drawn
    known = [side for side in SIDES if side != "PyTorch" or has_torch]
    runs = {side: SIDES[side](case) for side in known}
    seconds: dict[str, list[float]] = {side: [] for side in known}
    for number in range(-1, rounds):
        for side in known if number % 2 else reversed(known):
            began = time.perf_counter()
            runs[side]()
            if number >= 0:
                seconds[side].append(time.perf_counter() - began)
    return seconds


def peak(side: str, case: Case) -> None:
    """Print the peak memory of this process in MiB, less what it used at the start."""
    before = most_memory()
    run = SIDES[side](case)
    for _ in range(3):
        run()
    print(json.dumps((most_memory() - before) / 1024))


def most_memory() -> int:
    """Return the peak memory of this program in KiB; getrusage would include that of the parent process."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)


def peaks(title: str) -> dict[str, float]:
    """Return the peak memory of each TensorFlow side, measured in a new process."""
    found = {}
    for side in ("by hand", "s2s_magic"):
        command = [sys.executable, __file__, "--peak", side, "--case", title]
        found[side] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="runs a side")
    parser.add_argument("--quick", action="store_true", help="three runs a side, no memory")
    parser.add_argument("--case", default="", help="only the cases whose name begins like this")
    parser.add_argument("--peak", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = {title: case for title, case in CASES.items() if title.startswith(options.case)}
    if not WITH_ADDONS:
        cases = {title: case for title, case in cases.items() if not case.attention and not case.drawn}
    if options.peak:
        peak(options.peak, next(iter(cases.values())))
        return
    print(
        f"{'case':<42}{'side':<11}{'step, median':>14}{'fastest':>12}{'times as fast as by hand':>26}{'peak MiB':>10}"
    )
    for title, case in cases.items():
        seconds = measure(case, 3 if options.quick else options.rounds)
        memory = {} if options.quick or case.skewed else peaks(title)
        for side, own in seconds.items():
            ratio = np.median([hand / mine for hand, mine in zip(seconds["by hand"], own, strict=True)])
            step, fastest = (value / case.steps * 1e3 for value in (np.median(own), min(own)))
            least = f"{memory[side]:>10.0f}" if side in memory else ""
            print(f"{title:<42}{side:<11}{step:>11.1f} ms{fastest:>9.1f} ms{ratio:>26.2f}{least}", flush=True)


if __name__ == "__main__":
    main()
