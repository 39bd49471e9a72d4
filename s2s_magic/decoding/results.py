"""Showing sources and the outputs decoded from them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s2s_magic.data import sequences, tokens

if TYPE_CHECKING:
    from s2s_magic.data.tokens import Tokenizer
    from s2s_magic.handle import Seq2Seq

MOST = 100
"""The most rows shown; the others are only counted."""


@dataclass(frozen=True)
class Decoded:
    """Pairs of source and output, as text; ``below`` holds the notes shown below them."""

    name: str
    pairs: tuple[tuple[str, str], ...]
    below: tuple[str, ...] = ()


def beside_sources(seq2seq: Seq2Seq, sources: Any, outputs: Sequence[Any]) -> Decoded:
    """Pair sources with the outputs that `decode` returned for them; only the first `MOST` are kept."""
    listed = [sources] if isinstance(sources, str) else list(sequences.plain(sources, seq2seq.ids.padding))
    tokenizer = seq2seq.tokenizers.get("source")
    notes = () if tokenizer is None else _notes(tokenizer, sequences.texts(listed))
    notes += tuple(getattr(seq2seq.inference, "notes", ()))
    pairs = [(_text(source), _text(output)) for source, output in zip(listed[:MOST], outputs[:MOST], strict=True)]
    more = (f"... and {len(outputs) - MOST} more",) if len(outputs) > MOST else ()
    return Decoded(seq2seq.name, tuple(pairs), more + notes)


def _notes(tokenizer: Tokenizer, sources: Sequence[str]) -> tuple[str, ...]:
    """Return a note on the tokens of the sources that are not in the vocabulary, if any."""
    unknown = tokenizer.unknown(sources)
    if not unknown:
        return ()
    unit = "characters" if tokenizer.unit == "char" else "words"
    return (f"read as unknown, being {unit} that are not in the vocabulary: {tokens.listed(unknown)}",)


def _text(row: Any) -> str:
    if isinstance(row, bytes):
        row = row.decode("utf-8", "replace")
    array = np.asarray(row)
    if array.ndim == 2 and array.shape[1] > 1 and np.isin(array, (0, 1)).all():
        row = array.argmax(-1)  # one-hot vectors are an encoding of ids
    elif array.ndim > 1:
        return f"numbers of shape {array.shape}"
    return row if isinstance(row, str) else " ".join(map(str, row))
