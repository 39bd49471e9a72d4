"""A model's compile settings, its traced steps, and what they change."""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import keras
import tensorflow as tf

from s2s_magic.backend import graphs, holding, stepping
from s2s_magic.backend.keras3 import objects, parameters, traces
from s2s_magic.undoing import Changes

TRACES = ("train_function", "test_function", "predict_function")
"""The attributes with a model's steps as traced by Keras."""

SHADOWED: frozenset[str] = frozenset({"loss"})
"""The attributes that `compile` sets although the class has a method of the same name."""

_WRITES = re.compile(r"Assign(Add|Sub)?VariableOp|Resource(Scatter|Apply|SparseApply)")

_STEPS: weakref.WeakKeyDictionary[Any, tf.Variable] = weakref.WeakKeyDictionary()
"""The number of training steps of each model, as counted by `count_steps`."""

# Keras 3 reads the `trainable` switches when it traces a step, not when a model is compiled. It keeps the traced step
# until the next `compile`, and traces another one for batches that the step does not take.


def is_compiled(model: Any) -> bool:
    """Return whether a model was compiled."""
    return bool(getattr(model, "compiled", False))


def compiled_as(model: Any) -> Any:
    """Return an object that each `compile` replaces; None before the first."""
    return vars(model).get("_compile_config")


def _given(model: Any) -> Mapping[str, Any]:
    """Return the arguments of `compile`; empty if it was interrupted, as it notes them last."""
    config = compiled_as(model)
    return {} if config is None else config.config


def compiled_at(model: Any) -> int | None:
    """Return a number that is greater the later a model was compiled; None if it never was.

    Each `compile` makes a metric for the loss, and TensorFlow numbers its variables in order of creation.
    """
    if not is_compiled(model):
        return None
    tracker = getattr(model, "_loss_tracker", None)  # None until the end of `compile`
    held = getattr(getattr(tracker, "total", None), "_value", None)
    last = str(getattr(held, "_unique_id", "")).rpartition("_")[2]
    return int(last) if last.isdecimal() else 0


def has_trained(model: Any) -> bool:
    """Return whether `fit` or `train_on_batch` ever took a step with a model, in any cell."""
    counter = getattr(getattr(model, "optimizer", None), "iterations", None)
    return counter is not None and int(counter) > 0


SWITCHES_READ: Literal["compile", "step"] = "step"
"""When Keras reads the `trainable` switches: ``compile``, or when it traces a ``step`` of training."""


def changed_since_compile(model: Any) -> list[tuple[Any, bool]]:
    """Return the layers whose current switch `fit` would ignore, with the value that it would use instead.

    `fit` reuses the step that an earlier one traced, until the model is compiled again.
    """
    traced = _trained_by_trace(model)
    if traced is None:
        return []
    found = []
    for layer in holding.reached(model):
        own, below = parameters.meant_to_train(layer), _below(layer)
        saw = any(id(variable) in traced for variable in below)
        if below and (layer.trainable and (not own or any(variable.trainable for variable in own))) != saw:
            found.append((layer, saw))
    return found


def _below(layer: Any) -> list[Any]:
    """Return the variables of a layer and of all it holds that would be trained if nothing was frozen."""
    return [variable for part in holding.reached(layer) for variable in parameters.meant_to_train(part)]


def expect(changes: Changes, model: Any, arguments: Mapping[str, Any]) -> None:
    """Take account, until changes are undone, of what a fit with these arguments runs: a traced step, or a new one.

    Which variables it trains, and what it thus would ignore, is asked by `trained_by_fit`, `changed_since_compile` and
    `keep_switches`.
    """
    traces.expect(changes, model, compiled_as(model), step_graphs(model), arguments)


def trained_by_fit(model: Any) -> list[Any]:
    """Return the variables that `fit` would train now: those of the traced step, else by the switches."""
    traced, (trained, others) = _trained_by_trace(model), parameters.weights(model)
    return trained if traced is None else [each for each in (*trained, *others) if id(each) in traced]


def keep_switches(changes: Changes, model: Any) -> None:
    """Set the switches to those of the model's traced step until changes are undone, for the next trace to see."""
    traced = _trained_by_trace(model)
    if traced is None:
        return
    for layer in holding.reached(model):
        if below := _below(layer):
            changes.replace(layer, "_trainable", any(id(variable) in traced for variable in below))
        for variable in parameters.meant_to_train(layer):
            changes.replace(variable, "_trainable", id(variable) in traced)


def _trained_by_trace(model: Any) -> set[int] | None:
    """Return the ids of the variables that the model's traced training step trains; None without such a step.

    In a fit, that is the step which takes the batches that are expected.
    """
    if not is_compiled(model) or model.run_eagerly:
        return None
    step = traces.used(model, compiled_as(model), step_graphs(model))
    if step is None or isinstance(step, set):
        return step
    written = {id(handle) for handle in _written_by(step)}
    meant = [variable for layer in holding.reached(model) for variable in parameters.meant_to_train(layer)]
    found = {id(variable) for variable in meant if id(getattr(variable._value, "handle", None)) in written}
    # a variable that the step does not write may have had no gradient
    listed = parameters.weights(model)[0]
    known = known_to_optimizer(model, listed) or [True] * len(listed)
    return found | {id(each) for each, place in zip(listed, known, strict=True) if place} if found else None


def step_graphs(model: Any) -> list[Any]:
    """Return the graphs of a model's training step as traced so far."""
    steps = _traced_in(vars(model).get("train_function"))
    return [concrete.graph for step in steps for concrete in step._list_all_concrete_functions()]


def _traced_in(function: Any, depth: int = 4) -> list[Any]:
    """Find TensorFlow's function of one step in the closure of a Python function."""
    if hasattr(function, "_list_all_concrete_functions"):
        return (
            [function]
            if "one_step" in str(getattr(function, "__name__", ""))
            else _traced_in(function.python_function, depth - 1)
        )
    held = [getattr(function, "__wrapped__", None)]
    held += [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return next((found for each in held if callable(each) and depth and (found := _traced_in(each, depth - 1))), [])


def _written_by(graph: Any) -> list[Any]:
    """Return the handles of the variables outside a graph that its operations write to."""
    outer = {id(inner): handle for handle, inner in graph.captures}
    writing = [each for each in graph.get_operations() if _WRITES.match(each.type)]
    return [outer[id(each.inputs[0])] for each in writing if id(each.inputs[0]) in outer]


def known_to_optimizer(model: Any, asked: Iterable[Any]) -> list[bool] | None:
    """Return for each variable whether the model's optimizer has slots for it; None while it accepts any.

    An optimizer makes its slots once, for the variables of its first step, and refuses all others. Which variables a
    custom training step passes to it is unknown.
    """
    held: Any = getattr(model, "optimizer", None)
    held = getattr(held, "inner_optimizer", held)
    if stepping.has_own_step(model) or not getattr(held, "built", False):
        return None
    known = {id(variable) for variable in held._trainable_variables}
    return [id(variable) in known for variable in asked]


def set_traces_aside(changes: Changes, model: Any) -> None:
    """Let a model trace its steps anew until changes are undone; then restore its current traces.

    If it was compiled again before that, it is left without traces.
    """
    compiled, traces = compiled_as(model), stepping.traces_of(model)

    def put_back() -> None:
        vars(model).update(traces if compiled_as(model) is compiled else dict.fromkeys(TRACES))

    changes.undo_by(put_back)
    vars(model).update(dict.fromkeys(TRACES))


def count_steps(changes: Changes, model: Any) -> None:
    """Count a model's training steps from now on, in those steps that are traced until changes are undone."""
    step = model.train_step
    counter = _STEPS.setdefault(model, tf.Variable(0, dtype=tf.int64, trainable=False))
    counter.assign(0)

    @functools.wraps(step)
    def train_step(*args: Any, **kwargs: Any) -> Any:
        if not tf.executing_eagerly():
            traces.note(model, compiled_as(model), args, {id(variable) for variable in model.trainable_weights})
        result = step(*args, **kwargs)
        counter.assign_add(1)
        return result

    changes.replace(model, "train_step", train_step)


def steps_taken(model: Any) -> int:
    """Return the number of steps since `count_steps` for a model."""
    return int(_STEPS[model]) if model in _STEPS else 0


def metric_results(model: Any) -> dict[str, Any]:
    """Return the current results of a model's metrics, as `fit` would after a step."""
    return dict(model.get_metrics_result())


_SETTINGS = ("loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile")


def compiled_settings(model: Any) -> dict[str, Any]:
    """Return a model's `compile` arguments except optimizer and loss; empty if it was not compiled."""
    if not is_compiled(model):
        return {}
    given = _given(model)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    return {name: given.get(name) for name in _SETTINGS} | {"auto_scale_loss": scaled}


def loss_weights(model: Any) -> list[float | None] | None:
    """Return the loss weight of each of a model's outputs, None for an output without a loss.

    Return None if they are unknown: the model is not compiled, or its class has its own training step.
    """
    own = type(model).compute_loss is not objects.Model.compute_loss
    if not is_compiled(model) or stepping.has_own_step(model) or own or not graphs.ends(model)[1]:
        return None
    losses = graphs.by_output(model, model.loss)
    weights = graphs.by_output(model, _given(model).get("loss_weights"))
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
