"""Build, fit, decode and save the models of a grid of specs, and print what fails.

    python tests/benchmarks/spec_grid.py [--number 240] [--seed 0] [--from 0] [--to 240]

A spec takes some ten seconds. Keras keeps some of the graphs of models with tied tables, some 150 MB for each: with
little memory, run it in parts.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorflow as tf
from tensorflow import keras

from spec_grid import check, grid


def main() -> None:
    """Check each spec, and print the failures and their number."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--number", type=int, default=240, help="how many different specs")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the number of the first to check")
    parser.add_argument("--to", dest="end", type=int, default=None, help="the number of the first to leave out")
    arguments = parser.parse_args()
    tf.get_logger().setLevel("ERROR")
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    specs = grid(arguments.number, arguments.seed)[arguments.first : arguments.end]
    failed = 0
    for number, text in enumerate(specs, arguments.first):
        try:
            with tempfile.TemporaryDirectory() as folder:
                check(text, Path(folder))
        except Exception:
            failed += 1
            print(f"-- spec {number}\n{text}")
            traceback.print_exc(limit=-4, file=sys.stdout)
        keras.backend.clear_session()
        gc.collect()
        if number % 20 == 19:
            print(f"{number + 1} specs, {failed} failed", flush=True)
    print(f"{len(specs)} specs, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
