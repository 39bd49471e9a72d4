"""Internals of Keras's recurrent layers, for code that computes in their place."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic.backend.recurrence import RecurrentCall


def has_fused_kernel(layer: Any) -> bool:
    """Return whether a recurrent layer may run on cuDNN: then a dedicated function runs it, not its cell."""
    return getattr(layer, "use_cudnn", False) in ("auto", True)


def takes_constants(layer: Any) -> bool:
    """Return whether a recurrent layer receives constants besides its states; in Keras 3 none does."""
    return False


def gives_runtime(layer: Any) -> bool:
    """Return whether a recurrent layer also returns the name of its implementation; in Keras 3 none does."""
    return False


def ignores_its_cell(layer: Any) -> bool:
    """Return whether the function that runs a recurrent layer ignores a setting of its cell; none without a GPU."""
    return False


def recurrent_call(
    layer: Any, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = False
) -> RecurrentCall:
    """Normalize the arguments of a recurrent layer's ``call``, as the layer does itself."""
    flat, given, states = tf.nest.flatten(mask), initial_state is not None, initial_state
    if not given and isinstance(sequences, tf.Tensor):
        states = layer.get_initial_state(batch_size=tf.shape(sequences)[0])
    states = list(states) if isinstance(states, (list, tuple)) else [states]
    return RecurrentCall(sequences, flat[0] if flat else None, states, given, training)


def recurrent_result(layer: Any, output: Any, states: Any) -> Any:
    """Return the result of a recurrent layer's ``call``."""
    return (output, *states) if layer.return_state else output


def dropped_inputs(layer: Any, cells: list[Any], x: Any, training: Any) -> tuple[Any, list[Any]]:
    """Draw the dropout masks for the inputs of a whole sequence; with the same seed they equal Keras's.

    A recurrent layer draws one mask for all steps, in inference too; a decoder draws one for each step.

    Parameters
    ----------
    layer
        The recurrent layer that runs the cells; None for a decoder.
    cells, x, training
        As for `run_cells`.

    Returns
    -------
    x : tensor
        The inputs.
    masks : list
        For each cell the tensor to multiply its inputs by, or None.
    """
    if layer is None:
        return x, _masks_of_steps(cells, x) if training else [None] * len(cells)
    masks, like = [], x[:, 0, :]
    for cell in cells:
        mask = cell.get_dropout_mask(like) if cell.dropout else None
        cell.reset_dropout_mask()
        masks.append(mask[:, None, :] if mask is not None and training and cell.dropout < 1 else None)
        like = tf.zeros([tf.shape(x)[0], cell.units], cell.compute_dtype)
    return x, masks


def _masks_of_steps(cells: list[Any], x: Any) -> list[Any]:
    """Draw a mask of each step for each cell with dropout, as a decoder does, which forgets them after each step."""
    dropping = [cell for cell in cells if cell.dropout]

    def draw(_: Any) -> list[Any]:
        masks = []
        for cell in dropping:
            cell.reset_dropout_mask()
            masks.append(cell.get_dropout_mask(tf.zeros([tf.shape(x)[0], cell.kernel.shape[0]], cell.compute_dtype)))
            cell.reset_dropout_mask()
        return masks

    if not dropping:
        return [None] * len(cells)
    shapes = [tf.TensorSpec([None, cell.kernel.shape[0]], cell.compute_dtype) for cell in dropping]
    steps = tf.range(tf.shape(x)[1])
    drawn = iter(tf.map_fn(draw, steps, fn_output_signature=shapes, parallel_iterations=1))
    return [tf.transpose(next(drawn), [1, 0, 2]) if cell.dropout else None for cell in cells]
