"""Measure how fast a fit is in mixed precision, beside one in float32, with and without the kernels.

Both sides take turns in one process; medians of the seconds of an epoch, and of the ratios of neighbouring runs.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from tensorflow import keras

from s2s_magic import api

SPEC = "vocab: 2000\nembed: 256\nencoder: lstm(256)\ndecoder: lstm(256)\ncode: keras\nprecision: {}\n"
RUNS = 5


def main() -> None:
    """Print a line for each side."""
    rows = np.random.default_rng(0).integers(3, 2000, size=(640, 20))
    for accelerate in ("on", "off"):
        body = f"source: X\ntarget: X\nbatch: 64\nepochs: 1\naccelerate: {accelerate}\n"
        sides = {}
        for precision in ("float32", "mixed_bfloat16"):
            keras.utils.set_random_seed(1)
            sides[precision] = api.build(SPEC.format(precision))
            api.fit(sides[precision], body, {"X": rows}, progress=lambda _: None)
        seconds: dict[str, list[float]] = {precision: [] for precision in sides}
        for _ in range(RUNS):
            for precision, model in sides.items():
                began = time.perf_counter()
                api.fit(model, body, {"X": rows}, progress=lambda _: None)
                seconds[precision].append(time.perf_counter() - began)
        full, mixed = seconds.values()
        ratio = statistics.median(one / other for one, other in zip(full, mixed, strict=True))
        print(
            f"accelerate {accelerate}: float32 {statistics.median(full):.2f} s, "
            f"mixed_bfloat16 {statistics.median(mixed):.2f} s, {ratio:.2f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
