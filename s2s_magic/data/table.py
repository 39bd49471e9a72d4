"""The columns that a model is fitted on, and the structure in which Keras gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.keras.utils import pack_x_y_sample_weight

from s2s_magic import backend
from s2s_magic.data.sequences import Numbers, Rows


@dataclass(frozen=True)
class Shifted:
    """The decoder's input: the start id, then the target delayed by one step."""

    start: int


@dataclass(frozen=True)
class Lengths:
    """The lengths of the target's rows."""


@dataclass(frozen=True)
class ByClass:
    """A weight for each position of the target, looked up by the id at that position.

    Attributes
    ----------
    weights : float32 array, shape (classes,)
        The weight of each id.
    """

    weights: Numbers


Target = Rows | Numbers | Any
"""What an output is compared with: `Rows`, an array or a ``tf.RaggedTensor``."""

Column = Target | Shifted | Lengths
"""What feeds an input: the same, a ``tf.SparseTensor`` or a derived column; an object array holds text."""


@dataclass(frozen=True)
class Form:
    """The structure in which Keras gets columns: a single one by itself, or several in order or by name."""

    names: tuple[str, ...] | None = None
    alone: bool = False

    def of(self, columns: Sequence[Any]) -> Any:
        """Arrange one value for each column."""
        if self.names is not None:
            return dict(zip(self.names, columns, strict=True))
        return columns[0] if self.alone else tuple(columns)


@dataclass(frozen=True)
class Table:
    """The data that a model is fitted on.

    Attributes
    ----------
    inputs
        One column for each input of the model, in the model's order.
    target
        The target of the model's output, or of the first output that has one; None where nothing is compared.
    weighted
        Use weights that exclude padding from the loss; the loss of a batch is then the mean over its real ids.
    padding
        The id that pads short rows.
    more
        The targets of further outputs.
    weights
        The weights of each target: of shape (rows,) or (rows, steps), or by class; None for equal weights. Empty if no
        target has weights.
    input_form, target_form
        The structure in which Keras gets inputs, and targets and weights; None for a single one by itself, several in
        order.
    classes
        The weight of each class, which Keras applies itself; for a target with one class per row.
    """

    inputs: tuple[Column, ...]
    target: Target | None
    weighted: bool = False
    padding: int = 0
    more: tuple[Target, ...] = ()
    weights: tuple[Numbers | ByClass | None, ...] = ()
    input_form: Form | None = None
    target_form: Form | None = None
    classes: dict[int, float] | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets in the order in which they go to Keras."""
        return () if self.target is None else (self.target, *self.more)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return rows_in(self.inputs[0] if self.target is None else self.target)

    @property
    def ragged(self) -> list[Rows]:
        """The columns whose rows differ in length, the target first."""
        columns = [c for c in (*self.targets, *self.inputs) if isinstance(c, Rows)]
        return [column for column in columns if column.ragged]

    @property
    def fixed_lengths(self) -> dict[int, int]:
        """The common length of the target's rows, by the index of each input that holds lengths; else empty."""
        length = self.target.length if isinstance(self.target, Rows) else None
        return {} if length is None else {n: length for n, c in enumerate(self.inputs) if isinstance(c, Lengths)}

    def packed_inputs(self, columns: Sequence[Any]) -> Any:
        """Arrange one value for each input in the structure that Keras gets."""
        return (self.input_form or Form(alone=len(columns) == 1)).of(columns)

    def packed_targets(self, columns: Sequence[Any]) -> Any:
        """Arrange one value for each target in the structure that Keras gets."""
        return (self.target_form or Form(alone=len(columns) == 1)).of(columns)

    def packed(self, inputs: Sequence[Any], targets: Sequence[Any], *weights: Any) -> Any:
        """Arrange a batch as Keras itself does: one tensor without a target is the batch."""
        given = self.packed_inputs(inputs)
        return (given, *map(self.packed_targets, (targets, *weights))) if targets else pack_x_y_sample_weight(given)

    def arrays(self) -> tuple[Any, ...]:
        """Return inputs, targets and weights for ``Model.fit``; all rows of a column must have one length.

        Returns
        -------
        inputs, targets : array or tuple or dict of arrays
            Shape (rows, ...) each; no targets where nothing is compared.
        weights : as the targets
            Shape (rows,) or (rows, steps); omitted if no target has weights.
        """
        targets = [whole(column) for column in self.targets]
        inputs = []
        for column in self.inputs:
            if isinstance(column, Shifted):
                start = np.full((len(targets[0]), 1), column.start, targets[0].dtype)
                inputs.append(np.concatenate([start, targets[0][:, :-1]], axis=1))
            elif isinstance(column, Lengths):
                inputs.append(np.full(len(targets[0]), targets[0].shape[1], np.int32))
            else:
                inputs.append(whole(column))
        found = (self.packed_inputs(inputs), *([self.packed_targets(targets)] if targets else []))
        if not self.weights:
            return found
        weights = [_weights(one, target) for one, target in zip(self.weights, targets, strict=True)]
        return (*found, self.packed_targets(weights))

    def select(self, order: Numbers) -> Table:
        """Return the rows with these numbers, in this order."""

        def taken(column: Any) -> Any:
            if isinstance(column, Rows):
                return column.taken(order)
            if isinstance(column, tf.RaggedTensor):
                return tf.gather(column, order)
            if isinstance(column, tf.SparseTensor):
                return _sparse_rows(column, order)
            return column[order] if isinstance(column, np.ndarray) else column

        target, *more = [taken(column) for column in self.targets] or [None]
        inputs, weights = (tuple(taken(column) for column in columns) for columns in (self.inputs, self.weights))
        return replace(self, inputs=inputs, target=target, more=tuple(more), weights=weights)


def rows_in(column: Any) -> int:
    """Return the number of rows of a column."""
    return len(column) if isinstance(column, Rows | np.ndarray) else int(column.shape[0])


def whole(column: Any) -> Any:
    """Return a column in a form that Keras takes: `Rows` of one length as a matrix, text as a tensor."""
    if isinstance(column, Rows):
        return column.values.reshape(len(column), -1)
    return tf.constant(column) if isinstance(column, np.ndarray) and column.dtype == object else column


def _weights(weights: Numbers | ByClass | None, target: Any) -> Any:
    if isinstance(weights, ByClass):
        return weights.weights[np.asarray(target).astype(np.int64)]
    return of_rows(np.ones(rows_in(target), np.float32) if weights is None else weights, target)


def of_rows(weights: Any, target: Any) -> Any:
    """Return weights in the shape that Keras needs: those of rows with an axis for each axis of the target."""
    if not backend.RULES.spreads_row_weights and len(weights.shape) == 1:
        for _ in target.shape[1:]:
            weights = weights[..., None]
    return weights


def _sparse_rows(column: Any, order: Numbers) -> Any:
    """Return the rows of a sparse tensor with these numbers, in this order."""
    places = np.full(column.shape[0], -1, np.int64)
    places[order] = np.arange(len(order))
    indices = column.indices.numpy()
    kept = places[indices[:, 0]] >= 0
    moved = np.concatenate([places[indices[kept, 0]][:, None], indices[kept, 1:]], axis=1)
    found = tf.SparseTensor(moved, tf.boolean_mask(column.values, kept), [len(order), *column.shape[1:]])
    return tf.sparse.reorder(found)
