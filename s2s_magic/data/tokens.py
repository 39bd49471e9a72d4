"""Convert text to ids and back, by characters or words, in plain Python; four ids are reserved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from s2s_magic.errors import Fault, SpecError

if TYPE_CHECKING:
    from s2s_magic.spec import Spec

Unit = Literal["char", "word"]

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

    Examples
    --------
    >>> letters = Tokenizer.count(["abba", "b"], "char")
    >>> letters.encode("ab"), letters.decode([5, 4, 2])
    ([5, 4], 'ab')
    """

    unit: Unit
    tokens: tuple[str, ...]

    @classmethod
    def count(cls, texts: Iterable[str], unit: Unit, max_size: int | None = None) -> Tokenizer:
        """Build the vocabulary of some texts: the most frequent token first, ties in order of first occurrence.

        Parameters
        ----------
        texts
            The texts to count.
        unit
            ``"char"`` or ``"word"``.
        max_size
            The most ids, including the four special ones; the rarest tokens are left out and become unknown.

        Raises
        ------
        ValueError
            When ``max_size`` leaves no room for the four special ids.
        """
        if max_size is not None and max_size < len(SPECIAL):
            raise ValueError(f"max_size is {max_size}; the {len(SPECIAL)} special ids alone need {len(SPECIAL)}")
        counts = Counter(token for text in texts for token in _split(text, unit))
        kept = counts.most_common(None if max_size is None else max_size - len(SPECIAL))
        return cls(unit, tuple(token for token, _ in kept))

    @property
    def size(self) -> int:
        """The number of ids, including the special ones."""
        return len(SPECIAL) + len(self.tokens)

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {token: number for number, token in enumerate(self.tokens, start=len(SPECIAL))}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without start and end; tokens that are not in the vocabulary become unknown."""
        return [self._ids.get(token, UNKNOWN) for token in _split(text, self.unit)]

    def unknown(self, texts: Iterable[str]) -> Counter[str]:
        """Count the tokens of some texts that are not in the vocabulary."""
        return Counter(token for text in texts for token in _split(text, self.unit) if token not in self._ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids up to the first end; padding and start are skipped, words are joined by spaces.

        Raises
        ------
        ValueError
            When an id is outside the vocabulary.
        """
        found = []
        for number in map(int, ids):
            if not 0 <= number < self.size:
                raise ValueError(f"id {number} is outside the vocabulary of {self.size}")
            if number == END:
                break
            if number >= UNKNOWN:
                found.append(REPLACEMENT if number == UNKNOWN else self.tokens[number - len(SPECIAL)])
        return ("" if self.unit == "char" else " ").join(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as a JSON document."""
        return {"unit": self.unit, "tokens": list(self.tokens)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Tokenizer:
        """Create a tokenizer from the result of `to_dict`."""
        return cls(document["unit"], tuple(document["tokens"]))


def listed(tokens: Counter[str], most: int = 5) -> str:
    """Return the most frequent tokens as one line: ``z, q, …``."""
    shown = [token if token.isprintable() and token.strip() else repr(token) for token, _ in tokens.most_common(most)]
    return ", ".join([*shown, "…"] if len(tokens) > most else shown)


def _split(text: str, unit: Unit) -> Sequence[str]:
    return text if unit == "char" else text.split()


def count_vocabularies(spec: Spec, namespace: Mapping[str, Any]) -> tuple[Spec, dict[str, Tokenizer]]:
    """Count the vocabularies for which a spec names notebook variables instead of sizes.

    Parameters
    ----------
    spec
        A plan whose ``vocab`` may name variables: texts if it has ``tokens``, else rows of ids.
    namespace
        Where the names are looked up.

    Returns
    -------
    spec : Spec
        The plan with all sizes filled in.
    tokenizers : dict
        ``source`` and ``target`` tokenizers (one object if they share a vocabulary). Empty for ids, and if sizes were
        given as numbers: then the first fit counts its data.

    Raises
    ------
    SpecError
        When a name is unknown, or its variable holds the wrong kind of data.
    """
    needed = spec.names_needed()
    from s2s_magic.data.selection import Unknown, find
    from s2s_magic.data.values import Unreadable

    faults, sizes, tokenizers = [], {}, {}
    cause: BaseException | None = None
    for side, name in needed.items():
        place = spec.place_of(f"vocab.{side}")
        try:
            counted = _count(find(name, namespace), spec.tokens_of(side))
        except Unreadable as error:
            message = str(error) if isinstance(error, Unknown) else f"{name} {error}".replace("NAME", name)
            faults.append(Fault(*place, message))
            cause = cause or error.__cause__
            continue
        sizes[side] = counted if isinstance(counted, int) else counted.size
        if isinstance(counted, Tokenizer):
            tokenizers[side] = counted
    if faults:
        raise SpecError(set(faults)) from cause
    if spec.vocab.one and tokenizers:
        tokenizers["target"] = tokenizers["source"]
    return (spec.with_vocab(**sizes) if needed else spec), tokenizers


def _count(value: Any, tokens: str) -> int | Tokenizer:
    from s2s_magic.data import sequences

    value = sequences.plain(value)
    if tokens == "none":
        if sequences.is_text(value):
            raise sequences.Unreadable("holds text, and the spec reads ids: add tokens: char, or tokens: word")
        return int(sequences.ids(value).values.max(initial=-1)) + 1
    if not sequences.is_text(value):
        raise sequences.Unreadable(f"holds no texts, and tokens: {tokens} counts them")
    return Tokenizer.count(sequences.texts(value), "char" if tokens == "char" else "word")
