"""Holding the data against each other and against the model, before anything is changed."""

from __future__ import annotations

import math

import numpy as np

from s2s_magic.training.desk import Desk
from s2s_magic.training.inputs import inputs_of
from s2s_magic.training.pipeline import Lengths, Shifted, Table
from s2s_magic.training.rows import Numbers, Rows


def check_table(desk: Desk, table: Table, keys: tuple[str, str]) -> None:
    """Hold the columns against each other and against the model."""
    source_key, target_key = keys
    if not table.rows:
        desk.fault(target_key, "there are no rows to fit on")
        return
    for model_input, column, tensor in zip(
        inputs_of(desk.seq2seq), table.inputs, desk.seq2seq.model.inputs, strict=True
    ):
        if isinstance(column, Shifted | Lengths):
            continue
        if len(column) != table.rows:
            desk.fault(source_key, f"{model_input.name} gets {len(column)} rows, and the target has {table.rows}")
        elif isinstance(column, Rows):
            _check_ids(desk, source_key, model_input.name, column, model_input.vocabulary)
            _check_steps(desk, source_key, model_input.name, column, tensor.shape[1])
        elif not tensor.shape[1:].is_compatible_with(np.shape(column)[1:]):
            desk.fault(
                source_key, f"{model_input.name} has shape {tuple(tensor.shape)}, and its data {np.shape(column)}"
            )
    if isinstance(table.target, Rows):
        sizes = [desk.seq2seq.model.outputs[0].shape[-1]]
        decoders = [
            i.vocabulary for i, c in zip(inputs_of(desk.seq2seq), table.inputs, strict=True) if isinstance(c, Shifted)
        ]
        known = [size for size in [*sizes, *decoders] if size is not None]
        _check_ids(desk, target_key, "the target", table.target, min(known, default=None))
    spec = desk.seq2seq.spec
    source = next((c for c in table.inputs if isinstance(c, Rows)), None)
    if spec is not None and spec.padding is None and source is not None and len(set(source.lengths)) > 1:
        low, high = source.lengths.min(), source.lengths.max()
        desk.fault(
            source_key,
            f"source rows have {low} to {high} ids, and {desk.seq2seq.name} was built without padding, so that its "
            "encoder would read the filling: add 'padding: 0' (and a 'start' of its own) to the spec and build again, "
            "or give rows of one length",
        )


def _check_ids(desk: Desk, key: str, name: str, column: Rows, vocabulary: int | None) -> None:
    empty = np.flatnonzero(column.lengths == 0)
    if len(empty):
        desk.fault(key, f"{name}: row {int(empty[0])} is empty")
    outside = np.flatnonzero((column.values < 0) | (column.values >= (vocabulary or math.inf)))
    if len(outside):
        row, position = column.place(int(outside[0]))
        number = int(column.values[outside[0]])
        more = f" ({len(outside)} such ids in all)" if len(outside) > 1 else ""
        size = f"the vocabulary of {vocabulary} (ids 0 to {vocabulary - 1})" if vocabulary else "any vocabulary"
        desk.fault(key, f"{name}: row {row}, position {position} (both from 0) is id {number}, outside {size}{more}")


def _check_steps(desk: Desk, key: str, name: str, column: Rows, steps: int | None) -> None:
    if steps is not None and (column.lengths != steps).any():
        row = int(np.flatnonzero(column.lengths != steps)[0])
        desk.fault(key, f"{name} takes rows of {steps} ids, and row {row} has {column.lengths[row]}")


def check_lengths(desk: Desk, name: str, lengths: Numbers, target: Rows) -> None:
    """Note lengths that are none, or not those of a target's rows."""
    if lengths.dtype.kind not in "iuf" or len(lengths) != len(target):
        desk.fault(
            "lengths",
            f"{name} holds {len(lengths)} values; expected one whole number for each of {len(target)} target rows",
        )
        return
    wrong = np.flatnonzero(~((lengths == np.floor(lengths)) & (lengths >= 1) & (lengths <= target.lengths)))
    if len(wrong):
        row = int(wrong[0])
        desk.fault(
            "lengths",
            f"{name}: row {row} is {lengths[row]}; expected 1 to {target.lengths[row]}, the ids of its target",
        )


def differing(one: Rows, other: Rows) -> str:
    """Say where the lengths of two columns part."""
    if len(one) != len(other):
        return f"{len(one)} rows against {len(other)}"
    row = int(np.flatnonzero(one.lengths != other.lengths)[0])
    return f"row {row} has {one.lengths[row]} ids against {other.lengths[row]}"
