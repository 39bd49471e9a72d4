"""Keep the ids of pairs in a temporary file, in blocks that can be read in any order."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.values import Unreadable
from s2s_magic.undoing import Changes

BLOCK = 512
"""Pairs in a block: each is read at once."""
_ID = np.dtype(np.int32)
_AT_ONCE = 2**20


class Span(NamedTuple):
    """Some pairs of a block: its number, the first of them, and the one after the last."""

    block: int
    first: int
    end: int


@dataclass
class Spool:
    """Pairs of rows of ids, in a file without a name: the system removes it when it is closed, or the process ends.

    A block is the lengths of its sources, those of its targets, the ids of its sources and those of its targets.

    Attributes
    ----------
    file
        The file.
    rows
        The number of pairs.
    starts
        The byte that each block begins with.
    """

    file: Any
    rows: int = 0
    starts: array[int] = field(default_factory=lambda: array("q"))
    _turn: Any = field(default_factory=threading.Lock)

    @classmethod
    def opened(cls, changes: Changes) -> Spool:
        """Make an empty one that is closed when changes are undone."""
        files: list[Any] = []

        def close() -> None:
            with suppress(OSError):  # what there was no room for cannot be written now either
                for file in files:
                    file.close()

        changes.undo_by(close)
        files.append(tempfile.TemporaryFile())  # noqa: SIM115
        return cls(files[0])

    def append(self, source: Rows, target: Rows) -> None:
        """Write a block; only the last one may have less than `BLOCK` pairs.

        Raises
        ------
        Unreadable
            When there is no room for it.
        """
        assert self.rows % BLOCK == 0
        self.starts.append(self.file.tell())
        parts = [source.lengths, target.lengths, source.values, target.values]
        try:
            self.file.write(b"".join(part.astype(_ID).tobytes() for part in parts))
            self.file.flush()
        except OSError as error:
            size = self.starts[-1] / 1e6
            raise Unreadable(
                f"has more ids than there is room for in {tempfile.gettempdir()}: {error.strerror} after "
                f"{size:,.0f} MB; the environment variable TMPDIR names another folder"
            ) from error
        self.rows += len(source)

    def lengths(self, span: Span) -> Numbers:
        """Return the ids in each pair of a span, of the target first: int32, shape (pairs, 2)."""
        source, target = self._numbers(self.starts[span.block], 2 * self._size(span.block)).reshape(2, -1)
        found: Numbers = np.stack([target, source], axis=1)
        return found[span.first : span.end]

    def read(self, spans: Sequence[Span]) -> tuple[Rows, Rows]:
        """Return the sources and the targets of spans, one after another."""
        sides: tuple[list[Numbers], list[Numbers]] = ([], [])
        lengths: tuple[list[Numbers], list[Numbers]] = ([], [])
        for block, first, end in spans:
            size, start = self._size(block), self.starts[block]
            each = self._numbers(start, 2 * size).reshape(2, size)
            values = self._numbers(start + each.nbytes, int(each.sum()))
            before = 0
            for side, known in enumerate(each):
                place = before + int(known[:first].sum())
                sides[side].append(values[place : place + int(known[first:end].sum())])
                lengths[side].append(known[first:end])
                before = int(known.sum())
        source, target = (
            Rows(np.concatenate(ids), np.concatenate([[0], np.cumsum(np.concatenate(each), dtype=np.int64)]))
            for ids, each in zip(sides, lengths, strict=True)
        )
        return source, target

    def checksum(self) -> bytes:
        """Return a checksum of all ids."""
        found, start = hashlib.blake2b(digest_size=16), 0
        while len(part := self._numbers(start, _AT_ONCE)):
            found.update(part.tobytes())
            start += part.nbytes
        return found.digest()

    def _size(self, block: int) -> int:
        return min(BLOCK, self.rows - block * BLOCK)

    def _numbers(self, start: int, count: int) -> Numbers:
        """Read numbers; the fit and its validation may do so at the same time."""
        self._turn.acquire()
        try:
            self.file.seek(start)
            return np.frombuffer(self.file.read(count * _ID.itemsize), _ID)
        finally:
            self._turn.release()


def spans(first: int, end: int) -> list[Span]:
    """Return the spans of the pairs with these numbers, in order."""
    blocks = range(first // BLOCK, -(-end // BLOCK))
    return [Span(block, max(0, first - block * BLOCK), min(BLOCK, end - block * BLOCK)) for block in blocks]
