"""Run a cell under capture."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from s2s_magic import addons
from s2s_magic.ledger import Cell, Ledger
from s2s_magic.tracing.assemble import assemble, recorder_after
from s2s_magic.tracing.execute import execute, filename_of, trim
from s2s_magic.tracing.live import Live, Traced
from s2s_magic.tracing.patches import recorded
from s2s_magic.undoing import Changes

P = ParamSpec("P")
T = TypeVar("T")

_HERE = f"{Path(__file__).parent.parent}{os.sep}"


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
        Python code; with a shell also anything its cells may contain: magics, top-level ``await``.
    namespace
        Where its names live; ``shell.user_ns`` in a notebook.
    name
        The name of a new ledger.
    shell
        The IPython shell to run it in as a cell: the last expression is displayed. None runs it as plain Python.
    before
        The result of an earlier cell: its ledger is continued, with new events after the old ones.
    first_line
        The line number of the code's first line as the notebook's gutter shows it.
    title
        Where the code came from, for readers of the ledger.

    Returns
    -------
    Traced
        The ledger and the live objects. If the code raised, ``error`` has the exception, its traceback without frames
        of this package, and the ledger ends there; the caller has to raise it again.

    Raises
    ------
    KeyboardInterrupt
        If it comes before or after the cell's own code.
    """
    tracing = Tracing(code, namespace, name=name, shell=shell, before=before, first_line=first_line, title=title)
    tracing.go()
    return tracing.traced()


class Tracing:
    """A cell on its way to a ledger: `go` runs it once; `traced` returns what was seen so far, even after an interrupt.

    Takes the parameters of `run`.

    Attributes
    ----------
    error
        What the cell raised; None before it has run and if it ran to its end.
    began
        Whether the cell was started: it is not if another trace is running.
    """

    def __init__(
        self,
        code: str,
        namespace: dict[str, Any],
        *,
        name: str = "model",
        shell: Any = None,
        before: Traced | None = None,
        first_line: int = 1,
        title: str = "",
    ) -> None:
        self.error: BaseException | None = None
        self.began = False
        self._namespace, self._shell = namespace, shell
        self._earlier = before or Traced(Ledger(name), Live(), namespace)
        number = len(self._earlier.ledger.cells) + 1
        self._cell = Cell(number=number, text=code, title=title, first_line=first_line)
        self._filenames = dict(self._earlier.live.filenames)
        self._recorder = recorder_after(self._earlier, self._filenames)
        self._seen: Traced | None = None

    def go(self) -> None:
        """Run the cell, keeping what it raises in ``error``. Any exception raised here did not come from the cell."""
        with Changes() as changes, changes, changes:
            addons.stand_in(changes)
            recorded(self._recorder, self._run)

    def _run(self) -> None:
        self.began = True
        filename = ""
        cell = self._cell
        try:
            text, filename = filename_of(cell.text, cell.first_line, cell.number, self._shell)
            self._filenames[filename] = cell.number
            self._recorder.written[filename] = [""] * (cell.first_line - 1) + cell.lines
            execute(text, filename, self._namespace, self._shell)
        except BaseException as raised:  # the caller raises it again once the ledger is kept
            self.error = raised
            trim(raised, filename, _HERE)

    def traced(self) -> Traced:
        """Return the ledger and the live objects, the same ones each time."""
        if self._seen is None:
            self._recorder.finish(self.error)
            self._seen = self._written_down()
        return self._seen

    def _written_down(self) -> Traced:
        cell, names = self._cell, self._namespace
        ledger, live = _uncollected(assemble, self._recorder, self._earlier, cell, names, self._filenames, self.error)
        return Traced(ledger, live, names, self.error)


def _uncollected(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``work`` without garbage collection, which its many lasting records would trigger again and again."""
    with Changes() as changes, changes, changes:
        if gc.isenabled():
            changes.undo_by(gc.enable)
            gc.disable()
        return work(*args, **kwargs)
