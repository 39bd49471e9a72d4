"""Interrupt a trace, a build, a fit and a decoding at every line that they run; print what each interrupt left behind.

python tests/benchmarks/interrupts.py                       # all places: hours on one core
python tests/benchmarks/interrupts.py --call decode --only training/ --every 5
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorflow as tf

from forgetting import gradients_forgotten
from interrupting import Place, places
from leaving import Left, left_behind, left_by_running
from plainly import COMPILED, HEAD, NAMES, TAGGER, quiet, traced
from s2s_magic import api
from test_trace_interrupts import CODE

EXCEPTIONS = {each.__name__: each for each in (KeyboardInterrupt, MemoryError)}
AT_A_TIME = 50

Sweep = Callable[[Callable[[], Any], Iterable[Place], type[BaseException]], list[Left]]


def calls() -> dict[str, tuple[Callable[[], object], Sweep]]:
    """Return each call to interrupt, with the function that lists what interrupts left behind."""
    twice = TAGGER.replace("head(lstm(emb(x)))", "head(lstm(emb(x)) + lstm(emb(x)))")
    tagger = traced(twice + COMPILED)
    spec = "vocab: 20\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\nmax_length: 3\n"
    reader = api.build(spec)
    body = "source: X\ntarget: Y\nbatch: 32\nseed: 5\nepochs: 2\n"

    def fit() -> object:
        return api.fit(tagger, body, NAMES, progress=quiet)

    def fit_traced_anew() -> object:
        tagger.steps = None
        return fit()

    def decode() -> object:
        reader.inference = None
        return api.decode(reader, [[3, 4, 5]])

    fitted = partial(left_behind, tagger)
    return {
        "trace": (lambda: api.trace(CODE, {}), left_by_running),
        "trace, compiled": (lambda: api.trace(HEAD + twice + COMPILED, {}), left_by_running),
        "build": (lambda: api.build(spec), left_by_running),
        "decode": (decode, partial(left_behind, reader, steps=False)),
        "fit, traced anew": (fit_traced_anew, fitted),
        "fit": (fit, fitted),
    }


def main() -> int:
    """Run the sweep; the exit code is 1 where anything was left behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = calls()
    parser.add_argument("--call", choices=named, action="append", help="what is interrupted; all unless given")
    parser.add_argument("--exception", choices=EXCEPTIONS, action="append", help="what is raised; both unless given")
    parser.add_argument("--only", default="", help="files of the package that begin so, such as training/")
    parser.add_argument("--every", type=int, default=1, help="only every n-th place")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the number of the first place")
    given = parser.parse_args()
    # TensorFlow's graph optimizer takes as long as tracing, and runs no code of this package
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    bad = 0
    for name in given.call or named:
        call, sweep = named[name]
        found = places(call, under=given.only)[given.first :: given.every]
        for exception in given.exception or EXCEPTIONS:
            began = time.monotonic()
            left = []
            for start in range(0, len(found), AT_A_TIME):
                with gradients_forgotten():
                    some = sweep(call, found[start : start + AT_A_TIME], EXCEPTIONS[exception])
                for one in some:
                    print(f"  {one}", flush=True)
                left += some
            missed = sum(one.what == "was not reached" for one in left)
            bad += len(left) - missed
            print(
                f"{name}: {exception} at {len(found) - missed} places in {time.monotonic() - began:.0f} s, "
                f"{len(left) - missed} left something; {missed} were not reached again",
                flush=True,
            )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
