"""Order the rows of a table by length, and batch as many as fit into a number of ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.batching import Room, in_batches
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.table import Table


def by_ids(table: Table, max_tokens: int, epochs: int, shuffle: bool) -> tuple[Any, int]:
    """Return the row numbers of batches that hold so many ids, of all epochs, and the number of batches in one."""
    lengths = np.stack([column.lengths for column in (*table.targets, *table.inputs) if isinstance(column, Rows)], 1)
    room, seed = Room(ids=max_tokens), drawn_seed() if shuffle else 0

    def generated() -> Iterator[Numbers]:
        for epoch in range(epochs):
            draw = np.random.default_rng([seed, epoch]) if shuffle else None
            yield from in_batches(lengths, room, sort=shuffle, draw=draw)

    numbers = tf.data.Dataset.from_generator(generated, output_signature=tf.TensorSpec([None], tf.int64))
    return numbers, sum(1 for _ in in_batches(lengths, room, sort=shuffle))


def drawn_seed() -> int:
    """Return a seed drawn as ``tf.data`` draws its own: from TensorFlow's global seed where one is set."""
    drawn = tf.data.Dataset.range(1).map(lambda _: tf.random.uniform([], maxval=2**31 - 1, dtype=tf.int32))
    return int(next(iter(drawn)))


def longest_row(table: Table) -> int:
    """Return the ids in a table's longest row; at least 1."""
    columns = [column for column in (*table.targets, *table.inputs) if isinstance(column, Rows)]
    return max(1, *(int(column.lengths.max(initial=0)) for column in columns))


def by_length(table: Table) -> Table:
    """Return the rows sorted by length, so that unshuffled batches hold little padding."""
    return table.select(np.argsort(length_keys(table), kind="stable")) if table.ragged else table


def length_keys(table: Table) -> Numbers:
    """Return a sort key for each row: the target's length first, since the output layer costs most."""
    keys = np.zeros(table.rows, np.int64)
    for column in table.ragged:
        keys = keys * (int(column.lengths.max()) + 1) + column.lengths
    return keys
