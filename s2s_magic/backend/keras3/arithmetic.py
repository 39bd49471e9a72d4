"""Internals of Keras's compiled losses and of Adam, for code that computes in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s2s_magic.backend.rules import Rules
from s2s_magic.undoing import Changes

SUMS_REPEATED_ROWS = ""
"""The optimizer method that sums the repeated rows of an embedding's gradient beforehand; empty if none does."""

RULES = Rules(
    shares_a_target=False,
    spreads_row_weights=False,
    broadcasts_targets=False,
    weighs_rows_and_classes=False,
    trains_each_call=True,
)


def loss_container(model: Any) -> Any:
    """Return the object that holds a compiled model's losses."""
    return model._compile_loss


def given_loss(model: Any) -> Any:
    """Return a compiled model's loss as it was passed to ``compile``."""
    return model._compile_loss._user_loss


def replace_losses(changes: Changes, model: Any, target: Any, output: Any, make: Callable[[Any], Any]) -> None:
    """Put ``make(loss)`` in place of each of a compiled model's losses until changes are undone."""
    container = model._compile_loss
    if not container.built:
        container.build(target, output)
    changes.replace(container, "_flat_losses", [each._replace(loss=make(each.loss)) for each in container._flat_losses])


def batch_column(tensor: Any) -> int:
    """Return the index of the batch's column that a training step's tensor is, unchanged; -1 if it is not a column."""
    if not tensor.graph.name.startswith("one_step_on_data"):
        return -1
    return next((number for number, each in enumerate(tensor.graph.inputs) if each is tensor), -1)


def adam_moments(optimizer: Any, variable: Any) -> tuple[Any, Any]:
    """Return the TensorFlow variables that hold Adam's first and second moment of a variable's gradient."""
    place = optimizer._get_variable_index(variable)
    return optimizer._momentums[place].value, optimizer._velocities[place].value
