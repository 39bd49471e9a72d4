"""The family of expected errors: what is wrong, where, what was expected, the nearest right thing.

Everything a user can cause is a `Seq2SeqError`; anything else that comes out of this package is a bug of ours and keeps
its full traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from traceback import extract_tb
from typing import Any


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong in a cell.

    Parameters
    ----------
    line, column
        Place in the cell, both counted from 1; the ``%%seq2seq`` line is line 1. Zero where a fault has no place.
    message
        What is wrong, what was expected, and the nearest right thing where there is one.
    """

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}" if self.line else self.message


def _rendered(error: Any) -> list[str]:
    """Return the lines that IPython shows; see IPython's ``InteractiveShell.showtraceback``."""
    if error.full_traceback:
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        if shell is not None:
            lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
            return lines
    return [f"{type(error).__name__}: {error}"]


class Seq2SeqError(Exception):
    """An expected error: shown as one clean line, and a real error for whoever runs the notebook.

    Attributes
    ----------
    full_traceback : bool
        Show the whole traceback, chained causes included (``%config Seq2SeqMagics.full_tracebacks = True``).
    """

    full_traceback: bool = False
    _render_traceback_ = _rendered


class Interrupted(KeyboardInterrupt):
    """An interrupt that says in one sentence what was reached, what is kept and how to go on.

    It is a real ``KeyboardInterrupt``, by its name too: whoever runs a notebook stops at it.
    """

    full_traceback: bool = False
    _render_traceback_ = _rendered


Interrupted.__name__ = Interrupted.__qualname__ = KeyboardInterrupt.__name__


def as_plain(error: BaseException, shell: Any) -> BaseException:
    """Give what a cell raised so that IPython shows it as it does in a plain cell: without a magic's frames around it.

    IPython asks an exception for ``_render_traceback_`` before it formats its traceback.

    Parameters
    ----------
    error
        An exception whose traceback begins in the cell; one that shows itself is left as it is.
    shell
        The shell that shows it.

    Returns
    -------
    BaseException
        The same one, or a `_SyntaxErrorWhileRunning` that stands for it.
    """
    if error.__traceback__ is None or hasattr(error, "_render_traceback_"):
        return error
    shown = _while_running(error) if isinstance(error, SyntaxError) else error
    traceback = error.__traceback__  # as it is now; raising the error again puts more frames before these

    def render() -> Any:
        if shown is not error:
            return shell.SyntaxTB.structured_traceback(type(error), error, extract_tb(traceback))
        return shell.InteractiveTB.structured_traceback(type(error), error, traceback, tb_offset=0)

    with suppress(AttributeError, TypeError):  # an exception may refuse attributes
        object.__setattr__(shown, "_render_traceback_", render)
    return shown


class _SyntaxErrorWhileRunning(Exception):
    """Stands for a SyntaxError that running code raised, as by importing a file with a fault.

    IPython lists every frame for a class that derives from SyntaxError, whatever the exception has to say of that. So
    this one derives from Exception, and says to whoever asks the object that it is what it stands for.
    """

    original: SyntaxError

    @property  # type: ignore[misc]
    def __class__(self) -> type[SyntaxError]:  # type: ignore[override]
        return type(self.original)

    def __str__(self) -> str:
        return str(self.original)


def _while_running(error: SyntaxError) -> BaseException:
    shown: BaseException = type(type(error).__name__, (_SyntaxErrorWhileRunning,), {"original": error})(*error.args)
    return shown


class UsageError(Seq2SeqError):
    """The magic's line cannot be read: an unknown verb, option or name."""


class SetupError(Seq2SeqError):
    """What is asked for does not run on what is installed here."""


class FaultsError(Seq2SeqError):
    """Faults of a cell's body, all of them at once.

    Parameters
    ----------
    faults
        What is wrong, and where.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: Sequence[Fault] = tuple(sorted(faults))
        super().__init__("\n".join(map(str, self.faults)))


class SpecError(FaultsError):
    """A spec that cannot become a model, or a fit body that cannot be read."""


class DataError(FaultsError):
    """Data that do not fit the model: found before the first step, with nothing changed."""


class BuildError(Seq2SeqError):
    """The code was read, and no model came of it."""


class FitError(Seq2SeqError):
    """Training could not go on; the model is left at its last sound state."""


class DecodeError(Seq2SeqError):
    """The model cannot be decoded."""


class LookupFailed(Seq2SeqError):
    """No tensor, layer, variable, event or model of that name."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Say what was probably meant; capitals count for nothing.

    Parameters
    ----------
    word
        What was written.
    known
        What could have been written.

    Returns
    -------
    str
        ``"; did you mean 'encoder'?"``, or the empty string when nothing is near.
    """
    spellings: dict[str, list[str]] = {}
    for name in known:
        spellings.setdefault(name.lower(), []).append(name)
    found = difflib.get_close_matches(word.lower(), spellings, n=1)
    if not found:
        return ""
    (meant,) = difflib.get_close_matches(word, spellings[found[0]], n=1, cutoff=0)
    return f"; did you mean {str(meant)!r}?"  # a text of NumPy's own class writes that class, too


def first_line_of(error: BaseException) -> str:
    """Return the first line of an error's text, or the name of its class where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
