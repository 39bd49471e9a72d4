"""Fit many programs drawn at random by Keras and by this package, accelerated and not, and print where they differ.

    python tests/benchmarks/differential.py [--programs 3000] [--seed 0] [--from 0] [--feature WORDS] [--optimize]

Prints how many were tried and with what, what was refused, and the code of every program whose numbers differ. A run
takes some seven seconds a program on one core. Ctrl-C ends it with its report, and ``--from`` goes on from there.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorflow as tf

from differing import Outcome, compared, reported
from programs import drawn


def main() -> None:
    """Draw, fit, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--programs", type=int, default=3000, help="how many different ones")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the number of the first to fit")
    parser.add_argument("--feature", help="only programs with this feature, by the words it is printed with")
    parser.add_argument("--optimize", action="store_true", help="let TensorFlow optimize the graphs: twice as slow")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    tf.get_logger().setLevel("ERROR")
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not arguments.optimize})
    began = time.monotonic()
    outcomes: list[Outcome] = []
    number = arguments.first
    try:
        for number, program in enumerate(drawn(arguments.seed, arguments.programs)[arguments.first :], arguments.first):
            if arguments.feature is None or arguments.feature in program.features:
                found = compared(program)
                outcomes += found
                for outcome in found:
                    if outcome.ended in ("differs", "untrue", "fails"):
                        print(f"\nprogram {number} {outcome}", flush=True)
            if number % 100 == 99:
                print(f"up to program {number + 1}, {time.monotonic() - began:.0f} s: {reported(outcomes)}", flush=True)
    except KeyboardInterrupt:
        print(f"\nstopped in program {number}: to go on, --from {number}")
    _summary(outcomes)
    sys.exit(any(outcome.ended in ("differs", "untrue", "fails") for outcome in outcomes))


def _summary(outcomes: list[Outcome]) -> None:
    programs = {outcome.program.code: outcome.program for outcome in outcomes}
    features = Counter(feature for program in programs.values() for feature in program.features)
    print(f"\n{len(programs)} programs, each fitted twice in a row by each side: {reported(outcomes)}")
    for title, counts in (
        ("features", features),
        ("refused", Counter(outcome.details for outcome in outcomes if outcome.ended == "refused")),
        ("not fitted by Keras", Counter(outcome.details for outcome in outcomes if outcome.ended == "invalid")),
        ("left to Keras", Counter(why for outcome in outcomes for why in outcome.told if why != "accelerated")),
    ):
        print(f"\n{title}:")
        for words, count in counts.most_common():
            print(f"{count:6}  {words}")


if __name__ == "__main__":
    main()
