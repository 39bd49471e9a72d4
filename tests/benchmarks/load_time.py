"""How long does ``%load_ext s2s_magic`` take? Each load is measured in a new process, after IPython itself is up.

Run: python tests/benchmarks/load_time.py
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

CODE = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
started = time.perf_counter()
{action}
print(time.perf_counter() - started, sum(name.split(".")[0] in {heavy!r} for name in sys.modules))
"""
HEAVY = ("tensorflow", "keras", "tensorflow_addons", "matplotlib", "ipywidgets")
SIDES = {
    "%load_ext s2s_magic": "shell.run_line_magic('load_ext', 's2s_magic')",
    "%load_ext storemagic (IPython's own)": "shell.run_line_magic('load_ext', 'storemagic')",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    heavy = 0
    for _ in range(repeats):
        for name, action in SIDES.items():
            code = CODE.format(action=action, heavy=HEAVY)
            out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
            taken, loaded = out.split()
            seconds[name].append(float(taken))
            heavy = max(heavy, int(loaded))
    print(f"{'':<40}{'median':>10}{'slowest':>10}   ({repeats} new processes each)")
    for name, taken in seconds.items():
        print(f"{name:<40}{statistics.median(taken) * 1e3:>7.1f} ms{max(taken) * 1e3:>7.1f} ms")
    print(f"modules of TensorFlow, Keras, matplotlib or ipywidgets that it imported: {heavy}")


if __name__ == "__main__":
    main()
