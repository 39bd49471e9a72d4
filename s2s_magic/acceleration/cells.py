"""Recurrent cells: which are understood, and how a whole sequence runs through them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.kernels import GruCell, LstmCell, ResetBeforeGruCell, run

_TYPES = ("float16", "bfloat16", "float32", "float64")
_TANH = (keras.activations.tanh, tf.tanh)
_SIGMOID = (keras.activations.sigmoid, tf.sigmoid)


def has_own_call(layer: Any) -> bool:
    """Say whether ``call`` is overridden on the object itself."""
    return "call" in layer.__dict__


def cells_of(cell: Any) -> list[Any]:
    """List the cells of a stack, or the one cell."""
    return list(cell.cells) if type(cell) is keras.layers.StackedRNNCells else [cell]


def cell_obstacle(cell: Any) -> str | None:
    """Say in words why a cell, or a stack of cells, cannot run on the kernels; None where it can."""
    if type(cell) is keras.layers.StackedRNNCells and cell.reverse_state_order:
        return "reverse_state_order=True turns its states around"
    if {one.compute_dtype for one in cells_of(cell)} - {cell.compute_dtype}:
        return "its cells compute in another type than the stack that holds them"
    return next((why for why in map(_obstacle, cells_of(cell)) if why), None)


def _obstacle(cell: Any) -> str | None:
    name = type(cell).__name__
    if type(cell) not in (keras.layers.LSTMCell, keras.layers.GRUCell):
        return f"its cell is a {name}; understood are LSTMCell, GRUCell and stacks of them"
    if has_own_call(cell):
        return f"the call of its {name} is overridden on the object, and that override stays"
    if cell.activation not in _TANH:
        return f"activation={_shown(cell.activation)}: the kernels have tanh"
    if cell.recurrent_activation not in _SIGMOID:
        return f"recurrent_activation={_shown(cell.recurrent_activation)}: the kernels have sigmoid"
    if cell.recurrent_dropout:
        return f"recurrent_dropout={cell.recurrent_dropout:g} needs its own mask each step"
    if cell.dropout and cell.implementation == 1:
        return f"dropout={cell.dropout:g} with implementation=1 has another mask for each gate"
    if cell._activity_regularizer is not None:
        return f"activity_regularizer of its {name} counts each step by itself"
    if cell.compute_dtype not in _TYPES:
        return f"it computes in {cell.compute_dtype}"
    return None


def _shown(activation: Any) -> str:
    return str(getattr(activation, "__name__", activation))


def state_count(cell: Any) -> int:
    """Give how many tensors the state of one cell is."""
    return int(kernel_cell(cell).states)


def run_cells(
    cell: Any,
    x: Any,
    states: list[Any] | None,
    training: Any,
    *,
    masks_by: Any = None,
    sequences: bool = True,
    **steps: Any,
) -> tuple[Any, list[Any]]:
    """Run a whole sequence through a cell, or through the cells of a stack one after the other.

    Parameters
    ----------
    cell
        A cell without `cell_obstacle`.
    x
        Shape (batch, steps, features).
    states
        Flat list of initial states, each of shape (batch, units); None for zeros.
    training
        Keras's flag; only dropout looks at it.
    masks_by
        The layer that draws the mask for ``dropout``; by default the cell itself.
    sequences
        Give all outputs, else the last one.
    **steps
        ``mask``, ``reverse`` and ``unrolled``, as for the kernels.

    Returns
    -------
    output : tensor
        Shape (batch, steps, units) or (batch, units).
    states : list of tensors
        The last states, flat.
    """
    cells = cells_of(cell)
    after: list[Any] = []
    for number, one in enumerate(cells):
        count = state_count(one)
        state = None if states is None else states[len(after) : len(after) + count]
        last = number == len(cells) - 1
        x, *new = _run(one, x, state, training, masks_by or one, sequences=sequences or not last, **steps)
        after += new
    return x, after


def _run(cell: Any, x: Any, state: list[Any] | None, training: Any, masks_by: Any, **steps: Any) -> Any:
    x = tf.cast(x, cell.compute_dtype)
    if cell.dropout:
        # One mask for all steps at once: it has a random number for each, as a mask drawn anew at each step has.
        masks_by.reset_dropout_mask()
        x *= masks_by.get_dropout_mask_for_cell(x, training, count=4)[0]
    return run(kernel_cell(cell), x, *weights_of(cell), state, **steps)


def kernel_cell(cell: Any) -> Any:
    """Give the kernels' twin of a Keras cell."""
    if type(cell) is keras.layers.LSTMCell:
        return LstmCell()
    return GruCell() if cell.reset_after else ResetBeforeGruCell()


def weights_of(cell: Any) -> tuple[Any, Any, Any]:
    """Give kernel, recurrent kernel and bias of a cell in the type it computes in; None for no bias."""
    weights = [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]
    kernel, recurrent, *bias = (tf.cast(tf.convert_to_tensor(weight), cell.compute_dtype) for weight in weights)
    return kernel, recurrent, bias[0] if bias else None
