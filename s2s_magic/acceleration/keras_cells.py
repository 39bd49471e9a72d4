"""Keras's recurrent cells on the kernels: which are supported, and running a whole sequence through them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.acceleration.understood import is_known_function, strangeness
from s2s_magic.kernels import GruCell, LstmCell, ResetBeforeGruCell, run
from s2s_magic.kernels.scan import UNROLLED

_TYPES = ("float16", "bfloat16", "float32", "float64")
_TANH = (keras.activations.tanh, tf.tanh)
_SIGMOID = (keras.activations.sigmoid, tf.sigmoid)


def cells_of(cell: Any) -> list[Any]:
    """Return the cells of a stack, or the single cell, as a list."""
    return list(cell.cells) if type(cell) is keras.layers.StackedRNNCells else [cell]


def cell_obstacle(cell: Any) -> str | None:
    """Return why a cell, or a stack of cells, cannot run on the kernels; None if it can."""
    cells = cells_of(cell)
    if type(cell) is keras.layers.StackedRNNCells:
        if getattr(cell, "reverse_state_order", False):
            return "reverse_state_order=True turns its states around"
        if len({id(one) for one in cells}) < len(cells) and any(
            one.dropout for one in cells if hasattr(one, "dropout")
        ):
            return "a cell that stands twice in its stack has one mask for both places"
        if (odd := strangeness(cell) or regularized_output(cell)) is not None:
            return f"of its stack of cells, {odd}"
    if {one.compute_dtype for one in cells} - {cell.compute_dtype}:
        return "its cells compute in another type than the stack that holds them"
    return next((why for why in map(_obstacle, cells) if why), None)


def _obstacle(cell: Any) -> str | None:
    name = type(cell).__name__
    if type(cell) not in (keras.layers.LSTMCell, keras.layers.GRUCell):
        return f"its cell is a {name}; understood are LSTMCell, GRUCell and stacks of them"
    if (odd := strangeness(cell)) is not None:
        return f"of its {name}, {odd}"
    if cell.activation not in _TANH or not is_known_function(cell.activation):
        return f"activation={_shown(cell.activation)}: the kernels have tanh"
    if cell.recurrent_activation not in _SIGMOID or not is_known_function(cell.recurrent_activation):
        return f"recurrent_activation={_shown(cell.recurrent_activation)}: the kernels have sigmoid"
    if cell.recurrent_dropout:
        return f"recurrent_dropout={cell.recurrent_dropout:g} needs its own mask each step"
    if cell.dropout and cell.implementation == 1:
        return f"dropout={cell.dropout:g} with implementation=1 has another mask for each gate"
    if (why := regularized_output(cell)) is not None:
        return f"of its {name}, {why}"
    if cell.compute_dtype not in _TYPES:
        return f"it computes in {cell.compute_dtype}"
    if cell.built and not _are_its_weights(cell):
        return f"the weights of its {name} are not the variables that it makes"
    return None


def _are_its_weights(cell: Any) -> bool:
    """Return whether a cell's weights are variables with the shapes that its settings imply."""
    weights = _own_weights(cell)
    if not all(backend.is_variable(weight) for weight in weights):
        return False
    kernel, recurrent, *bias = (list(weight.shape) for weight in weights)
    wide = backend.gate_count(cell) * cell.units
    twice = type(cell) is keras.layers.GRUCell and cell.reset_after
    return kernel[1:] == [wide] and recurrent == [cell.units, wide] and bias in ([], [[2, wide] if twice else [wide]])


def regularized_output(part: Any) -> str | None:
    """Return that an activity regularizer adds to the loss at each step, as only the layer's own loop can; or None."""
    if part.activity_regularizer is None:
        return None
    return "the activity_regularizer counts each step by itself"


def _shown(activation: Any) -> str:
    return str(getattr(activation, "__name__", activation))


def state_count(cell: Any) -> int:
    """Return the number of state tensors of one cell."""
    return int(kernel_cell(cell).states)


def run_cells(
    cell: Any,
    x: Any,
    states: list[Any] | None,
    training: Any,
    *,
    layer: Any = None,
    sequences: bool = True,
    mask: Any = None,
    reverse: bool = False,
    unrolled: int = UNROLLED,
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
        Keras's flag; affects dropout only.
    layer
        Keras's recurrent layer that runs the cells; None for a decoder.
    sequences
        Return all outputs rather than the last one only.
    mask, reverse, unrolled
        As for the kernels.

    Returns
    -------
    output : tensor
        Shape (batch, steps, units) or (batch, units).
    states : list of tensors
        The final states, flat.
    """
    cells = cells_of(cell)
    after: list[Any] = []
    x, dropped = backend.dropped_inputs(layer, cells, x, training)
    if reverse:
        x, mask = tf.reverse(x, [1]), None if mask is None else tf.reverse(mask, [1])
    for number, one in enumerate(cells):
        count = state_count(one)
        state = None if states is None else states[len(after) : len(after) + count]
        last = number == len(cells) - 1
        x = tf.cast(x, one.compute_dtype)
        if dropped[number] is not None:
            x *= dropped[number]
        every = sequences or not last
        x, *new = run(kernel_cell(one), x, *weights_of(one), state, mask=mask, sequences=every, unrolled=unrolled)
        after += new
    return x, after


def kernel_cell(cell: Any) -> Any:
    """Return the kernel cell that is equivalent to a Keras cell."""
    if type(cell) is keras.layers.LSTMCell:
        return LstmCell()
    return GruCell() if cell.reset_after else ResetBeforeGruCell()


def weights_of(cell: Any) -> tuple[Any, Any, Any]:
    """Return kernel, recurrent kernel and bias (or None) of a cell, in its compute dtype."""
    weights = _own_weights(cell)
    kernel, recurrent, *bias = (tf.cast(tf.convert_to_tensor(weight), cell.compute_dtype) for weight in weights)
    return kernel, recurrent, bias[0] if bias else None


def _own_weights(cell: Any) -> list[Any]:
    names = ("kernel", "recurrent_kernel", *(["bias"] if cell.use_bias else []))
    return [getattr(cell, name, None) for name in names]
