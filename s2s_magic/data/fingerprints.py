"""Checksums of what a fit trains on: to go on with it, the data must be the same."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.batches import Stream, Table
from s2s_magic.data.sequences import Rows


def fingerprint(data: Table | Stream) -> str:
    """Return a checksum of the rows of a fit, in their order; of batches that the user made, of their number alone."""
    found = hashlib.blake2b(digest_size=16)
    if isinstance(data, Stream):
        found.update(str(data.steps).encode() if data.content is None else data.content())
    else:
        for column in (*data.inputs, *data.targets, *data.weights):
            for part in _parts(column):
                found.update(f"{part.dtype}{part.shape}".encode())
                found.update(np.ascontiguousarray(part).data if part.dtype != object else repr(part.tolist()).encode())
    return found.hexdigest()


def _parts(column: Any) -> list[Any]:
    """Return the arrays that a column is made of; none for one that follows from others."""
    if isinstance(column, Rows):
        return [np.asarray(column.values), np.asarray(column.splits)]
    if isinstance(column, tf.RaggedTensor):
        return [each.numpy() for each in column.nested_row_splits] + [column.flat_values.numpy()]
    if isinstance(column, tf.SparseTensor):
        return [column.indices.numpy(), column.values.numpy()]
    return [np.asarray(column)] if isinstance(column, np.ndarray) or tf.is_tensor(column) else []
