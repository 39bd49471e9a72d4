"""What does tracing cost? The same cell is run traced and plain, alternately, in one process.

Run: python tests/benchmarks/trace_overhead.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", module="tensorflow_addons")

from tensorflow import keras  # noqa: E402

import s2s_magic  # noqa: E402
from models import by_hand  # noqa: E402

BLOCKS = """
from tensorflow import keras
x = inputs = keras.Input([16])
for _ in range(60):
    x = keras.layers.Add()([keras.layers.Dense(16, activation="relu")(keras.layers.LayerNormalization()(x)), x])
model = keras.Model(inputs, x)
"""


def plain(code: str) -> float:
    keras.backend.clear_session()
    started = time.perf_counter()
    exec(compile(code, "<cell>", "exec"), {})
    return time.perf_counter() - started


def traced(code: str) -> float:
    keras.backend.clear_session()
    started = time.perf_counter()
    s2s_magic.trace(code)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    cells = {"encoder-decoder by hand": by_hand(), "180 layers in a loop": BLOCKS}
    print(f"{'cell':<28}{'plain':>10}{'traced':>10}{'ratio':>8}   (medians of {repeats} pairs)")
    for name, code in cells.items():
        plain(code), traced(code)  # the first run of each also traces TensorFlow's own functions
        pairs = [(plain(code), traced(code)) for _ in range(repeats)]
        ratio = statistics.median(b / a for a, b in pairs)
        times = [statistics.median(side) * 1e3 for side in zip(*pairs, strict=True)]
        print(f"{name:<28}{times[0]:>7.1f} ms{times[1]:>7.1f} ms{ratio:>8.3f}")


if __name__ == "__main__":
    main()
