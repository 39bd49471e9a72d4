"""Where decoded rows start and end: by what was asked for, by the spec, by what was fitted, by the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2s_magic.errors import DecodeError, nearest
from s2s_magic.handle import Seq2Seq

Edge = int | str | None

START_WORDS = ("[start]", "<start>", "[bos]", "<bos>", "[sos]", "<sos>", "<s>", "startseq", "sos", "bos", "start")
END_WORDS = ("[end]", "<end>", "[eos]", "<eos>", "</s>", "endseq", "eos", "end")


@dataclass(frozen=True)
class Edges:
    """The ids that rows start and end with.

    Attributes
    ----------
    start, end
        None for an end where rows only end by their number of ids.
    notes
        What was taken for them without being asked for, in words.
    """

    start: int
    end: int | None
    notes: tuple[str, ...] = ()


def edges(seq2seq: Seq2Seq, words: Any, seen: Edge, *, start: Edge = None, end: Edge = None) -> Edges:
    """Decide where rows start and end.

    Parameters
    ----------
    seq2seq
        The trained model.
    words
        The vectorization whose vocabulary the ids are of; None for bare ids.
    seen
        What the decoder's input began with when it was fitted: an id or a text; None where that is not known.
    start, end
        What was asked for, an id or a word of the vocabulary.

    Raises
    ------
    DecodeError
        When a word is not in the vocabulary, or nothing says what rows start with.
    """
    vocabulary = list(words.get_vocabulary()) if words is not None else []
    spec, fitted = seq2seq.spec, seq2seq.fitted
    notes = []
    first: Edge = start
    if first is None:
        first = spec.start if spec is not None else seen
    if isinstance(first, str) and start is None:
        first = _first_id(words, first)
    if first is None and vocabulary:
        first = next((word for word in START_WORDS if word in vocabulary), None)
        if first is None:
            raise DecodeError(
                f"{seq2seq.name} has seen no text that its decoder begins with, and its vocabulary has no [start]: "
                "--start gives the word that rows start with"
            )
    if first is None:
        first = 0
        notes.append("rows start with id 0, as no fit has shown another; --start gives it")
    last: Edge = end
    if last is None and spec is not None:
        last = spec.end
    elif last is None:
        last = next((word for word in END_WORDS if word in vocabulary), None)
        if last is None and fitted is not None and fitted.end is not None:
            last = fitted.end
            shown = repr(vocabulary[last]) if last < len(vocabulary) else f"id {last}"
            notes.append(f"rows end with {shown}, as those fitted did; --end gives another")
    return Edges(
        _number(seq2seq, first, vocabulary, "start"),
        None if last is None else _number(seq2seq, last, vocabulary, "end"),
        tuple(notes),
    )


def _first_id(words: Any, text: str) -> int | None:
    """Give the id of a text's first word."""
    return None if words is None else int(words([text])[0, 0])


def _number(seq2seq: Seq2Seq, edge: int | str, vocabulary: list[str], key: str) -> int:
    if isinstance(edge, int):
        return edge
    if edge.lstrip("-").isdecimal():
        return int(edge)
    tokenizer = seq2seq.tokenizers.get("target")
    known = vocabulary or (list(tokenizer.tokens) if tokenizer is not None else [])
    if not known:
        raise DecodeError(f"--{key} is {edge!r}, and {seq2seq.name} works on ids: expected a whole number")
    if edge not in known:
        raise DecodeError(f"--{key} is {edge!r}, which is not in the vocabulary{nearest(edge, known)}")
    return known.index(edge) if vocabulary else tokenizer.encode(edge)[0]  # type: ignore[union-attr]
