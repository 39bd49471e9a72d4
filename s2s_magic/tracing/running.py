"""Running a cell under capture."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s2s_magic.ledger import Cell, Ledger
from s2s_magic.tracing.assemble import assemble, recorder_after
from s2s_magic.tracing.execute import execute, filename_of, trim
from s2s_magic.tracing.live import Live, Traced
from s2s_magic.tracing.patches import recording

_HERE = str(Path(__file__).parent)


def run(
    code: str,
    namespace: dict[str, Any],
    *,
    name: str = "model",
    shell: Any = None,
    before: Traced | None = None,
    first_line: int = 1,
    title: str = "",
) -> Traced:
    """Run code and record every construction and call of a Keras layer in it.

    Parameters
    ----------
    code
        Python code; with a shell also what its cells may hold: magics, top-level ``await``.
    namespace
        Where its names live; ``shell.user_ns`` in a notebook.
    name
        The name of a new ledger.
    shell
        The IPython shell to run it in as a cell: the last expression is displayed. None runs it as plain Python.
    before
        What an earlier cell gave: its ledger goes on, with new events after the old ones.
    first_line
        The line number of the code's first line as the notebook's gutter shows it.
    title
        Where the code came from, for those who read the ledger.

    Returns
    -------
    Traced
        The ledger and the live objects. What the code raised is in ``error``, its traceback without frames of this
        package, and the ledger goes up to there; raising it again is the caller's part.

    Raises
    ------
    UsageError
        When a trace is running already.
    """
    earlier = before or Traced(Ledger(name), Live(), namespace)
    number = len(earlier.ledger.cells) + 1
    filenames = dict(earlier.live.filenames)
    recorder = recorder_after(earlier, filenames)
    error: BaseException | None = None
    filename = ""
    with recording(recorder):
        try:
            text, filename = filename_of(code, first_line, number, shell)
            filenames[filename] = number
            recorder.written[filename] = [""] * (first_line - 1) + code.splitlines()
            execute(text, filename, namespace, shell)
        except BaseException as raised:  # the caller raises it again, once the ledger is kept
            error = raised
    if error is not None:
        trim(error, filename, _HERE)
    recorder.finish(error)
    cell = Cell(number=number, text=code, title=title, first_line=first_line)
    with _uncollected():
        ledger, live = assemble(recorder, earlier, cell, namespace, filenames)
    return Traced(ledger, live, namespace, error)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Put off garbage collection: records that all stay would set it off again and again, over all TensorFlow."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
