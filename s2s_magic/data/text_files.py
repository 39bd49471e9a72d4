"""Find and read files, with a full sentence for whatever is wrong with one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from s2s_magic.data.selection import Unknown
from s2s_magic.data.values import short
from s2s_magic.errors import nearest


def found_path(name: str) -> tuple[Path, os.stat_result]:
    """Return the path that a name stands for, and what it is.

    Raises
    ------
    Unknown
        When there is no such file or folder, with the nearest name, or it cannot be looked at.
    """
    try:
        path = Path(name).expanduser()
        return path, path.stat()
    except FileNotFoundError as error:
        raise Unknown(f"there is no file {short(name)}{_near(path)}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise Unknown(f"{short(name)} cannot be read: {why(error)}") from error


def regular_file(name: str) -> Path:
    """Return the path of a regular file.

    Raises
    ------
    Unknown
        As for `found_path`, and when it is a folder or something that has no end, such as a pipe.
    """
    path, status = found_path(name)
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise Unknown(f"{short(name)} is {kind}: expected the name of a file")
    return path


def content(path: Path) -> bytes:
    """Return what is in a file.

    Raises
    ------
    Unknown
        When it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unknown(f"{short(str(path))} cannot be read: {why(error)}") from error


def why(error: Exception) -> str:
    """Return an error's reason without its file's name."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def _near(path: Path) -> str:
    """Return a hint at the nearest name in the nearest folder that exists."""
    missing, folder = path.name, path.parent
    try:
        while not folder.is_dir() and folder != folder.parent:
            missing, folder = folder.name, folder.parent
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return ""
    return nearest(missing, names) or ("" if folder == path.parent else f": there is no folder {missing!r} in {folder}")
