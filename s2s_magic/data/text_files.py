"""Find and read files, with a full sentence for whatever is wrong with one: its name, line and byte."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from s2s_magic.data.values import Unknown, short
from s2s_magic.errors import nearest

_BINARY = 8192
"""In how many first bytes a zero byte says that a file is no text."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_MARK = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """A text of a file: a line, or a field of a table.

    Attributes
    ----------
    file, line
        The file's name, and the line that it begins with, from 1.
    text
        The text; empty if it cannot be read.
    bad
        Why it cannot be read: a sentence with the file and the line; else empty.
    """

    file: str
    line: int
    text: str
    bad: str = ""

    @property
    def where(self) -> str:
        """The file and the line."""
        return f"{self.file}, line {self.line}"


@dataclass
class Lines:
    """The texts of a file or of a folder of them, one for each line.

    Attributes
    ----------
    texts
        The texts; an empty one for a line that cannot be read.
    bad
        By row, why its line cannot be read: a sentence with the file and the line.
    shards
        The name of each file and the row that it begins with.
    numbers
        The line of each row.
    """

    texts: list[str] = field(default_factory=list)
    bad: dict[int, str] = field(default_factory=dict)
    shards: list[tuple[str, int]] = field(default_factory=list)
    numbers: array[int] = field(default_factory=lambda: array("q"))

    @classmethod
    def of(cls, records: Iterable[Record]) -> Lines:
        """Collect records, in the order of their files."""
        found = cls()
        for file, line, text, bad in records:
            row = len(found.texts)
            if not found.shards or found.shards[-1][0] != file:
                found.shards.append((file, row))
            if bad:
                found.bad[row] = bad
            found.texts.append(text)
            found.numbers.append(line)
        return found

    def all_texts(self) -> list[str]:
        """Return the texts.

        Raises
        ------
        Unknown
            When a line cannot be read.
        """
        if self.bad:
            more = f" ({len(self.bad):,} such lines in all)" if len(self.bad) > 1 else ""
            raise Unknown(f"{self.bad[min(self.bad)]}{more}")
        return self.texts

    def where(self, row: int) -> str:
        """Return the file and the line of a row."""
        name, _ = [shard for shard in self.shards if shard[1] <= row][-1]
        return f"{name}, line {self.numbers[row]}"


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
        raise Unknown(f"there is no file {short(name)}{_near(name, path)}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise Unknown(f"{short(name)} cannot be read: {_why(error)}") from error


def content(name: str) -> bytes:
    """Return what is in a regular file.

    Raises
    ------
    Unknown
        When it cannot be read, or is a folder or something that may have no end, such as a pipe.
    """
    path = _regular(name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unknown(f"{name} cannot be read: {_why(error)}") from error


def _regular(name: str) -> Path:
    path, status = found_path(name)
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise Unknown(f"{name} is {kind}: expected the name of a file")
    return path


def lines_in(name: str) -> Iterator[str]:
    """Yield the lines of a file without their ends, unpacked if its name ends with ``.gz``, one at a time.

    Only line feeds end a line, and a carriage return before one. Bytes that are no UTF-8 become surrogates.

    Raises
    ------
    Unknown
        When the file cannot be read, or holds no text.
    """
    path = _regular(name)
    try:
        with path.open("rb") as file:
            packed = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else None
            lines = io.BufferedReader(packed) if packed is not None else file
            begins = lines.read(_BINARY)
            if begins.startswith(_UTF_16):
                raise Unknown(f"{name} is UTF-16: save it as UTF-8")
            if b"\0" in begins:
                raise Unknown(f"{name} is a binary file: expected text in UTF-8")
            if not begins.removeprefix(_MARK):
                raise Unknown(f"{name} is empty")
            lines.seek(len(_MARK) if begins.startswith(_MARK) else 0)
            for line in lines:
                yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Unknown(f"{name} is damaged, or no gzip file: {error}") from error
    except OSError as error:
        raise Unknown(f"{name} cannot be read: {_why(error)}") from error


def shards(name: str) -> list[str]:
    """Return the names of the files that a name stands for: its own, or those in a folder, in the order of the names.

    Hidden files, whose names begin with a dot, are left out.

    Raises
    ------
    Unknown
        When there is no such file or folder, or the folder has no files or more than files.
    """
    path, status = found_path(name)
    if not stat.S_ISDIR(status.st_mode):
        if name.endswith("/"):
            raise Unknown(f"{name} is no folder: leave the / at its end out")
        return [name]
    try:
        entries = sorted((entry for entry in os.scandir(path) if not entry.name.startswith(".")), key=lambda e: e.name)
        folders = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise Unknown(f"{name} cannot be read: {_why(error)}") from error
    if folders:
        raise Unknown(f"{name} holds the folder {folders[0]!r}: expected nothing but files of text in it")
    if not entries:
        raise Unknown(f"{name} is a folder without files: expected files of text in it")
    return [os.path.join(name, entry.name) for entry in entries]


def lines_of(name: str) -> Iterator[Record]:
    """Yield the lines of a file.

    Raises
    ------
    Unknown
        When there is no such file, or it is no text.
    """
    for line, text in enumerate(lines_in(name), 1):
        said = no_utf_8(text)
        yield Record(name, line, "", f"{name}, line {line}, {said}") if said else Record(name, line, text)


def no_utf_8(text: str) -> str:
    """Say which byte of a text is no UTF-8; nothing if all are."""
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = len(text[: error.start].encode()) + 1
        return f"byte {byte}: 0x{ord(text[error.start]) - 0xDC00:02x} is no UTF-8"
    return ""


def no_source(where: str) -> str:
    """Say that a line is empty that an encoder is to read."""
    return f"{where} is empty, and a source needs something to read"


def _why(error: Exception) -> str:
    """Return an error's reason without its file's name."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def _near(name: str, path: Path) -> str:
    """Return a hint at the nearest name in the nearest folder that exists."""
    missing, folder = path.name, path.parent
    try:
        while not folder.is_dir() and folder != folder.parent:
            missing, folder = folder.name, folder.parent
        there = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return ""
    hint = nearest(missing, there)
    if near := next((one for one in there if repr(one) in hint), None):
        found = str(folder / near / path.relative_to(folder / missing))
        return f"; did you mean {'./' + found if name.startswith('./') else found!r}?"
    return "" if folder == path.parent else f": there is no folder {missing!r} in {folder}"
