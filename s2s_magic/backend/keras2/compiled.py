"""A model's compile settings, its traced steps, and what they change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from s2s_magic.backend import graphs, holding, stepping
from s2s_magic.backend.keras2 import objects, parameters
from s2s_magic.backend.keras2.private import private
from s2s_magic.undoing import Changes

AddLoss = private("engine.base_layer").AddLoss
optimizer, training = private("optimizers.optimizer"), private("engine.training")

TRACES = ("train_function", "train_tf_function", "test_function", "predict_function")
"""The attributes with a model's steps as traced by Keras."""

SHADOWED: frozenset[str] = frozenset()
"""The attributes that `compile` sets although the class has a method of the same name."""


# The state left by `compile`. Keras 2 notes every layer's `trainable` switch then, and restores the noted values while
# `fit` and `train_on_batch` run: they determine what is trained, not the switches as they are by then. A layer added to
# the model later counts with its current switch. Only the next `compile` looks again.


def is_compiled(model: Any) -> bool:
    """Return whether a model was compiled."""
    return bool(getattr(model, "_is_compiled", False))


def compiled_as(model: Any) -> Any:
    """Return an object that each `compile` replaces; None before the first."""
    return vars(model).get("compiled_loss")


def compiled_at(model: Any) -> int | None:
    """Return a number that is greater the later a model was compiled; None if it never was.

    Each `compile` makes a variable, and TensorFlow numbers variables in order of creation.
    """
    if not is_compiled(model):
        return None
    made = [model._steps_per_execution]
    if isinstance(model.optimizer, optimizer.Optimizer):  # with steps_per_execution="auto", its variable is kept
        made.append(model.optimizer.iterations)
    return max((_number(variable) for variable in made if variable is not None), default=0)


def _number(variable: Any) -> int:
    last = str(getattr(variable, "_unique_id", "")).rpartition("_")[2]
    return int(last) if last.isdecimal() else 0


def has_trained(model: Any) -> bool:
    """Return whether `fit` or `train_on_batch` ever took a step with a model, in any cell."""
    counter = getattr(model, "_train_counter", None)
    return counter is not None and int(counter) > 0


def changed_since_compile(model: Any) -> list[tuple[Any, bool]]:
    """Return the layers of a compiled model whose switch has changed since compile, with the value at compile."""
    saw = model._compiled_trainable_state if is_compiled(model) else {}
    return [
        (layer, saw[layer]) for layer in holding.reached(model) if saw.get(layer, layer.trainable) != layer.trainable
    ]


SWITCHES_READ: Literal["compile", "step"] = "compile"
"""When Keras reads the `trainable` switches: ``compile``, or when it traces a ``step`` of training."""


def keep_switches(changes: Changes, model: Any) -> None:
    """Set the switches to those that a fit uses until changes are undone; Keras 2 does so itself."""


def expect(changes: Changes, model: Any, arguments: Mapping[str, Any]) -> None:
    """Take account of what a fit with these arguments runs until changes are undone; nothing to Keras 2."""


def trained_by_fit(model: Any) -> list[Any]:
    """Return the variables that `fit` would train now: by the switches at compile, if the model was compiled."""
    changed = {id(layer): saw for layer, saw in changed_since_compile(model)}
    return parameters.weights(model)[0] if not changed else _trained_with(model, changed)


def _trained_with(layer: Any, switches: dict[int, bool]) -> list[Any]:
    """Return the variables that a layer would list as trainable if the switches were as given."""
    if not any(id(part) in switches for part in holding.reached(layer)):
        return parameters.weights(layer)[0]
    if not switches.get(id(layer), layer.trainable):
        return []
    found = [variable for part in holding.tracked(layer) for variable in _trained_with(part, switches)]
    return list(
        {id(parameters.bare(variable)): variable for variable in (*found, *parameters.meant_to_train(layer))}.values()
    )


def known_to_optimizer(model: Any, asked: Iterable[Any]) -> list[bool] | None:
    """Return for each variable whether the model's optimizer has slots for it; None while it accepts any.

    An optimizer makes its slots once, for the variables of its first step, and refuses all others. Which variables a
    custom training step passes to it is unknown.
    """
    held = getattr(model, "optimizer", None)
    held = getattr(held, "inner_optimizer", held)
    if stepping.has_own_step(model):
        return None
    if not isinstance(held, optimizer.Optimizer) or not getattr(held, "_built", False):
        return None
    return [held._var_key(variable) in held._index_dict for variable in asked]


def step_graphs(model: Any) -> list[Any]:
    """Return the graphs of a model's training step as traced so far."""
    steps = [vars(model).get(name) for name in TRACES if name.startswith("train")]
    return [each.graph for step in steps for each in getattr(step, "_list_all_concrete_functions", list)()]


def set_traces_aside(changes: Changes, model: Any) -> None:
    """Let a model trace its steps anew until changes are undone; then restore its current traces.

    If it was compiled again before that, it is left without traces.
    """
    attributes = vars(model)
    compiled = compiled_as(model)
    traces = stepping.traces_of(model)
    # Keras also tracks a trace among what a model saves, and would keep the last one there
    model._maybe_initialize_trackable()
    noted, by_name = model._unconditional_checkpoint_dependencies, model._unconditional_dependency_names
    noted_traces = [each for each in noted if each.name in TRACES]

    def put_back() -> None:
        same = compiled_as(model) is compiled
        attributes.update(traces if same else dict.fromkeys(TRACES))
        again = noted_traces if same else []
        noted[:] = [*(each for each in noted if each.name not in TRACES), *again]
        for name in TRACES:
            by_name.pop(name, None)
        by_name.update({each.name: each.ref for each in again})

    changes.undo_by(put_back)
    attributes.update(dict.fromkeys(TRACES))


def loss_weights(model: Any) -> list[float | None] | None:
    """Return the loss weight of each of a model's outputs, None for an output without a loss.

    Return None if they are unknown: the model is not compiled, or its class has its own training step.
    """
    kept = training.Model.train_step, training.Model.compute_loss
    if not is_compiled(model) or (type(model).train_step, type(model).compute_loss) != kept:
        return None
    container = getattr(model, "compiled_loss", None)
    count = len(graphs.ends(model)[1])
    if container is None or not count:
        return None
    losses = graphs.by_output(model, container._user_losses)
    weights = graphs.by_output(model, container._user_loss_weights)
    if losses is None or weights is None:
        return None
    pairs = zip(losses, weights, strict=True)
    return [None if loss is None else 1.0 if weight is None else float(weight) for loss, weight in pairs]


def adds_loss(layer: Any) -> bool:
    """Return whether calling a layer adds a loss on its inputs or outputs."""
    return isinstance(layer, AddLoss) or any(
        getattr(part, "_activity_regularizer", None) is not None or getattr(part, "_losses", None)
        for part in holding.reached(layer)
    )


def added_losses(layer: Any) -> list[Any]:
    """Return the tensors passed to ``add_loss`` in the last call of a layer and of the layers it holds."""
    return [
        loss
        for part in holding.reached(layer)
        if objects.is_ready(part)
        for loss in (*part._losses, *part._eager_losses)
    ]


_SETTINGS = ("loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile")


def compiled_settings(model: Any) -> dict[str, Any]:
    """Return a model's `compile` arguments except optimizer and loss; empty if it was not compiled."""
    if not is_compiled(model):
        return {}
    given: Mapping[str, Any] = model._compile_config.config
    return {name: given.get(name) for name in _SETTINGS}
