"""Reading references for what a model decodes, and arranging outputs and references to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from s2s_magic.data import sequences
from s2s_magic.data.sequences import Rows
from s2s_magic.data.special_ids import END_WORDS, START_WORDS
from s2s_magic.decoded import Decodings
from s2s_magic.decoding.inference import Prepared
from s2s_magic.decoding.texts import as_texts
from s2s_magic.handle import Seq2Seq
from s2s_magic.scores.measures import Compared


def references_of(seq2seq: Seq2Seq, ready: Prepared, value: Any) -> list[str]:
    """Read one reference for each row, as text: ids become words with blanks between them.

    Parameters
    ----------
    seq2seq, ready
        The model, and its decoding.
    value
        As `s2s_magic.data.values.plain` returns it: texts, rows of ids up to the end id, or one-hot vectors.

    Raises
    ------
    Unreadable
        When it holds something else than the model writes.
    """
    way, end, padding = ready.plan.way, ready.plan.ids.end, seq2seq.ids.padding
    tokenizer = seq2seq.tokenizers.get("target")
    if len(value) and sequences.is_text(value):
        if tokenizer is None and way.words is None:
            raise sequences.Unreadable(f"holds text, and {seq2seq.name} writes ids: give rows of ids")
        texts = sequences.texts(value)
        if tokenizer is not None:
            return texts if tokenizer.unit == "char" else [" ".join(text.split()) for text in texts]
        return [_without_edges(text) for text in texts]
    if tokenizer is not None:
        raise sequences.Unreadable(f"holds ids, and {seq2seq.name} writes texts: give texts")
    if isinstance(value, np.ndarray) and value.ndim == 3:
        value = value.argmax(-1)
    rows = sequences.ids(value)
    rows = rows if padding is None else rows.without_padding(padding)
    found = as_texts(seq2seq, way, [_up_to(rows, number, end) for number in range(len(rows))])
    return [row if isinstance(row, str) else " ".join(map(str, row)) for row in found]


def _up_to(rows: Rows, number: int, end: int | None) -> list[int]:
    row: list[int] = rows[number].tolist()
    return row[: row.index(end)] if end in row else row


def _without_edges(text: str) -> str:
    """Return a text without the words that mark its start and end for a model that reads texts itself."""
    words = text.split()
    words = words[1:] if words and words[0].lower() in START_WORDS[:-3] else words
    return " ".join(words[:-1] if words and words[-1].lower() in END_WORDS[:-2] else words)


def compared(outputs: Decodings, references: Sequence[Sequence[str]]) -> Compared:
    """Put outputs beside their references; of further ones, an empty text means that the row has none."""
    first, *others = references
    further = [[text or None for text in one] for one in others]
    of_ids = any(not isinstance(output, str) for output in outputs)
    return Compared(outputs.text, [first, *further], of_ids)
