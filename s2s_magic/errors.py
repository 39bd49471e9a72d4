"""The expected errors: each says what is wrong, where, what was expected, and the nearest valid alternative.

Every error that a user can cause is a `Seq2SeqError`; any other exception from this package is a bug and keeps its
full traceback.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong in a cell.

    Parameters
    ----------
    line, column
        Place in the cell, both counted from 1; the ``%%seq2seq`` line is line 1. Zero for a fault without a place.
    message
        What is wrong, what was expected, and the nearest valid alternative, if any.
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


WITHOUT_TENSORFLOW = (
    f"TensorFlow is not installed in this Python {sys.version_info[0]}.{sys.version_info[1]}, and code of Keras runs "
    "on it: install tensorflow, in a Python that it has a release for. A ledger that was saved is read and shown "
    "without it, by s2s_magic.Ledger.from_dict"
)


class Seq2SeqError(Exception):
    """An expected error: shown as one clean line, and still an error to whatever runs the notebook.

    Attributes
    ----------
    full_traceback : bool
        Show the whole traceback, chained causes included (``%config Seq2SeqMagics.full_tracebacks = True``).
    """

    full_traceback: bool = False
    _render_traceback_ = _rendered


class Interrupted(KeyboardInterrupt):
    """An interrupt that says in one sentence what was reached, what is kept and how to continue.

    It is a real ``KeyboardInterrupt``, in name too, so that whatever runs the notebook stops.
    """

    full_traceback: bool = False
    _render_traceback_ = _rendered


Interrupted.__name__ = Interrupted.__qualname__ = KeyboardInterrupt.__name__


def as_plain(error: BaseException, shell: Any) -> BaseException:
    """Return a cell's exception in a form that IPython shows as in a plain cell, without a magic's frames.

    IPython asks an exception for ``_render_traceback_`` before it formats its traceback.

    Parameters
    ----------
    error
        An exception whose traceback begins in the cell; one that renders itself is unchanged.
    shell
        The shell that shows it.

    Returns
    -------
    BaseException
        The same exception, or a `_SyntaxErrorWhileRunning` in its place.
    """
    if error.__traceback__ is None or hasattr(error, "_render_traceback_"):
        return error
    shown = _while_running(error) if isinstance(error, SyntaxError) else error
    traceback = error.__traceback__  # saved now: raising the error again prepends frames

    def render() -> Any:
        if shown is not error:
            return shell.SyntaxTB.structured_traceback(type(error), error, extract_tb(traceback))
        return shell.InteractiveTB.structured_traceback(type(error), error, traceback, tb_offset=0)

    with suppress(AttributeError, TypeError):  # an exception may refuse attributes
        object.__setattr__(shown, "_render_traceback_", render)
    return shown


class _SyntaxErrorWhileRunning(Exception):
    """Represents a SyntaxError raised by running code, such as importing a faulty file.

    For subclasses of SyntaxError IPython lists every frame and ignores ``_render_traceback_``. So this class derives
    from Exception, and its ``__class__`` is that of the error it represents.
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
    """The request is not supported by the installed packages."""


class FaultsError(Seq2SeqError):
    """All faults of a cell's body at once.

    Parameters
    ----------
    faults
        What is wrong, and where.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: Sequence[Fault] = tuple(sorted(faults))
        super().__init__("\n".join(map(str, self.faults)))


class SpecError(FaultsError):
    """An invalid spec or fit body."""


class DataError(FaultsError):
    """Data that do not fit the model; found before the first step, so nothing has changed."""


class BuildError(Seq2SeqError):
    """The spec or the code is valid, but building the model failed."""


class FitError(Seq2SeqError):
    """Training could not continue; the model is left in its last sound state."""


class DecodeError(Seq2SeqError):
    """The model cannot be decoded.

    Parameters
    ----------
    message
        What is wrong.
    about
        The option of the decoding that is wrong, or ``source``; empty if it is the model.
    """

    def __init__(self, message: str, about: str = "") -> None:
        super().__init__(message)
        self.about = about


class LoadError(Seq2SeqError):
    """A saved model cannot be loaded; nothing was changed."""


class LookupFailed(Seq2SeqError):
    """There is no tensor, layer, variable, event or model of that name."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a "did you mean" hint for a misspelled word, ignoring case.

    Parameters
    ----------
    word
        What was written.
    known
        The valid words.

    Returns
    -------
    str
        ``"; did you mean 'encoder'?"``, or the empty string when nothing is close.
    """
    spellings: dict[str, list[str]] = {}
    for name in known:
        spellings.setdefault(name.lower(), []).append(name)
    found = difflib.get_close_matches(word.lower(), spellings, n=1)
    if not found:
        return ""
    (meant,) = difflib.get_close_matches(word, spellings[found[0]], n=1, cutoff=0)
    return f"; did you mean {str(meant)!r}?"  # the repr of a NumPy string includes its class


def nearest_file(path: Path) -> str:
    """Return a "did you mean" hint for the name of a missing file, from what its folder holds."""
    return nearest(path.name, (each.name for each in path.parent.iterdir())) if path.parent.is_dir() else ""


def first_line_of(error: BaseException) -> str:
    """Return the first line of an error's message, or its class name if the message is empty."""
    return next(iter(str(error).splitlines()), type(error).__name__)
