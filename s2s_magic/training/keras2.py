"""All about compiling and fitting that is particular to Keras 2 (TensorFlow 2.13 to 2.15)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from keras.src import backend
from keras.src.engine import training
from keras.src.mixed_precision import loss_scale_optimizer
from keras.src.optimizers import optimizer as current
from keras.src.optimizers.legacy import optimizer_v2 as legacy
from tensorflow import keras
from tensorflow.python.eager import context

from s2s_magic.tracing import keras2
from s2s_magic.undoing import Changes, attributes_of

_SETTINGS = ("loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile")
_BY_XLA = re.compile(r"XLA|tf2xla|compile-time constant|trying to compile graph")
_KINDS = (current._BaseOptimizer, legacy.OptimizerV2)


# -- compiling ---------------------------------------------------------------------------------------------------------


def compiled_settings(model: Any) -> dict[str, Any]:
    """Give what a model was compiled with beside optimizer and loss, as `compile` takes it; empty where it was not."""
    if not keras2.is_compiled(model):
        return {}
    given: Mapping[str, Any] = model._compile_config.config
    return {name: given.get(name) for name in _SETTINGS}


def has_own_compile(model: Any) -> bool:
    """Say whether a model's class compiles in a way of its own."""
    return type(model).compile is not training.Model.compile or "compile" in vars(model)


def compiles_by_xla(model: Any) -> bool:
    """Say whether XLA compiles a model's step."""
    return bool(getattr(model, "_jit_compile", False))


def xla_obstacle(model: Any, error: Any) -> str | None:
    """Name what XLA could not compile of a model's step; None where an error is about something else."""
    text = str(error)
    if not compiles_by_xla(model) or not _BY_XLA.search(text):
        return None
    layers = {layer.name: layer for layer in keras2.reached(model)}
    operation = re.search(r": (\w+) \(No registered", text)
    node = re.search(r"\{\{node ([^}]+)\}\}", text)
    path = node[1].split("/") if node else []
    inside = next((f" in {name}" for name in reversed(path) if name in layers), "")
    return f"{operation[1] if operation else 'an operation'}{inside}"


def leave_xla_out(changes: Changes, model: Any) -> None:
    """Let a model's step be traced for TensorFlow's own kernels until changes are undone."""
    changes.replace(model, "_jit_compile", False)


# -- optimizers --------------------------------------------------------------------------------------------------------


def bare_optimizer(optimizer: Any) -> Any:
    """Give the optimizer that Keras wrapped for mixed precision, or the optimizer itself."""
    return (
        optimizer.inner_optimizer if isinstance(optimizer, loss_scale_optimizer.BaseLossScaleOptimizer) else optimizer
    )


def optimizers_of(model: Any) -> list[Any]:
    """List the optimizers that a model's steps may ask to apply gradients: its own, and others among its attributes."""
    held = [vars(model).get("optimizer"), *vars(model).values()]
    found = {id(one): one for value in held for one in _flat(value) if isinstance(one, _KINDS)}
    return list(found.values())


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return list(value.values()) if isinstance(value, dict) else [value]


def _parts(optimizer: Any) -> Iterator[Any]:
    """Yield an optimizer and those it hands its work on to."""
    yield optimizer
    inner = bare_optimizer(optimizer)
    if inner is not optimizer:
        yield from _parts(inner)
    for spec in getattr(optimizer, "optimizer_specs", None) or ():  # TFA's MultiOptimizer
        yield from _parts(spec["optimizer"])


def optimizer_variables(model: Any) -> list[Any]:
    """List the variables of all of a model's optimizers, with a loss scale's."""
    found: dict[int, Any] = {}
    for optimizer in optimizers_of(model):
        for part in _parts(optimizer):
            listed = part.variables
            scale: Any = getattr(part, "_loss_scale", None)
            counters = [scale.current_loss_scale, scale.counter] if hasattr(scale, "current_loss_scale") else []
            for variable in (*(listed() if callable(listed) else listed), *counters):
                found.setdefault(id(variable), variable)
    return list(found.values())


def learning_rate_of(optimizer: Any) -> str | None:
    """Give an optimizer's learning rate in a word; None where it has none of its own."""
    try:
        rate = optimizer.learning_rate
    except AttributeError:
        return None
    if callable(rate) and not hasattr(rate, "numpy"):
        return type(rate).__name__
    return f"{float(rate):g}"


def put_averages(model: Any) -> None:
    """Put the moving averages into the variables, where the optimizer keeps some: so a fit of Keras's ends."""
    if isinstance(model.optimizer, current.Optimizer):
        model.optimizer.finalize_variable_values(model.trainable_variables)


# -- state -------------------------------------------------------------------------------------------------------------


def state_of(model: Any) -> list[Any]:
    """List the variables that say where a training is: weights, recurrent states, optimizers'; not the metrics'."""
    metrics = {id(variable) for metric in metrics_of(model) for variable in metric.variables}
    trained, others = keras2.weights(model)
    found = {id(v): v for v in (*trained, *others, *running_state(model), *optimizer_variables(model))}
    return [variable for key, variable in found.items() if key not in metrics]


def metrics_of(model: Any) -> list[Any]:
    """List a model's metrics: those of its compile, and those that its layers add."""
    return list(getattr(model, "metrics", None) or ())


def running_state(model: Any) -> list[Any]:
    """List what running a model may change though no gradient does: averages, states, random generators, metrics."""
    found: dict[int, Any] = {}
    for layer in keras2.reached(model):
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
    """Give the variables that one attribute of a layer holds by itself, not through a layer."""
    if isinstance(value, backend.RandomGenerator):
        value = getattr(value, "_generator", None)  # made at the first use; Attention without dropout uses none
    if isinstance(value, tf.random.Generator):
        return [value.state]
    if isinstance(value, list | tuple):
        return [one for one in value if isinstance(one, tf.Variable)]
    return [value] if isinstance(value, tf.Variable) else []


def values_of(variables: Iterable[Any]) -> Callable[[], None]:
    """Note what variables hold, in the host's memory; what is given puts it back."""
    values = [(variable, variable.numpy()) for variable in variables]

    def put_back() -> None:
        for variable, value in values:
            variable.assign(value)

    return put_back


def attributes_before(model: Any) -> Callable[[], None]:
    """Note the attributes of a model and of its optimizers; what is given puts them all back, and takes others away."""
    owners = [model, *(part for optimizer in optimizers_of(model) for part in _parts(optimizer))]
    put_back = [attributes_of(owner) for owner in owners]

    def put_all_back() -> None:
        for put in put_back:
            put()

    return put_all_back


def steps_taken(model: Any) -> int:
    """Count the steps since the present fit of a model began."""
    return int(getattr(model, "_train_counter", 0))


def metric_results(model: Any) -> dict[str, Any]:
    """Give what a model's metrics say now, as `fit` would after a step."""
    found = {}
    for metric in metrics_of(model):
        result = metric.result()
        found.update(result if isinstance(result, dict) else {metric.name: result})
    return found


# -- random numbers ----------------------------------------------------------------------------------------------------


def keep_random_states(changes: Changes) -> None:
    """Put the random states of Python, NumPy, TensorFlow and Keras back when changes are undone.

    An operation run eagerly with a seed of its own begins its numbers anew after `tf.random.set_seed`: that TensorFlow
    keeps where nobody can read it.
    """
    python, numpy = random.getstate(), np.random.get_state()
    changes.undo_by(lambda: random.setstate(python))
    changes.undo_by(lambda: np.random.set_state(numpy))
    eager, keras_own = context.context(), backend._SEED_GENERATOR
    for owner, name in ((eager, "_rng"), (keras_own, "generator")):
        if (generator := vars(owner).get(name)) is not None:
            changes.undo_by(partial(generator.setstate, generator.getstate()))
            changes.replace(owner, name, generator)
        else:
            changes.undo_by(partial(vars(owner).pop, name, None))
    changes.replace(eager, "_seed", eager._seed)


def seed_all(changes: Changes, seed: int) -> None:
    """Do what ``keras.utils.set_random_seed`` does, until changes are undone."""
    keep_random_states(changes)
    keras.utils.set_random_seed(seed)
