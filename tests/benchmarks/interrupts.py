"""Interrupt a fit and a decoding at every line that they run through, and print what each interrupt left behind.

python tests/benchmarks/interrupts.py                       # all places, some forty minutes on two cores
python tests/benchmarks/interrupts.py --only training/ --every 5
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

from interrupting import places
from leaving import left_behind
from plainly import COMPILED, NAMES, TAGGER, quiet, traced
from s2s_magic import api

EXCEPTIONS = (KeyboardInterrupt, MemoryError)


def calls() -> dict[str, tuple[Any, Callable[[], object], bool]]:
    """Give what is interrupted: the model, the call, and whether the optimizer counts steps in it."""
    twice = TAGGER.replace("head(lstm(emb(x)))", "head(lstm(emb(x)) + lstm(emb(x)))")
    tagger = traced(twice + COMPILED)
    reader = api.build("vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\nmax_length: 3\n")
    body = "source: X\ntarget: Y\nbatch: 32\nseed: 5\nepochs: 2\n"

    def fit() -> object:
        return api.fit(tagger, body, NAMES, progress=quiet)

    def fit_traced_anew() -> object:
        tagger.steps = None
        return fit()

    def decode() -> object:
        reader.inference = None
        return api.decode(reader, [[3, 4, 5]])

    return {
        "fit": (tagger, fit, True),
        "fit, traced anew": (tagger, fit_traced_anew, True),
        "decode": (reader, decode, False),
    }


def main() -> int:
    """Run the sweep; the exit code is 1 where anything was left behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="files of the package that begin so, such as training/")
    parser.add_argument("--every", type=int, default=1, help="only every n-th place")
    given = parser.parse_args()
    bad = 0
    for name, (model, call, steps) in calls().items():
        found = places(call, under=given.only)[:: given.every]
        for exception in EXCEPTIONS:
            began = time.monotonic()
            left = left_behind(model, call, found, exception, steps=steps)
            bad += len(left)
            seconds = time.monotonic() - began
            print(f"{name}: {exception.__name__} at {len(found)} places in {seconds:.0f} s, {len(left)} left something")
            for one in left:
                print(f"  {one}", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
