"""Text to ids and back: characters or words, four ids set aside. Plain Python."""

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
    """A vocabulary: which token has which id.

    Ids 0 to 3 are padding, start, end and unknown; the tokens follow from 4 on.

    Parameters
    ----------
    unit
        ``"char"``: every code point is a token. ``"word"``: whatever stands between white space is one.
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
        """Make the vocabulary of some texts: the most frequent token first, among equals the one that was seen first.

        Parameters
        ----------
        texts
            The texts to count.
        unit
            ``"char"`` or ``"word"``.
        max_size
            Greatest number of ids, the four special ones included; the rarest tokens are left out and become unknown.

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
        """How many ids there are, the special ones included."""
        return len(SPECIAL) + len(self.tokens)

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {token: number for number, token in enumerate(self.tokens, start=len(SPECIAL))}

    def encode(self, text: str) -> list[int]:
        """Give the ids of a text, with neither start nor end; tokens that are not in the vocabulary become unknown."""
        return [self._ids.get(token, UNKNOWN) for token in _split(text, self.unit)]

    def unknown(self, texts: Iterable[str]) -> Counter[str]:
        """Count the tokens of some texts that are not in the vocabulary."""
        return Counter(token for text in texts for token in _split(text, self.unit) if token not in self._ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids, up to the first end; padding and start are left out, words joined by one space.

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
        """Return a JSON document of the vocabulary."""
        return {"unit": self.unit, "tokens": list(self.tokens)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Tokenizer:
        """Read what `to_dict` gave."""
        return cls(document["unit"], tuple(document["tokens"]))


def listed(tokens: Counter[str], most: int = 5) -> str:
    """Return the most frequent tokens in one line: ``z, q, …``."""
    shown = [token if token.isprintable() and token.strip() else repr(token) for token, _ in tokens.most_common(most)]
    return ", ".join([*shown, "…"] if len(tokens) > most else shown)


def _split(text: str, unit: Unit) -> Sequence[str]:
    return text if unit == "char" else text.split()


def count_vocabularies(spec: Spec, namespace: Mapping[str, Any]) -> tuple[Spec, dict[str, Tokenizer]]:
    """Count the vocabulary sizes that a spec leaves to notebook variables.

    Parameters
    ----------
    spec
        A plan whose ``vocab`` may name variables: texts where it has ``tokens``, else rows of ids.
    namespace
        Where the names are looked up.

    Returns
    -------
    spec : Spec
        The plan with every size known.
    tokenizers : dict
        ``source`` and ``target`` tokenizers (one object where they share a vocabulary); empty for ids, and where the
        sizes were given as numbers: those are counted from the data of the first fit.

    Raises
    ------
    SpecError
        When a name is unknown, or its variable holds something else.
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
