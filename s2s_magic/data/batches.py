"""Arrange columns for ``Model.fit``: arrays where all rows have one length, else ``tf.data`` batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.keras.utils import unpack_x_y_sample_weight

from s2s_magic.data.costs import long_batches, row_lengths
from s2s_magic.data.drawn_rows import gathered
from s2s_magic.data.sequences import Numbers
from s2s_magic.data.shards import shard
from s2s_magic.data.table import Column, Lengths, Shifted, Table
from s2s_magic.data.token_batches import by_ids, by_length, length_keys, longest_row

__all__ = ["Feed", "Lengths", "Shifted", "Stream", "Table", "batches", "by_length", "feed"]

POOL = 64
"""Number of batches whose rows are sorted by length together: enough to save padding, few enough to stay random."""


@dataclass(frozen=True)
class Stream:
    """Batches that the user made, a ``tf.data.Dataset`` or a ``keras.utils.Sequence``, or those of files.

    Attributes
    ----------
    batches
        The dataset; an element is ``(inputs, targets)`` or ``(inputs, targets, weights)``, or inputs alone.
    steps
        Number of batches.
    spec
        Types of its elements, as in ``tf.data.Dataset.element_spec``.
    first
        Returns its first batch; None where reading it would reshuffle the dataset.
    classes
        Class weights, which Keras applies itself.
    begun_at
        For files that are streamed: returns the batches of all epochs from this one on, in place of ``batches``.
    rows, seen
        For these, the pairs in an epoch, and how many pairs the first batches of an epoch have (both from 1).
    content
        For these, returns a checksum of all ids.
    """

    batches: Any
    steps: int
    spec: tuple[Any, ...]
    first: Callable[[], tuple[Any, ...]] | None
    classes: dict[int, float] | None = None
    inputs: tuple[Column, ...] = ()
    target: None = None
    begun_at: Callable[[int], Any] | None = None
    rows: int = 0
    seen: Callable[[int, int], int] | None = None
    content: Callable[[], bytes] | None = None

    @property
    def size(self) -> int:
        """Rows per batch; 0 if unknown."""
        return int(tf.nest.flatten(self.spec[0])[0].shape[0] or 0)

    @property
    def fixed_lengths(self) -> dict[int, int]:
        """Empty: nothing is known about batches that the user made; see `Table.fixed_lengths`."""
        return {}


@dataclass(frozen=True)
class Feed:
    """Arguments for ``Model.fit``.

    Attributes
    ----------
    arguments
        Its data arguments: ``x``, ``y``, ``batch_size`` and ``shuffle``, or a dataset with ``steps_per_epoch``.
    validation
        Its ``validation_data`` and ``validation_batch_size``; empty without validation.
    steps
        Batches per epoch.
    size
        Rows per batch; 0 if unknown.
    first
        Returns the inputs, the target and the weights of one batch, None for what it does not have; None where
        reading it would change what the next fit sees.
    """

    arguments: dict[str, Any]
    validation: dict[str, Any]
    steps: int
    size: int
    first: Callable[[], tuple[Any, ...]] | None


def feed(
    train: Table | Stream,
    held_back: Table | Stream | None,
    *,
    size: int,
    max_tokens: int | None = None,
    epochs: int = 1,
    shuffle: bool = False,
    skip: int | None = None,
    part: tuple[int, int] | None = None,
) -> Feed:
    """Arrange tables for ``Model.fit``.

    Where all rows have one length, Keras gets plain arrays, and shapes, type conversion and shuffling are exactly those
    of a fit by hand. Only rows of different lengths go through `batches`. Batches that the user made pass unchanged.

    Parameters
    ----------
    train, held_back
        Training and validation data.
    size, max_tokens, epochs, shuffle
        As for `batches`.
    skip
        How many batches to begin after, epochs before included; if given, all tables go through `batches`, so that the
        order of the rows can be drawn again. Batches that the user made begin anew in any case.
    part
        For one of several workers, its number and theirs: it gets its part of each batch; see `shards.shard`. Needs
        ``skip``.
    """
    classes = {"class_weight": train.classes} if train.classes else {}
    told = size if max_tokens is None else 0
    if isinstance(train, Stream) and train.begun_at is None:
        steps, told = train.steps, train.size
        arguments: dict[str, Any] = {"x": train.batches}
        first: Callable[[], tuple[Any, ...]] | None = train.first
    elif isinstance(train, Stream) or train.ragged or skip is not None:
        if isinstance(train, Stream):
            assert train.begun_at is not None
            dataset, steps = train.begun_at(skip or 0), train.steps
        else:
            if max_tokens is not None and not train.ragged:
                size = told = max(1, max_tokens // longest_row(train))
            most = max_tokens if train.ragged else None
            dataset, steps = batches(train, size=size, max_tokens=most, epochs=epochs, shuffle=shuffle, skip=skip or 0)
        own = dataset if part is None else shard(dataset, *part)
        arguments = {"x": own, "steps_per_epoch": steps, "shuffle": False}
        first = lambda: next(iter(dataset))  # noqa: E731
    else:
        x, *others = train.arrays()
        size = told = size if max_tokens is None else max(1, max_tokens // longest_row(train))
        steps = math.ceil(train.rows / size)
        arguments = {"x": x, "batch_size": size, "shuffle": shuffle}
        arguments |= dict(zip(("y", "sample_weight"), others, strict=False))
        first = lambda: tf.nest.map_structure(lambda column: _head(column, size), (x, *others))  # noqa: E731
    validation: dict[str, Any] = {}
    if isinstance(held_back, Stream):
        validation = {"validation_data": held_back.batches}
    elif held_back is not None and held_back.ragged:
        validation = {"validation_data": batches(by_length(held_back), size=size, max_tokens=max_tokens)[0]}
    elif held_back is not None:
        rows = size if max_tokens is None else max(1, max_tokens // longest_row(held_back))
        validation = {"validation_data": held_back.arrays(), "validation_batch_size": rows}
    batch = first and (lambda: unpack_x_y_sample_weight(first()))
    return Feed({**arguments, **classes}, validation, steps, told, batch)


def types_of(given: Feed) -> Any:
    """Return a first batch, or the types of the batches where none must be read before a fit; None if unknown."""
    if given.first is not None:
        return given.first()
    return getattr(given.arguments["x"], "element_spec", None)


def _head(column: Any, size: int) -> Any:
    if isinstance(column, tf.SparseTensor):
        return tf.sparse.slice(column, [0] * column.shape.rank, [size, *column.shape[1:]])
    return column[:size] if tf.is_tensor(column) else tf.constant(column[:size])


def batches(
    table: Table, *, size: int, max_tokens: int | None = None, epochs: int = 1, shuffle: bool = False, skip: int = 0
) -> tuple[Any, int]:
    """Return the batches of one or more epochs.

    Rows of different lengths are batched with rows of similar length and padded to the longest row of their batch; the
    order of rows and batches stays random. Rows of one length come in the order that ``Model.fit`` would draw under
    the same seed.

    Parameters
    ----------
    table
        The rows.
    size
        Rows per batch; the last batch of an epoch may be smaller.
    max_tokens
        In place of ``size``: the most ids in a batch; see `batching.Room`. Batches are cut from all rows sorted by
        length, so that there are as many in each epoch; drawn are which rows of one length go together, and the order.
    epochs
        How often each row occurs.
    shuffle
        Draw a new order each epoch, from TensorFlow's global seed where one is set.
    skip
        How many of these batches to leave out at the beginning.

    Returns
    -------
    dataset : tf.data.Dataset
        ``(inputs, target)`` or ``(inputs, target, weights)``; ids are int32 of shape (batch, steps), weights float32
        of that shape.
    steps : int
        Batches per epoch.
    """
    if max_tokens is not None:
        numbers, steps = by_ids(table, max_tokens, epochs, shuffle)
        return gathered(table, numbers.skip(skip), steps * epochs - skip), steps
    alone = long_batches(row_lengths(table.ragged), size) if table.ragged else []
    others = np.setdiff1d(np.arange(table.rows), np.concatenate(alone)) if alone else np.arange(table.rows)
    count = len(others)
    steps = math.ceil(count / size) + len(alone)
    keys = length_keys(table)[others] if table.ragged and shuffle else None

    # The same operations as in Keras's data adapter, so that the same global seed draws the same order.
    def permutation(_: Any) -> Any:
        indices = tf.range(count, dtype=tf.int64)
        if shuffle:
            indices = tf.random.shuffle(indices)
        return indices

    def cut(indices: Any) -> Any:
        full, rest = divmod(count, size)
        whole = tf.reshape(indices[: full * size], [full, size])
        if keys is not None:
            whole = tf.random.shuffle(whole)
        dataset = tf.data.Dataset.from_tensor_slices(whole)
        if rest:
            dataset = dataset.concatenate(tf.data.Dataset.from_tensors(indices[full * size :]))
        return _among(dataset, alone, others, size, shuffle) if alone else dataset

    orders = tf.data.Dataset.range(1).repeat(epochs).map(permutation)
    if keys is not None:
        pool = tf.constant(np.arange(count) // (size * POOL), tf.int64)
        wide = int(keys.max()) + 1
        ordered = tf.constant(keys)
        orders = orders.map(lambda i: tf.gather(i, tf.argsort(pool * wide + tf.gather(ordered, i), stable=True)))
    numbers = orders.prefetch(1).flat_map(cut).skip(skip)
    return gathered(table, numbers, steps * epochs - skip), steps


def _among(dataset: Any, alone: Sequence[Numbers], others: Numbers, size: int, shuffle: bool) -> Any:
    """Insert the batches of long rows among the others: at random, or where their rows would have come."""
    long = tf.ragged.constant([batch.tolist() for batch in alone], dtype=tf.int64)
    batches = tf.data.Dataset.range(len(alone)).map(lambda number: long[number])
    usual = dataset.map(lambda places: tf.gather(tf.constant(others), places))
    count = math.ceil(len(others) / size)
    before = np.sort([min(count, int((others < batch.min()).sum()) // size) for batch in alone])
    choice = tf.constant(np.insert(np.zeros(count, np.int64), before, 1))
    chosen = tf.data.Dataset.from_tensor_slices(tf.random.shuffle(choice) if shuffle else choice)
    return tf.data.Dataset.choose_from_datasets([usual, batches], chosen, stop_on_empty_dataset=False)
