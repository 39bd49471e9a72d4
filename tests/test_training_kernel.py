"""Interrupting a fit in a real kernel, as the stop button does."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

SETUP = """\
import os, signal, threading, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
X = np.random.default_rng(0).integers(1, 9, (64, 4))
%load_ext s2s_magic"""
BUILD = "%%seq2seq build m\nvocab: 9\nembed: 2\nencoder: gru(4)\ndecoder: gru(4)"
STOP = """\
def stop():
    while not m.model.optimizer.iterations >= 20:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=stop, daemon=True).start()"""
FIT = "%%seq2seq fit m\nsource: X\ntarget: X\nepochs: 100000"


def test_an_interrupted_fit_is_one_sentence_and_stops_a_run_of_all_cells():
    cells = [SETUP, BUILD, STOP, FIT, "'not reached'"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.raises(CellExecutionError):
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    *_, fit, after = notebook.cells
    (error,) = [out for out in fit.outputs if out.output_type == "error"]
    assert error.ename == "KeyboardInterrupt"
    (line,) = error.traceback
    assert "the fit of m was interrupted in epoch" in line
    assert "to go on, fit again with epochs: 99" in line
    assert "Traceback" not in line
    assert not [out for out in fit.outputs if out.output_type == "stream" and "Traceback" in out.text]
    assert not after.outputs
