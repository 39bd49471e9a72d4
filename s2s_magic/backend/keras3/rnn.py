"""Internals of Keras's recurrent layers, for code that computes in their place."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic.backend.recurrence import RecurrentCall, masks_of_steps
from s2s_magic.undoing import Changes


def has_fused_kernel(layer: Any) -> bool:
    """Return whether a recurrent layer may run on cuDNN: then a dedicated function runs it, not its cell."""
    return getattr(layer, "use_cudnn", False) in ("auto", True)


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
        dropping = training and any(cell.dropout for cell in cells)
        return x, masks_of_steps(cells, x, _new_mask) if dropping else [None] * len(cells)
    masks, like = [], x[:, 0, :]
    for cell in cells:
        mask = cell.get_dropout_mask(like) if cell.dropout else None
        cell.reset_dropout_mask()
        masks.append(mask[:, None, :] if mask is not None and training and cell.dropout < 1 else None)
        like = tf.zeros([tf.shape(x)[0], cell.units], cell.compute_dtype)
    return x, masks


def _new_mask(cell: Any, like: Any) -> Any:
    """Draw a mask that the cell does not remember."""
    cell.reset_dropout_mask()
    mask = cell.get_dropout_mask(like)
    cell.reset_dropout_mask()
    return mask


def empty_masks(cell: Any) -> dict[str, Any]:
    """Return the attributes in which a cell keeps its dropout masks from one call to the next, with none in them."""
    return dict.fromkeys(("_dropout_mask", "_recurrent_dropout_mask")) if hasattr(cell, "get_dropout_mask") else {}


def skip_gpu_forms(changes: Changes, *, only_scratch: bool = False) -> None:
    """Trace recurrent layers without a form for a GPU; Keras 3 traces none where it is not used."""
