"""The calls of recurrent layers, and the dropout masks of their steps, in any Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras


class RecurrentCall(NamedTuple):
    """The arguments of a recurrent layer's ``call``, in any Keras.

    Attributes
    ----------
    sequence : tensor [batch, time, features]
    mask : tensor [batch, time], or None
    states
        The initial states, in the layer's own structure; its zeros if none were passed. None for a sequence
        that is not dense.
    given
        Whether initial states were passed.
    training
        Keras's flag.
    """

    sequence: Any
    mask: Any
    states: Any
    given: bool
    training: Any


def takes_constants(layer: Any) -> bool:
    """Return whether a recurrent layer receives constants besides its states."""
    return bool(getattr(layer, "_num_constants", None))


def gives_runtime(layer: Any) -> bool:
    """Return whether a recurrent layer also returns the name of the implementation that ran it."""
    return bool(getattr(layer, "return_runtime", False) or getattr(layer, "_return_runtime", False))


def gate_count(cell: Any) -> int:
    """Return the number of gates whose weights stand side by side in an LSTM or GRU cell's kernels."""
    return 4 if type(cell) is keras.layers.LSTMCell else 3


def first_input(cell: Any, x: Any) -> Any:
    """Return zeros in the shape of one step of a cell's inputs, for a batch of sequences."""
    return tf.zeros([tf.shape(x)[0], cell.kernel.shape[0]], cell.compute_dtype)


def masks_of_steps(cells: list[Any], x: Any, draw: Callable[[Any, Any], Any]) -> list[Any]:
    """Draw dropout masks as cells do that draw a new one at each step of a time loop.

    Parameters
    ----------
    cells
        The cells of a stack, at least one of them with dropout.
    x : tensor [batch, time, features]
        The inputs of the stack.
    draw
        ``(cell, zeros [batch, features]) -> mask``.

    Returns
    -------
    list
        For each cell a tensor of shape (batch, steps, features), or None if it has no dropout.
    """
    dropping, steps = [cell for cell in cells if cell.dropout], tf.shape(x)[1]
    arrays = [
        tf.TensorArray(cell.compute_dtype, steps, element_shape=tf.TensorShape([None, cell.kernel.shape[0]]))
        for cell in dropping
    ]

    def body(time: Any, *arrays: Any) -> Any:
        masks = [draw(cell, first_input(cell, x)) for cell in dropping]
        return time + 1, *(array.write(time, mask) for array, mask in zip(arrays, masks, strict=True))

    _, *arrays = tf.while_loop(lambda time, *_: time < steps, body, [tf.constant(0), *arrays], parallel_iterations=1)
    drawn = iter(tf.transpose(array.stack(), [1, 0, 2]) for array in arrays)
    return [next(drawn) if cell.dropout else None for cell in cells]
