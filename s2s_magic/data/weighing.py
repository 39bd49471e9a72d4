"""Read the weights of rows, positions and classes for ``Model.fit``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from s2s_magic import backend
from s2s_magic.data import sequences
from s2s_magic.data.arrays import as_array
from s2s_magic.data.assignment import Part, compared_outputs, named_weights
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.losses import compares
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.table import ByClass, Table, Target, rows_in


def weighted(desk: Desk, table: Table, part: Part) -> Table:
    """Return a checked table with the weights that the body names; ``desk`` notes the faults.

    Class weights apply to the fit only, not to its validation.
    """
    if desk.faults:
        return table
    if table.target is None:
        for key in ("weights", "class_weights"):
            if getattr(desk.plan, key):
                desk.fault(key, f"'{key}' weigh a target, and none is named: the model's loss is its own")
        return table
    asked = _asked(desk, table, part) or [None] * len(table.targets)
    columns = [
        None if one is None else _column(desk, one, target) for one, target in zip(asked, table.targets, strict=True)
    ]
    if any(column is not None for column in columns):
        table = replace(table, weights=tuple(columns))
    return table if part.key or not desk.plan.class_weights else _by_class(desk, table)


def _asked(desk: Desk, table: Table, part: Part) -> list[Asked | None]:
    if backend.is_wired(desk.seq2seq.model):
        names = table.target_form.names if table.target_form else None
        outputs = [o for o in compared_outputs(desk) if names is None or o.keras_name in names]
        return named_weights(desk, part, outputs)[: 1 if _is_alone(table) else None]
    key, count = f"{part.key}weights", len(table.targets)
    if part.weights is None:
        return []
    if isinstance(part.weights, str):
        one: list[Asked | None] = [Asked(key, part.weights)]
        return one * count
    if isinstance(part.weights, Mapping):
        names = (table.target_form and table.target_form.names) or ()
        return [Asked(f"{key}.{n}", part.weights[n]) if n in part.weights else None for n in names] or [None] * count
    if len(part.weights) != count:
        desk.fault(key, f"there are {len(part.weights)} variables of weights for {count} targets")
    each = (Asked(f"{key}.{n}", name) for n, name in enumerate(part.weights))
    return [*each, *[None] * count][:count]


def _is_alone(table: Table) -> bool:
    """Return whether there is one target; outputs that share it share its weights, too."""
    return len(table.targets) == 1


def _column(desk: Desk, asked: Asked, target: Target) -> Numbers | None:
    """Read the weights of one target, one for each row or each position; None after a fault."""
    value = desk.value(*asked)
    if value is None:
        return None
    ragged = isinstance(target, Rows) and target.ragged and isinstance(value, list) and not sequences.is_text(value)
    found: Any = desk.reading(asked, lambda: _filled(value) if ragged else as_array(value))
    if found is None:
        return None
    count = rows_in(target)
    if found.ndim == 2 and found.shape[1] == 1:  # Keras reads a column as one weight for each row
        found = found[:, 0]
    if found.dtype == object:
        desk.fault(asked.key, f"{asked.variable} holds text; expected weights")
    elif found.ndim == 0 or len(found) != count:
        desk.fault(asked.key, f"{asked.variable} holds {len(found)} weights, and the target {count} rows")
    elif found.ndim > 2 or (found.ndim == 2 and found.shape[1] < _steps(target)):
        desk.fault(
            asked.key,
            f"{asked.variable} has shape {found.shape}; expected a weight for each row, ({count},), or for each "
            f"position, ({count}, {_steps(target)})",
        )
    read: Numbers = found if desk.faults else found.astype(np.float32)
    return read[:, : _steps(target)] if read.ndim == 2 else read


def _steps(target: Target) -> int:
    if isinstance(target, Rows):
        return int(target.lengths.max(initial=0))
    return int(target.shape[1] or 1) if len(target.shape) > 1 else 1


def _filled(value: list[Any]) -> Numbers:
    """Return rows of weights of any lengths as a matrix, padded with zeros."""
    read = [as_array(row) for row in map(sequences.plain, value)] if any(map(_is_row, value)) else [as_array(value)]
    if len(read) == 1 and not any(map(_is_row, value)):
        return read[0]
    filled = np.zeros((len(read), max(map(len, read), default=0)))
    for number, row in enumerate(read):
        filled[number, : len(row)] = row
    return filled


def _is_row(item: Any) -> bool:
    return isinstance(item, list | tuple | np.ndarray)


def _by_class(desk: Desk, table: Table) -> Table:
    """Apply class weights: through Keras if a row has one class, else to each position by its id."""
    weights, target = desk.plan.class_weights, table.target
    if table.more:
        desk.fault("class_weights", "class_weights are for one output: give 'weights' by output")
        return table
    flat = isinstance(target, np.ndarray) and (target.ndim == 1 or target.shape[1:] == (1,))
    scores = isinstance(target, np.ndarray) and target.ndim == 2 and not flat
    positions = isinstance(target, Rows) or (scores and _compares_ids(desk))
    if not (flat or scores or positions) or getattr(target, "dtype", None) == np.object_:
        desk.fault("class_weights", "class_weights are for a target of classes: give 'weights' for rows or positions")
        return table
    values: Numbers = target.values if isinstance(target, Rows) else np.asarray(target)
    classes = values.shape[1] if scores and not positions else int(values.max(initial=0)) + 1
    each = np.ones(max(classes, max(weights) + 1), np.float32)
    each[list(weights)] = list(weights.values())
    if table.weights and (positions or not backend.RULES.weighs_rows_and_classes):
        what = "for rows of ids" if positions else "with this Keras"
        desk.fault("class_weights", f"'weights' and 'class_weights' do not go together {what}: give one of them")
        return table
    if not positions:
        return replace(table, classes=dict(enumerate(each.tolist())))
    return replace(table, weights=(ByClass(each),))


def _compares_ids(desk: Desk) -> bool:
    loss = desk.plan.loss.kind if desk.plan.loss is not None else getattr(desk.seq2seq.model, "loss", None)
    return compares(loss) == "ids"
