"""What evidence costs an accelerated fit: with and without it, alternating in one process.

The ratio of processor seconds stays meaningful on a machine that does other work.

Run ``python tests/benchmarks/overhead.py`` (``--plain`` for Keras's own kernels). An epoch with evidence includes all
that `s2s_magic.fit` does besides the step: norms inside the graph, the check of the loss, and the copies of the weights
at the end of the epoch. The first epoch of each run, which traces the step, is left out.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from tensorflow import keras

from s2s_magic import api
from s2s_magic.acceleration import accelerate
from s2s_magic.data.batches import Lengths, Shifted, Table, batches
from s2s_magic.data.sequences import Rows
from s2s_magic.training.callback import Loop
from s2s_magic.training.norms import Recorder
from s2s_magic.undoing import Changes

CASES = {  # name: vocabulary, embedding, units, batch, steps in, steps out, rows
    "small: 100 ids, 64 units, batch 32": (100, 16, 64, 32, 10, 10, 1600),
    "dates: 40 ids, 128 units, batch 64": (40, 32, 128, 64, 25, 11, 6400),
    "seed: 100 ids, 512 units, batch 32": (100, 10, 512, 32, 10, 15, 960),
    "words: 8,000 ids, 256 units, batch 64": (8000, 128, 256, 64, 20, 20, 1280),
}


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Records the seconds of each epoch after the first."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[float, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append((time.perf_counter(), time.process_time()))


def epoch_seconds(model: Any, table: Table, size: int, epochs: int, evidence: bool, plain: bool) -> Any:
    """Fit once, and return the wall-clock and processor seconds of each epoch but the first."""
    dataset, steps = batches(table, size=size, epochs=epochs, shuffle=True)
    clock = Clock()
    callbacks: list[Any] = [clock]
    changes = Changes()
    if evidence:
        values = [variable.value() for variable in model.variables]
        recorder = Recorder(model.variables, values, values, steps)
        loop = Loop(recorder, lambda progress: None, name="model", epochs=epochs, steps=steps, patience=None)
        callbacks.insert(0, loop)
    model.train_function = None
    with changes, nullcontext() if plain else accelerate(model):
        if evidence:
            recorder.watch(changes, model.optimizer)
        model.fit(dataset, epochs=epochs, steps_per_epoch=steps, callbacks=callbacks, verbose=0)
    return np.diff(np.array(clock.ends), axis=0)


def measure(case: tuple[int, ...], rounds: int, epochs: int, plain_kernels: bool) -> tuple[float, float, Any, int]:
    """Return the median seconds per epoch without and with evidence, the median ratio of the pairs, and the steps."""
    vocab, embed, units, size, steps_in, steps_out, count = case
    built = api.build(f"vocab: {vocab}\nembed: {embed}\nencoder: lstm({units})\ndecoder: lstm({units})\n")
    numbers = np.random.default_rng(0)
    source = Rows.of(list(numbers.integers(vocab, size=(count, steps_in))))
    target = Rows.of(list(numbers.integers(vocab, size=(count, steps_out))))
    table = Table((source, Shifted(0), Lengths()), target)
    plain, watched, ratios = [], [], []
    for number in range(rounds):
        order = (False, True) if number % 2 else (True, False)
        seconds = {
            evidence: epoch_seconds(built.model, table, size, epochs, evidence, plain_kernels) for evidence in order
        }
        without, with_it = np.median(seconds[False], axis=0), np.median(seconds[True], axis=0)
        plain.append(without[0])
        watched.append(with_it[0])
        ratios.append(with_it / without)
    return float(np.median(plain)), float(np.median(watched)), np.median(ratios, axis=0), -(-count // size)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="pairs of fits a case")
    parser.add_argument("--epochs", type=int, default=6, help="epochs a fit, the first left out")
    parser.add_argument("--case", default="", help="only the cases whose name begins like this")
    parser.add_argument("--plain", action="store_true", help="without acceleration")
    options = parser.parse_args()
    print(f"{'case':<40}{'steps':>6}{'step without':>14}{'step with':>12}{'ratio':>8}{'of CPU':>8}")
    for name, case in CASES.items():
        if name.startswith(options.case):
            without, with_it, ratio, steps = measure(case, options.rounds, options.epochs, options.plain)
            milliseconds = f"{without / steps * 1e3:>11.2f} ms{with_it / steps * 1e3:>9.2f} ms"
            print(f"{name:<40}{steps:>6}{milliseconds}{ratio[0]:>8.3f}{ratio[1]:>8.3f}", flush=True)


if __name__ == "__main__":
    main()
