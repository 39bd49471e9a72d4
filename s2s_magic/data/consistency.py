"""Check the data against each other and against the model before anything is changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data.assignment import a_target_each, compared_outputs
from s2s_magic.data.costs import NO_IDS, check_costs
from s2s_magic.data.inputs import ModelInput, ModelOutput, inputs_of, outputs_of
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.losses import broadcasts, compares, ignored_class, losses_of
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.table import Lengths, Shifted, Table, rows_in

Shape = tuple[int | None, ...]


def check_table(
    desk: Desk,
    table: Table,
    inputs: Mapping[str, Asked],
    targets: Sequence[Asked],
    outputs: Sequence[ModelOutput] | None = None,
) -> None:
    """Check the columns against each other and against the model; ``desk`` notes the faults.

    ``inputs`` and ``targets`` are the variables that the body names: for inputs by name (by number where the model is
    subclassed), and for each output; derived columns have none. ``outputs`` are the outputs of the targets, which may
    share one; by default those that have a loss.
    """
    target, *more = targets or list(inputs.values())[:1]
    alone = len(table.targets) == 1
    if not table.rows:
        desk.fault(target.key, f"{target.variable} holds no rows to fit on")
        return
    for asked, column in zip([] if alone else more, table.more, strict=True):
        if rows_in(column) != table.rows:
            _fault_rows(desk, asked, asked.variable, rows_in(column), target, table.rows)
    if not backend.is_wired(desk.seq2seq.model):
        for asked, column in zip(inputs.values(), table.inputs, strict=True):
            if rows_in(column) != table.rows:
                _fault_rows(desk, asked, asked.variable, rows_in(column), target, table.rows)
        if desk.plan.max_tokens is not None:
            desk.fault("max_tokens", NO_IDS)
        return
    known = inputs_of(desk.seq2seq)
    for model_input, column in zip(known, table.inputs, strict=True):
        if not isinstance(column, Shifted | Lengths):
            _check_input(desk, table, model_input, column, inputs[model_input.name], target)
    if table.ragged and any(isinstance(column, tf.SparseTensor) for column in table.inputs):
        desk.fault(
            target.key, "rows that differ in length and a sparse input do not go together: give rows of one length"
        )
    outputs = compared_outputs(desk) if outputs is None else outputs
    columns = table.targets * len(outputs) if alone else table.targets
    for output, asked, column in zip(outputs, targets[: len(outputs)], columns, strict=True):
        _check_target(desk, table, column, asked, output)
    if not desk.faults:
        named = {number: inputs[i.name] for number, i in enumerate(known) if i.name in inputs}
        check_costs(desk, table, named, targets[: len(table.targets)])
    ids = desk.seq2seq.ids
    name, source = next(
        ((i.name, c) for i, c in zip(known, table.inputs, strict=True) if isinstance(c, Rows)), ("", None)
    )
    if ids.added and ids.padding is None and source is not None and source.ragged:
        low, high = source.lengths.min(), source.lengths.max()
        desk.fault(
            inputs[name].key,
            f"{inputs[name].variable}: source rows have {low} to {high} ids, and {desk.seq2seq.name} was built without "
            "padding, so that its encoder would read the filling: add 'padding: 0' (and a 'start' of its own) to the "
            "spec and build again, or give rows of one length",
        )


def _fault_rows(desk: Desk, asked: Asked, name: str, count: int, target: Asked, rows: int) -> None:
    what = "the target " if desk.plan.target is not None else ""
    desk.fault(asked.key, f"{name} has {count} rows, and {what}{target.variable} {rows}")


def _check_input(desk: Desk, table: Table, model_input: ModelInput, column: Any, asked: Asked, target: Asked) -> None:
    key, variable = asked
    name = f"{variable} for {model_input.name}"
    if rows_in(column) != table.rows:
        _fault_rows(desk, asked, name, rows_in(column), target, table.rows)
    elif isinstance(column, Rows):
        _check_ids(desk, key, name, column, model_input.vocabulary)
        _check_steps(desk, key, name, column, model_input.shape[1])
    elif not _takes(model_input.shape, tuple(column.shape)):
        desk.fault(key, f"{name} has shape {tuple(column.shape)}; the input has {model_input.shape}")


def _takes(expected: Shape, given: Shape) -> bool:
    """Return whether an input takes an array of this shape; (rows,) passes for (rows, 1)."""
    if len(given) == 1 and expected[1:] == (1,):
        return True
    return len(given) == len(expected) and all(
        one is None or other is None or one == other for one, other in zip(expected[1:], given[1:], strict=True)
    )


def _check_target(desk: Desk, table: Table, target: Any, asked: Asked, output: ModelOutput) -> None:
    loss = _loss_of(desk, output)
    compared = compares(loss)
    if isinstance(target, Rows):
        if target.length is not None:
            check_target_shape(desk, (len(target), target.length), asked, output)
        if compared == "values":  # a target shared by several outputs, of which this one compares numbers
            return
        decoders = [
            i.vocabulary
            for i, c in zip(inputs_of(desk.seq2seq), table.inputs, strict=True)
            if isinstance(c, Shifted) and target is table.target
        ]
        known = [size for size in [output.shape[-1] if output.shape else None, *decoders] if size is not None]
        ignored = None if decoders else ignored_class(loss)
        _check_ids(desk, asked.key, f"{asked.variable} for the target", target, min(known, default=None), ignored)
    elif isinstance(target, np.ndarray):
        check_target_shape(desk, target.shape, asked, output)
        if compared == "ids" and output.shape and output.shape[-1] and not desk.faults:
            check_classes(desk, asked, target, output.shape[-1], loss)


def check_classes(desk: Desk, asked: Asked, target: Numbers, classes: int | None, loss: Any) -> None:
    """Note the first number that is none of the classes which a loss compares, and not what it leaves out."""
    left_out = target == ignored_class(loss)
    outside = np.argwhere(((target < 0) | (target >= (classes or math.inf)) | (target != np.floor(target))) & ~left_out)
    if classes and len(outside):
        place = tuple(int(i) for i in outside[0])
        desk.fault(
            asked.key,
            f"{asked.variable}: index {place if len(place) > 1 else place[0]} is {target[place]}; the loss takes whole "
            f"numbers of {classes} classes, 0 to {classes - 1}",
        )


def _loss_of(desk: Desk, output: ModelOutput) -> Any:
    return losses_of(desk.seq2seq, desk.plan)[_number(desk, output)]


def _number(desk: Desk, output: ModelOutput) -> int:
    return [one.keras_name for one in outputs_of(desk.seq2seq)].index(output.keras_name)


def _check_ids(
    desk: Desk, key: str, name: str, column: Rows, vocabulary: int | None, ignored: int | None = None
) -> None:
    empty = np.flatnonzero(column.lengths == 0)
    if len(empty):
        desk.fault(key, f"{name}: row {int(empty[0])} is empty")
    values = column.values
    outside = np.flatnonzero(((values < 0) | (values >= (vocabulary or math.inf))) & (values != ignored))
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


def check_target_shape(desk: Desk, shape: Shape, asked: Asked, output: ModelOutput) -> None:
    """Note a target whose shape the loss cannot compare with the output; shapes that might broadcast pass."""
    loss = _loss_of(desk, output)
    compared = compares(loss)
    if compared not in ("ids", "values") or output.shape is None or output.holds != "numbers":
        return
    expected = "one id" if compared == "ids" else "one number"
    if compared == "ids":
        fits = ids_fit(shape[1:], output.shape[1:])
    else:
        tensor = desk.seq2seq.model.outputs[_number(desk, output)]
        fits = _values_fit(shape[1:], output.shape[1:], broadcasts(loss, tensor))
    if fits:
        return
    several = len(outputs_of(desk.seq2seq)) > 1
    each = "position" if compared == "ids" else "of its numbers"
    what = f"the output {output.name}" if several or output.dtype.startswith("int") else "the model's output"
    remedy = ""
    if output.dtype.startswith(("int", "uint", "bool")):
        remedy = f", and {output.name} holds {output.dtype} values, no scores: end the model in what it was chosen from"
    elif compared == "ids" and len(shape) == len(output.shape) and shape[-1] == output.shape[-1]:
        remedy = "; for a target of one number for each class, compile with categorical_crossentropy"
    elif isinstance(desk.plan.target, str) and len(each_of := compared_outputs(desk)) > 1:
        remedy = f". One target is held against each of {', '.join(o.name for o in each_of)}: {a_target_each(each_of)}"
    if len(desk.seq2seq.ledger.models) > 1 and desk.plan.model is None:
        main = desk.seq2seq.ledger.main_model
        others = [m.name for m in desk.seq2seq.ledger.models if main is not None and m.name != main.name]
        if main is not None and others:
            remedy += f". The model meant is {main.name}; 'model: {others[0]}' means another of {', '.join(others)}"
    desk.fault(
        asked.key,
        f"{asked.variable} has shape {shape}, and {what} {output.shape}; its loss takes {expected} for "
        f"each {each}{remedy}",
    )


def ids_fit(target: Shape, output: Shape) -> bool:
    """Return whether ids of this shape (per row) fit scores whose last dimension is the classes."""
    positions = output[:-1]
    if None not in (*positions, *target):
        return math.prod(n or 0 for n in target) == math.prod(n or 0 for n in positions)  # Keras flattens both
    return len(target) == len(positions) or (len(target) == len(output) and target[-1] in (1, None))


def _values_fit(target: Shape, output: Shape, broadcast: bool) -> bool:
    """Return whether numbers of this shape (per row) can be compared with an output of that shape."""
    if len(target) == len(output) + 1 and target[-1] == 1:  # Keras drops a last dimension of 1 on either side
        target = target[:-1]
    elif len(output) == len(target) + 1 and output[-1] == 1:
        output = output[:-1]
    spread = broadcast and backend.RULES.broadcasts_targets
    if not spread and len(target) != len(output) and (target, output) != ((), (1,)):
        return False
    pairs = zip(reversed(target), reversed(output), strict=False)
    return all(one == other or None in (one, other) or (broadcast and 1 in (one, other)) for one, other in pairs)


def check_lengths(desk: Desk, asked: Asked, lengths: Numbers, target: Rows) -> None:
    """Note lengths that are invalid or differ from those of the target's rows."""
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
    """Return a message that says where the lengths of two columns first differ."""
    if len(one) != len(other):
        return f"{len(one)} rows against {len(other)}"
    row = int(np.flatnonzero(one.lengths != other.lengths)[0])
    return f"row {row} has {one.lengths[row]} ids against {other.lengths[row]}"


def held_rows(desk: Desk, rows: int, fraction: float) -> int:
    """Return how many rows are left to fit on; note a fault if they, or those to validate, would be none."""
    kept = int(rows * (1.0 - fraction))
    if not 0 < kept < rows:
        what = f"leaves {kept} to fit and {rows - kept} to validate"
        desk.fault("validation", f"a fraction of {fraction:g} of {rows} rows {what}")
    return kept


def held_back(desk: Desk, table: Table, fraction: float) -> tuple[Table, Table | None]:
    """Split off the last rows for validation, as Keras does."""
    kept = held_rows(desk, table.rows, fraction)
    if desk.faults:
        return table, None
    order = np.arange(table.rows)
    return table.select(order[:kept]), replace(table.select(order[kept:]), classes=None)
