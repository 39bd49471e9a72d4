"""The part of each batch that one of several workers trains on."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def shard(dataset: Any, index: int, count: int) -> Any:
    """Return batches with every ``count``-th row of those of a dataset, from row ``index`` on.

    The workers' parts of a batch differ by one row at most, and all are padded as the whole batch was. A part is empty
    where a batch has fewer rows than there are workers.
    """

    def part(*batch: Any) -> Any:
        return tf.nest.map_structure(lambda column: column[index::count], batch)

    return dataset.map(part, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
