"""Arrange columns for ``Model.fit``: arrays where all rows have one length, else ``tf.data`` batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.costs import long_batches, row_lengths
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.table import ByClass, Column, Lengths, Shifted, Table, of_rows, whole
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
        The dataset; an element is ``(inputs, targets)`` or ``(inputs, targets, weights)``.
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
        Returns the inputs, the target and any weights of one batch; None where reading it would change what the
        next fit sees.
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
    """
    classes = {"class_weight": train.classes} if train.classes else {}
    told = size if max_tokens is None else 0
    if isinstance(train, Stream) and train.begun_at is None:
        steps, told = train.steps, train.size
        arguments: dict[str, Any] = {"x": train.batches}
        first: Callable[[], tuple[Any, ...]] | None = train.first
    elif isinstance(train, Stream) or train.ragged:
        if isinstance(train, Stream):
            assert train.begun_at is not None
            dataset, steps = train.begun_at(0), train.steps
        else:
            dataset, steps = batches(train, size=size, max_tokens=max_tokens, epochs=epochs, shuffle=shuffle)
        arguments = {"x": dataset, "steps_per_epoch": steps, "shuffle": False}
        first = lambda: next(iter(dataset))  # noqa: E731
    else:
        x, y, *weights = train.arrays()
        size = told = size if max_tokens is None else max(1, max_tokens // longest_row(train))
        steps = math.ceil(train.rows / size)
        arguments = {"x": x, "y": y, "batch_size": size, "shuffle": shuffle}
        if weights:
            arguments["sample_weight"] = weights[0]
        first = lambda: tf.nest.map_structure(lambda column: _head(column, size), (x, y, *weights))  # noqa: E731
    validation: dict[str, Any] = {}
    if isinstance(held_back, Stream):
        validation = {"validation_data": held_back.batches}
    elif held_back is not None and held_back.ragged:
        validation = {"validation_data": batches(by_length(held_back), size=size, max_tokens=max_tokens)[0]}
    elif held_back is not None:
        rows = size if max_tokens is None else max(1, max_tokens // longest_row(held_back))
        validation = {"validation_data": held_back.arrays(), "validation_batch_size": rows}
    return Feed({**arguments, **classes}, validation, steps, told, first)


def _head(column: Any, size: int) -> Any:
    if isinstance(column, tf.SparseTensor):
        return tf.sparse.slice(column, [0] * column.shape.rank, [size, *column.shape[1:]])
    return column[:size] if tf.is_tensor(column) else tf.constant(column[:size])


def batches(
    table: Table, *, size: int, max_tokens: int | None = None, epochs: int = 1, shuffle: bool = False
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
        return _gathered(table, numbers, steps * epochs), steps
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
    return _gathered(table, orders.prefetch(1).flat_map(cut), steps * epochs), steps


def _gathered(table: Table, numbers: Any, count: int) -> Any:
    """Return so many batches of a table, for a dataset of their row numbers."""
    groups: dict[str, tuple[Any, ...]] = {"input": table.inputs, "target": table.targets, "weights": table.weights}
    data = {f"{kind} {n}": _tensor(column) for kind, columns in groups.items() for n, column in enumerate(columns)}
    data["lengths"] = tf.constant(table.target.lengths if isinstance(table.target, Rows) else [])
    constants = tf.data.Dataset.from_tensors(data).repeat()
    dataset = tf.data.Dataset.zip((numbers, constants))
    dataset = dataset.map(lambda rows, data: batch_of(table, rows, data), num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    dataset = dataset.with_options(options).apply(tf.data.experimental.assert_cardinality(count))
    return dataset.prefetch(tf.data.AUTOTUNE)


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


def _tensor(column: Column | ByClass | None) -> Any:
    """Return a column as a tensor; rows of one length as a matrix, so that the graph knows the number of steps."""
    if isinstance(column, Rows) and column.length is None:
        return tf.RaggedTensor.from_row_splits(tf.constant(column.values), tf.constant(column.splits), validate=False)
    if isinstance(column, Rows | np.ndarray | tf.RaggedTensor):
        return tf.convert_to_tensor(whole(column)) if not isinstance(column, tf.RaggedTensor) else column
    return tf.constant(column.weights) if isinstance(column, ByClass) else tf.zeros([0])


def batch_of(table: Table, rows: Any, data: Mapping[str, Any]) -> Any:
    """Gather one batch and compute the columns that are derived from its target."""

    def gathered(column: Any, name: str) -> Any:
        found = tf.gather(data[name], rows)
        return found.to_tensor(table.padding) if isinstance(column, Rows) and column.length is None else found

    targets = [gathered(column, f"target {n}") for n, column in enumerate(table.targets)]
    lengths = tf.gather(data["lengths"], rows) if isinstance(table.target, Rows) else None
    inputs = []
    for number, column in enumerate(table.inputs):
        if isinstance(column, Lengths):
            inputs.append(lengths)
        elif isinstance(column, Shifted):
            inputs.append(tf.pad(targets[0][:, :-1], [[0, 0], [1, 0]], constant_values=column.start))
        else:
            inputs.append(gathered(column, f"input {number}"))
    found = (table.packed_inputs(inputs), table.packed_targets(targets))
    if not table.weighted and not table.weights:
        return found
    weights: list[Any] = [
        _batch_weights(column, target, data[f"weights {number}"], rows)
        for number, (column, target) in enumerate(zip(table.weights, targets, strict=False))
    ] or [of_rows(tf.ones([tf.shape(rows)[0]]), target) for target in targets]
    if table.weighted:
        mask = tf.sequence_mask(lengths, tf.shape(targets[0])[1], tf.float32)
        # Keras divides by all positions; this factor makes the loss the mean over the real ones.
        mask *= tf.cast(tf.size(mask), tf.float32) / tf.reduce_sum(mask)
        weights[0] = mask * (weights[0] if weights[0].shape.rank == 2 else weights[0][:, None])
    return (*found, table.packed_targets(weights))


def _batch_weights(column: Numbers | ByClass | None, target: Any, data: Any, rows: Any) -> Any:
    """Return one batch's weights for one target, by row or by position."""
    if column is None:
        return of_rows(tf.ones([tf.shape(rows)[0]]), target)
    if isinstance(column, ByClass):
        return tf.gather(data, tf.cast(target, tf.int32))
    found = tf.gather(data, rows)
    return of_rows(found, target) if found.shape.rank == 1 else found[:, : tf.shape(target)[1]]
