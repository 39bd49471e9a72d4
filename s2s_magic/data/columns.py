"""Read the column of one input or one target."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data import sequences
from s2s_magic.data.arrays import as_array
from s2s_magic.data.inputs import ModelInput, ModelOutput, feeders
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.losses import Compares
from s2s_magic.data.sequences import Rows
from s2s_magic.data.table import Column, Target
from s2s_magic.data.values import Unreadable, is_kind, is_text, plain


def input_column(desk: Desk, asked: Asked, model_input: ModelInput) -> Column | None:
    """Read an input's column: text, a ragged or sparse tensor, ids for an embedding, or numbers, whichever it takes.

    Returns None after a fault, which ``desk`` notes.
    """
    holds = model_input.holds
    if holds in ("ragged", "sparse"):
        return _composite(desk, asked, holds, model_input.dtype, len(model_input.shape))
    if holds == "text":
        return desk.array(*asked, "text")
    ids = model_input.vocabulary is not None and model_input.rank == 2
    if ids or (model_input.rank == 2 and model_input.shape[1] is None and _differ(desk, asked)):
        found: Rows | None = desk.read(*asked, None)
        return found
    return desk.array(*asked, "numbers")


def target_column(desk: Desk, asked: Asked, output: ModelOutput, compared: Compares) -> Target | None:
    """Read an output's target in the form that the loss requires.

    Ids by position become rows, which may differ in length. Texts become ids through the program's vectorization layer.
    """
    if output.holds == "ragged":
        found: Any = _composite(desk, asked, "ragged", None, len(output.shape or ()))
        return found
    value = desk.value(*asked)
    if value is None:
        return None
    if is_text(value):
        vectorized = _vectorized(desk, asked, value, output)
        if vectorized is None:
            return None
        value = vectorized
    positions = len(output.shape or ()) == 3 and compared in ("ids", "unknown")
    flat = value.ndim == 2 if isinstance(value, np.ndarray) else dimensions(value) == 2
    if positions and flat and (compared == "ids" or not isinstance(value, np.ndarray)):
        return desk.reading(asked, lambda: sequences.ids(value))
    return desk.reading(asked, lambda: as_array(value))


def any_column(desk: Desk, asked: Asked) -> Any:
    """Read data for a subclassed model, whose inputs are unknown, as Keras would."""
    found = desk.found(*asked)
    if found is None:
        return None
    if is_kind(found[0], (tf.RaggedTensor, tf.SparseTensor)):
        return found[0]
    return desk.array(*asked, None)


def _composite(desk: Desk, asked: Asked, holds: str, dtype: str | None, rank: int) -> Any:
    """Read a ragged or sparse tensor; rows of ids of any lengths, or dense numbers, are converted to one."""
    found = desk.found(*asked)
    if found is None:
        return None
    value = found[0]
    if is_kind(value, tf.RaggedTensor if holds == "ragged" else tf.SparseTensor):
        return value if dtype is None or value.dtype == dtype else tf.cast(value, dtype)
    if holds == "sparse":
        dense = desk.array(*asked, "numbers")
        return None if dense is None else tf.sparse.from_dense(tf.cast(dense, dtype or "float32"))
    if rank != 2:
        desk.fault(asked.key, f"{asked.variable}: expected a tf.RaggedTensor of {rank} dimensions")
        return None
    read: Rows | None = desk.read(*asked, None)
    if read is None:
        return None
    values = tf.cast(read.values, dtype or "int32")
    return tf.RaggedTensor.from_row_splits(values, read.splits, validate=False)


def _differ(desk: Desk, asked: Asked) -> bool:
    """Return whether a variable is a list of flat rows of different lengths."""
    value = desk.value(*asked)
    flat = isinstance(value, list) and bool(value) and dimensions(value) == 2
    return flat and len({len(row) for row in value if hasattr(type(row), "__len__")}) > 1


def dimensions(value: Any) -> int:
    """Return how deeply lists are nested, judged by the first item of each."""
    try:
        inner = plain(value)
    except Unreadable:
        return 0
    if isinstance(inner, np.ndarray):
        return inner.ndim
    return 1 + (dimensions(inner[0]) if inner else 0)


def _vectorized(desk: Desk, asked: Asked, value: Any, output: ModelOutput) -> Any:
    """Turn texts into ids through the program's vectorization layer for this output."""
    texts = desk.reading(asked, lambda: as_array(value))
    if texts is None:
        return None
    known = feeders(desk.seq2seq, output)
    if len(known) == 1:
        found: Any = next(iter(known.values()))(tf.constant(texts))
        return found.numpy() if isinstance(found, tf.Tensor) else found.to_list()
    if known:
        why = f"which of {', '.join(known)} makes ids of them does not show: give the ids, "
        desk.fault(asked.key, f"{asked.variable} holds texts, and {why}Y = {next(iter(known))}({asked.variable})")
    else:
        desk.fault(
            asked.key,
            f"{asked.variable} holds texts, and the loss compares ids; the program has no TextVectorization that would "
            "make ids of them: give the ids",
        )
    return None
