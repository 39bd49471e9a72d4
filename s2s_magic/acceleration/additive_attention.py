"""Running the scores of Keras's additive attention on a kernel."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.acceleration.overriding import override
from s2s_magic.acceleration.understood import strangeness
from s2s_magic.kernels.additive_scores import additive_scores
from s2s_magic.undoing import Changes

_TYPES = ("float32", "float64")


def additive_attentions(model: Any) -> list[Any]:
    """Return a model's layers of additive attention, each once, including those in other layers."""
    layers = {id(layer): layer for layer in backend.reached(model)}
    return [layer for layer in layers.values() if isinstance(layer, keras.layers.AdditiveAttention)]


def attention_obstacle(layer: Any) -> str | None:
    """Return why additive attention cannot compute its scores on the kernel; None if it can."""
    if (odd := strangeness(layer)) is not None:
        return odd
    if not layer.use_scale:
        return "use_scale=False is left to Keras"
    if layer.compute_dtype not in _TYPES:
        return f"it computes in {layer.compute_dtype}"
    return None


def accelerate_attention(changes: Changes, layer: Any) -> None:
    """Compute the scores of additive attention that has no `attention_obstacle` on the kernel."""
    by_keras = getattr(layer, backend.ATTENTION_SCORES)

    def scores(self: Any, query: Any, key: Any) -> Any:
        weights = tf.convert_to_tensor(layer.scale)
        values = (query, key, weights)
        known = all(isinstance(value, tf.Tensor) and value.dtype == layer.compute_dtype for value in values)
        if not known or query.shape.rank != 3 or key.shape.rank != 3 or weights.shape.rank != 1:
            return by_keras(query=query, key=key)
        return additive_scores(query, key, weights)

    override(changes, layer, backend.ATTENTION_SCORES, scores)
