"""Check a text file of word vectors before a model is built from it: word2vec's text format, or GloVe's.

A line is a word and its numbers, separated by single spaces. The first line may give how many vectors there are and
their size instead, as word2vec writes it (https://code.google.com/archive/p/word2vec/) and GloVe does not
(https://nlp.stanford.edu/projects/glove/).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from s2s_magic.errors import Fault, SpecError, nearest_file

if TYPE_CHECKING:
    from s2s_magic.data.vocabularies import AnyTokenizer
    from s2s_magic.spec import Spec

MOST_FAULTS = 5
"""After so many faults no more are looked for."""
LONGEST_LINE = 1_000_000
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_PACKED = {b"\x1f\x8b": "gzip", b"PK": "zip", b"BZ": "bzip2", b"\xfd7": "xz"}


def check_vectors(spec: Spec, tokenizers: Mapping[str, AnyTokenizer], name: str) -> None:
    """Check the files that a spec's ``init`` names, and warn of words that stand in them twice or have spaces.

    The files are read line by line. Every line must have a word and the right number of fields; the numbers are read
    for the tokens of the vocabulary alone.

    Parameters
    ----------
    spec
        A plan, with or without ``init``.
    tokenizers
        The counted vocabularies, by ``source`` and ``target``.
    name
        The model's name, for warnings.

    Raises
    ------
    SpecError
        At the line and column of ``init``, with the file's own line and column, when a file cannot be read, or has no
        vector for any token; at ``embed`` when the vectors have another size.
    """
    faults: list[Fault] = []
    cause: BaseException | None = None
    for side in ("source",) if spec.shared and spec.init else spec.init:
        place = spec.place_of(f"init.{side}")
        path = spec.init[side]
        tokens = frozenset(tokenizers[side].tokens)
        reading = _Reading(path, tokens, getattr(spec.embed, side))
        try:
            reading.read()
        except OSError as error:
            reading.faults, cause = [_why(path, error)], error
        except ValueError as error:
            reading.faults, cause = [f"{path!r} cannot be a file: {error}"], error
        if reading.size is not None and reading.size != reading.expected and not reading.faults:
            size = "embed" if spec.embed.one else f"embed.{side}"
            message = (
                f"the embeddings have {reading.expected} numbers, and the vectors of {path} have {reading.size}: "
                f"give {reading.size} here, or a file of vectors of {reading.expected}"
            )
            faults.append(Fault(*spec.place_of(size), message))
        elif not reading.faults and not reading.found:
            reading.faults.append(_none_found(reading, side if not spec.shared else "", spec.unit_of(side)))
        faults += [Fault(*place, message) for message in reading.faults]
        if not faults:
            for said in reading.remarks():
                warnings.warn_explicit(said, UserWarning, f"build {name}", place[0])
    if faults:
        raise SpecError(dict.fromkeys(faults)) from cause


@dataclass
class _Reading:
    """What is found in a file."""

    path: str
    tokens: frozenset[str]
    expected: int
    size: int | None = None
    faults: list[str] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)  # the line of each token's vector
    twice: dict[str, int] = field(default_factory=dict)  # the line of a second vector
    spaced: dict[str, int] = field(default_factory=dict)  # words with spaces
    otherwise: tuple[str, str] | None = None  # a word that is a token but for its case, and that token
    words: list[str] = field(default_factory=list)  # the first ones

    def read(self) -> None:
        """Read the file up to its end, a vector's size that is not expected, or too many faults."""
        folded = {token.casefold(): token for token in self.tokens}
        counted, number = None, 0
        for line_number, line in self._lines():
            fields = line.split(" ")
            if line_number == 1 and len(fields) == 2 and all(re.fullmatch("[0-9]+", part) for part in fields):
                counted, self.size = int(fields[0]), int(fields[1])
                if self.size < 2:
                    self._fault(1, 1, f"a vector of {self.size}: expected two numbers at least")
                if self.size != self.expected or self.faults:
                    return
                continue
            if not line.strip():
                continue
            if self.size is None:
                self._first_size(fields, line_number)
                if self.size != self.expected or self.faults:
                    return
            number += 1
            word = self._word(line_number, fields)
            if word is not None:
                self._keep(word, line_number, fields, folded)
            if len(self.faults) >= MOST_FAULTS:
                return
        if not number and not self.faults:
            self.faults.append(f"{self.path} has no vectors: expected lines such as 'the 0.418 0.24968'")
        elif counted is not None and number != counted and not self.faults:
            cut = ": the file was cut off" if number < counted else ""
            self.faults.append(f"{self.path}, line 1: it counts {counted:,} vectors, and {number:,} follow{cut}")

    def _first_size(self, fields: list[str], line: int) -> None:
        if len(fields) < 3:
            separated = ", separated by spaces" if "\t" in fields[0] else ""
            self._fault(line, 1, f"expected a word and the numbers of its vector, two at least{separated}")
        else:
            self.size = len(fields) - (2 if _is_space(fields) else 1)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines as text, with their numbers, up to one that cannot be read."""
        path = Path(self.path).expanduser()
        with path.open("rb") as file:
            read: Callable[[], bytes] = lambda: file.readline(LONGEST_LINE)  # noqa: E731
            for number, raw in enumerate(iter(read, b""), 1):
                packed = _PACKED.get(raw[:2]) if number == 1 else None
                if packed is not None and b"\0" in raw:
                    self._fault(1, 1, f"it is packed by {packed}: unpack it first")
                    return
                if len(raw) == LONGEST_LINE:
                    self._fault(number, 1, f"the line has {LONGEST_LINE:,} bytes or more: that is no vector")
                    return
                try:
                    line = raw.decode().rstrip(" \t\r\n")
                except UnicodeDecodeError as error:
                    column = len(raw[: error.start].decode()) + 1
                    self._fault(number, column, f"the byte 0x{raw[error.start]:02x} is not UTF-8: expected a text")
                    return
                if line.startswith("\ufeff"):
                    self._fault(number, 1, "it begins with a byte order mark: save it as UTF-8 without one")
                    return
                if "\r" in line:
                    self._fault(number, line.index("\r") + 1, "a carriage return stands within the line")
                    return
                yield number, line

    def _word(self, line: int, fields: list[str]) -> str | None:
        """Return a line's word; None after a fault, and for a word with spaces, which no token can be."""
        size = self.expected
        extra = len(fields) - 1 - size
        if len(fields) == size + 2 and _is_space(fields):
            return " "  # a space may be a token where these are characters
        if "" in fields:
            at = fields.index("")
            what = "no word stands before the numbers" if at == 0 else "two spaces in a row: expected one"
            self._fault(line, _column(fields, at), what)
        elif extra < 0 or any(_NUMBER.fullmatch(part) for part in fields[1 : 1 + extra]):
            after = f"{len(fields) - 1} after {_short(fields[0])}"
            self._fault(line, 1, f"expected a word and {size} numbers, got {after}")
        elif extra:
            self.spaced[" ".join(fields[: 1 + extra])] = line
        else:
            return fields[0]
        return None

    def _keep(self, word: str, line: int, fields: list[str], folded: Mapping[str, str]) -> None:
        if len(self.words) < 3:
            self.words.append(word)
        if word not in self.tokens:
            if self.otherwise is None and word.casefold() in folded:
                self.otherwise = word, folded[word.casefold()]
        elif word in self.found:
            self.twice.setdefault(word, line)
        else:
            self.found[word] = line
            for at in range(len(fields) - self.expected, len(fields)):
                if why := _not_a_number(fields[at]):
                    self._fault(line, _column(fields, at), f"{_short(fields[at])} {why}")
                    return

    def _fault(self, line: int, column: int, message: str) -> None:
        self.faults.append(f"{self.path}, line {line}, column {column}: {message}")

    def remarks(self) -> list[str]:
        """Say which words stand there twice, and which have spaces."""
        said = []
        if self.twice:
            word, line = next(iter(self.twice.items()))
            more = f", and so have {len(self.twice) - 1:,} more" if len(self.twice) > 1 else ""
            said.append(
                f"{self.path}: {_short(word)} has a vector in line {self.found[word]} and one in line {line}{more}; "
                "the first counts"
            )
        if self.spaced:
            word, line = next(iter(self.spaced.items()))
            said.append(
                f"{self.path}: {len(self.spaced):,} of its words have a space, such as {_short(word)} in line {line}: "
                "no token has one, so their vectors are not used"
            )
        return said


def _is_space(fields: list[str]) -> bool:
    """Return whether the word of a line is a space."""
    return fields[:2] == ["", ""]


def _not_a_number(text: str) -> str:
    """Say why a field is no number of a vector; empty if it is one."""
    if _NOT_FINITE.fullmatch(text):
        return "is no number to begin with: expected a finite one"
    if not _NUMBER.fullmatch(text):
        return "is not a number"
    return "" if abs(float(text)) <= float(np.finfo(np.float32).max) else "is too large for float32"


def _none_found(reading: _Reading, side: str, unit: str) -> str:
    """Say that no token has a vector, and the likely cause."""
    none = f"none of the {len(reading.tokens):,} {f'{side} ' if side else ''}tokens has a vector in {reading.path}"
    if reading.otherwise is not None:
        word, token = reading.otherwise
        return (
            f"{none}: the case differs, it has {_short(word)} for the token {_short(token)}; write the texts as it does"
        )
    words = ", ".join(map(_short, reading.words))
    if unit == "char":
        return f"{none}: the tokens are characters, and its words are such as {words}; give 'tokens: word'"
    tokens = ", ".join(map(_short, islice(sorted(reading.tokens), 3)))
    return f"{none}: its words are such as {words}, and the tokens such as {tokens}; is it of another language?"


def _column(fields: list[str], at: int) -> int:
    """Return the column, from 1, at which a field begins."""
    return sum(len(part) + 1 for part in fields[:at]) + 1


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _why(path: str, error: OSError) -> str:
    """Say why a file cannot be opened, with the nearest name that is there."""
    found = Path(path).expanduser()
    if isinstance(error, FileNotFoundError):
        if not found.parent.is_dir():
            return f"there is no folder {str(found.parent)!r} for the file {found.name!r}"
        return f"there is no file {path!r}{nearest_file(found)}"
    if isinstance(error, IsADirectoryError):
        return f"{path!r} is a folder: expected a file of word vectors"
    return f"{path!r} cannot be read: {error.strerror}"
