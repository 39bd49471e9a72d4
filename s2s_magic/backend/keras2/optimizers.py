"""Optimizers: those of a model, those inside other optimizers, and their variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from s2s_magic.backend import stepping
from s2s_magic.backend.keras2.private import private
from s2s_magic.undoing import Changes

loss_scale_optimizer = private("mixed_precision.loss_scale_optimizer")
current, legacy = private("optimizers.optimizer"), private("optimizers.legacy.optimizer_v2")

OPTIMIZERS = (current._BaseOptimizer, legacy.OptimizerV2)


def bare_optimizer(optimizer: Any) -> Any:
    """Return the optimizer inside Keras's mixed-precision wrapper, or the optimizer itself."""
    return (
        optimizer.inner_optimizer if isinstance(optimizer, loss_scale_optimizer.BaseLossScaleOptimizer) else optimizer
    )


def follow_lists(optimizer: Any) -> None:
    """Do nothing: an optimizer adds variables to the list that is its attribute."""


def optimizer_variables(model: Any) -> list[Any]:
    """List the variables of all of a model's optimizers, including those of a loss scale."""
    every = [part for optimizer in stepping.optimizers_of(model) for part in stepping.parts(optimizer)]
    return list({id(variable): variable for part in every for variable in variables_of(part)}.values())


def variables_of(part: Any) -> list[Any]:
    """List the variables of one optimizer, including those of its loss scale."""
    listed = part.variables
    scale: Any = getattr(part, "_loss_scale", None)
    counters = [scale.current_loss_scale, scale.counter] if hasattr(scale, "current_loss_scale") else []
    return [*(listed() if callable(listed) else listed), *counters]


def slot_places(part: Any, variables: Sequence[Any]) -> list[int | None]:
    """Return for each variable its place in an optimizer's lists of slots; None if it has no slots there."""
    places = getattr(part, "_index_dict", None) or {}
    return [places.get(part._var_key(variable)) if places else None for variable in variables]


def has_slots(optimizer: Any) -> bool:
    """Return whether an optimizer has made its slots."""
    bare = bare_optimizer(optimizer)
    return bool(getattr(bare, "_built", False) if isinstance(bare, current._BaseOptimizer) else bare.get_weights()[1:])


def make_slots(optimizer: Any, variables: Sequence[Any]) -> None:
    """Let an optimizer make its slots for some variables, as its first step does."""
    bare = bare_optimizer(optimizer)
    with Changes() as changes, changes, changes:
        changes.enter(tf.init_scope())
        if isinstance(bare, current._BaseOptimizer):
            bare.build(variables)
        else:
            bare._create_all_weights(variables)


def learning_rate_of(optimizer: Any) -> str | None:
    """Return an optimizer's learning rate as text; None if it has none of its own."""
    try:
        rate = optimizer.learning_rate
    except AttributeError:
        return None
    if callable(rate) and not hasattr(rate, "numpy"):
        return type(rate).__name__
    return f"{float(rate):g}"


def current_learning_rate(optimizer: Any) -> float:
    """Return the learning rate of an optimizer's last update; before the first one, that of the first."""
    rate = optimizer._learning_rate
    return float(rate(max(int(optimizer.iterations) - 1, 0)) if callable(rate) and not hasattr(rate, "numpy") else rate)


def put_averages(model: Any) -> None:
    """Copy the optimizer's moving averages, if any, into the variables, as Keras does at the end of a fit."""
    if isinstance(model.optimizer, current.Optimizer):
        model.optimizer.finalize_variable_values(model.trainable_variables)


def on_update(
    changes: Changes, optimizer: Any, around: Callable[[list[tuple[Any, Any]], Callable[..., Any]], Any]
) -> None:
    """Let ``around(pairs, update)`` make each update of an optimizer until changes are undone.

    ``pairs`` are gradients, before clipping, with their variables; ``update()`` applies them, and ``update(gradients)``
    applies others to the same variables.
    """
    apply = optimizer.apply_gradients

    def apply_gradients(grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        pairs = list(grads_and_vars)

        def update(gradients: Sequence[Any] | None = None) -> Any:
            others = pairs if gradients is None else zip(gradients, (each for _, each in pairs), strict=True)
            return apply(list(others), *args, **kwargs)

        return around(pairs, update)

    changes.replace(optimizer, "apply_gradients", apply_gradients)
