"""The columns that a model is fitted on, and how they are handed to Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.sequences import Numbers, Rows


@dataclass(frozen=True)
class Shifted:
    """The decoder's input: the target, one step later, behind the start id."""

    start: int


@dataclass(frozen=True)
class Lengths:
    """The lengths of the target's rows."""


@dataclass(frozen=True)
class ByClass:
    """A weight for each position of the target, by the id that stands there.

    Attributes
    ----------
    weights : float32 array, shape (classes,)
        The weight of each id.
    """

    weights: Numbers


Target = Rows | Numbers | Any
"""What an output is compared with: rows, an array, or a ``tf.RaggedTensor``."""

Column = Target | Shifted | Lengths
"""What feeds an input: the same, a ``tf.SparseTensor``, or what is derived; an array of objects holds text."""


@dataclass(frozen=True)
class Form:
    """How several columns go to Keras: the only one alone, in order, or by name."""

    names: tuple[str, ...] | None = None
    alone: bool = False

    def of(self, columns: Sequence[Any]) -> Any:
        """Arrange one value for each column."""
        if self.names is not None:
            return dict(zip(self.names, columns, strict=True))
        return columns[0] if self.alone else tuple(columns)


@dataclass(frozen=True)
class Table:
    """What a model is fitted on.

    Attributes
    ----------
    inputs
        One column for each input of the model, in the model's order.
    target
        What the model's output, or the first that is compared with anything, is compared with.
    weighted
        Give weights that leave the padding out of the loss; each batch's loss is then the mean over its real ids.
    padding
        The id that fills short rows up.
    more
        The targets of further outputs.
    weights
        For each target its weights: of shape (rows,) or (rows, steps), or by class; None where all weigh the same.
        Empty where none has any.
    input_form, target_form
        How inputs, and targets and weights, go to Keras; None for the only one alone, several in order.
    classes
        The weight of each class of a target of one id a row, which Keras looks up by itself.
    """

    inputs: tuple[Column, ...]
    target: Target
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
        return (self.target, *self.more)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return rows_in(self.target)

    @property
    def ragged(self) -> list[Rows]:
        """The columns whose rows differ in length, the target first."""
        columns = [c for c in (*self.targets, *self.inputs) if isinstance(c, Rows)]
        return [column for column in columns if column.ragged]

    @property
    def fixed_lengths(self) -> dict[int, int]:
        """The one length of the target's rows, by the place of each input that tells it."""
        length = self.target.length if isinstance(self.target, Rows) else None
        return {} if length is None else {n: length for n, c in enumerate(self.inputs) if isinstance(c, Lengths)}

    def packed_inputs(self, columns: Sequence[Any]) -> Any:
        """Arrange one value for each input as Keras takes it."""
        return (self.input_form or Form(alone=len(columns) == 1)).of(columns)

    def packed_targets(self, columns: Sequence[Any]) -> Any:
        """Arrange one value for each target as Keras takes it."""
        return (self.target_form or Form(alone=len(columns) == 1)).of(columns)

    def arrays(self) -> tuple[Any, ...]:
        """Return inputs, target and weights as ``Model.fit`` takes them, where rows have one length.

        Returns
        -------
        inputs, targets : array or tuple or dict of arrays
            Shape (rows, ...) each; one array where there is one.
        weights : as the targets
            Shape (rows,) or (rows, steps); left out where all weigh the same.
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
        found = (self.packed_inputs(inputs), self.packed_targets(targets))
        if not self.weights:
            return found
        weights = [_weights(one, target) for one, target in zip(self.weights, targets, strict=True)]
        return (*found, self.packed_targets(weights))

    def select(self, order: Numbers) -> Table:
        """Return some of the rows, in the order of their numbers."""

        def taken(column: Any) -> Any:
            if isinstance(column, Rows):
                return column.taken(order)
            if isinstance(column, tf.RaggedTensor):
                return tf.gather(column, order)
            if isinstance(column, tf.SparseTensor):
                return _sparse_rows(column, order)
            return column[order] if isinstance(column, np.ndarray) else column

        target, *more = (taken(column) for column in self.targets)
        inputs, weights = (tuple(taken(column) for column in columns) for columns in (self.inputs, self.weights))
        return replace(self, inputs=inputs, target=target, more=tuple(more), weights=weights)


def rows_in(column: Any) -> int:
    """Count the rows of a column."""
    return len(column) if isinstance(column, Rows | np.ndarray) else int(column.shape[0])


def whole(column: Any) -> Any:
    """Return a column as Keras takes it: rows of one length as a matrix, text as a tensor."""
    if isinstance(column, Rows):
        return column.values.reshape(len(column), -1)
    return tf.constant(column) if isinstance(column, np.ndarray) and column.dtype == object else column


def _weights(weights: Numbers | ByClass | None, target: Any) -> Numbers:
    if isinstance(weights, ByClass):
        return weights.weights[np.asarray(target).astype(np.int64)]
    return np.ones(rows_in(target), np.float32) if weights is None else weights


def _sparse_rows(column: Any, order: Numbers) -> Any:
    """Return some rows of a sparse tensor."""
    places = np.full(column.shape[0], -1, np.int64)
    places[order] = np.arange(len(order))
    indices = column.indices.numpy()
    kept = places[indices[:, 0]] >= 0
    moved = np.concatenate([places[indices[kept, 0]][:, None], indices[kept, 1:]], axis=1)
    found = tf.SparseTensor(moved, tf.boolean_mask(column.values, kept), [len(order), *column.shape[1:]])
    return tf.sparse.reorder(found)
