"""Where the time of a training step goes: by hand, and by this package's fit.

Run ``python tests/benchmarks/step_profile.py``. It runs steps of `fit_speed` under TensorFlow's profiler and prints,
for each kind of operation, how many a step has and how long threads were busy with them. Operations run in parallel,
and the time an operation waits for another thread counts too, so the column adds up to more than the step.

The last line of a case is its lower bound: the model's matrix products, at the speed that this machine reaches in a
large product. No arrangement of the same products is faster.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from fit_speed import CASES, SIDES, Case

RUNS = 6
KINDS = 9


def median_seconds(run: Callable[[], object], times: int) -> float:
    """Return the median seconds of some runs."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def profiled(side: str, case: Case) -> tuple[float, dict[str, tuple[float, float]]]:
    """Return the median milliseconds of a step, and by kind of operation the busy milliseconds and count per step."""
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    run = SIDES[side](case)
    for _ in range(3):
        run()
    step = median_seconds(run, RUNS) / case.steps * 1e3
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(RUNS):
                run()
        (written,) = Path(folder).rglob("*.xplane.pb")
        space = XSpace.FromString(written.read_bytes())
    busy: dict[str, float] = defaultdict(float)
    count: dict[str, float] = defaultdict(float)
    share = 1 / (RUNS * case.steps)
    for plane in space.planes:
        if plane.name == "/host:CPU":
            for line in plane.lines:
                for kind, milliseconds in own_times(line, plane.event_metadata):
                    busy[kind] += milliseconds * share
                    count[kind] += share
    return step, {kind: (busy[kind], count[kind]) for kind in sorted(busy, key=lambda kind: -busy[kind])}


def own_times(line: Any, names: Any) -> list[tuple[str, float]]:
    """Return the kind of each operation of a thread, and its milliseconds without those of the operations inside it."""
    found: list[tuple[str, float]] = []
    around: list[tuple[int, int | None]] = []  # of each enclosing event: its end, and its index in `found`
    for event in sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps)):
        while around and around[-1][0] <= event.offset_ps:
            around.pop()
        if around and (outer := around[-1][1]) is not None:
            kind, milliseconds = found[outer]
            found[outer] = kind, milliseconds - event.duration_ps / 1e9
        name, place = names[event.metadata_id].name, None
        if ":" in name and "::" not in name and " " not in name:  # an operation is recorded as NAME:KIND
            place = len(found)
            found.append((name.rsplit(":", 1)[-1], event.duration_ps / 1e9))
        around.append((event.offset_ps + event.duration_ps, place))
    return found


def products(case: Case) -> float:
    """Return the floating-point operations in a step's matrix products: each forward one has two for its gradients."""
    recurrent = 4 * case.units * (case.embed + case.units) * (case.steps_in + case.steps_out)
    output = case.units * case.vocab * case.steps_out
    return 3 * 2.0 * case.batch * (recurrent + output)


def fastest_product(size: int = 2048) -> float:
    """Return the floating-point operations per second of a large product."""
    a = tf.random.normal([size, size])
    product = tf.function(lambda: tf.matmul(a, a))
    product()
    return 2 * size**3 / median_seconds(product, 15)


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="a", help="only the cases whose name begins like this")
    options = parser.parse_args()
    for title, case in CASES.items():
        if not title.startswith(options.case) or case.skewed:
            continue
        for side in ("by hand", "s2s_magic"):
            step, kinds = profiled(side, case)
            print(f"{title}, {side}: a step takes {step:.1f} ms")
            for kind, (milliseconds, count) in list(kinds.items())[:KINDS]:
                print(f"    {milliseconds:>7.1f} ms busy {count:>7.0f} times  {kind}")
        work, speed = products(case), fastest_product()
        print(f"{title}: {work / 1e9:.1f} GFLOP of products, {work / speed * 1e3:.1f} ms at {speed / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
