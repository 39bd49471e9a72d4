"""Monotonic attention mechanisms: each step attends at or after the position of the previous step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.addons.attention_functions import monotonic_probability
from s2s_magic.addons.attention_mechanisms import add_normalization, bahdanau_score, luong_score, projection
from s2s_magic.addons.attention_memory import AttentionMechanism
from s2s_magic.addons.keras_at_hand import registered, serialize

MODES = ("recursive", "parallel", "hard")


class _MonotonicAttention(AttentionMechanism):
    """The base class of both: a trainable bias for scores, and alignments that depend on the previous ones."""

    def __init__(
        self,
        memory: Any,
        probability_fn: Callable[..., Any],
        sigmoid_noise: float,
        sigmoid_noise_seed: int | None,
        score_bias_init: float,
        mode: str,
        **kwargs: Any,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be 'recursive', 'parallel' or 'hard', and is {mode!r}")
        self.settings = {
            "sigmoid_noise": sigmoid_noise,
            "sigmoid_noise_seed": sigmoid_noise_seed,
            "score_bias_init": score_bias_init,
            "mode": mode,
        }
        super().__init__(memory, probability_fn, **kwargs)

    def score_bias(self) -> Any:
        """Create the scalar bias that is added to scores."""
        beginning = keras.initializers.Constant(self.settings["score_bias_init"])
        return self.add_weight(name="attention_score_bias", shape=(), initializer=beginning)

    def initial_alignments(self, batch_size: Any, dtype: Any) -> Any:
        """Return the alignments before the first step: 1 at the first position, ``[batch, memory]``."""
        return tf.one_hot(tf.zeros([batch_size], tf.int32), self.alignments_size, dtype=dtype)

    def aligned(self, score: Any, state: Any) -> tuple[Any, Any]:
        """Return the alignments twice: they are also the next state."""
        score += tf.cast(self.attention_score_bias, score.dtype)
        alignments = self.probability_fn(self.masked(score), tf.cast(state, score.dtype))
        return alignments, alignments

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        return {**super().get_config(), **self.settings}


def _probability(sigmoid_noise: float, mode: str, seed: int | None) -> Callable[..., Any]:
    return partial(monotonic_probability, sigmoid_noise=sigmoid_noise, mode=mode, seed=seed)


@registered
class BahdanauMonotonicAttention(_MonotonicAttention):
    """Monotonic attention with the scores of `BahdanauAttention`. Raffel et al., 2017.

    Source: https://arxiv.org/abs/1704.00784.

    Parameters
    ----------
    units, memory, memory_sequence_length, normalize, kernel_initializer
        As for `BahdanauAttention`.
    sigmoid_noise : float
        Standard deviation of the noise added to scores; in training, a value above 0 makes choices more discrete.
    sigmoid_noise_seed : int, optional
    score_bias_init : float
        Initial value of the bias added to scores; use a value below 0 for long memories.
    mode : str
        As for `monotonic_attention`.
    dtype, name, **kwargs
        Passed to `keras.layers.Layer`.

    Raises
    ------
    ValueError
        If the mode is unknown.
    """

    def __init__(
        self,
        units: int,
        memory: Any = None,
        memory_sequence_length: Any = None,
        normalize: bool = False,
        sigmoid_noise: float = 0.0,
        sigmoid_noise_seed: int | None = None,
        score_bias_init: float = 0.0,
        mode: str = "parallel",
        kernel_initializer: Any = "glorot_uniform",
        dtype: Any = None,
        name: str = "BahdanauMonotonicAttention",
        **kwargs: Any,
    ) -> None:
        self.units = units
        self.normalize = normalize
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        super().__init__(
            memory,
            _probability(sigmoid_noise, mode, sigmoid_noise_seed),
            sigmoid_noise,
            sigmoid_noise_seed,
            score_bias_init,
            mode,
            query_layer=projection(units, "query_layer", dtype),
            memory_layer=projection(units, "memory_layer", dtype),
            memory_sequence_length=memory_sequence_length,
            dtype=dtype,
            name=name,
            **kwargs,
        )

    def build(self, input_shape: Any = None) -> None:
        """Create the mechanism's own variables."""
        self.attention_v = self.add_weight(name="attention_v", shape=(self.units,), initializer=self.kernel_initializer)
        self.attention_score_bias = self.score_bias()
        add_normalization(self)
        self.built = True

    def _calculate_attention(self, query: Any, state: Any) -> tuple[Any, Any]:
        query = self.query_layer(query)
        score = bahdanau_score(query, self.keys, self.attention_v, self.attention_g, self.attention_b)
        return self.aligned(score, state)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        settings = {"units": self.units, "normalize": self.normalize}
        return {**super().get_config(), **settings, "kernel_initializer": serialize(self.kernel_initializer)}


@registered
class LuongMonotonicAttention(_MonotonicAttention):
    """Monotonic attention with the scores of `LuongAttention`. Raffel et al., 2017, https://arxiv.org/abs/1704.00784.

    Parameters
    ----------
    units, memory, memory_sequence_length, scale
        As for `LuongAttention`.
    sigmoid_noise, sigmoid_noise_seed, score_bias_init, mode, dtype, name, **kwargs
        As for `BahdanauMonotonicAttention`.

    Raises
    ------
    ValueError
        If the mode is unknown.
    """

    def __init__(
        self,
        units: int,
        memory: Any = None,
        memory_sequence_length: Any = None,
        scale: bool = False,
        sigmoid_noise: float = 0.0,
        sigmoid_noise_seed: int | None = None,
        score_bias_init: float = 0.0,
        mode: str = "parallel",
        dtype: Any = None,
        name: str = "LuongMonotonicAttention",
        **kwargs: Any,
    ) -> None:
        self.units = units
        self.scale = scale
        super().__init__(
            memory,
            _probability(sigmoid_noise, mode, sigmoid_noise_seed),
            sigmoid_noise,
            sigmoid_noise_seed,
            score_bias_init,
            mode,
            memory_layer=projection(units, "memory_layer", dtype),
            memory_sequence_length=memory_sequence_length,
            dtype=dtype,
            name=name,
            **kwargs,
        )

    def build(self, input_shape: Any = None) -> None:
        """Create the mechanism's own variables."""
        self.attention_g = self.add_weight(name="attention_g", shape=(), initializer="ones") if self.scale else None
        self.attention_score_bias = self.score_bias()
        self.built = True

    def _calculate_attention(self, query: Any, state: Any) -> tuple[Any, Any]:
        return self.aligned(luong_score(query, self.keys, self.attention_g), state)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as Keras saves them."""
        return {**super().get_config(), "units": self.units, "scale": self.scale}
