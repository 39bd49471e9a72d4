"""Write files atomically, and never overwrite files of other programs unasked."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from s2s_magic.errors import LookupFailed, UsageError
from s2s_magic.undoing import Changes

MARKS = (
    b'"schema": "s2s_magic.',
    b'name="generator" content="s2s_magic">',
    b'xmlns="http://www.w3.org/2000/svg" class="s2s-wiring"',
    b"Software\0s2s_magic",
)
"""A mark near the beginning of each kind of file that this package writes."""
_BEGINNING = 1000
_LONGEST = 100


def check_targets(words: Iterable[str], *, overwrite: bool) -> list[Path]:
    """Check the target paths before any file is written.

    Parameters
    ----------
    words
        The paths as given on the magic's line.
    overwrite
        Whether files that this package did not write may be replaced.

    Returns
    -------
    list of Path
        The resolved paths.

    Raises
    ------
    UsageError
        For an invalid or repeated name, one that is not a regular file, or a file that this package did not write.
    """
    found: list[Path] = []
    for word in words:
        try:
            path = Path(word).expanduser().resolve()
            exists, regular = path.exists(), path.is_file()
            os.fsencode(path)
        except (OSError, ValueError, RuntimeError) as error:
            raise UsageError(f"{_short(word)} is not a name that a file can have: {_why(error)}") from error
        if path in found:
            raise UsageError(f"{word} is given for two files")
        if exists and not regular:
            kind = "a folder" if path.is_dir() else "no regular file"
            raise UsageError(f"{word} is {kind}: expected the name of a file")
        if exists and not overwrite and not _is_ours(path):
            raise UsageError(f"{word} exists and was not written by s2s_magic: --overwrite replaces it")
        found.append(path)
    return found


def _short(word: str) -> str:
    return ascii(word if len(word) <= _LONGEST else f"{word[:_LONGEST]}...")


def _why(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else str(error)


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError:
        return False
    return any(mark in beginning for mark in MARKS)


def write_whole(contents: Mapping[Path, bytes]) -> None:
    """Write files, each to a temporary name that then replaces the target.

    Raises
    ------
    LookupFailed
        When a file cannot be written; it is left unchanged.
    """
    for path, content in contents.items():
        try:
            _write(path, content)
        except OSError as error:
            raise LookupFailed(f"{_short(str(path))} cannot be written: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}.tmp")
    with Changes() as changes, changes, changes:
        changes.undo_by(lambda: beside.unlink(missing_ok=True))
        file = beside.open("xb")
        changes.undo_by(file.close)
        with suppress(OSError):  # keep the permissions of the file that it replaces
            beside.chmod(path.stat().st_mode & 0o7777)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        beside.replace(path)
