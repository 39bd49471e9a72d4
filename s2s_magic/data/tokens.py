"""Convert text to ids and back, by characters or words, in plain Python; four ids are reserved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from unicodedata import normalize as in_form

Unit = Literal["char", "word"]
Form = Literal["nfc", "nfd", "nfkc", "nfkd"]

UNITS = {"char": "characters", "word": "words", "subword": "subwords"}
"""What messages call the tokens of a unit."""

_FORMS: Mapping[Form, Literal["NFC", "NFD", "NFKC", "NFKD"]]
_FORMS = {"nfc": "NFC", "nfd": "NFD", "nfkc": "NFKC", "nfkd": "NFKD"}

PADDING, START, END, UNKNOWN = range(4)
SPECIAL = ("<padding>", "<start>", "<end>", "<unknown>")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary: a mapping between tokens and ids.

    Ids 0 to 3 are padding, start, end and unknown; tokens have the ids from 4 on.

    Parameters
    ----------
    unit
        ``"char"``: every code point is a token. ``"word"``: text is split at white space.
    tokens
        The tokens in the order of their ids, each once.
    lowercase, form
        What is done to each text first; see `prepared`.

    Examples
    --------
    >>> letters = Tokenizer.count(["abba", "b"], "char")
    >>> letters.encode("ab"), letters.decode([5, 4, 2])
    ([5, 4], 'ab')
    """

    unit: Unit
    tokens: tuple[str, ...]
    lowercase: bool = False
    form: Form | None = None

    @classmethod
    def count(
        cls,
        texts: Iterable[str],
        unit: Unit,
        max_size: int | None = None,
        *,
        min_count: int = 1,
        lowercase: bool = False,
        form: Form | None = None,
    ) -> Tokenizer:
        """Build the vocabulary of some texts: the most frequent token first, ties in order of first occurrence.

        Parameters
        ----------
        texts
            The texts to count.
        unit
            ``"char"`` or ``"word"``.
        max_size
            The most ids, including the four special ones; the rarest tokens are left out and become unknown.
        min_count
            How often a token must occur; rarer ones become unknown.
        lowercase, form
            What is done to each text first; see `prepared`.

        Raises
        ------
        ValueError
            When ``max_size`` leaves no room for the four special ids.
        """
        if max_size is not None and max_size < len(SPECIAL):
            raise ValueError(f"max_size is {max_size}; the {len(SPECIAL)} special ids alone need {len(SPECIAL)}")
        counts = Counter(token for text in texts for token in _split(prepared(text, lowercase, form), unit))
        kept = counts.most_common(None if max_size is None else max_size - len(SPECIAL))
        return cls(unit, tuple(token for token, count in kept if count >= min_count), lowercase, form)

    @property
    def size(self) -> int:
        """The number of ids, including the special ones."""
        return len(SPECIAL) + len(self.tokens)

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {token: number for number, token in enumerate(self.tokens, start=len(SPECIAL))}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without start and end; tokens that are not in the vocabulary become unknown."""
        return [self._ids.get(token, UNKNOWN) for token in self._split(text)]

    def unknown(self, texts: Iterable[str]) -> Counter[str]:
        """Count the tokens of some texts that are not in the vocabulary."""
        return Counter(token for text in texts for token in self._split(text) if token not in self._ids)

    def _split(self, text: str) -> Sequence[str]:
        return _split(prepared(text, self.lowercase, self.form), self.unit)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids up to the first end; padding and start are skipped, words are joined by spaces.

        Raises
        ------
        ValueError
            When an id is outside the vocabulary.
        """
        return ("" if self.unit == "char" else " ").join(spelled(ids, self.tokens))

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as a JSON document."""
        return {"unit": self.unit, "tokens": list(self.tokens), "lowercase": self.lowercase, "form": self.form}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Tokenizer:
        """Create a tokenizer from the result of `to_dict`."""
        return cls(document["unit"], tuple(document["tokens"]), document.get("lowercase", False), document.get("form"))


def prepared(text: str, lowercase: bool, form: Form | None) -> str:
    """Return a text lowercased and in a Unicode normalization form, where that is asked for.

    With both it is normalized before and after: ``℡`` becomes ``TEL`` and then ``tel``, and what lowercasing took
    apart is put together again.
    """
    text = text if form is None else in_form(_FORMS[form], text)
    if not lowercase:
        return text
    return text.lower() if form is None else in_form(_FORMS[form], text.lower())


def spelled(ids: Iterable[int], tokens: Sequence[str]) -> list[str]:
    """Return the tokens of ids up to the first end, without padding and start.

    Raises
    ------
    ValueError
        When an id is outside the vocabulary.
    """
    found = []
    for number in map(int, ids):
        if not 0 <= number < len(SPECIAL) + len(tokens):
            raise ValueError(f"id {number} is outside the vocabulary of {len(SPECIAL) + len(tokens)}")
        if number == END:
            break
        if number >= UNKNOWN:
            found.append(REPLACEMENT if number == UNKNOWN else tokens[number - len(SPECIAL)])
    return found


def listed(tokens: Counter[str], most: int = 5) -> str:
    """Return the most frequent tokens as one line: ``z, q, …``."""
    shown = [token if token.isprintable() and token.strip() else repr(token) for token, _ in tokens.most_common(most)]
    return ", ".join([*shown, "…"] if len(tokens) > most else shown)


def _split(text: str, unit: Unit) -> Sequence[str]:
    return text if unit == "char" else text.split()
