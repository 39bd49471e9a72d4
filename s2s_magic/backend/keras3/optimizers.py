"""Optimizers: those of a model, those inside other optimizers, and their variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from s2s_magic.backend import stepping
from s2s_magic.undoing import Changes

OPTIMIZERS = (keras.optimizers.Optimizer,)


def bare_optimizer(optimizer: Any) -> Any:
    """Return the optimizer inside Keras's mixed-precision wrapper, or the optimizer itself."""
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer


def follow_lists(optimizer: Any) -> None:
    """Let an optimizer add variables to its present list, in the form that TensorFlow saves.

    Its tracker knows only the list that it was created with; a list set later would track itself in endless recursion.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return
    kind, listed = optimizer._tracker.config["variables"]
    if listed is not optimizer._variables:
        saved = tf.__internal__.tracking.sticky_attribute_assignment(
            optimizer, "_variables", list(optimizer._variables)
        )
        vars(optimizer)["_variables"] = saved
        optimizer._tracker.config["variables"] = (kind, saved)
        optimizer._tracker.stored_ids["variables"] = set(map(id, saved))


def optimizer_variables(model: Any) -> list[Any]:
    """List the variables of all of a model's optimizers, including those of a loss scale."""
    every = [part for optimizer in stepping.optimizers_of(model) for part in stepping.parts(optimizer)]
    return list({id(variable): variable for part in every for variable in variables_of(part)}.values())


def variables_of(part: Any) -> list[Any]:
    """List the variables of one optimizer, including those of its loss scale."""
    return list(part.variables)


def slot_places(part: Any, variables: Sequence[Any]) -> list[int | None]:
    """Return for each variable its place in an optimizer's lists of slots; None if it has no slots there."""
    places = part._trainable_variables_indices
    return [places.get(part._var_key(variable)) for variable in variables]


def has_slots(optimizer: Any) -> bool:
    """Return whether an optimizer has made its slots."""
    return bool(optimizer.built)


def make_slots(optimizer: Any, variables: Sequence[Any]) -> None:
    """Let an optimizer make its slots for some variables, as its first step does."""
    optimizer.build(variables)


def learning_rate_of(optimizer: Any) -> str | None:
    """Return an optimizer's learning rate as text; None if it has none of its own."""
    held = getattr(optimizer, "_learning_rate", None)
    if held is None:
        return None
    return type(held).__name__ if callable(held) else f"{float(held):g}"


def current_learning_rate(optimizer: Any) -> float:
    """Return the learning rate of an optimizer's last update; before the first one, that of the first."""
    rate = optimizer._learning_rate
    return float(rate(max(int(optimizer.iterations) - 1, 0)) if callable(rate) else rate)


def put_averages(model: Any) -> None:
    """Copy the optimizer's moving averages, if any, into the variables, as Keras does at the end of a fit."""
    if isinstance(model.optimizer, keras.optimizers.Optimizer):
        model.optimizer.finalize_variable_values(model.trainable_weights)


def on_update(
    changes: Changes, optimizer: Any, around: Callable[[list[tuple[Any, Any]], Callable[..., Any]], Any]
) -> None:
    """Let ``around(pairs, update)`` make each update of an optimizer until changes are undone.

    ``pairs`` are gradients, before clipping and without a loss scale, with their variables; ``update()`` applies them,
    and ``update(gradients)`` applies others, with the loss scale if there is one, to the same variables.
    """
    original = optimizer.apply

    def apply(grads: Any, trainable_variables: Any = None) -> Any:
        given = list(grads)
        variables = list(optimizer._trainable_variables if trainable_variables is None else trainable_variables)
        scale = _scale_of(optimizer)
        plain = given if scale is None else [None if each is None else keras.ops.divide(each, scale) for each in given]

        def update(gradients: Sequence[Any] | None = None) -> Any:
            return original(given if gradients is None else list(gradients), trainable_variables)

        return around(list(zip(plain, variables, strict=False)), update)

    changes.replace(optimizer, "apply", apply)


def _scale_of(optimizer: Any) -> Any:
    """Return the factor by which the gradients passed to an optimizer were multiplied; None for 1."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
    return optimizer.loss_scale_factor
