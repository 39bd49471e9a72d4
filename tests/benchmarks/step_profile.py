"""Where the time of a training step goes: by hand, and by this package's fit.

Run ``python tests/benchmarks/step_profile.py``. It runs steps of `fit_speed` under TensorFlow's profiler and prints,
for each kind of operation, how many there are in a step and how long threads were busy with them. Operations run side
by side, and one that waits for another's thread counts its wait, so that the column adds up to more than the step.

The last line of a case is its floor: the matrix products that the model is made of, at the speed that this machine
reaches in a large one. No arrangement of the same products is faster than that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from fit_speed import CASES, SIDES, Case

RUNS = 6
KINDS = 9


def profiled(side: str, case: Case) -> tuple[float, Counter[str], Counter[str]]:
    """Give the median milliseconds of a step, and by kind of operation: busy milliseconds and number in a step."""
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    run = SIDES[side](case)
    for _ in range(3):
        run()
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run()
        seconds.append((time.perf_counter() - began) / case.steps)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(RUNS):
                run()
        (written,) = Path(folder).rglob("*.xplane.pb")
        space = XSpace.FromString(written.read_bytes())
    busy, count = Counter[str](), Counter[str]()
    for plane in space.planes:
        if plane.name == "/host:CPU":
            for line in plane.lines:
                _add_line(line, plane.event_metadata, busy, count)
    steps = RUNS * case.steps
    for counter in (busy, count):
        for kind in counter:
            counter[kind] /= steps  # type: ignore[assignment]
    return float(np.median(seconds)) * 1e3, busy, count


def _add_line(line: Any, names: Any, busy: Counter[str], count: Counter[str]) -> None:
    """Add what one thread did; time inside an operation that another one is part of counts for the inner one alone."""
    around: list[tuple[int, str]] = []
    for event in sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps)):
        name = names[event.metadata_id].name
        while around and around[-1][0] <= event.offset_ps:
            around.pop()
        # An operation is recorded as NAME:KIND.
        kind = name.rsplit(":", 1)[-1] if ":" in name and "::" not in name and " " not in name else ""
        if around and around[-1][1]:
            busy[around[-1][1]] -= event.duration_ps / 1e9  # type: ignore[assignment]
        if kind:
            busy[kind] += event.duration_ps / 1e9  # type: ignore[assignment]
            count[kind] += 1
        around.append((event.offset_ps + event.duration_ps, kind))


def products(case: Case) -> float:
    """Give the floating point operations of a step's matrix products: each forward one, and two for its gradients."""
    recurrent = 4 * case.units * (case.embed + case.units) * (case.steps_in + case.steps_out)
    output = case.units * case.vocab * case.steps_out
    return 3 * 2.0 * case.batch * (recurrent + output)


def fastest_product(size: int = 2048) -> float:
    """Give the operations a second of a large product."""
    a = tf.random.normal([size, size])
    product = tf.function(lambda: tf.matmul(a, a))
    product()
    seconds = []
    for _ in range(15):
        began = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - began)
    return float(2 * size**3 / np.median(seconds))


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="a", help="only the cases whose name begins like this")
    options = parser.parse_args()
    for title, case in CASES.items():
        if not title.startswith(options.case) or case.skewed:
            continue
        for side in ("by hand", "s2s_magic"):
            step, busy, count = profiled(side, case)
            print(f"{title}, {side}: a step takes {step:.1f} ms")
            for kind, milliseconds in busy.most_common(KINDS):
                print(f"    {milliseconds:>7.1f} ms busy {count[kind]:>7.0f} times  {kind}")
        work, speed = products(case), fastest_product()
        print(f"{title}: {work / 1e9:.1f} GFLOP of products, {work / speed * 1e3:.1f} ms at {speed / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
