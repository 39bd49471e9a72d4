"""From columns to what ``Model.fit`` is given: arrays where rows have one length, else batches by ``tf.data``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.training.rows import Numbers, Rows

POOL = 64
"""Batches' worth of rows sorted by length together: enough to waste little padding, few enough to stay random."""


@dataclass(frozen=True)
class Shifted:
    """The decoder's input: the target, one step later, behind the start id."""

    start: int


@dataclass(frozen=True)
class Lengths:
    """The lengths of the target's rows."""


Column = Rows | Numbers | Shifted | Lengths


@dataclass(frozen=True)
class Table:
    """What a model is fitted on.

    Attributes
    ----------
    inputs
        One column for each input of the model, in the model's order.
    target
        What the model's output is compared with.
    weighted
        Give weights that leave the padding out of the loss; each batch's loss is then the mean over its real ids.
    padding
        The id that fills short rows up.
    """

    inputs: tuple[Column, ...]
    target: Rows | Numbers
    weighted: bool = False
    padding: int = 0

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.target)

    @property
    def ragged(self) -> list[Rows]:
        """The columns whose rows differ in length, the target first."""
        columns = [c for c in (self.target, *self.inputs) if isinstance(c, Rows)]
        return [column for column in columns if column.ragged]

    @property
    def fixed_lengths(self) -> dict[int, int]:
        """The one length of the target's rows, by the place of each input that tells it."""
        length = self.target.length if isinstance(self.target, Rows) else None
        return {} if length is None else {n: length for n, c in enumerate(self.inputs) if isinstance(c, Lengths)}

    def arrays(self) -> tuple[Any, Numbers]:
        """Give inputs and target as ``Model.fit`` takes them, where rows have one length.

        Returns
        -------
        inputs : array or tuple of arrays
            Shape (rows, ...) each, one array where the model has one input.
        target : array
            Shape (rows, ...).
        """
        target = _matrix(self.target)
        inputs = []
        for column in self.inputs:
            if isinstance(column, Shifted):
                start = np.full((len(target), 1), column.start, target.dtype)
                inputs.append(np.concatenate([start, target[:, :-1]], axis=1))
            elif isinstance(column, Lengths):
                inputs.append(np.full(len(target), target.shape[1], np.int32))
            else:
                inputs.append(_matrix(column))
        return inputs[0] if len(inputs) == 1 else tuple(inputs), target

    def select(self, order: Numbers) -> Table:
        """Give some of the rows, in the order of their numbers."""

        def taken(column: Any) -> Any:
            if isinstance(column, Rows):
                return column.taken(order)
            return column[order] if isinstance(column, np.ndarray) else column

        inputs = tuple(taken(column) for column in self.inputs)
        return replace(self, inputs=inputs, target=taken(self.target))


@dataclass(frozen=True)
class Feed:
    """What ``Model.fit`` is given.

    Attributes
    ----------
    arguments
        Its data, in its own words: ``x``, ``y``, ``batch_size`` and ``shuffle``, or a dataset with ``steps_per_epoch``.
    validation
        Its ``validation_data`` and ``validation_batch_size``; empty where nothing is held back.
    steps
        Batches an epoch.
    first
        Gives the inputs, the target and, where there are any, the weights of one batch.
    """

    arguments: dict[str, Any]
    validation: dict[str, Any]
    steps: int
    first: Callable[[], tuple[Any, ...]]


def feed(train: Table, held_back: Table | None, *, size: int, epochs: int = 1, shuffle: bool = False) -> Feed:
    """Arrange tables for ``Model.fit``.

    Where all rows have one length, Keras gets plain arrays: shapes stay known, types are converted and rows shuffled
    by Keras itself, so that nothing differs from a fit by hand. Only rows that differ in length come by `batches`.

    Parameters
    ----------
    train, held_back
        What to fit on, and what to validate on.
    size, epochs, shuffle
        As for `batches`.
    """
    if train.ragged:
        dataset, steps = batches(train, size=size, epochs=epochs, shuffle=shuffle)
        arguments: dict[str, Any] = {"x": dataset, "steps_per_epoch": steps}
        first = lambda: next(iter(dataset))  # noqa: E731
    else:
        x, y = train.arrays()
        steps = math.ceil(train.rows / size)
        arguments = {"x": x, "y": y, "batch_size": size, "shuffle": shuffle}
        first = lambda: tf.nest.map_structure(lambda column: tf.constant(column[:size]), (x, y))  # noqa: E731
    validation: dict[str, Any] = {}
    if held_back is not None and held_back.ragged:
        validation = {"validation_data": batches(by_length(held_back), size=size)[0]}
    elif held_back is not None:
        validation = {"validation_data": held_back.arrays(), "validation_batch_size": size}
    return Feed(arguments, validation, steps, first)


def batches(table: Table, *, size: int, epochs: int = 1, shuffle: bool = False) -> tuple[Any, int]:
    """Make the batches of one or more epochs.

    Rows that differ in length are batched with rows of about the same length and filled up to the longest of their
    batch; the order of rows and batches stays random. Rows of one length keep the order that ``Model.fit`` would have
    given them under the same seed.

    Parameters
    ----------
    table
        The rows.
    size
        Rows a batch; the last batch of an epoch may be smaller.
    epochs
        How many times each row comes.
    shuffle
        Draw a new order each epoch, from TensorFlow's global seed where one is set.

    Returns
    -------
    dataset : tf.data.Dataset
        ``(inputs, target)`` or ``(inputs, target, weights)``; ids are int32 of shape (batch, steps), weights float32
        of that shape.
    steps : int
        Batches an epoch.
    """
    count = table.rows
    steps = math.ceil(count / size)
    keys = _length_keys(table) if table.ragged and shuffle else None

    # These operations are those of Keras's own adapter, so that the same global seed draws the same order.
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
        return dataset.concatenate(tf.data.Dataset.from_tensors(indices[full * size :])) if rest else dataset

    orders = tf.data.Dataset.range(1).repeat(epochs).map(permutation)
    if keys is not None:
        pool = tf.constant(np.arange(count) // (size * POOL), tf.int64)
        wide = int(keys.max()) + 1
        ordered = tf.constant(keys)
        orders = orders.map(lambda i: tf.gather(i, tf.argsort(pool * wide + tf.gather(ordered, i), stable=True)))
    columns = enumerate((table.target, *table.inputs))
    data = {str(number): _tensor(column) for number, column in columns}
    data["lengths"] = tf.constant(table.target.lengths if isinstance(table.target, Rows) else [])
    constants = tf.data.Dataset.from_tensors(data).repeat()
    dataset = tf.data.Dataset.zip((orders.prefetch(1).flat_map(cut), constants))
    dataset = dataset.map(lambda rows, data: _batch(table, rows, data), num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    dataset = dataset.with_options(options).apply(tf.data.experimental.assert_cardinality(steps * epochs))
    return dataset.prefetch(tf.data.AUTOTUNE), steps


def by_length(table: Table) -> Table:
    """Give the rows in order of their lengths, so that batches without a shuffle hold little padding."""
    return table.select(np.argsort(_length_keys(table), kind="stable")) if table.ragged else table


def _matrix(column: Rows | Numbers) -> Numbers:
    return column.values.reshape(len(column), -1) if isinstance(column, Rows) else column


def _length_keys(table: Table) -> Numbers:
    """Give each row a number to sort by: the target's length first, since the output layer costs most."""
    keys = np.zeros(table.rows, np.int64)
    for column in table.ragged:
        keys = keys * (int(column.lengths.max()) + 1) + column.lengths
    return keys


def _tensor(column: Column) -> Any:
    """Give the numbers of a column; rows of one length as a matrix, so that the graph knows their steps."""
    if isinstance(column, Rows):
        if column.length is not None:
            return tf.constant(_matrix(column))
        return tf.RaggedTensor.from_row_splits(tf.constant(column.values), tf.constant(column.splits), validate=False)
    return tf.constant(column) if isinstance(column, np.ndarray) else tf.zeros([0])


def _batch(table: Table, rows: Any, data: Mapping[str, Any]) -> Any:
    """Gather one batch and derive from its target what is derived."""

    def gathered(name: str) -> Any:
        found = tf.gather(data[name], rows)
        return found.to_tensor(table.padding) if isinstance(found, tf.RaggedTensor) else found

    target = gathered("0")
    lengths = None
    if isinstance(table.target, Rows):
        lengths = tf.gather(data["lengths"], rows)
    inputs = []
    for number, column in enumerate(table.inputs, start=1):
        if isinstance(column, Lengths):
            inputs.append(lengths)
        elif isinstance(column, Shifted):
            inputs.append(tf.pad(target[:, :-1], [[0, 0], [1, 0]], constant_values=column.start))
        else:
            inputs.append(gathered(str(number)))
    if not table.weighted:
        return tuple(inputs), target
    mask = tf.sequence_mask(lengths, tf.shape(target)[1], tf.float32)
    # Keras divides by all positions; scaled like this, what comes out is the mean over the real ones.
    return tuple(inputs), target, mask * (tf.cast(tf.size(mask), tf.float32) / tf.reduce_sum(mask))
