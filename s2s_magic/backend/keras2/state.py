"""Save and restore what running and training a model changes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from s2s_magic.backend import common, holding
from s2s_magic.backend.keras2 import objects, optimizers, parameters
from s2s_magic.backend.keras2.private import private
from s2s_magic.undoing import Changes, attributes_of

RandomGenerator = private("backend").RandomGenerator


def leave_as_it_is(changes: Changes, layer: Any) -> None:
    """Undo what a trial call of a layer changes: the losses it lists, and the seeds it increments."""

    def put_back(part: Any, losses: list[Any], eager: list[Any], seed: Any) -> None:
        part._losses[:] = losses
        part._eager_losses[:] = eager
        generator = vars(part).get("_random_generator")
        if hasattr(generator, "_seed"):
            generator._seed = seed

    for part in holding.reached(layer):
        if objects.is_ready(part):
            seed = getattr(vars(part).get("_random_generator"), "_seed", None)
            changes.undo_by(functools.partial(put_back, part, list(part._losses), list(part._eager_losses), seed))


def state_of(model: Any) -> list[Any]:
    """List the variables that define a training's state: weights, recurrent states, optimizers'; not the metrics'."""
    metrics = {id(variable) for metric in metrics_of(model) for variable in metric.variables}
    trained, others = parameters.weights(model)
    found = {id(v): v for v in (*trained, *others, *running_state(model), *optimizers.optimizer_variables(model))}
    return [variable for key, variable in found.items() if key not in metrics]


def metrics_of(model: Any) -> list[Any]:
    """List a model's metrics: those from compile, and those that its layers add."""
    return list(getattr(model, "metrics", None) or ())


def running_state(model: Any) -> list[Any]:
    """List what running a model may change without a gradient: averages, states, random generators, metrics."""
    found: dict[int, Any] = {}
    for layer in holding.reached(model):
        trained = {id(variable) for variable in layer._trainable_weights}
        held = tf.nest.flatten([layer._non_trainable_weights, [_held(value) for value in vars(layer).values()]])
        for variable in held:
            if isinstance(variable, tf.Variable) and id(variable) not in trained:
                found.setdefault(id(variable), variable)
    for metric in metrics_of(model):
        for variable in metric.variables:
            found.setdefault(id(variable), variable)
    return list(found.values())


def _held(value: Any) -> Any:
    """Return the variables that one attribute of a layer holds directly, not through a layer."""
    if isinstance(value, RandomGenerator):
        value = getattr(value, "_generator", None)  # made at the first use; Attention without dropout makes none
    if isinstance(value, tf.random.Generator):
        return [value.state]
    if isinstance(value, list | tuple):
        return [one for one in value if isinstance(one, tf.Variable)]
    return [value] if isinstance(value, tf.Variable) else []


def attributes_before(model: Any) -> Callable[[], None]:
    """Save the attributes of a model and its optimizers; return a function that restores them and removes new ones."""
    owners = [model, *(part for optimizer in common.optimizers_of(model) for part in optimizers.parts(optimizer))]
    put_back = [attributes_of(owner) for owner in owners]

    def put_all_back() -> None:
        for put in put_back:
            put()

    return put_all_back


def steps_taken(model: Any) -> int:
    """Return the number of steps since the current fit of a model began."""
    return int(getattr(model, "_train_counter", 0))


def metric_results(model: Any) -> dict[str, Any]:
    """Return the current results of a model's metrics, as `fit` would after a step."""
    found = {}
    for metric in metrics_of(model):
        result = metric.result()
        found.update(result if isinstance(result, dict) else {metric.name: result})
    return found
