"""Cross entropy on an output layer's own inputs, so that all the logits need never be there at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from keras.src.engine import base_layer_utils
from tensorflow import keras

from s2s_magic.acceleration.overriding import overridden
from s2s_magic.kernels import projected_cross_entropy

Projections = dict[tuple[int, str], tuple[Any, Any, Any, bool]]
"""By graph and name of logits: what the layer read, its weights, its bias, and whether this is training."""

_REDUCTIONS = ("auto", "sum_over_batch_size", "sum")


@contextmanager
def accelerated_dense(layer: Any, projections: Projections) -> Iterator[None]:
    """Let a dense layer remember what its logits are made of."""
    by_keras = layer.call

    def call(inputs: Any) -> Any:
        graph = getattr(inputs, "graph", None) if tf.is_symbolic_tensor(inputs) else None
        if graph is None or inputs.shape.rank != 3 or layer.compute_dtype not in ("float32", "float64"):
            return by_keras(inputs)
        kernel = tf.convert_to_tensor(layer.kernel)
        bias = tf.convert_to_tensor(layer.bias) if layer.use_bias else None
        rows = tf.reshape(inputs, [-1, kernel.shape[0]])
        logits = tf.matmul(rows, kernel)
        logits = logits if bias is None else tf.nn.bias_add(logits, bias)
        logits = tf.reshape(logits, tf.concat([tf.shape(inputs)[:2], [kernel.shape[1]]], 0))
        logits.set_shape([*inputs.shape[:2], kernel.shape[1]])
        training = base_layer_utils.call_context().training is True
        projections[id(graph), logits.name] = (rows, kernel, bias, training)
        return logits if layer.activation is None else layer.activation(logits)

    with overridden(layer, "call", call):
        yield


def loss_obstacle(model: Any) -> str | None:
    """Say in words why a compiled model's loss is computed from all its logits; None where it need not be."""
    ours = keras.Model
    if type(model).train_step is not ours.train_step or type(model).compute_loss is not ours.compute_loss:
        return f"{type(model).__name__} has a training step of its own"
    if len(model.outputs or []) != 1:
        return "the model has not one output"
    if model.compiled_metrics is not None and (
        model.compiled_metrics._user_metrics or model.compiled_metrics._user_weighted_metrics
    ):
        return "metrics look at all the probabilities"
    loss = model.compiled_loss._user_losses
    loss = loss[0] if isinstance(loss, list | tuple) and len(loss) == 1 else loss
    if loss == "sparse_categorical_crossentropy" or loss is keras.losses.sparse_categorical_crossentropy:
        return None
    if type(loss) is not keras.losses.SparseCategoricalCrossentropy:
        name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
        return f"{name}: understood is sparse_categorical_crossentropy"
    if loss._fn_kwargs.get("ignore_class") is not None or loss.reduction not in _REDUCTIONS:
        return "ignore_class and reduction=none are left to Keras"
    return None


@contextmanager
def accelerated_loss(model: Any, projections: Projections) -> Iterator[None]:
    """Compute a loss without `loss_obstacle` block by block, wherever the logits come from a dense layer."""
    by_keras = model.compute_loss

    def compute_loss(x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        container = model.compiled_loss
        if not container.built:
            container.build(y_pred)
        kept = container._losses
        container._losses = [_by_blocks(loss, projections) for loss in kept]
        try:
            return by_keras(x, y, y_pred, sample_weight)
        finally:
            container._losses = kept

    with overridden(model, "compute_loss", compute_loss):
        yield


def _by_blocks(by_keras: Any, projections: Projections) -> Any:
    """Give a loss function that looks through probabilities and logits to the dense layer that made them."""

    def loss(y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        found = projections.get(_logits_key(y_pred, by_keras._fn_kwargs.get("from_logits", False)))
        weights = None if sample_weight is None else tf.convert_to_tensor(sample_weight)
        if (
            found is None
            or y_true.shape.rank != 2
            or (weights is not None and weights.shape.rank not in (1, 2))
            or getattr(y_pred, "_keras_mask", None) is not None
        ):
            return by_keras(y_true, y_pred, sample_weight=sample_weight)
        rows, kernel, bias, training = found
        shape = tf.shape(y_pred)[:2]
        same = tf.debugging.assert_equal(tf.shape(y_true), shape, "targets and output differ in shape")
        with tf.control_dependencies([same]):
            labels = tf.reshape(tf.cast(y_true, tf.int64), [-1])
        share = 1.0 if by_keras.reduction == "sum" else tf.math.divide_no_nan(1.0, tf.cast(tf.size(labels), rows.dtype))
        if weights is None:
            weights = tf.fill(shape, tf.cast(share, rows.dtype))
        else:
            weights = tf.cast(weights[:, None] if weights.shape.rank == 1 else weights, rows.dtype)
            weights = tf.broadcast_to(weights * share, shape)
        return projected_cross_entropy(rows, kernel, bias, labels, tf.reshape(weights, [-1]), with_gradient=training)

    loss.reduction = by_keras.reduction  # type: ignore[attr-defined]
    return loss


def _logits_key(y_pred: Any, from_logits: bool) -> tuple[int, str]:
    """Give graph and name of the logits that an output is, or is the softmax of."""
    if not tf.is_symbolic_tensor(y_pred):
        return 0, ""
    logits = y_pred
    if not from_logits:
        logits = getattr(y_pred, "_keras_logits", None)
        if logits is None and y_pred.op.type == "Softmax":
            logits = y_pred.op.inputs[0]
    return (0, "") if logits is None else (id(logits.graph), logits.name)
