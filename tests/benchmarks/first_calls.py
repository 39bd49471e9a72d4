"""How long do a build, the first fit and the first decoding take, with and without recurrent layers' form for a GPU?

Keras 2 traces each LSTM and GRU a second time in a form for a GPU, which is called by nothing where there is none; this
package leaves it out there. Both ways are timed alternately, in one process.

Run: python tests/benchmarks/first_calls.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
warnings.filterwarnings("ignore", module="tensorflow_addons")

import numpy as np  # noqa: E402

import s2s_magic  # noqa: E402
from s2s_magic import backend  # noqa: E402

SPEC = "vocab: 10\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\nstart: 1\nend: 2\npadding: 0\ncode: keras\n"
BODY = "source: X\ntarget: X\nbatch: 8\naccelerate: "
ROWS = np.random.default_rng(0).integers(3, 9, (24, 6))
STEPS = ("build", "first fit", "first fit, accelerate: off", "first decoding")
skip = backend.skip_gpu_forms


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measured(skipping: Callable[..., None]) -> list[float]:
    """Return the seconds of each of `STEPS`."""
    vars(backend)["skip_gpu_forms"] = skipping
    one, other = s2s_magic.build(SPEC), s2s_magic.build(SPEC)

    def fit(model: Any, how: str) -> None:
        s2s_magic.fit(model, BODY + how, {"X": ROWS}, progress=lambda _: None)

    return [
        seconds(lambda: s2s_magic.build(SPEC)),
        seconds(lambda: fit(one, "on")),
        seconds(lambda: fit(other, "off")),
        seconds(lambda: s2s_magic.decode(other, ROWS[:3])),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    measured(skip)  # the first also imports and traces what is traced once
    pairs = [(measured(lambda *_, **__: None), measured(skip)) for _ in range(repeats)]
    print(f"{'':<28}{'both forms':>12}{'one':>10}{'ratio':>8}   (medians of {repeats} pairs)")
    for number, name in enumerate(STEPS):
        both, one = ([side[number] for side in sides] for sides in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in zip(both, one, strict=True))
        print(f"{name:<28}{statistics.median(both):>10.2f} s{statistics.median(one):>8.2f} s{ratio:>8.2f}")


if __name__ == "__main__":
    main()
