"""Internals of Keras's recurrent layers, losses and Adam, for code that computes in their place."""

from __future__ import annotations

from typing import Any

from tensorflow.python.saved_model import save_context

REPEATED_ROWS = "_deduplicate_sparse_grad"
"""The optimizer method that sums the repeated rows of an embedding's gradient."""


def is_saving() -> bool:
    """Return whether a SavedModel is being traced."""
    return bool(save_context.in_save_context())


def has_fused_kernel(layer: Any) -> bool:
    """Return whether a recurrent layer's settings fit cuDNN: then a dedicated function runs it, not its cell."""
    return bool(getattr(layer, "_could_use_gpu_kernel", False))


def takes_constants(layer: Any) -> bool:
    """Return whether a recurrent layer receives constants besides its states."""
    return bool(getattr(layer, "_num_constants", None))


def gives_runtime(layer: Any) -> bool:
    """Return whether a recurrent layer also returns the name of the implementation that ran it."""
    return bool(getattr(layer, "return_runtime", False) or getattr(layer, "_return_runtime", False))


def recurrent_arguments(layer: Any, inputs: Any, initial_state: Any) -> tuple[Any, Any]:
    """Return a recurrent layer's sequence and initial states, as it sorts out its arguments itself."""
    sequence, states, _ = layer._process_inputs(inputs, initial_state, None)
    return sequence, states


def given_loss(model: Any) -> Any:
    """Return a compiled model's loss as it was passed to ``compile``."""
    return model.compiled_loss._user_losses


def built_losses(container: Any) -> list[Any]:
    """Return the losses of a compiled model, one per output, from the attribute `LOSSES`."""
    return list(container._losses)


LOSSES = "_losses"


def loss_settings(loss: Any) -> dict[str, Any]:
    """Return the keyword arguments that a loss object passes to its function."""
    return dict(getattr(loss, "_fn_kwargs", {}))


def logits_behind(probabilities: Any) -> Any:
    """Return the logits of a softmax, if Keras noted them on its output."""
    return getattr(probabilities, "_keras_logits", None)


def is_on_a_mesh(optimizer: Any) -> bool:
    """Return whether an optimizer's variables are on a device mesh."""
    return getattr(optimizer, "_mesh", None) is not None


def adam_moments(optimizer: Any, variable: Any) -> tuple[Any, Any]:
    """Return the variables that hold Adam's first and second moment of a variable's gradient."""
    place = optimizer._index_dict[optimizer._var_key(variable)]
    return optimizer._momentums[place], optimizer._velocities[place]
