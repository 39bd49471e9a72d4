"""How the loss of a batch follows from those of its parts: by what each part counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.errors import FitError
from s2s_magic.undoing import Changes

Count = Callable[[Any, Any], Any]
"""From inputs and targets of a part of a batch to the number that its loss is a mean over."""

_ROWS = 8
_NEAR = {"float64": 1e-6, "float32": 1e-4}


def rows_of(inputs: Any, targets: Any = None) -> Any:
    """Return the number of rows."""
    return tf.shape(tf.nest.flatten(inputs)[0])[0]


def count_of(name: str, model: Any, batch: Any, padding: int) -> Count:
    """Find out what a model's loss is a mean over: rows, or ids other than the padding.

    Nothing of a loss shows this: it may be a function, or be masked by layers. So the loss of a few rows, some of which
    are cut short, is compared with those of two parts, for outputs that are drawn.

    Parameters
    ----------
    name, model
        What the model is called, and the compiled model.
    batch
        Inputs, targets and any weights.
    padding
        The id that fills up targets.

    Raises
    ------
    FitError
        When it is a mean over neither, such as a sum.
    """
    inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
    x, y, w = (tf.nest.map_structure(_few, each) for each in (inputs, targets, weights))
    x = tf.nest.map_structure(lambda column: _cut_short(column, 3, 0), x)
    y = tf.nest.map_structure(lambda column: _cut_short(column, 2, padding), y)
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, model)
        outputs, masks = backend.drawn_outputs(model, x)
        parts = [_between(None, None), _between(None, 1), _between(1, None)]
        losses = [float(backend.loss_of(model, *map(part, (x, y, outputs, masks, w)))) for part in parts]
    near = _NEAR.get(keras.mixed_precision.global_policy().compute_dtype, 1e-2)
    for count in _candidates(x, y, padding):
        ones = [float(count(part(x), part(y))) for part in parts[1:]]
        mean = sum(n * loss for n, loss in zip(ones, losses[1:], strict=True)) / max(1.0, sum(ones))
        if abs(mean - losses[0]) <= near * max(1.0, abs(losses[0])):
            return count
    raise FitError(
        f"the loss of {name} is a mean over neither the rows of a batch nor the ids other than padding: workers cannot "
        "tell it from those of their parts"
    )


def _few(column: Any) -> Any:
    if column is None:
        return None
    column = tf.convert_to_tensor(column)
    times = -(-_ROWS // max(1, int(column.shape[0])))
    return tf.tile(column, [times, *([1] * (column.shape.rank - 1))])[:_ROWS]


def _cut_short(column: Any, every: int, padding: int) -> Any:
    """Fill each ``every``-th row of a column of ids up after its first id."""
    if column.shape.rank != 2 or not column.dtype.is_integer or column.shape[1] < 2:
        return column
    places = tf.range(column.shape[1])[None, :] > 0
    rows = tf.range(_ROWS)[:, None] % every == 0
    return tf.where(places & rows, tf.cast(padding, column.dtype), column)


def _between(first: int | None, end: int | None) -> Callable[[Any], Any]:
    return lambda tree: tf.nest.map_structure(lambda column: None if column is None else column[first:end], tree)


def _candidates(inputs: Any, targets: Any, padding: int) -> Sequence[Count]:
    found: list[Count] = [rows_of]
    if _are_ids(tf.nest.flatten(targets)[0]):
        found.append(lambda _, y: _others_than(padding, tf.nest.flatten(y)[0]))
    for number, column in enumerate(tf.nest.flatten(inputs)):
        if _are_ids(column):  # Keras masks ids that are 0
            found.append(lambda x, _, number=number: _others_than(0, tf.nest.flatten(x)[number]))  # type: ignore[misc]
    return found


def _are_ids(column: Any) -> bool:
    return bool(column.dtype.is_integer and column.shape.rank == 2)


def _others_than(padding: int, ids: Any) -> Any:
    return tf.math.count_nonzero(tf.not_equal(ids, tf.cast(padding, ids.dtype)))
