"""Luong and Bahdanau attention, which may attend to any position at any step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.addons.attention_functions import probability_function
from s2s_magic.addons.attention_memory import AttentionMechanism
from s2s_magic.addons.keras_at_hand import registered, serialize


def projection(units: int, name: str, dtype: Any) -> Any:
    """Return a linear layer without bias."""
    return keras.layers.Dense(units, name=name, use_bias=False, dtype=dtype)


@registered
class LuongAttention(AttentionMechanism):
    """Multiplicative attention: scores are dot products. Luong et al., 2015, https://arxiv.org/abs/1508.04025.

    Parameters
    ----------
    units : int
        The depth of the keys; queries must have the same depth.
    memory, memory_sequence_length
        As for `AttentionMechanism`.
    scale : bool
        Multiply scores by a trainable scalar, ``attention_g``.
    probability_fn : str or callable
        ``"softmax"``, ``"hardmax"`` or a function of the scores.
    dtype, name, **kwargs
        Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        units: int,
        memory: Any = None,
        memory_sequence_length: Any = None,
        scale: bool = False,
        probability_fn: str | Callable[..., Any] = "softmax",
        dtype: Any = None,
        name: str = "LuongAttention",
        **kwargs: Any,
    ) -> None:
        self.units = units
        self.scale = scale
        self.given_probability_fn = probability_fn
        super().__init__(
            memory,
            probability_function(probability_fn),
            memory_layer=projection(units, "memory_layer", dtype),
            memory_sequence_length=memory_sequence_length,
            dtype=dtype,
            name=name,
            **kwargs,
        )

    def build(self, input_shape: Any = None) -> None:
        """Create ``attention_g`` if scores are scaled."""
        self.attention_g = self.add_weight(name="attention_g", shape=(), initializer="ones") if self.scale else None
        self.built = True

    def _calculate_attention(self, query: Any, state: Any) -> tuple[Any, Any]:
        score = luong_score(query, self.keys, self.attention_g)
        alignments = self.probability_fn(self.masked(score))
        return alignments, alignments

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        settings = {"units": self.units, "scale": self.scale, "probability_fn": _saved(self.given_probability_fn)}
        return {**super().get_config(), **settings}


def luong_score(query: Any, keys: Any, scale: Any) -> Any:
    """Return scores ``[batch, memory]`` of a query ``[batch, units]`` against keys ``[batch, memory, units]``.

    Raises
    ------
    ValueError
        If query and keys have different depths.
    """
    if query.shape[-1] != keys.shape[-1]:
        depths = f"{query.shape[-1]} and {keys.shape[-1]}"
        raise ValueError(f"queries and keys have the depths {depths}: units must be the depth of queries")
    score = tf.linalg.matvec(keys, query)
    return score if scale is None else tf.cast(scale, score.dtype) * score


@registered
class BahdanauAttention(AttentionMechanism):
    """Additive attention: scores come from a tanh layer. Bahdanau et al., 2014, https://arxiv.org/abs/1409.0473.

    Parameters
    ----------
    units : int
        The depth to which queries and keys are projected before they are added.
    memory, memory_sequence_length
        As for `AttentionMechanism`.
    normalize : bool
        Normalize the weight vector ``attention_v`` (https://arxiv.org/abs/1602.07868) and add a trainable bias.
    probability_fn : str or callable
        ``"softmax"``, ``"hardmax"`` or a function of the scores.
    kernel_initializer : str or initializer
        For ``attention_v``.
    dtype, name, **kwargs
        Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        units: int,
        memory: Any = None,
        memory_sequence_length: Any = None,
        normalize: bool = False,
        probability_fn: str | Callable[..., Any] = "softmax",
        kernel_initializer: Any = "glorot_uniform",
        dtype: Any = None,
        name: str = "BahdanauAttention",
        **kwargs: Any,
    ) -> None:
        self.units = units
        self.normalize = normalize
        self.given_probability_fn = probability_fn
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        super().__init__(
            memory,
            probability_function(probability_fn),
            query_layer=projection(units, "query_layer", dtype),
            memory_layer=projection(units, "memory_layer", dtype),
            memory_sequence_length=memory_sequence_length,
            dtype=dtype,
            name=name,
            **kwargs,
        )

    def build(self, input_shape: Any = None) -> None:
        """Create ``attention_v``, and ``attention_g`` and ``attention_b`` if it is normalized."""
        self.attention_v = self.add_weight(name="attention_v", shape=(self.units,), initializer=self.kernel_initializer)
        add_normalization(self)
        self.built = True

    def _calculate_attention(self, query: Any, state: Any) -> tuple[Any, Any]:
        score = bahdanau_score(self.query_layer(query), self.keys, self.attention_v, self.attention_g, self.attention_b)
        alignments = self.probability_fn(self.masked(score))
        return alignments, alignments

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        return {
            **super().get_config(),
            "units": self.units,
            "normalize": self.normalize,
            "probability_fn": _saved(self.given_probability_fn),
            "kernel_initializer": serialize(self.kernel_initializer),
        }


def add_normalization(mechanism: Any) -> None:
    """Create ``attention_g`` and ``attention_b`` of a mechanism that normalizes ``attention_v``; else set them None."""
    mechanism.attention_g = mechanism.attention_b = None
    if mechanism.normalize:
        size = keras.initializers.Constant(mechanism.units**-0.5)
        mechanism.attention_g = mechanism.add_weight(name="attention_g", shape=(), initializer=size)
        mechanism.attention_b = mechanism.add_weight(name="attention_b", shape=(mechanism.units,), initializer="zeros")


def bahdanau_score(query: Any, keys: Any, v: Any, g: Any, b: Any) -> Any:
    """Return scores ``[batch, memory]`` of a projected query ``[batch, units]`` and keys ``[batch, memory, units]``."""
    total = keys + query[:, None, :]
    v = tf.cast(v, total.dtype)
    if g is not None:
        v = tf.cast(g, total.dtype) * v * tf.math.rsqrt(tf.reduce_sum(tf.square(v)))
        total += tf.cast(b, total.dtype)
    return tf.reduce_sum(v * tf.tanh(total), axis=-1)


def _saved(probability_fn: str | Callable[..., Any]) -> Any:
    return serialize(probability_fn) if callable(probability_fn) else probability_fn


def attend(mechanism: Any, cell_output: Any, attention_state: Any, attention_layer: Any) -> tuple[Any, Any, Any]:
    """Return ``(attention, alignments, next attention state)`` of one step.

    Attention is the context (the values averaged by alignments), or ``attention_layer`` of cell output and context.
    """
    alignments, next_state = mechanism([cell_output, attention_state])
    values = mechanism.values
    context = tf.linalg.matvec(values, tf.cast(alignments, values.dtype), transpose_a=True)
    if attention_layer is None:
        return context, alignments, next_state
    return attention_layer(tf.concat([cell_output, context], axis=-1)), alignments, next_state
