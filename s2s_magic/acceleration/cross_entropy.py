"""Cross-entropy computed from the inputs of the output layer, so that the logits are never all in memory at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.acceleration.overriding import override
from s2s_magic.acceleration.understood import is_known_function, replaced_method, strangeness
from s2s_magic.kernels import projected_cross_entropy
from s2s_magic.source.dialect import OPERATIONS, Dialect
from s2s_magic.source.loss_code import masked_loss
from s2s_magic.undoing import Changes

Projections = dict[tuple[int, str], tuple[Any, Any, Any, bool]]
"""By graph and name of logits: the dense layer's inputs, kernel and bias, and whether the call is for training."""

_REDUCTIONS = ("auto", "sum_over_batch_size", "sum")
_SETTINGS = {"from_logits", "ignore_class", "axis"}
_STEPS = ("train_step", "test_step", "compute_loss", "make_train_function")


def note_projections(changes: Changes, layer: Any, projections: Projections) -> None:
    """Record what an unmodified dense layer computes its logits from, until the changes are undone."""
    by_keras = layer.call

    def call(self: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        graph = getattr(inputs, "graph", None) if tf.is_symbolic_tensor(inputs) else None
        if graph is None or inputs.shape.rank != 3 or layer.compute_dtype not in ("float32", "float64"):
            return by_keras(inputs, *args, **kwargs)
        kernel = tf.convert_to_tensor(layer.kernel)
        if kernel.dtype != inputs.dtype:
            return by_keras(inputs, *args, **kwargs)
        bias = tf.convert_to_tensor(layer.bias) if layer.use_bias else None
        rows = tf.reshape(inputs, [-1, kernel.shape[0]])
        logits = tf.matmul(rows, kernel)
        logits = logits if bias is None else tf.nn.bias_add(logits, bias)
        logits = tf.reshape(logits, tf.concat([tf.shape(inputs)[:2], [kernel.shape[1]]], 0))
        logits.set_shape([*inputs.shape[:2], kernel.shape[1]])
        training = backend.calls_for_training()
        projections[id(graph), logits.name] = (inputs, kernel, bias, training)
        return logits if layer.activation is None else layer.activation(logits)

    override(changes, layer, "call", call)


def loss_obstacle(model: Any) -> str | None:
    """Return why a compiled model's loss must be computed from all logits at once; None if it need not be."""
    ours = keras.Model
    if any(getattr(type(model), name) is not getattr(ours, name) for name in _STEPS):
        return f"{type(model).__name__} has a training step of its own"
    replaced = replaced_method(model)
    if replaced is not None:
        return f"the model's {replaced} is overridden on the object, and that override stays"
    if not model.loss:  # None, or the empty dict of Keras 2
        return "the model was compiled without one"
    if (odd := strangeness(backend.loss_container(model))) is not None:
        return odd
    if len(backend.ends(model)[1]) != 1:
        return "the model has not one output"
    loss = backend.given_loss(model)
    loss = loss[0] if isinstance(loss, list | tuple) and len(loss) == 1 else loss
    if _is_generated(loss):
        return None
    function = keras.losses.sparse_categorical_crossentropy
    if not is_known_function(function):
        return "keras.losses.sparse_categorical_crossentropy is not the one that Keras came with"
    if loss in ("sparse_categorical_crossentropy", function):
        return None
    if type(loss) is not keras.losses.SparseCategoricalCrossentropy:
        name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
        return f"{name}: understood is sparse_categorical_crossentropy"
    if (odd := strangeness(loss)) is not None:
        return odd
    settings = backend.loss_settings(loss)
    if loss.fn is not function or set(settings) - _SETTINGS:
        return "the function of the loss, or what it is called with, is not the one that it came with"
    if settings.get("axis", -1) != -1:
        return f"axis={settings['axis']} is left to Keras"
    if settings.get("ignore_class") is not None or loss.reduction not in _REDUCTIONS:
        return "ignore_class and reduction=none are left to Keras"
    return None


def accelerate_loss(changes: Changes, model: Any, projections: Projections) -> None:
    """Compute a loss that has no `loss_obstacle` in blocks, wherever the logits come from a dense layer."""
    by_keras = model.compute_loss

    def compute_loss(self: Any, x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **kwargs: Any) -> Any:
        with Changes() as for_this_call, for_this_call, for_this_call:
            backend.replace_losses(for_this_call, model, y, y_pred, lambda loss: _by_blocks(loss, projections))
            return by_keras(x, y, y_pred, *args, **kwargs)

    override(changes, model, "compute_loss", compute_loss)


def _by_blocks(by_keras: Any, projections: Projections) -> Any:
    """Return a loss function that finds the dense layer behind probabilities or logits, and works on its inputs."""

    def loss(y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        found = projections.get(_logits_key(y_pred, backend.loss_settings(by_keras).get("from_logits", False)))
        weights = None if sample_weight is None else tf.convert_to_tensor(sample_weight)
        if (
            found is None
            or y_true.shape.rank != 2
            or (weights is not None and weights.shape.rank not in (1, 2))
            or backend.is_masked(y_pred)
            or (weights is not None and _is_generated(by_keras.fn))
        ):
            return by_keras(y_true, y_pred, sample_weight=sample_weight)
        read, kernel, bias, training = found
        rows = tf.reshape(read, [-1, kernel.shape[0]])
        shape = tf.shape(read)[:2]  # the shape of the probabilities would require computing them
        masked = _is_generated(by_keras.fn)
        targets = y_true[:, : shape[1]] if masked else y_true
        same = tf.debugging.assert_equal(tf.shape(targets), shape, "targets and output differ in shape")
        with tf.control_dependencies([same]):
            labels = tf.reshape(tf.cast(targets, tf.int64), [-1])
        if masked:
            real = tf.cast(tf.not_equal(labels, by_keras.fn.__globals__["padding"]), rows.dtype)
            shares = tf.math.divide_no_nan(real, tf.reduce_sum(real))
        else:
            count = 1 if by_keras.reduction == "sum" else tf.maximum(tf.size(labels), 1)
            given = tf.ones([1, 1], rows.dtype) if weights is None else tf.cast(weights, rows.dtype)
            given = given[:, None] if given.shape.rank == 1 else given
            shares = tf.reshape(tf.broadcast_to(given / tf.cast(count, rows.dtype), shape), [-1])
        return projected_cross_entropy(rows, kernel, bias, labels, shares, with_gradient=training)

    loss.reduction = by_keras.reduction  # type: ignore[attr-defined]
    return loss


def _logits_key(y_pred: Any, from_logits: bool) -> tuple[int, str]:
    """Return graph and name of an output's logits: the output itself, or the input of its softmax."""
    if not tf.is_symbolic_tensor(y_pred):
        return 0, ""
    logits = y_pred
    if not from_logits:
        logits = backend.logits_behind(y_pred)
        if logits is None and y_pred.op.type == "Softmax":
            logits = y_pred.op.inputs[0]
    return (0, "") if logits is None else (id(logits.graph), logits.name)


def _is_generated(loss: Any) -> bool:
    """Return whether a loss is the masked loss of generated source: the same code, with the same globals."""
    if not isinstance(loss, FunctionType) or loss.__closure__ or loss.__defaults__ or loss.__kwdefaults__:
        return False
    names = loss.__globals__
    losses = getattr(names.get("keras"), "losses", None)
    same_losses = (
        getattr(losses, "sparse_categorical_crossentropy", None) is keras.losses.sparse_categorical_crossentropy
    )
    ops = getattr(keras, "ops", None)
    same_functions = names.get("tf", tf) is tf and getattr(names.get("keras"), "ops", ops) is ops
    known = same_functions and same_losses and type(names.get("padding")) is int
    return known and _compared(loss.__code__) in _generated()


@cache
def _generated() -> Sequence[Any]:
    dialects = [Dialect(), *(Dialect("keras", operations) for operations in OPERATIONS)]
    modules = [compile(masked_loss(dialect), "<generated>", "exec") for dialect in dialects]
    codes = [c for module in modules for c in module.co_consts if isinstance(c, CodeType)]
    return [_compared(code) for code in codes if code.co_name == "masked_loss"]


def _compared(code: CodeType) -> Any:
    return code.co_code, code.co_consts, code.co_names, code.co_varnames
