"""A model's compile settings, its traced steps, and what they change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from s2s_magic.backend import common, graphs, holding
from s2s_magic.backend.keras3 import objects, parameters

# Keras 3 reads the `trainable` switches when it traces a step, not when a model is compiled.


def is_compiled(model: Any) -> bool:
    """Return whether a model was compiled."""
    return bool(getattr(model, "compiled", False))


def compiled_as(model: Any) -> Any:
    """Return an object that each `compile` replaces; None before the first."""
    return vars(model).get("_compile_config")


def compiled_at(model: Any) -> int | None:
    """Return a number that is greater the later a model was compiled; None if it never was.

    Each `compile` makes a metric for the loss, and TensorFlow numbers its variables in order of creation.
    """
    if not is_compiled(model):
        return None
    held = getattr(model._loss_tracker.total, "_value", None)
    last = str(getattr(held, "_unique_id", "")).rpartition("_")[2]
    return int(last) if last.isdecimal() else 0


def has_trained(model: Any) -> bool:
    """Return whether `fit` or `train_on_batch` ever took a step with a model, in whatever cell."""
    counter = getattr(getattr(model, "optimizer", None), "iterations", None)
    return counter is not None and int(counter) > 0


def changed_since_compile(model: Any) -> list[tuple[Any, bool]]:
    """Return the layers whose current switch `fit` would ignore: none, since it uses the switches as they are."""
    return []


def trained_by_fit(model: Any) -> list[Any]:
    """Return the variables that `fit` would train now."""
    return parameters.weights(model)[0]


def known_to_optimizer(model: Any, asked: Iterable[Any]) -> list[bool] | None:
    """Return for each variable whether the model's optimizer has slots for it; None while it accepts any.

    An optimizer makes its slots once, for the variables of its first step, and refuses all others. Which variables a
    custom training step passes to it is unknown.
    """
    held: Any = getattr(model, "optimizer", None)
    held = getattr(held, "inner_optimizer", held)
    if common.has_own_step(model) or not getattr(held, "built", False):
        return None
    known = {id(variable) for variable in held._trainable_variables}
    return [id(variable) in known for variable in asked]


def loss_weights(model: Any) -> list[float | None] | None:
    """Return the loss weight of each of a model's outputs, None for an output without a loss.

    Return None if they are unknown: the model is not compiled, or its class has its own training step.
    """
    own = type(model).compute_loss is not objects.Model.compute_loss
    if not is_compiled(model) or common.has_own_step(model) or own or not graphs.ends(model)[1]:
        return None
    losses = graphs.by_output(model, model.loss)
    weights = graphs.by_output(model, model._compile_config.config.get("loss_weights"))
    if losses is None or weights is None:
        return None
    pairs = zip(losses, weights, strict=True)
    return [None if loss is None else 1.0 if weight is None else float(weight) for loss, weight in pairs]


def adds_loss(layer: Any) -> bool:
    """Return whether calling a layer adds a loss on its inputs or outputs."""
    return any(
        getattr(part, "activity_regularizer", None) is not None or getattr(part, "_losses", None)
        for part in holding.reached(layer)
    )


def added_losses(layer: Any) -> list[Any]:
    """Return the tensors passed to ``add_loss`` in the last call of a layer and of the layers it holds."""
    return [loss for part in holding.reached(layer) for loss in getattr(part, "_losses", ())]
