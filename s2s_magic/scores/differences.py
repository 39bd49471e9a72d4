"""The differences between an output and its reference, as pieces of text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

MOST_PARTS = 2_000
"""The most words, or letters, of a text that are compared; of a longer one, the rest counts as one piece."""


class Piece(NamedTuple):
    """A piece of an output beside its reference.

    Attributes
    ----------
    kind
        ``same`` in both, ``missing`` in the output, or ``added`` by it.
    text
        The piece.
    """

    kind: Literal["same", "missing", "added"]
    text: str


def differences(output: str, reference: str, *, by_letter: bool = False) -> tuple[Piece, ...]:
    """Compare an output with its reference by words, or by letters, each with the marks that combine with it."""
    if by_letter:
        return tuple(_pieces(_letters(output), _letters(reference), ""))
    found: list[Piece] = []
    for piece in _pieces(_capped(output.split()), _capped(reference.split()), " "):
        found += [Piece("same", " "), piece] if found else [piece]
    return tuple(found)


def _pieces(said: Sequence[str], wanted: Sequence[str], between: str) -> Iterator[Piece]:
    for kind, i, j, k, m in SequenceMatcher(None, wanted, said, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece("same", between.join(wanted[i:j]))
            continue
        if i < j:
            yield Piece("missing", between.join(wanted[i:j]))
        if k < m:
            yield Piece("added", between.join(said[k:m]))


def closest(output: str, references: Sequence[str]) -> str:
    """Return the reference that is most like an output; the first of several."""
    if len(references) == 1:
        return references[0]
    words = output.split()
    return max(references, key=lambda one: SequenceMatcher(None, one.split(), words, autojunk=False).ratio())


def _letters(text: str) -> list[str]:
    found: list[str] = []
    for letter in text:
        if found and (unicodedata.combining(letter) or letter in "\u200d\ufe0f" or found[-1][-1] == "\u200d"):
            found[-1] += letter
        else:
            found.append(letter)
    return _capped(found)


def _capped(parts: list[str]) -> list[str]:
    return parts if len(parts) <= MOST_PARTS else [*parts[:MOST_PARTS], "".join(parts[MOST_PARTS:])]
