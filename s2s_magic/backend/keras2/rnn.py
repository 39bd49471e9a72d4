"""Internals of Keras's recurrent layers, for code that computes in their place."""

from __future__ import annotations

from functools import partial
from typing import Any

import tensorflow as tf

from s2s_magic.backend import originals
from s2s_magic.backend.keras2.private import private
from s2s_magic.backend.recurrence import RecurrentCall, first_input, gate_count, masks_of_steps
from s2s_magic.undoing import Changes

_forms = private("layers.rnn.gru_lstm_utils")
_register = _forms.function_register
_SKIPPING: dict[object, bool] = {}
"""Who traces without the forms for a GPU, and whether in Keras's scratch graphs alone; accessed only by single
dictionary operations, which are atomic between threads."""


def has_fused_kernel(layer: Any) -> bool:
    """Return whether a recurrent layer's settings fit cuDNN: then a dedicated function runs it, not its cell."""
    return bool(getattr(layer, "_could_use_gpu_kernel", False))


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
        return x, _step_by_step(cells, x, training, outside=layer is not None)
    if layer.dropout:
        # Keras, too, draws one mask for all steps if a layer runs its single cell on the whole sequence.
        layer.reset_dropout_mask()
        x *= _mask(layer, x, training, cells[0])
    return x, [None]


def _mask(drawing: Any, like: Any, training: Any, cell: Any) -> Any:
    """Draw a mask: Keras draws one for each of a cell's gates, and uses only the first."""
    return drawing.get_dropout_mask_for_cell(like, training, count=gate_count(cell))[0]


def _step_by_step(cells: list[Any], x: Any, training: Any, *, outside: bool) -> list[Any]:
    """Draw the masks of every step.

    With the same seed they equal Keras's, if those are deterministic: Keras's loop runs several steps in parallel,
    and the order in which they draw may vary. ``outside`` says whether Keras also calls the cells once before the
    loop, only to see their output.
    """
    if training is False or not any(cell.dropout for cell in cells):
        return [None] * len(cells)
    if outside:
        for cell in cells:
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        for cell in cells:
            if cell.dropout:
                _mask(cell, first_input(cell, x), training, cell)
    return masks_of_steps(cells, x, lambda cell, like: _mask(cell, like, training, cell))


def empty_masks(cell: Any) -> dict[str, Any]:
    """Return the attributes in which a cell keeps its dropout masks from one call to the next, with none in them."""
    names = ("_dropout_mask_cache", "_recurrent_dropout_mask_cache")
    kept = {name: vars(cell)[name] for name in names if name in vars(cell)}
    return {name: type(cache)(cache.default_factory) for name, cache in kept.items()}


def skip_gpu_forms(changes: Changes, *, only_scratch: bool = False) -> None:
    """Trace recurrent layers without their form for a GPU until changes are undone, if there is no GPU.

    Each time that an LSTM or a GRU is traced, Keras 2 also traces a second form of it with its gradient, for cuDNN. It
    is called by nothing: TensorFlow puts it in place of the first where there is a GPU.

    Parameters
    ----------
    changes
        Whose undoing ends it.
    only_scratch
        Skip them only in the graphs that Keras makes to find the shapes of outputs and throws away; a function that
        the user's code traces gets both forms, as it may be saved for a machine with a GPU.
    """
    token = object()
    changes.undo_by(partial(_no_longer_skip, token))
    _SKIPPING[token] = only_scratch
    if _forms.function_register is _register:
        _forms.function_register = _registered_unless_skipped


def _no_longer_skip(token: object) -> None:
    _SKIPPING.pop(token, None)
    if not _SKIPPING and _forms.function_register is _registered_unless_skipped:
        _forms.function_register = _register


def _registered_unless_skipped(function: Any, *args: Any, **kwargs: Any) -> Any:
    scratch = str(getattr(tf.compat.v1.get_default_graph(), "name", "")).endswith("_scratch_graph")
    skipped = (scratch or not all(_SKIPPING.copy().values())) and not originals.is_saving()
    if skipped and not tf.config.list_logical_devices("GPU"):
        return None
    return _register(function, *args, **kwargs)
