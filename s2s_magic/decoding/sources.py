"""Reading the sources to decode: texts, rows of ids, one-hot vectors, or other numbers that an encoder takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data import sequences
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.values import asked
from s2s_magic.decoding.recipe import Way
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq


@dataclass(frozen=True)
class Sources:
    """Rows that a model can read.

    Attributes
    ----------
    lengths
        Number of steps of each row, int array of shape (rows,).
    mixed
        Whether a batch may have rows of different lengths.
    take
        ``indices -> batch`` of these rows.
    """

    lengths: Numbers
    mixed: bool
    take: Callable[[Sequence[int]], Any]

    @property
    def longest(self) -> int:
        """The number of steps of the longest row."""
        return int(self.lengths.max())


def read(seq2seq: Seq2Seq, way: Way, value: Any) -> Sources:
    """Convert sources, as `s2s_magic.data.values.plain` returns them, to what the encoder's input takes.

    Raises
    ------
    DecodeError
        When they do not match the encoder's input.
    """
    source = way.source
    try:
        if backend.dtype_of(source) == "string":
            return _texts(way, value, seq2seq)
        if seq2seq.ids.added or _takes_ids(seq2seq, source):
            return _ids(seq2seq, way, value)
        return _numbers(seq2seq, way, value)
    except sequences.Unreadable as error:
        raise unreadable(error) from error


def _takes_ids(seq2seq: Seq2Seq, source: Any) -> bool:
    """Return whether an input takes rows of ids: an embedding reads them, or whole numbers or any number of steps."""
    if len(source.shape) != 2:
        return False
    whole = tf.as_dtype(backend.dtype_of(source)).is_integer
    return whole or source.shape[1] is None or vocabulary_of(seq2seq, source) is not None


def unreadable(error: sequences.Unreadable) -> DecodeError:
    """Return an error that says why the sources cannot be read, calling them "the sources": they have no name."""
    return DecodeError(f"the sources {error}".replace("NAME", "sources"), "source")


def _ids(seq2seq: Seq2Seq, way: Way, value: Any) -> Sources:
    tokenizer = seq2seq.tokenizers.get("source")
    if tokenizer is not None:
        if not sequences.is_text(value):
            raise sequences.Unreadable(f"hold no texts, and {seq2seq.name} reads texts")
        found = Rows.of([tokenizer.encode(text) for text in sequences.texts(value)])
    elif sequences.is_text(value):
        raise sequences.Unreadable(f"hold text, and {seq2seq.name} reads ids")
    else:
        found = sequences.ids(value)
    padding = seq2seq.ids.padding
    found = found if padding is None else found.without_padding(padding)
    _check(found, vocabulary_of(seq2seq, way.source))
    _check_length(way, found.lengths)

    def take(numbers: Sequence[int]) -> Any:
        filled = np.full((len(numbers), int(found.lengths[list(numbers)].max())), padding or 0, np.int32)
        for place, number in enumerate(numbers):
            filled[place, : found.lengths[number]] = found[number]
        return filled

    return Sources(found.lengths, padding is not None, take)


def _texts(way: Way, value: Any, seq2seq: Seq2Seq) -> Sources:
    """Read texts for a model that vectorizes them itself; a batch has texts with the same number of tokens."""
    if not sequences.is_text(value):
        raise sequences.Unreadable(f"hold no texts, and {seq2seq.name} reads texts")
    found = np.array(sequences.texts(value), object)
    shape = (-1, *way.source.shape[1:])

    def take(numbers: Sequence[int]) -> Any:
        return tf.reshape(tf.constant(found[list(numbers)].tolist()), shape)

    readers = [
        layer for layer in seq2seq.live.layers.values() if backend.makes_ids(layer) and _feeds(way.source, layer)
    ]
    if not readers:
        return Sources(np.ones(len(found), np.int32), False, take)
    ids = readers[0](take(range(len(found)))).numpy()
    return Sources((ids != 0).sum(axis=-1).astype(np.int32), False, take)


def _numbers(seq2seq: Seq2Seq, way: Way, value: Any) -> Sources:
    """Read arrays for an encoder that takes vectors; convert ids to one-hot vectors if the array has one axis less."""
    shape = way.source.shape
    if sequences.is_text(value):
        raise sequences.Unreadable(f"hold text, and {seq2seq.name} reads numbers of shape {tuple(shape)}")
    array = value if isinstance(value, np.ndarray) else asked("one of them", lambda: _array(value))
    if array.ndim != len(shape) and len(shape) == 3 and shape[2] is not None:
        return _one_hot(way, sequences.ids(value), int(shape[2]))
    if array.ndim != len(shape) or array.dtype.kind not in "iufb":
        raise sequences.Unreadable(f"have shape {array.shape}; {seq2seq.name} reads {tuple(shape)}")
    if not backend.fits(way.source, array):
        raise sequences.Unreadable(f"have shape {array.shape}; {seq2seq.name} reads {tuple(shape)}")
    broken = np.argwhere(~np.isfinite(array))
    if len(broken):
        raise sequences.Unreadable(f"are {array[tuple(broken[0])]} at index {tuple(map(int, broken[0]))}")
    steps = array.shape[1] if array.ndim > 1 else 1
    return Sources(np.full(len(array), steps, np.int32), True, lambda numbers: array[list(numbers)])


def _array(value: Any) -> Numbers:
    try:
        return np.asarray(value)
    except ValueError:  # rows that differ in length
        return np.zeros(0)


def _one_hot(way: Way, found: Rows, symbols: int) -> Sources:
    _check(found, symbols)
    _check_length(way, found.lengths)

    def take(numbers: Sequence[int]) -> Any:
        return tf.one_hot(np.stack([found[number] for number in numbers]), symbols)

    return Sources(found.lengths, False, take)


def _check_length(way: Way, lengths: Numbers) -> None:
    wanted = way.source.shape[1]
    odd = np.flatnonzero(lengths != (lengths if wanted is None else wanted))
    if len(odd):
        name = backend.history(way.source)[0].name
        raise DecodeError(
            f"source {int(odd[0])} has {int(lengths[odd[0]])} ids, and the input {name} takes rows of {wanted}",
            "source",
        )


def _check(source: Rows, vocabulary: int | None) -> None:
    empty = np.flatnonzero(source.lengths == 0)
    if len(empty):
        raise DecodeError(f"source {int(empty[0])} is empty", "source")
    outside = np.flatnonzero((source.values < 0) | (source.values >= (vocabulary or np.inf)))
    if len(outside):
        row, position = source.place(int(outside[0]))
        number = int(source.values[outside[0]])
        if vocabulary is None:
            said = f"source {row}, position {position} (both from 0) is id {number}; ids begin at 0"
            raise DecodeError(said, "source")
        raise DecodeError(
            f"source {row}, position {position} (both from 0) is id {number}, outside the vocabulary of {vocabulary}",
            "source",
        )


def vocabulary_of(seq2seq: Seq2Seq, source: Any) -> int | None:
    """Return the vocabulary size of the embedding that an input feeds; None if it feeds none."""
    sizes = [
        int(layer.input_dim)
        for layer in seq2seq.live.layers.values()
        if isinstance(layer, tf.keras.layers.Embedding) and _feeds(source, layer)
    ]
    return min(sizes, default=None)


def _feeds(tensor: Any, layer: Any) -> bool:
    """Return whether a symbolic tensor is an argument of any of a layer's calls."""
    calls = (backend.arguments_of(layer, number) for number in range(backend.nodes(layer)))
    return any(leaf is tensor for call in calls for leaf in tf.nest.flatten(call))
