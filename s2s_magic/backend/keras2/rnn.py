"""Internals of Keras's recurrent layers, for code that computes in their place."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.backend.recurrence import RecurrentCall


def has_fused_kernel(layer: Any) -> bool:
    """Return whether a recurrent layer's settings fit cuDNN: then a dedicated function runs it, not its cell."""
    return bool(getattr(layer, "_could_use_gpu_kernel", False))


def takes_constants(layer: Any) -> bool:
    """Return whether a recurrent layer receives constants besides its states."""
    return bool(getattr(layer, "_num_constants", None))


def gives_runtime(layer: Any) -> bool:
    """Return whether a recurrent layer also returns the name of the implementation that ran it."""
    return bool(getattr(layer, "return_runtime", False) or getattr(layer, "_return_runtime", False))


def ignores_its_cell(layer: Any) -> bool:
    """Return whether the function that runs a recurrent layer ignores a setting of its cell."""
    cell = layer.cell
    return has_fused_kernel(layer) and not (cell.use_bias and getattr(cell, "reset_after", True))


def recurrent_call(
    layer: Any, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None
) -> RecurrentCall:
    """Normalize the arguments of a recurrent layer's ``call``, as the layer does itself."""
    flat = tf.nest.flatten(mask)
    given = initial_state is not None or (isinstance(inputs, list) and len(inputs) > 1)
    sequence, states = inputs[0] if isinstance(inputs, list) else inputs, None
    if isinstance(sequence, tf.Tensor):
        sequence, states, _ = layer._process_inputs(inputs, initial_state, None)
    return RecurrentCall(sequence, flat[0] if flat else None, states, given, training)


def recurrent_result(layer: Any, output: Any, states: Any) -> Any:
    """Return the result of a recurrent layer's ``call``."""
    return [output, *states] if layer.return_state else output


def dropped_inputs(layer: Any, cells: list[Any], x: Any, training: Any) -> tuple[Any, list[Any]]:
    """Draw the dropout masks for the inputs of a whole sequence; with the same seed they equal Keras's.

    Parameters
    ----------
    layer
        The recurrent layer that runs the cells; None for a decoder.
    cells, x, training
        As for `run_cells`.

    Returns
    -------
    x : tensor
        The inputs, multiplied by the mask if one serves all steps.
    masks : list
        For each cell the tensor to multiply its inputs by, or None.
    """
    if layer is None or not has_fused_kernel(layer):
        return x, _masks_of_steps(cells, x, training, outside=layer is not None)
    if layer.dropout:
        # Keras, too, draws one mask for all steps if a layer runs its single cell on the whole sequence.
        layer.reset_dropout_mask()
        x *= layer.get_dropout_mask_for_cell(x, training, count=_gate_count(cells[0]))[0]
    return x, [None]


def _gate_count(cell: Any) -> int:
    """Return the number of masks that Keras draws for a cell's inputs: one for each gate; it uses only the first."""
    return 4 if type(cell) is keras.layers.LSTMCell else 3


def _masks_of_steps(cells: list[Any], x: Any, training: Any, *, outside: bool) -> list[Any]:
    """Draw the same dropout masks as the cells themselves, step by step in a time loop.

    With the same seed they equal Keras's, if those are deterministic: Keras's loop runs several steps in parallel,
    and the order in which they draw may vary.

    Parameters
    ----------
    cells, x, training
        As for `run_cells`.
    outside
        Whether Keras also calls the cells once before the loop, only to see their output.

    Returns
    -------
    list
        For each cell a tensor of shape (batch, steps, features), or None if it has no dropout.
    """
    dropping = [cell for cell in cells if cell.dropout]
    if not dropping or training is False:
        return [None] * len(cells)
    batch, steps = tf.shape(x)[0], tf.shape(x)[1]

    def draw() -> list[Any]:
        found = []
        for cell in dropping:
            like = tf.zeros([batch, cell.kernel.shape[0]], cell.compute_dtype)
            found.append(cell.get_dropout_mask_for_cell(like, training, count=_gate_count(cell))[0])
        return found

    if outside:
        for cell in cells:
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        draw()
    shapes = [tf.TensorShape([None, cell.kernel.shape[0]]) for cell in dropping]
    arrays = [
        tf.TensorArray(cell.compute_dtype, steps, element_shape=shape)
        for cell, shape in zip(dropping, shapes, strict=True)
    ]

    def body(time: Any, *arrays: Any) -> Any:
        return time + 1, *(array.write(time, mask) for array, mask in zip(arrays, draw(), strict=True))

    _, *arrays = tf.while_loop(lambda time, *_: time < steps, body, [tf.constant(0), *arrays], parallel_iterations=1)
    drawn = iter(tf.transpose(array.stack(), [1, 0, 2]) for array in arrays)
    return [next(drawn) if cell.dropout else None for cell in cells]
