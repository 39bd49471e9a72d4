"""Holding the data against each other and against the model, before anything is changed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from s2s_magic.training.compiling import loss_compares
from s2s_magic.training.desk import Asked, Desk
from s2s_magic.training.inputs import inputs_of
from s2s_magic.training.pipeline import Lengths, Shifted, Table
from s2s_magic.training.rows import Numbers, Rows

Shape = tuple[int | None, ...]


def check_table(desk: Desk, table: Table, inputs: Mapping[str, Asked], target: Asked) -> None:
    """Hold the columns against each other and against the model.

    Parameters
    ----------
    desk
        Takes the faults.
    table
        The columns.
    inputs
        Where the body says what feeds an input of the model, by the input's name; none for what is derived.
    target
        Where it says what the target is.
    """
    if not table.rows:
        desk.fault(target.key, f"{target.variable} holds no rows to fit on")
        return
    for model_input, column, tensor in zip(
        inputs_of(desk.seq2seq), table.inputs, desk.seq2seq.model.inputs, strict=True
    ):
        if isinstance(column, Shifted | Lengths):
            continue
        key, variable = inputs[model_input.name]
        name = f"{variable} for {model_input.name}"
        if len(column) != table.rows:
            desk.fault(key, f"{name} has {len(column)} rows, and the target {target.variable} {table.rows}")
        elif isinstance(column, Rows):
            _check_ids(desk, key, name, column, model_input.vocabulary)
            _check_steps(desk, key, name, column, tensor.shape[1])
        elif not tensor.shape[1:].is_compatible_with(np.shape(column)[1:]):
            desk.fault(key, f"{name} has shape {np.shape(column)}; the input has {tuple(tensor.shape)}")
    _check_target_shape(desk, table.target, target)
    if isinstance(table.target, Rows):
        sizes = [desk.seq2seq.model.outputs[0].shape[-1]]
        decoders = [
            i.vocabulary for i, c in zip(inputs_of(desk.seq2seq), table.inputs, strict=True) if isinstance(c, Shifted)
        ]
        known = [size for size in [*sizes, *decoders] if size is not None]
        _check_ids(desk, target.key, f"{target.variable} for the target", table.target, min(known, default=None))
    spec = desk.seq2seq.spec
    named = zip(inputs_of(desk.seq2seq), table.inputs, strict=True)
    name, source = next(((i.name, c) for i, c in named if isinstance(c, Rows)), ("", None))
    if spec is not None and spec.padding is None and source is not None and source.ragged:
        low, high = source.lengths.min(), source.lengths.max()
        desk.fault(
            inputs[name].key,
            f"{inputs[name].variable}: source rows have {low} to {high} ids, and {desk.seq2seq.name} was built without "
            "padding, so that its encoder would read the filling: add 'padding: 0' (and a 'start' of its own) to the "
            "spec and build again, "
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


def _check_target_shape(desk: Desk, target: Rows | Numbers, asked: Asked) -> None:
    """Note a target whose shape the loss surely cannot hold against the output; what might broadcast is let through."""
    outputs, compares = desk.seq2seq.model.outputs, loss_compares(desk.seq2seq, desk.plan)
    shape: tuple[int, ...] | None = None if isinstance(target, Rows) else target.shape
    if isinstance(target, Rows) and target.length is not None:
        shape = (len(target), int(target.lengths[0]))
    if shape is None or compares is None or len(outputs) != 1 or outputs[0].shape.rank is None:
        return
    output = tuple(outputs[0].shape)
    fits, expected = (_ids_fit, "one id") if compares == "ids" else (_values_fit, "one number")
    if not fits(shape[1:], output[1:]):
        each = "position" if compares == "ids" else "of its numbers"
        desk.fault(
            asked.key,
            f"{asked.variable} has shape {shape}, and the model's output {output}; its loss takes {expected} for "
            f"each {each}",
        )


def _ids_fit(target: Shape, output: Shape) -> bool:
    """Whether ids of this shape (per row) may go with scores whose last dimension is that of the classes."""
    positions = output[:-1]
    if None not in positions:
        return math.prod(n or 0 for n in target) == math.prod(n or 0 for n in positions)  # Keras flattens both
    return len(target) == len(positions) or (len(target) == len(output) and target[-1] == 1)


def _values_fit(target: Shape, output: Shape) -> bool:
    """Whether numbers of this shape (per row) may be taken from an output of that shape, broadcast included."""
    if len(target) == len(output) + 1 and target[-1] == 1:  # Keras drops a last dimension of 1 on either side
        target = target[:-1]
    elif len(output) == len(target) + 1 and output[-1] == 1:
        output = output[:-1]
    pairs = zip(reversed(target), reversed(output), strict=False)
    return all(one == other or other is None or 1 in (one, other) for one, other in pairs)


def check_lengths(desk: Desk, asked: Asked, lengths: Numbers, target: Rows) -> None:
    """Note lengths that are none, or not those of a target's rows."""
    key, name = asked
    if lengths.dtype.kind not in "iuf":
        what = "truth values" if lengths.dtype.kind == "b" else "text"
        desk.fault(key, f"{name} holds {what}; expected one whole number for each target row")
        return
    if len(lengths) != len(target):
        desk.fault(
            key,
            f"{name} holds {len(lengths)} values; expected one whole number for each of {len(target)} target rows",
        )
        return
    wrong = np.flatnonzero(~((lengths == np.floor(lengths)) & (lengths >= 1) & (lengths <= target.lengths)))
    if len(wrong):
        row = int(wrong[0])
        desk.fault(
            key,
            f"{name}: row {row} is {lengths[row]}; expected 1 to {target.lengths[row]}, the ids of its target",
        )


def differing(one: Rows, other: Rows) -> str:
    """Say where the lengths of two columns part."""
    if len(one) != len(other):
        return f"{len(one)} rows against {len(other)}"
    row = int(np.flatnonzero(one.lengths != other.lengths)[0])
    return f"row {row} has {one.lengths[row]} ids against {other.lengths[row]}"
