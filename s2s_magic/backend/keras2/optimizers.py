"""Optimizers: those of a model, those inside other optimizers, and their variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    found: dict[int, Any] = {}
    for optimizer in stepping.optimizers_of(model):
        for part in stepping.parts(optimizer):
            listed = part.variables
            scale: Any = getattr(part, "_loss_scale", None)
            counters = [scale.current_loss_scale, scale.counter] if hasattr(scale, "current_loss_scale") else []
            for variable in (*(listed() if callable(listed) else listed), *counters):
                found.setdefault(id(variable), variable)
    return list(found.values())


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
    changes: Changes, optimizer: Any, around: Callable[[list[tuple[Any, Any]], Callable[[], Any]], Any]
) -> None:
    """Let ``around(pairs, update)`` make each update of an optimizer until changes are undone.

    ``pairs`` are gradients, before clipping, with their variables; ``update()`` applies them.
    """
    apply = optimizer.apply_gradients

    def apply_gradients(grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        pairs = list(grads_and_vars)
        return around(pairs, lambda: apply(pairs, *args, **kwargs))

    changes.replace(optimizer, "apply_gradients", apply_gradients)
