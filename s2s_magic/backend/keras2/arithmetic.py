"""Internals of Keras's compiled losses and of Adam, for code that computes in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s2s_magic.backend.rules import Rules
from s2s_magic.undoing import Changes

SUMS_REPEATED_ROWS = "_deduplicate_sparse_grad"
"""The optimizer method that sums the repeated rows of an embedding's gradient beforehand; empty if none does."""

RULES = Rules(
    shares_a_target=True,
    spreads_row_weights=True,
    broadcasts_targets=True,
    weighs_rows_and_classes=True,
    trains_each_call=False,
)


def loss_container(model: Any) -> Any:
    """Return the object that holds a compiled model's losses."""
    return model.compiled_loss


def given_loss(model: Any) -> Any:
    """Return a compiled model's loss as it was passed to ``compile``."""
    return model.compiled_loss._user_losses


def replace_losses(changes: Changes, model: Any, target: Any, output: Any, make: Callable[[Any], Any]) -> None:
    """Put ``make(loss)`` in place of each of a compiled model's losses until changes are undone."""
    container = model.compiled_loss
    if not container.built:
        container.build(output)
    changes.replace(container, "_losses", [make(loss) for loss in container._losses])


def batch_column(tensor: Any) -> int:
    """Return the index of the batch's column that a training step's tensor is, unchanged; -1 if it is not a column."""
    return int(tensor.value_index) if tensor.op.type == "IteratorGetNext" else -1


def adam_moments(optimizer: Any, variable: Any) -> tuple[Any, Any]:
    """Return the TensorFlow variables that hold Adam's first and second moment of a variable's gradient."""
    place = optimizer._index_dict[optimizer._var_key(variable)]
    return optimizer._momentums[place], optimizer._velocities[place]
