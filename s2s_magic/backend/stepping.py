"""A compiled model's steps and optimizers: what is the same in every Keras."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.undoing import Changes, attributes_of

_BY_XLA = re.compile(r"XLA|tf2xla|compile-time constant|trying to compile graph")


def has_own(model: Any, method: str) -> bool:
    """Return whether a model has its own form of a method of ``keras.Model``, whatever is wrapped around it."""
    found = inspect.unwrap(getattr(model, method))
    return getattr(found, "__func__", found) is not inspect.unwrap(getattr(backend.Model, method))


def has_own_step(model: Any) -> bool:
    """Return whether a model has its own training step: its optimizer may then be given any variables."""
    return has_own(model, "train_step")  # `count_steps` may have wrapped it


def has_call(model: Any) -> bool:
    """Return whether a model can be called: one that only has a training step of its own cannot."""
    return has_own(model, "call")


def optimizers_of(model: Any) -> list[Any]:
    """List the optimizers that a model's steps may use: its own, and others among its attributes."""
    held = [vars(model).get("optimizer"), *vars(model).values()]
    found = {id(one): one for value in held for one in _flat(value) if isinstance(one, backend.OPTIMIZERS)}
    return list(found.values())


def parts(optimizer: Any) -> Iterator[Any]:
    """Yield an optimizer and those it delegates to."""
    yield optimizer
    inner = backend.bare_optimizer(optimizer)
    if inner is not optimizer:
        yield from parts(inner)
    for spec in getattr(optimizer, "optimizer_specs", None) or ():  # TFA's MultiOptimizer
        yield from parts(spec["optimizer"])


def optimizer_state(optimizer: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """Name an optimizer's variables the same way for every Keras: ``iterations``, ``momentums.encoder.kernel``.

    Parameters
    ----------
    optimizer
        The optimizer of a model, with those it delegates to; theirs begin with their number.
    known
        The variables of the model by name.

    Returns
    -------
    dict
        Variables by the attribute that holds them, and by that of the model that a slot is for. One that no attribute
        holds has a number in its place.
    """
    found: dict[str, Any] = {}
    for number, part in enumerate(parts(optimizer)):
        places = dict(zip(backend.slot_places(part, list(known.values())), known, strict=True))
        left = {id(variable): variable for variable in backend.variables_of(part)}
        named: dict[str, Any] = {}
        for attribute, value in vars(part).items():
            name = attribute.lstrip("_")
            if attribute in ("_variables", "_weights"):  # all of them, in the order of their creation
                continue
            if id(value) in left:
                named[name] = left.pop(id(value))
            elif isinstance(value, list | tuple):
                slots = {place: slot for place, slot in enumerate(value) if id(slot) in left}
                named |= {f"{name}.{places.get(place, place)}": left.pop(id(slot)) for place, slot in slots.items()}
        named |= {f"rest.{place}": variable for place, variable in enumerate(left.values())}
        found |= {(f"{number}.{name}" if number else name): variable for name, variable in named.items()}
    return found


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return list(value.values()) if isinstance(value, dict) else [value]


def has_own_compile(model: Any) -> bool:
    """Return whether a model's class overrides `compile`."""
    return type(model).compile is not backend.Model.compile or "compile" in vars(model)


def compiles_by_xla(model: Any) -> bool:
    """Return whether XLA compiles a model's step."""
    return bool(getattr(model, "_jit_compile", False))


def xla_obstacle(model: Any, error: Any) -> str | None:
    """Name what XLA could not compile in a model's step; None if the error has another cause."""
    text = str(error)
    if not compiles_by_xla(model) or not _BY_XLA.search(text):
        return None
    layers = {layer.name: layer for layer in backend.reached(model)}
    operation = re.search(r": (\w+) \(No registered", text)
    node = re.search(r"\{\{node ([^}]+)\}\}", text)
    scopes = reversed(node[1].split("/") if node else [])
    # Keras 3 numbers a scope that is entered again: odd_1 for the layer odd
    inside = next(
        (f" in {name}" for scope in scopes for name in (scope, scope.rpartition("_")[0]) if name in layers), ""
    )
    return f"{operation[1] if operation else 'an operation'}{inside}"


def leave_xla_out(changes: Changes, model: Any) -> None:
    """Trace a model's step without XLA until changes are undone."""
    changes.replace(model, "_jit_compile", False)


def traces_of(model: Any) -> dict[str, Any]:
    """Return a model's traced steps by name; None for one not traced yet."""
    return {name: vars(model).get(name) for name in backend.TRACES}


def go_on_with(model: Any, traces: Mapping[str, Any]) -> None:
    """Let a model whose own steps are set aside use steps traced earlier."""
    vars(model).update(traces)


_DRAWS = (
    *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "ParameterizedTruncatedNormal", "TruncatedNormal"),
    *("Multinomial", "RandomShuffle", "RandomGamma", "RandomPoissonV2", "RandomBinomial"),
)


def hidden_draws(model: Any) -> list[str]:
    """Return the operations of a model's traced training step that draw random numbers from a state of their own."""
    graphs = [graph.as_graph_def() for graph in backend.step_graphs(model)]
    parts = [part for graph in graphs for part in (graph.node, *(each.node_def for each in graph.library.function))]
    return sorted({node.op for part in parts for node in part} & set(_DRAWS))


def make_metrics(model: Any, batch: Any) -> None:
    """Make the metrics of a compiled model, which Keras makes when it first computes them, on a batch."""
    inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, model)
        outputs = model(inputs, training=False)
        model.compute_loss(inputs, targets, outputs, weights)
        model.compute_metrics(inputs, targets, outputs, weights)


def leave_averages_out(changes: Changes, model: Any) -> None:
    """Keep Keras from replacing weights by their moving averages at the end of a fit, until changes are undone."""
    for optimizer in optimizers_of(model):
        changes.replace(optimizer, "finalize_variable_values", lambda *_: None)


def attributes_before(model: Any) -> Callable[[], None]:
    """Save the attributes of a model and its optimizers; return a function that restores them and removes new ones."""
    owners = [model, *(part for optimizer in optimizers_of(model) for part in parts(optimizer))]
    put_back = [attributes_of(owner) for owner in owners]

    def put_all_back() -> None:
        for put in put_back:
            put()
        for optimizer in owners[1:]:
            backend.follow_lists(optimizer)

    return put_all_back


def state_of(model: Any) -> list[Any]:
    """List the variables of a training's state: weights, recurrent states and optimizer variables, without metrics."""
    metrics = {id(variable) for metric in metrics_of(model) for variable in metric.variables}
    trained, others = backend.weights(model)
    found = {id(v): v for v in (*trained, *others, *running_state(model), *backend.optimizer_variables(model))}
    return [variable for key, variable in found.items() if key not in metrics]


def metrics_of(model: Any) -> list[Any]:
    """List a model's metrics: those from compile, and those that its layers add."""
    return list(getattr(model, "metrics", None) or ())


def running_state(model: Any) -> list[Any]:
    """List what running a model may change without a gradient: averages, states, random generators, metrics."""
    found: dict[int, Any] = {}
    for layer in backend.reached(model):
        trained = {id(variable) for variable in backend.meant_to_train(layer)}
        found.update((id(each), each) for each in backend.state_held(layer) if id(each) not in trained)
    for metric in metrics_of(model):
        found.update((id(variable), variable) for variable in metric.variables)
    return list(found.values())


def drawn_outputs(model: Any, inputs: Any) -> tuple[Any, Any]:
    """Return outputs of a model with numbers that are drawn, positive and with a sum of 1, and their masks."""
    outputs = model(inputs, training=False)
    masks = tf.nest.map_structure(backend.mask_of, outputs)
    numbers = np.random.default_rng(0)

    def drawn(output: Any) -> Any:
        found = numbers.gumbel(size=output.shape) * 2
        found = np.exp(found - found.max(axis=-1, keepdims=True))
        return tf.constant(found / found.sum(axis=-1, keepdims=True), output.dtype)

    return tf.nest.map_structure(drawn, outputs), masks


def loss_of(model: Any, inputs: Any, targets: Any, outputs: Any, masks: Any, weights: Any) -> Any:
    """Return a compiled model's loss for outputs, with the masks of their rows."""
    for output, mask in zip(tf.nest.flatten(outputs), tf.nest.flatten(masks), strict=True):
        if mask is not None:
            output._keras_mask = mask
    return model.compute_loss(inputs, targets, outputs, weights)
