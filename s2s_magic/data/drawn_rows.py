"""Gather the rows of a table that make a batch, and pad them to the longest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.table import ByClass, Column, Lengths, Shifted, Table, of_rows, whole


def gathered(table: Table, numbers: Any, count: int) -> Any:
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
    if not table.weighted and not table.weights:
        return table.packed(inputs, targets)
    weights: list[Any] = [
        _batch_weights(column, target, data[f"weights {number}"], rows)
        for number, (column, target) in enumerate(zip(table.weights, targets, strict=False))
    ] or [of_rows(tf.ones([tf.shape(rows)[0]]), target) for target in targets]
    if table.weighted:
        mask = tf.sequence_mask(lengths, tf.shape(targets[0])[1], tf.float32)
        # Keras divides by all positions; this factor makes the loss the mean over the real ones.
        mask *= tf.cast(tf.size(mask), tf.float32) / tf.reduce_sum(mask)
        weights[0] = mask * (weights[0] if weights[0].shape.rank == 2 else weights[0][:, None])
    return table.packed(inputs, targets, weights)


def _batch_weights(column: Numbers | ByClass | None, target: Any, data: Any, rows: Any) -> Any:
    """Return one batch's weights for one target, by row or by position."""
    if column is None:
        return of_rows(tf.ones([tf.shape(rows)[0]]), target)
    if isinstance(column, ByClass):
        return tf.gather(data, tf.cast(target, tf.int32))
    found = tf.gather(data, rows)
    return of_rows(found, target) if found.shape.rank == 1 else found[:, : tf.shape(target)[1]]
