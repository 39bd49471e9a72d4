"""What Keras's recurrent layers, losses and Adam keep to themselves: whoever does their sums for them asks here."""

from __future__ import annotations

from typing import Any

from tensorflow.python.saved_model import save_context

REPEATED_ROWS = "_deduplicate_sparse_grad"
"""The method by which an optimizer adds up the repeated rows of an embedding's gradient."""


def is_saving() -> bool:
    """Return whether a SavedModel is being traced."""
    return bool(save_context.in_save_context())


def has_fused_kernel(layer: Any) -> bool:
    """Return whether a recurrent layer has the settings of cuDNN: then a function of its own runs it, not its cell."""
    return bool(getattr(layer, "_could_use_gpu_kernel", False))


def takes_constants(layer: Any) -> bool:
    """Return whether a recurrent layer is given constants beside its states."""
    return bool(getattr(layer, "_num_constants", None))


def gives_runtime(layer: Any) -> bool:
    """Return whether a recurrent layer gives the name of what ran it beside its outputs."""
    return bool(getattr(layer, "return_runtime", False) or getattr(layer, "_return_runtime", False))


def recurrent_arguments(layer: Any, inputs: Any, initial_state: Any) -> tuple[Any, Any]:
    """Return the sequence and the states that a recurrent layer begins with, as it sorts out its arguments itself."""
    sequence, states, _ = layer._process_inputs(inputs, initial_state, None)
    return sequence, states


def given_loss(model: Any) -> Any:
    """Return the loss that a model was compiled with, as it was given."""
    return model.compiled_loss._user_losses


def built_losses(container: Any) -> list[Any]:
    """Return the losses of a compiled model, one for each output; they are its attribute `LOSSES`."""
    return list(container._losses)


LOSSES = "_losses"


def loss_settings(loss: Any) -> dict[str, Any]:
    """Return what a loss object calls its function with."""
    return dict(getattr(loss, "_fn_kwargs", {}))


def logits_behind(probabilities: Any) -> Any:
    """Return the logits of a softmax, where Keras noted them on its output."""
    return getattr(probabilities, "_keras_logits", None)


def is_on_a_mesh(optimizer: Any) -> bool:
    """Return whether an optimizer's variables lie on a mesh of devices."""
    return getattr(optimizer, "_mesh", None) is not None


def adam_moments(optimizer: Any, variable: Any) -> tuple[Any, Any]:
    """Return the variables in which Adam keeps the first and the second moment of a variable's gradient."""
    place = optimizer._index_dict[optimizer._var_key(variable)]
    return optimizer._momentums[place], optimizer._velocities[place]
