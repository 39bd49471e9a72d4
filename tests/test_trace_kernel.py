"""Tracing in a real kernel, in which an event loop is already running."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("nbclient")

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

SETUP = """\
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import asyncio
from tensorflow import keras
from tensorflow.keras import layers
from s2s_magic.tracing import run
shell = get_ipython()
original = layers.Layer.__call__
def trace(code):
    global seen
    seen = run(code, shell.user_ns, shell=shell, first_line=2)
    assert layers.Layer.__call__ is original
    if seen.error is not None:
        raise seen.error
"""


class Notebook:
    """One kernel; each `run` is a cell."""

    def __init__(self) -> None:
        self.client = NotebookClient(nbformat.v4.new_notebook(), timeout=120, kernel_name="python3")
        self.client.km = KernelManager(kernel_name="python3")
        self.client.start_new_kernel()
        self.client.start_new_kernel_client()

    def run(self, code: str) -> list[Any]:
        cell = nbformat.v4.new_code_cell(code)
        self.client.nb.cells.append(cell)
        try:
            self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        except CellExecutionError:
            time.sleep(0.2)  # ipykernel 6 discards requests that arrive immediately after an error
            raise
        return cell.outputs

    def text(self, code: str) -> str:
        return "".join(
            out.get("text") or out["data"]["text/plain"] for out in self.run(code) if out.get("name") != "stderr"
        )


@pytest.fixture(scope="module")
def notebook() -> Iterator[Notebook]:
    made = Notebook()
    made.run(SETUP)
    yield made
    made.client._cleanup_kernel()


def test_await_works_where_a_loop_is_running_already(notebook: Notebook) -> None:
    notebook.run(
        "trace('''\n"
        "async def later(v):\n    await asyncio.sleep(0.01)\n    return layers.Dense(2)(v)\n"
        "x = keras.Input([2])\ny = await later(x)\n"
        "async with asyncio.timeout(5) if hasattr(asyncio, 'timeout') else asyncio.Semaphore():\n"
        "    z = await asyncio.gather(later(y), later(y))\n''')"
    )
    assert notebook.text(
        "[(e.line, [o.name for o in e.outputs]) for e in seen.ledger.events if e.kind == 'called']"
    ) == ("[(5, ['y']), (5, ['z[0]']), (5, ['z[1]'])]")
    assert notebook.text("await asyncio.sleep(0.01, 'the kernel goes on')") == "'the kernel goes on'"


def test_the_last_expression_is_the_cells_output(notebook: Notebook) -> None:
    (output,) = notebook.run("trace('six = 6\\nsix * 7')")
    assert (output.output_type, output.data["text/plain"]) == ("execute_result", "42")
    assert notebook.text("_ + six") == "48"


def test_an_error_is_an_error_output_with_the_cells_line(notebook: Notebook) -> None:
    with pytest.raises(CellExecutionError) as raised:
        notebook.run("trace('d = layers.Dense(2)\\nd(keras.Input([2]))\\nd(keras.Input([3]))')")
    text = re.sub(r"\x1b\[[\d;]*m", "", str(raised.value))
    assert re.search(r"line 4|-> 4 d\(keras", text)
    assert "tracing/recorder.py" not in str(raised.value)
    assert (
        notebook.text("[e.kind for e in seen.ledger.events]")
        == "['constructed', 'constructed', 'called', 'constructed']"
    )


@pytest.mark.parametrize("waiting", ["import time; time.sleep(60)", "await asyncio.sleep(60)"])
def test_an_interrupt_keeps_the_ledger_and_leaves_no_patch(notebook: Notebook, waiting: str) -> None:
    code = f"d = layers.Dense(2)\n{waiting}"
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        notebook.run(
            "import os, signal, threading\n"
            "threading.Timer(1, os.kill, [os.getpid(), signal.SIGINT]).start()\n"
            f"trace({code!r})"
        )
    assert notebook.text("[e.layer for e in seen.ledger.events], layers.Layer.__call__ is original") == "(['d'], True)"
    assert notebook.text("await asyncio.sleep(0.01, 'the kernel goes on')") == "'the kernel goes on'"
