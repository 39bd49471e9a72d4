"""Write files and folders atomically, and never overwrite those of other programs unasked."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
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
        path, exists = _resolved(word, "file")
        regular = path.is_file()
        if path in found:
            raise UsageError(f"{word} is given for two files")
        if exists and not regular:
            kind = "a folder" if path.is_dir() else "no regular file"
            raise UsageError(f"{word} is {kind}: expected the name of a file")
        if exists and not overwrite and not _is_ours(path):
            raise UsageError(f"{word} exists and was not written by s2s_magic: --overwrite replaces it")
        found.append(path)
    return found


def check_folder(word: str, names: Collection[str], *, overwrite: bool) -> Path:
    """Check the target path of a folder before it is written.

    Parameters
    ----------
    word
        The path as given on the magic's line.
    names
        The files that the folder will hold; see `is_our_folder`.
    overwrite
        Whether another folder may be moved out of the way.

    Returns
    -------
    Path
        The resolved path.

    Raises
    ------
    UsageError
        For an invalid name, one that is no folder, or a folder that this package did not write.
    """
    path, exists = _resolved(word, "folder")
    if not exists:
        return path
    if not path.is_dir():
        raise UsageError(f"{_short(word)} is no folder: expected the name of a folder")
    here = Path.cwd()
    if path in (here, *here.parents):
        raise UsageError(f"{_short(word)} is the folder that this process works in, or one above it: expected another")
    if not overwrite and not is_our_folder(path, names):
        raise UsageError(f"{_short(word)} exists and was not written by s2s_magic: --overwrite moves it out of the way")
    return path


def is_our_folder(path: Path, names: Collection[str]) -> bool:
    """Return whether a folder holds exactly these files, and this package wrote one of them.

    ``names`` are paths within the folder, such as ``variables/variables.index``.
    """
    if not {each.name for each in path.iterdir()} <= {name.partition("/")[0] for name in names}:
        return False  # before all folders in it are looked through
    found = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if _is_no_folder(each)}
    return found.keys() == set(names) and any(each.is_file() and _is_ours(each) for each in found.values())


def _is_no_folder(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()


def check_name(word: str, kind: str) -> Path:
    """Return the path that a word names.

    Raises
    ------
    UsageError
        When no file or folder can have that name.
    """
    return _resolved(word, kind)[0]


def _resolved(word: str, kind: str) -> tuple[Path, bool]:
    """Return a path and whether it exists, or refuse a name that nothing can have."""
    try:
        path = Path(word).expanduser().resolve()
        os.fsencode(path)
        return path, path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{_short(word)} is not a name that a {kind} can have: {_why(error)}") from error


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


def write_folder(path: Path, writers: Mapping[str, Callable[[Path], object]]) -> Path | None:
    """Write a folder under a temporary name that then takes the place of the target.

    All files are on the disk before that. A folder of the same files that was there is first renamed, to a name that
    begins with a dot and ends with ``.old``, and removed in the end: a process that is killed in between leaves at
    least one of both. What is in any other folder is not ours to remove: it keeps another name.

    Parameters
    ----------
    path
        The target, as `check_folder` returned it.
    writers
        For each file of the folder, what writes it to a path; its name may be a path within the folder.

    Returns
    -------
    Path or None
        Where a folder that this package did not write is now.

    Raises
    ------
    LookupFailed
        When the folder cannot be written; what was there is left unchanged.
    """
    try:
        aside = _name_aside(path) if path.exists() and not is_our_folder(path, writers) else None
        _write_folder(path, writers, aside)
        return aside
    except OSError as error:
        raise LookupFailed(f"{_short(str(path))} cannot be written: {error.strerror}") from error


def _name_aside(path: Path) -> Path:
    """Return a free name for a folder that is moved out of the way: ``notes.replaced``."""
    number, found = 1, path.with_name(f"{path.name}.replaced")
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}.replaced{number}")
    return found


def _write_folder(path: Path, writers: Mapping[str, Callable[[Path], object]], aside: Path | None) -> None:
    stem = f".{path.name[:60]}.{secrets.token_hex(4)}"
    new, old = path.with_name(f"{stem}.tmp"), aside or path.with_name(f"{stem}.old")
    with Changes() as changes, changes, changes:
        if aside is None:
            changes.undo_by(lambda: remove_folder(old) if path.exists() else None)
        changes.undo_by(lambda: remove_folder(new))
        changes.undo_by(lambda: old.rename(path) if old.exists() and not path.exists() else None)
        new.mkdir()
        for name, write in writers.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            write(new / name)
            _settle(new / name)
        for folder in {new, *((new / name).parent for name in writers)}:
            _settle(folder)
        if path.exists():
            new.chmod(path.stat().st_mode & 0o7777)
            path.rename(old)
        new.rename(path)
        _settle(path.parent)


def _settle(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk."""
    with Changes() as changes, changes, changes:
        opened = os.open(path, os.O_RDONLY)
        changes.undo_by(partial(_close, opened))
        os.fsync(opened)


def _close(opened: int) -> None:
    with suppress(OSError):  # it is closed already
        os.close(opened)


def remove_folder(folder: Path) -> None:
    """Remove a folder of files, and of folders of these, if it is there."""
    if folder.is_dir():
        for each in list(folder.iterdir()):
            if _is_no_folder(each):
                each.unlink(missing_ok=True)
            else:
                remove_folder(each)
        folder.rmdir()
