"""What evidence costs on top of an accelerated step.

Run ``python tests/benchmarks/overhead.py``. Both sides run the step of `s2s_magic.fit` on the kernels, one of them with
the norms that evidence needs inside its graph, and take turns in one process. The table gives medians, and medians of
the ratios of neighbouring runs: of the clock's seconds, and of the processors', which other work on the machine
disturbs less. What evidence does once an epoch is measured by ``evidence.py``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import tensorflow as tf
from fit_speed import CASES, Case, model_of, rows_of, stepping

from s2s_magic.acceleration import accelerate
from s2s_magic.training.pipeline import Lengths, Shifted, Table, batches
from s2s_magic.training.recorder import Recorder
from s2s_magic.training.rows import Rows

STEPS_AN_EPOCH = 96
STRIDE = 8
"""Of so many steps an epoch, evidence takes a sample every eighth: a run holds one."""


def side(case: Case, evidence: bool, stack: ExitStack) -> Callable[[], None]:
    """Give as many steps as evidence takes from one sample to the next."""
    _, sources, targets = rows_of(case)
    table = Table((Rows.of(sources), Shifted(0), Lengths()), Rows.of(targets))
    dataset, _ = batches(table, size=case.batch, epochs=1000, shuffle=True)
    model = model_of(case)
    variables = model.trainable_variables
    model.optimizer.build(variables)
    recorder = Recorder(variables, [tf.identity(variable) for variable in variables], STEPS_AN_EPOCH)
    if evidence:
        stack.enter_context(recorder.watching(model.optimizer))
        recorder.begin_epoch()
    stack.enter_context(accelerate(model))
    return stepping(model, iter(dataset), STRIDE)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="runs a side")
    parser.add_argument("--quick", action="store_true", help="three runs a side, of the first case")
    options = parser.parse_args()
    cases = list(CASES.items())[: 1 if options.quick else 2]
    print(f"{'case':<42}{'step without':>14}{'step with':>12}{'ratio':>8}{'of CPU':>8}")
    for title, case in cases:
        with ExitStack() as stack:
            runs = [side(case, evidence, stack) for evidence in (False, True)]
            taken = np.zeros([3 if options.quick else options.rounds, 2, 2])
            for run in runs:
                run()
            for number in range(len(taken)):
                for place in (0, 1) if number % 2 else (1, 0):
                    began, used = time.perf_counter(), time.process_time()
                    runs[place]()
                    taken[number, place] = time.perf_counter() - began, time.process_time() - used

        without, with_evidence = np.median(taken[:, :, 0], axis=0) / STRIDE * 1e3
        clock, processor = np.median(taken[:, 1] / taken[:, 0], axis=0)
        print(f"{title:<42}{without:>11.1f} ms{with_evidence:>9.1f} ms{clock:>8.3f}{processor:>8.3f}", flush=True)


if __name__ == "__main__":
    main()
