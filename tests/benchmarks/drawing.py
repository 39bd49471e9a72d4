"""What the live drawing of a fit costs: with and without it, alternating in one kernel.

Run ``python tests/benchmarks/drawing.py``. The fits run in a real Jupyter kernel, whose outputs are received; the drawn
ones show their progress in the cell as `%%seq2seq fit` does, the others show nothing. One epoch has few steps, so that
there is much to draw.
"""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient

CELL = """
import os, statistics, time
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np
from s2s_magic import api
from s2s_magic.display import notebook_display

numbers = np.random.default_rng(0)
X, Y = numbers.integers(1, 100, (960, 10)), numbers.integers(1, 100, (960, 15))
model = api.build("vocab: 100\\nembed: 10\\nencoder: lstm(256)\\ndecoder: lstm(256)\\n", name="translator")
body = "source: X\\ntarget: Y\\nepochs: 10\\nbatch: 32\\n"
seconds = {"silent": [], "drawn": []}
shows = 0

def counted():
    show = notebook_display()
    def told(progress):
        global shows
        shows += 1
        show(progress)
    return told

for round in range(9):
    for side in ("silent", "drawn") if round % 2 else ("drawn", "silent"):
        show = counted() if side == "drawn" else lambda progress: None
        began = time.perf_counter(), time.process_time()
        api.fit(model, body, {"X": X, "Y": Y}, progress=show)
        if round:
            seconds[side].append((time.perf_counter() - began[0], time.process_time() - began[1]))
for place, clock in enumerate(("wall", "processor")):
    silent, drawn = ([each[place] for each in seconds[side]] for side in ("silent", "drawn"))
    ratio = statistics.median(d / s for s, d in zip(silent, drawn))
    print(f"{clock}: silent {statistics.median(silent) / 300 * 1000:.2f} ms a step, "
          f"drawn {statistics.median(drawn) / 300 * 1000:.2f} ms, ratio {ratio:.4f}")
print(f"{shows / 9:.1f} displays a fit of 300 steps")
"""


def main() -> None:
    """Run the cell and print what it printed."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
    for output in notebook.cells[0].outputs:
        if output.output_type == "stream" and output.name == "stdout":
            print(output.text, end="")


if __name__ == "__main__":
    main()
