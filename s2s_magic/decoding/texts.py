"""Rows of ids as texts, by the vocabulary of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from s2s_magic.data.tokens import UNKNOWN
from s2s_magic.data.vocabularies import AnyTokenizer
from s2s_magic.decoding.recipe import Way
from s2s_magic.handle import Seq2Seq


def as_texts(seq2seq: Seq2Seq, way: Way, found: list[list[int]]) -> list[Any]:
    """Return rows of ids as the model writes them: as texts if it has a vocabulary, else unchanged."""
    if "target" in seq2seq.tokenizers:
        return [_text(seq2seq.tokenizers["target"], row) for row in found]
    if way.words is None:
        return found
    vocabulary = way.words.get_vocabulary()
    between = "" if way.words.get_config()["split"] == "character" else " "
    unknown = "\N{REPLACEMENT CHARACTER}"
    words = [[vocabulary[i] if i < len(vocabulary) else unknown for i in row if i] for row in found]
    return [between.join(row) for row in words]


def _text(tokenizer: AnyTokenizer, row: Sequence[int]) -> str:
    """Return a row's text; ids without a token, for which a model's vocabulary may have room, become unknown."""
    return tokenizer.decode([number if number < tokenizer.size else UNKNOWN for number in row])
