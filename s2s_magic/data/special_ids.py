"""Determine a model's special ids from its spec, the data of its fits and the options of a decoding."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from s2s_magic import backend
from s2s_magic.data.sequences import Rows
from s2s_magic.data.table import Shifted, Table
from s2s_magic.data.tokens import SPECIAL, UNKNOWN
from s2s_magic.errors import DecodeError, nearest
from s2s_magic.handle import Seq2Seq, SpecialIds

if TYPE_CHECKING:
    from s2s_magic.data.batches import Stream
    from s2s_magic.spec import Spec

Edge = int | str | None

START_WORDS = ("[start]", "<start>", "[bos]", "<bos>", "[sos]", "<sos>", "<s>", "startseq", "sos", "bos", "start")
END_WORDS = ("[end]", "<end>", "[eos]", "<eos>", "</s>", "endseq", "eos", "end")


def spec_ids(spec: Spec) -> SpecialIds:
    """Return the special ids of a spec."""
    tokens = {side: unit for side in ("source", "target") if (unit := spec.tokens_of(side)) != "none"}
    unknown = UNKNOWN if tokens else None
    return SpecialIds(spec.start, spec.end, spec.padding, unknown, tokens=tokens, added=True)


def seen_ids(known: SpecialIds, table: Table | Stream, start: int | None) -> SpecialIds:
    """Add the ids that the data of a fit begin and end with; start and end ids that a fit adds itself are kept."""
    seen = replace(known, begins=tuple(map(_begins_with, table.inputs)))
    return seen if known.added else replace(seen, start=start, end=_ends_with(table.target))


def ids_to_decode(
    seq2seq: Seq2Seq, words: Any, source: Any, *, start: Edge = None, end: Edge = None
) -> tuple[SpecialIds, tuple[str, ...]]:
    """Return the ids that decoded rows start and end with, and notes on those that were not given.

    Parameters
    ----------
    seq2seq
        The trained model.
    words
        The vectorization layer whose vocabulary the ids belong to; None if there is none.
    source
        The encoder's input, a symbolic tensor.
    start, end
        An id or a word of the vocabulary; None to infer it. Without any end id, rows run to the maximum length.

    Raises
    ------
    DecodeError
        When a word is not in the vocabulary, or no start can be inferred.
    """
    vocabulary = list(words.get_vocabulary()) if words is not None else []
    ids = seq2seq.ids
    notes = []
    first: Edge = start
    if first is None:
        first = ids.start if ids.added else _begun(seq2seq, source)
        if isinstance(first, str):
            first = None if words is None else int(words([first])[0, 0])
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
    if last is None and not ids.added:
        last = next((word for word in END_WORDS if word in vocabulary), None)
    if last is None:
        last = ids.end
        if last is not None and not ids.added:
            shown = repr(vocabulary[last]) if last < len(vocabulary) else f"id {last}"
            notes.append(f"rows end with {shown}, as those fitted did; --end gives another")
    first = _number(seq2seq, first, vocabulary, "start")
    return replace(ids, start=first, end=_number(seq2seq, last, vocabulary, "end")), tuple(notes)


def _begun(seq2seq: Seq2Seq, source: Any) -> Edge:
    """Return what the decoder's input began with in the last fit; None if unknown."""
    begins = seq2seq.ids.begins
    pairs = zip(begins, backend.ends(seq2seq.model)[0] or begins, strict=False)
    known = [begin for begin, tensor in pairs if tensor is not source and begin is not None]
    return known[-1] if known else seq2seq.ids.start


def _number(seq2seq: Seq2Seq, edge: Edge, vocabulary: list[str], key: str) -> int | None:
    if not isinstance(edge, str):
        return edge
    if edge.lstrip("-").isdecimal():
        return int(edge)
    tokenizer = seq2seq.tokenizers.get("target")
    known = vocabulary or (list(tokenizer.tokens) if tokenizer is not None else [])
    if not known:
        raise DecodeError(f"--{key} is {edge!r}, and {seq2seq.name} works on ids: expected a whole number", key)
    if edge not in known:
        raise DecodeError(f"--{key} is {edge!r}, which is not in the vocabulary{nearest(edge, known)}", key)
    return known.index(edge) + (0 if vocabulary else len(SPECIAL))


def _begins_with(column: Any) -> Edge:
    """Return what all rows of an input begin with: an id, a one-hot vector's symbol or a word; None if they differ."""
    if isinstance(column, Shifted):
        return column.start
    firsts = _firsts(column)
    return firsts[0] if firsts and all(first == firsts[0] for first in firsts) else None


def _firsts(column: Any) -> list[Any]:
    if isinstance(column, Rows):
        full = column.splits[:-1][column.lengths > 0]
        return list(map(int, column.values[full]))
    if not isinstance(column, np.ndarray):  # a ragged or sparse tensor, batches, lengths
        return []
    array = np.asarray(column)
    if array.dtype.kind in "USO":
        texts = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in array.ravel()]
        return [text.split()[0] for text in texts if text.split()]
    ids = _ids(array)
    return list(map(int, ids[:, 0])) if ids is not None and ids.shape[1] else []


def _ids(array: Any) -> Any:
    """Return rows of ids, also from one-hot vectors; None for anything else."""
    if array.ndim == 2 and array.dtype.kind in "iu":
        return array
    if array.ndim == 2 and array.dtype.kind == "f" and np.array_equal(array, np.floor(array)):
        return array.astype(np.int64)
    if array.ndim == 3 and array.shape[2] > 1 and np.isin(array, (0, 1)).all() and (array.sum(-1) <= 1).all():
        return array.argmax(-1)
    return None


def _ends_with(target: Any) -> int | None:
    """Return the id that ends every row of a target, and occurs nowhere else in it; padding may follow it."""
    rows = _rows(target)
    if len(rows) < 2 or not all(len(row) for row in rows):
        return None
    filling = Counter(int(row[-1]) for row in rows).most_common(1)[0][0]
    cut = [_without(row, filling) for row in rows]
    filled = {len(row) - len(kept) for row, kept in zip(rows, cut, strict=True)}
    if len(filled) > 1:  # rows have different amounts of it, so it is padding
        rows = cut
    end = int(rows[0][-1]) if len(rows[0]) else None
    alike = all(len(row) and row[-1] == end and (row == end).sum() == 1 for row in rows)
    return end if alike and any(len(row) > 1 for row in rows) else None


def _rows(target: Any) -> list[Any]:
    if isinstance(target, Rows):
        return [target[number] for number in range(len(target))]
    if not isinstance(target, np.ndarray):
        return []
    ids = _ids(np.asarray(target))
    return [] if ids is None else list(ids)


def _without(row: Any, filling: int) -> Any:
    others = np.flatnonzero(row != filling)
    return row[: others[-1] + 1] if len(others) else row[:0]


def steps_of(target: Any) -> int | None:
    """Return the number of positions in the longest row of a target; None if it has no positions."""
    if isinstance(target, Rows):
        return int(target.lengths.max(initial=0))
    shape = target.shape if isinstance(target, np.ndarray) else ()
    return int(shape[1]) if len(shape) > 1 and shape[1] > 1 else None
