"""All that is particular to Keras 2 (TensorFlow 2.13 to 2.15)."""

from __future__ import annotations

import functools
import inspect
import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType
from typing import Any

import numpy as np
import tensorflow as tf
from keras.src import initializers
from keras.src.engine import base_layer, base_layer_utils, functional, input_layer, keras_tensor, sequential, training
from keras.src.layers import core
from keras.src.layers.core import tf_op_layer
from keras.src.layers.rnn.bidirectional import Bidirectional
from keras.src.metrics.base_metric import Metric
from keras.src.mixed_precision.autocast_variable import AutoCastVariable
from keras.src.optimizers import optimizer
from tensorflow.python.util import tf_stack

from s2s_magic.undoing import Changes

Layer = base_layer.Layer
Model = training.Model

_IMPLICIT = (
    tf_op_layer.TFOpLambda,
    tf_op_layer.ClassMethod,
    tf_op_layer.InstanceProperty,
    base_layer.TensorFlowOpLayer,
)

_LISTS = Layer.trainable_weights
_COUNTERS = "_init_batch_counters"

# Keras's own calls of a model, made for the user's sake: none of these calls stands in the user's code.
_ENGINE = {
    Model: "fit evaluate predict train_on_batch test_on_batch predict_on_batch train_step test_step predict_step "
    f"build save export summary {_COUNTERS}",
    functional.Functional: "save",
    sequential.Sequential: "build",
    Layer: "compute_output_shape compute_output_signature",
}

# A model's steps as Keras has traced them.
_TRACES = ("train_function", "train_tf_function", "test_function", "predict_function")

_PLAIN = frozenset({type(None), bool, int, float, str, threading.local})

# Keras's bookkeeping, which names the same objects a second time.
_BOOKKEEPING = frozenset({
    *("_self_tracked_trackables", "_layers", "_metrics", "_obj_reference_counts_dict", "_thread_local", "_call_spec"),
    *("_inbound_nodes", "_outbound_nodes", "_inbound_nodes_value", "_outbound_nodes_value", "_network_nodes"),
    *("_trainable_weights", "_non_trainable_weights", "_input_layers", "_output_layers", "_nodes_by_depth"),
    *("_layers_by_depth", "_self_unconditional_checkpoint_dependencies", "_self_unconditional_dependency_names"),
})  # fmt: skip


def engine_codes() -> frozenset[CodeType]:
    """Give the code of Keras's own drivers: a call beneath them is a retracing or a probe, not the user's."""
    methods = [getattr(owner, name, None) for owner, names in _ENGINE.items() for name in names.split()]
    codes = {inspect.unwrap(method).__code__ for method in methods if method is not None}
    return frozenset({*codes, inspect.unwrap(tf.saved_model.save).__code__})


def is_bookkeeping(method: str) -> bool:
    """Say whether a method makes variables that belong to no layer: a model counts its batches in some."""
    return method == _COUNTERS


def is_layer(value: Any) -> bool:
    """Say whether a value can be a ledger's layer; metrics are Keras layers too, and are none here."""
    return isinstance(value, Layer) and not isinstance(value, Metric)


def is_model(layer: Any) -> bool:
    """Say whether a layer is a model."""
    return isinstance(layer, Model)


def is_functional(layer: Any) -> bool:
    """Say whether a layer is a graph of layers that the user wired, and so holds them by no attribute."""
    return isinstance(layer, functional.Functional) and not isinstance(layer, sequential.Sequential)


def is_input(layer: Any) -> bool:
    """Say whether a layer is an input."""
    return isinstance(layer, input_layer.InputLayer)


def is_attention(layer: Any) -> bool:
    """Say whether a layer is one of TensorFlow Addons' attention mechanisms, which keep a memory."""
    return type(layer).__module__.startswith("tensorflow_addons.seq2seq.attention") and hasattr(layer, "setup_memory")


def is_written(layer: Any) -> bool:
    """Say whether the user wrote a layer: it is no input, and stands for no operation."""
    return not is_input(layer) and operation(layer) is None


def is_variable(value: Any) -> bool:
    """Say whether a value is a variable."""
    return isinstance(value, (tf.Variable, AutoCastVariable))


def is_ready(layer: Any) -> bool:
    """Say whether a layer's base constructor came to its end."""
    return "_trainable_weights" in vars(layer)


def operation(layer: Any) -> str | None:
    """Name the TensorFlow operation a layer stands for, or None for a layer that the user wrote."""
    if not isinstance(layer, _IMPLICIT):
        return None
    symbol = getattr(layer, "symbol", None)
    if symbol:
        return f"tf.{symbol}"
    attribute = getattr(layer, "attr_name", None) or getattr(layer, "method_name", None)
    function = getattr(layer, "function", None)
    return str(attribute or getattr(function, "__name__", None) or layer.name)


def is_tensor(value: Any) -> bool:
    """Say whether a value is a wire: symbolic, eager, ragged or sparse."""
    return isinstance(value, (keras_tensor.KerasTensor, tf.Tensor, tf.RaggedTensor, tf.SparseTensor))


def is_keras_tensor(value: Any) -> bool:
    """Say whether a value is one of Keras's symbolic tensors, which remember the layer that made them."""
    return isinstance(value, keras_tensor.KerasTensor)


def is_wire(value: Any) -> bool:
    """Say whether a value can go into a call as a wire: a tensor, or an array of numbers."""
    return is_tensor(value) or isinstance(value, np.ndarray)


def is_wiring(arguments: Any) -> bool:
    """Say whether a call is given symbols for tensors, so that no numbers flow."""
    return any(
        is_keras_tensor(leaf) or (isinstance(leaf, tf.Tensor) and not hasattr(leaf, "numpy"))
        for leaf in tf.nest.flatten(arguments)
    )


def shape_of(value: Any) -> tuple[int | None, ...] | None:
    """Give a wire's or a variable's shape; None where not even the rank is known."""
    shape = value.shape
    if isinstance(shape, tf.TensorShape):
        return tuple(shape) if shape.rank is not None else None
    return tuple(shape)


def dtype_of(value: Any) -> str:
    """Give a wire's or a variable's dtype by name."""
    return str(value.dtype.name)


def nodes(layer: Any) -> int:
    """Count how often a layer sits in Keras's graph."""
    return len(getattr(layer, "_inbound_nodes", ()))


def input_tensor(layer: Any) -> Any:
    """Give an input layer's tensor; None where its constructor failed."""
    return layer._inbound_nodes[0].outputs if nodes(layer) else None


def bare(variable: Any) -> Any:
    """Give the variable itself where Keras wrapped it for mixed precision: identity is the bare one's."""
    return variable._variable if isinstance(variable, AutoCastVariable) else variable


def weights(layer: Any) -> tuple[list[Any], list[Any]]:
    """Give all variables that a layer and what it holds list: trainable ones, and the others."""
    if not getattr(layer, "_self_tracked_trackables", True) and type(layer).trainable_weights is _LISTS:
        own = meant_to_train(layer), meant_to_stay(layer)  # a leaf, which most layers are
        return own if layer.trainable else ([], [*own[0], *own[1]])
    try:
        return _variables(layer.trainable_weights), _variables(layer.non_trainable_weights)
    except ValueError:  # a model within has no weights yet, and Keras refuses to list those of the rest
        parts = [part for part in reached(layer) if is_ready(part)]
        trained = [v for part in parts if part.trainable for v in meant_to_train(part)]
        frozen = [v for part in parts if not part.trainable for v in meant_to_train(part)]
        return trained, [*frozen, *(v for part in parts for v in meant_to_stay(part))]


def meant_to_train(layer: Any) -> list[Any]:
    """Give the layer's own variables that would be trained if nothing were frozen."""
    return _variables(layer._trainable_weights)


def meant_to_stay(layer: Any) -> list[Any]:
    """Give the layer's own variables that are never trained, such as a batch normalization's averages."""
    return _variables(layer._non_trainable_weights)


def _variables(listed: list[Any]) -> list[Any]:
    """Leave out what Keras lists among weights without being one: a vocabulary's table."""
    return [value for value in listed if hasattr(value, "shape")]


def direct_weights(layer: Any) -> list[Any]:
    """Give the variables of the layer itself, without those of layers it holds."""
    return [*meant_to_train(layer), *meant_to_stay(layer)]


def rows(model: Any) -> list[Any]:
    """Give the layers that ``model.summary()`` has a row for."""
    return [part for part in model.layers if is_layer(part)]


def reached(model: Any) -> Iterator[Any]:
    """Yield every layer within a model, itself included."""
    return (layer for layer in model._flatten_layers() if is_layer(layer))


def children(layer: Any) -> list[tuple[str, Any]]:
    """Give (attribute path, layer) of the layers that an object holds, each once; public attributes come first.

    The layers of a functional model are on its wires: it holds none. Those of ``Sequential`` and of models that
    wire themselves in their own constructor go by their number.
    """
    if is_functional(layer) and type(layer) in (functional.Functional, Model):
        return []
    found: dict[int, tuple[str, Any]] = {}
    if not isinstance(layer, sequential.Sequential):
        for name, value in _attributes(layer, public_only=isinstance(layer, functional.Functional)):
            for path, part in _layers_in(value, name):
                if part is not layer:
                    found.setdefault(id(part), (path, part))
    if isinstance(layer, functional.Functional):
        others = [(f"layers[{number}]", part) for number, part in enumerate(layer.layers)]
    else:  # what Keras tracks though no attribute leads to it, or only through deeply nested ones
        others = [(part.name, part) for part in tracked(layer)]
    for path, part in others:
        if is_layer(part):
            found.setdefault(id(part), (path, part))
    return list(found.values())


def tracked(layer: Any) -> Iterator[Any]:
    """Yield the layers that Keras counts as directly within a layer, by attributes or on wires."""
    return (part for part in layer._flatten_layers(recursive=False, include_self=False) if is_layer(part))


def _attributes(layer: Any, *, public_only: bool = False) -> list[tuple[str, Any]]:
    """Give the attributes that can hold something of the user's, the public ones first."""
    pairs = [
        (name, value)
        for name, value in vars(layer).items()
        if type(value) not in _PLAIN and name not in _BOOKKEEPING and not (public_only and name.startswith("_"))
    ]
    return sorted(pairs, key=lambda pair: pair[0].startswith("_"))


def _layers_in(value: Any, path: str, depth: int = 2) -> Iterator[tuple[str, Any]]:
    if is_layer(value):
        yield path, value
    elif depth and isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            yield from _layers_in(part, f"{path}[{number}]", depth - 1)
    elif depth and isinstance(value, dict):
        for key, part in value.items():
            yield from _layers_in(part, f"{path}[{key!r}]", depth - 1)


def unseen(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield (attribute path, layer) of the layers that an object reaches through objects Keras does not look into.

    Keras finds layers in attributes, lists and dictionaries, and in what is itself a layer or a `tf.Module`.
    """
    for name, value in _attributes(layer):
        for path, part in _opaque_in(value, name):
            for inner, content in vars(part).items():
                yield from _layers_in(content, f"{path}.{inner}")
                for deeper, other in _opaque_in(content, f"{path}.{inner}"):
                    for last, held in vars(other).items():
                        yield from _layers_in(held, f"{deeper}.{last}")


_LIBRARIES = frozenset({"tensorflow", "keras", "numpy", "builtins", "collections", "weakref", "functools", "threading"})


def _opaque_in(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            if not isinstance(part, (list, tuple)):
                yield from _opaque_in(part, f"{path}[{number}]")
    elif (
        hasattr(value, "__dict__")
        and not isinstance(value, (tf.Module, type))
        and type(value).__module__.partition(".")[0] not in _LIBRARIES
    ):
        yield path, value


def direct_owner(layer: Any, variable: Any) -> Any:
    """Find the layer within ``layer`` that lists a variable as its own."""
    wanted = bare(variable)
    for part in reached(layer):
        if any(bare(v) is wanted for v in direct_weights(part)):
            return part
    return layer


def original_lines() -> list[tuple[str, int]]:
    """Give (file name, line) of the stack from within, with autograph's generated code traced back to its origin."""
    return [(frame.filename, frame.lineno) for frame in reversed(list(tf_stack.extract_stack()))]


def attribute_of(layer: Any, variable: Any) -> str:
    """Find the attribute by which a layer holds a variable, else the last part of the variable's own name."""
    wanted = bare(variable)
    for name, value in _attributes(layer):
        if bare(value) is wanted:
            return name
        if isinstance(value, (list, tuple)):
            for number, part in enumerate(value):
                if bare(part) is wanted:
                    return f"{name}[{number}]"
        elif isinstance(value, Metric) and any(bare(v) is wanted for v in value.variables):
            return f"{name}.{attribute_of(value, variable)}"
    return str(variable.name).rpartition("/")[2].partition(":")[0]


def is_copied(layer: Any, holders: Iterable[Any]) -> bool:
    """Say whether one of the holders made copies of a layer, and uses those instead."""
    return any(
        isinstance(holder, Bidirectional)
        and holder.layer is layer
        and layer is not holder.forward_layer
        and layer is not holder.backward_layer
        for holder in holders
    )


def calls_for_training() -> bool:
    """Say whether the call of a model that goes on is one for training."""
    return base_layer_utils.call_context().training is True


def ends(model: Any) -> tuple[list[Any], list[Any]]:
    """Give a functional model's input and output tensors; a model without wires has none."""
    if not isinstance(model, functional.Functional):
        return [], []
    return list(tf.nest.flatten(model.inputs or [])), list(tf.nest.flatten(model.outputs or []))


def output_keys(model: Any) -> list[str] | None:
    """Give the keys of a model wired with a dict of outputs, in the order of its outputs; None for any other."""
    wired = getattr(model, "_nested_outputs", None)
    return sorted(wired) if isinstance(wired, dict) else None


def initializer_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Name what fills a new variable, from the arguments of `Layer.add_weight`."""
    given = dict(zip(("name", "shape", "dtype", "initializer"), args, strict=False)) | kwargs
    found = initializers.get(given.get("initializer"))
    if found is None:
        dtype = given.get("dtype")
        return "GlorotUniform" if dtype is None or tf.as_dtype(dtype).is_floating else "Zeros"
    return str(getattr(found, "__name__", None) or type(found).__name__)


def value(variable: Any) -> Any:
    """Give what a variable holds now, as a tensor; None where it has no value yet or no numbers.

    The tensor shares the variable's memory until the variable changes, and keeps what it holds when it does.
    """
    if not (tf.executing_eagerly() and hasattr(variable, "numpy")):
        return None
    dtype = tf.as_dtype(variable.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_complex or dtype.is_bool):
        return None
    return bare(variable).value()


def norm(value: Any) -> float:
    """Measure the Euclidean norm of a tensor of numbers."""
    return float(np.linalg.norm(value.numpy().astype(np.float32, copy=False).ravel()))


def item_size(variable: Any) -> int:
    """Give the bytes of one number of a variable."""
    return int(tf.as_dtype(variable.dtype).size)


def size_of(variable: Any) -> int:
    """Count the numbers in a variable."""
    return math.prod(size or 0 for size in shape_of(variable) or ())


# What `compile` left behind. Keras 2 notes the `trainable` switch of every layer at that moment, and puts the switches
# back so for as long as `fit` and `train_on_batch` run, whatever they are by then: those switches are what is trained.
# A layer that came under the model later counts as it is. Only the next `compile` looks again.


def is_compiled(model: Any) -> bool:
    """Say whether a model was compiled."""
    return bool(getattr(model, "_is_compiled", False))


def compiled_as(model: Any) -> Any:
    """Give an object that is another one after each compiling; None before the first."""
    return vars(model).get("compiled_loss")


def compiled_at(model: Any) -> int | None:
    """Give a number that is the greater the later a model was compiled; None for one that never was.

    Each compiling makes a variable, and TensorFlow numbers variables as they come.
    """
    if not is_compiled(model):
        return None
    made = [model._steps_per_execution]
    if isinstance(model.optimizer, optimizer.Optimizer):  # with steps_per_execution="auto", the first is kept
        made.append(model.optimizer.iterations)
    return max((_number(variable) for variable in made if variable is not None), default=0)


def _number(variable: Any) -> int:
    last = str(getattr(variable, "_unique_id", "")).rpartition("_")[2]
    return int(last) if last.isdecimal() else 0


def has_trained(model: Any) -> bool:
    """Say whether `fit` or `train_on_batch` took a step with a model, in whatever cell."""
    counter = getattr(model, "_train_counter", None)
    return counter is not None and int(counter) > 0


def changed_since_compile(model: Any) -> list[tuple[Any, bool]]:
    """Give the layers of a compiled model whose switch is another now, with what compile saw."""
    saw = model._compiled_trainable_state if is_compiled(model) else {}
    return [(layer, saw[layer]) for layer in reached(model) if saw.get(layer, layer.trainable) != layer.trainable]


def trained_by_fit(model: Any) -> list[Any]:
    """Give the variables that `fit` would train now: by the switches that compile saw, where there was one."""
    changed = {id(layer): saw for layer, saw in changed_since_compile(model)}
    return weights(model)[0] if not changed else _trained_with(model, changed)


def _trained_with(layer: Any, switches: dict[int, bool]) -> list[Any]:
    """Give the variables that a layer would list as trainable with other switches."""
    if not any(id(part) in switches for part in reached(layer)):
        return weights(layer)[0]
    if not switches.get(id(layer), layer.trainable):
        return []
    found = [variable for part in tracked(layer) for variable in _trained_with(part, switches)]
    return list({id(bare(variable)): variable for variable in (*found, *meant_to_train(layer))}.values())


def has_own_step(model: Any) -> bool:
    """Say whether a model's training step is not Keras's: which variables its optimizer is given is the user's own."""
    return type(model).train_step is not Model.train_step or "train_step" in vars(model)


def known_to_optimizer(model: Any, variables: Iterable[Any]) -> list[bool] | None:
    """Say of each variable whether the model's optimizer has its place; None while it takes any.

    An optimizer makes its places once, for the variables of its first step, and refuses all others. What a training
    step of the model's own gives it is not known.
    """
    held = getattr(model, "optimizer", None)
    held = getattr(held, "inner_optimizer", held)
    if has_own_step(model):
        return None
    if not isinstance(held, optimizer.Optimizer) or not getattr(held, "_built", False):
        return None
    return [held._var_key(variable) in held._index_dict for variable in variables]


def traces_of(model: Any) -> dict[str, Any]:
    """Give a model's steps as they are traced, by name; None where one is not yet."""
    return {name: vars(model).get(name) for name in _TRACES}


def go_on_with(model: Any, traces: Mapping[str, Any]) -> None:
    """Let a model whose own steps are set aside use others that were traced earlier."""
    vars(model).update(traces)


def set_traces_aside(changes: Changes, model: Any) -> None:
    """Let a model trace its steps anew until changes are undone; then it goes on with the traces it has now.

    Where it was compiled anew in the meantime, it has none.
    """
    attributes = vars(model)
    compiled = compiled_as(model)
    traces = traces_of(model)
    # Keras notes a trace among what a model saves as well, and would keep the last one there
    model._maybe_initialize_trackable()
    noted, by_name = model._unconditional_checkpoint_dependencies, model._unconditional_dependency_names
    noted_traces = [each for each in noted if each.name in _TRACES]

    def put_back() -> None:
        same = compiled_as(model) is compiled
        attributes.update(traces if same else dict.fromkeys(_TRACES))
        again = noted_traces if same else []
        noted[:] = [*(each for each in noted if each.name not in _TRACES), *again]
        for name in _TRACES:
            by_name.pop(name, None)
        by_name.update({each.name: each.ref for each in again})

    changes.undo_by(put_back)
    attributes.update(dict.fromkeys(_TRACES))


def loss_weights(model: Any) -> list[float | None] | None:
    """Give the weight of the loss of each of a model's outputs, None for an output without one.

    None as a whole where that is not known: the model is not compiled, or its class has a training step of its own.
    """
    kept = training.Model.train_step, training.Model.compute_loss
    if not is_compiled(model) or (type(model).train_step, type(model).compute_loss) != kept:
        return None
    container = getattr(model, "compiled_loss", None)
    count = len(ends(model)[1])
    if container is None or not count:
        return None
    losses = _by_output(model, container._user_losses, count)
    weights = _by_output(model, container._user_loss_weights, count)
    if losses is None or weights is None:
        return None
    pairs = zip(losses, weights, strict=True)
    return [None if loss is None else 1.0 if weight is None else float(weight) for loss, weight in pairs]


def _by_output(model: Any, given: Any, count: int) -> list[Any] | None:
    """Spread what ``compile`` was given over a model's outputs, as Keras does; None where it does not fit."""
    if isinstance(given, dict):
        nested = getattr(model, "_nested_outputs", None)
        names = sorted(nested) if isinstance(nested, dict) and set(given) <= set(nested) else model.output_names
        given = [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        return list(given) if len(given) == count else None
    return [given] * count


def regularized(layer: Any) -> list[Any]:
    """Give the layer's own variables whose regularizer adds a loss."""
    found = []
    for function in getattr(layer, "_callable_losses", ()):
        while isinstance(function, functools.partial):
            found += [value for value in function.args if isinstance(value, (tf.Variable, AutoCastVariable))]
            function = next((value for value in function.args if isinstance(value, functools.partial)), None)
    return found


def adds_loss(layer: Any) -> bool:
    """Say whether calling a layer adds a loss of its inputs or outputs."""
    return isinstance(layer, base_layer.AddLoss) or any(
        getattr(part, "_activity_regularizer", None) is not None or getattr(part, "_losses", None)
        for part in reached(layer)
    )


def added_losses(layer: Any) -> list[Any]:
    """Give the tensors that the last call of a layer, and of what it holds, handed to ``add_loss``."""
    return [loss for part in reached(layer) if is_ready(part) for loss in (*part._losses, *part._eager_losses)]


def is_stock(layer: Any) -> bool:
    """Say whether a layer is of a class of Keras's or TFA's, with nothing replaced on the object."""
    packages = ("keras", "tensorflow", "tensorflow_addons")
    return type(layer).__module__.partition(".")[0] in packages and "call" not in vars(layer)


def is_lambda(layer: Any) -> bool:
    """Say whether a layer runs a function of the user's."""
    return isinstance(layer, core.Lambda)


def call_arguments(tensor: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the arguments of the call that made one of Keras's symbolic tensors."""
    made = tensor._keras_history
    node = made.layer._inbound_nodes[made.node_index]
    return tuple(node.call_args), dict(node.call_kwargs)


def leave_as_it_is(changes: Changes, layer: Any) -> None:
    """Have put back what a call of a layer for trial changes: the losses that it lists, and the seeds it counts up."""

    def put_back(part: Any, losses: list[Any], eager: list[Any], seed: Any) -> None:
        part._losses[:] = losses
        part._eager_losses[:] = eager
        generator = vars(part).get("_random_generator")
        if hasattr(generator, "_seed"):
            generator._seed = seed

    for part in reached(layer):
        if is_ready(part):
            seed = getattr(vars(part).get("_random_generator"), "_seed", None)
            changes.undo_by(functools.partial(put_back, part, list(part._losses), list(part._eager_losses), seed))


def disconnected(error: BaseException) -> tuple[list[Any], list[Any]] | None:
    """Give the inputs and outputs of a model that could not be made since its outputs need other inputs too.

    None for any other error.
    """
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code is functional._map_graph_network.__code__ and "disconnected" in str(error):
            ends = frame.f_locals["inputs"], frame.f_locals["outputs"]
            return list(tf.nest.flatten(ends[0])), list(tf.nest.flatten(ends[1]))
        traceback = traceback.tb_next
    return None


def sources(outputs: Iterable[Any], known: Iterable[Any]) -> list[Any]:
    """Give the input tensors that the wires of outputs lead back to, without going past known tensors."""
    seen = {id(tensor) for tensor in known}
    waiting, found = list(outputs), []
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen or not is_keras_tensor(tensor):
            continue
        seen.add(id(tensor))
        layer, number, _ = tensor._keras_history
        node = layer._inbound_nodes[number]
        if node.is_input:
            found.append(tensor)
        waiting.extend(tf.nest.flatten(node.keras_inputs))
    return found


def links(model: Any) -> list[tuple[Any, Any, Any]]:
    """Give (layer, tensor, layer) of the wires within a model, in the order of its calls; None at an output's end."""
    if not isinstance(model, functional.Functional) or not getattr(model, "_nodes_by_depth", None):
        return []
    found = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            for tensor in tf.nest.flatten(node.keras_inputs):
                if not node.is_input:
                    found.append((tensor._keras_history[0], tensor, node.layer))
    return [*found, *((tensor._keras_history[0], tensor, None) for tensor in tf.nest.flatten(model.outputs or []))]


# The wires as Keras keeps them, for writing code that runs on from them.


def history(tensor: Any) -> tuple[Any, int, int]:
    """Say what made a symbolic tensor: the layer, the number of that call in the graph, and of the output in it."""
    made = tensor._keras_history
    return made.layer, int(made.node_index), int(made.tensor_index)


def call_of(tensor: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the arguments of the call that made a symbolic tensor, as the layer's ``call`` was given them.

    A recurrent layer's initial state stands in the list of its first argument.
    """
    layer, node, _ = history(tensor)
    return arguments_of(layer, node)


def arguments_of(layer: Any, number: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the arguments of one of the calls by which a layer sits in the graph."""
    made = layer._inbound_nodes[number]
    return tuple(made.call_args), dict(made.call_kwargs)


def is_masked(tensor: Any) -> bool:
    """Say whether a mask goes with a symbolic tensor."""
    return getattr(tensor, "_keras_mask", None) is not None


def is_wired(model: Any) -> bool:
    """Say whether a model is a graph of layers with inputs and outputs; a `Sequential` is one once it is built."""
    return isinstance(model, functional.Functional) and bool(ends(model)[1])


def makes_ids(layer: Any) -> bool:
    """Say whether a layer turns text into rows of ids by a vocabulary of its own."""
    return isinstance(layer, tf.keras.layers.TextVectorization) and layer.get_config()["output_mode"] == "int"
