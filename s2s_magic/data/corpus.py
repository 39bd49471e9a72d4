"""Read the pairs of two files side by side, one at a time, and note what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.selection import records
from s2s_magic.data.text_files import Record
from s2s_magic.data.values import Unknown

SKIPS = "; 'bad_lines: skip' leaves such lines out"
Pair = tuple[Record, Record]


@dataclass
class Corpus:
    """The files of the sources and of the targets of a fit or of its validation.

    Attributes
    ----------
    desk
        Notes the faults.
    source, target
        The references to the files.
    lines
        How many lines the files had when they were last read.
    bad
        How many of these cannot be read, and what is wrong with the first of them.
    """

    desk: Desk
    source: Asked
    target: Asked
    lines: int = 0
    bad: int = 0
    first: tuple[str, str] = field(default=("", ""))

    def pairs(self) -> Iterator[Pair]:
        """Yield the pairs that can be read, and count the bad lines; note a fault in the files, if there is one."""
        self.lines, self.bad = 0, 0
        sources, targets = self._records(self.source), self._records(self.target)
        try:
            for source, target in zip_longest(sources, targets):
                if source is None or target is None:
                    self._differ(source, target, sources if target is None else targets)
                    return
                self.lines += 1
                said = source.bad or target.bad
                if said:
                    self.drop(said, self.source if source.bad else self.target)
                else:
                    yield source, target
        except Unknown:
            return

    def _records(self, asked: Asked) -> Iterator[Record]:
        try:
            yield from records(asked.variable, self.desk.namespace)
        except Unknown as error:
            self.desk.fault(asked.key, str(error), error.__cause__)
            raise

    @property
    def skips(self) -> bool:
        """Whether lines that cannot be read are left out."""
        return self.desk.plan.bad_lines == "skip"

    def drop(self, said: str, asked: Asked) -> None:
        """Count a bad line."""
        self.bad += 1
        if self.bad == 1:
            self.first = said, asked.key

    def tell(self) -> None:
        """Note a fault if there were bad lines; if these are skipped, say how many."""
        if not self.bad or self.desk.faults:
            return
        said, key = self.first
        if not self.skips:
            more = f" ({self.bad:,} such lines in all)" if self.bad > 1 else ""
            self.desk.fault(key, f"{said}{more}{SKIPS}")
        elif self.bad == self.lines:
            self.desk.fault(key, f"{said}; so it is with all {self.lines:,} lines, and none is left")
        else:
            some = f"{self.bad:,} of {self.lines:,} lines {'was' if self.bad == 1 else 'were'} skipped"
            names = f"{self.source.variable} and {self.target.variable}"
            self.desk.warn(Asked(key, names), f"{names}: {some}: {said}")

    def _differ(self, source: Record | None, target: Record | None, longer: Iterator[Record]) -> None:
        """Note the first line that has none beside it."""
        more = 1 + sum(1 for _ in longer)
        beyond = source or target
        assert beyond is not None
        asked, shorter = (self.source, self.target) if source is not None else (self.target, self.source)
        self.desk.fault(
            self.target.key,
            f"{asked.variable} has {self.lines + more:,} lines and {shorter.variable} has {self.lines:,}: "
            f"{beyond.where} has no line beside it",
        )
