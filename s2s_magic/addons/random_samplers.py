"""Samplers that draw at random: ids from the scores, or whether to use a given input or the decoder's own output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from s2s_magic.addons.keras_at_hand import registered
from s2s_magic.addons.samplers import GreedyEmbeddingSampler, TrainingSampler, one_tensor, table_lookup


def _drawn_ids(logits: Any, seed: int | None) -> Any:
    return tf.squeeze(tf.random.categorical(logits, 1, seed=seed, dtype=tf.int32), axis=1)


def _drawn_switches(probability: Any, batch_size: Any, seed: Any) -> Any:
    """Draw bools ``[batch]`` that are True with a probability."""
    return tf.random.uniform([batch_size], seed=seed) < tf.cast(probability, tf.float32)


@registered
class SampleEmbeddingSampler(GreedyEmbeddingSampler):
    """Draws an id from the softmax of the scores; its embedding is the next input.

    Parameters
    ----------
    embedding_fn : callable, optional
        As for `GreedyEmbeddingSampler`.
    softmax_temperature : float, optional
        Divides the scores: a value below 1 makes likely ids likelier.
    seed : int, optional
    """

    def __init__(
        self,
        embedding_fn: Callable[..., Any] | None = None,
        softmax_temperature: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(embedding_fn)
        self.softmax_temperature = softmax_temperature
        self.seed = seed

    def arguments(self) -> dict[str, Any]:  # noqa: D102
        return {**super().arguments(), "softmax_temperature": self.softmax_temperature, "seed": self.seed}

    def sample(self, time: Any, outputs: Any, state: Any) -> Any:
        """Draw ids, int32 ``[batch]``."""
        logits = one_tensor(outputs)
        if self.softmax_temperature is not None:
            logits = logits / tf.cast(self.softmax_temperature, logits.dtype)
        return _drawn_ids(logits, self.seed)


@registered
class ScheduledEmbeddingTrainingSampler(TrainingSampler):
    """Scheduled sampling: with a probability, the next input is the embedding of a drawn id, not the given input.

    A sample is the drawn id where it is used, and -1 where the given input is used. Bengio et al., 2015,
    https://arxiv.org/abs/1506.03099.

    Parameters
    ----------
    sampling_probability : float or scalar tensor
        The probability that a drawn id is used, per sequence and step.
    embedding_fn : callable, optional
        Maps ids to inputs; without it, the call needs ``embedding``, a table ``[ids, depth]``.
    time_major : bool
    seed, scheduling_seed : int, optional
        For drawing ids, and for drawing whether to use them.
    """

    def __init__(
        self,
        sampling_probability: Any,
        embedding_fn: Callable[..., Any] | None = None,
        time_major: bool = False,
        seed: int | None = None,
        scheduling_seed: Any = None,
    ) -> None:
        super().__init__(time_major)
        self.sampling_probability = _probability(sampling_probability)
        self.embedding_fn = embedding_fn
        self.seed = seed
        self.scheduling_seed = scheduling_seed
        self._embed: Callable[..., Any] | None = embedding_fn
        self._chance = self.sampling_probability

    def arguments(self) -> dict[str, Any]:  # noqa: D102
        return {
            "sampling_probability": self.sampling_probability,
            "embedding_fn": self.embedding_fn,
            **super().arguments(),
            "seed": self.seed,
            "scheduling_seed": self.scheduling_seed,
        }

    def initialize(  # type: ignore[override]
        self,
        inputs: Any,
        sequence_length: Any = None,
        mask: Any = None,
        embedding: Any = None,
        sampling_probability: Any = None,
    ) -> tuple[Any, Any]:
        """Take inputs and lengths as `TrainingSampler` does, and the embedding table if there is no ``embedding_fn``.

        ``sampling_probability``, a scalar tensor, stands for that of the sampler during this call: it may come from a
        layer, and change from step to step of the training. (TensorFlow Addons' sampler takes none here.)

        Raises
        ------
        ValueError
            If there is neither a table nor an ``embedding_fn``.
        """
        if self.embedding_fn is None:
            if embedding is None:
                raise ValueError("an embedding table or the sampler's embedding_fn is needed")
            self._embed = table_lookup(embedding)
        self._chance = self.sampling_probability if sampling_probability is None else sampling_probability
        return super().initialize(inputs, sequence_length=sequence_length, mask=mask)

    def sample(self, time: Any, outputs: Any, state: Any) -> Any:
        """Draw ids where they are used, and -1 elsewhere; int32 ``[batch]``."""
        used = _drawn_switches(self._chance, self.batch_size, self.scheduling_seed)
        ids = _drawn_ids(one_tensor(outputs), self.seed)
        return tf.where(used, ids, tf.fill(tf.shape(ids), -1))

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any) -> tuple[Any, Any, Any]:
        """Return the embedding where an id was drawn, else the given input."""
        finished, given, state = super().next_inputs(time, outputs, state, sample_ids)
        assert self._embed is not None
        embedded = tf.cast(self._embed(tf.maximum(sample_ids, 0)), given.dtype)
        used = (sample_ids >= 0)[:, None] & tf.logical_not(tf.reduce_all(finished))
        return finished, tf.where(used, embedded, given), state


@registered
class ScheduledOutputTrainingSampler(TrainingSampler):
    """With a probability, uses the decoder's own output as next input, not the given one.

    Parameters
    ----------
    sampling_probability : float or scalar tensor
        The probability that the output is used, per sequence and step.
    time_major : bool
    seed : int, optional
    next_inputs_fn : callable, optional
        Maps outputs ``[batch, depth]`` to inputs; without it, outputs are used unchanged.
    """

    def __init__(
        self,
        sampling_probability: Any,
        time_major: bool = False,
        seed: int | None = None,
        next_inputs_fn: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(time_major)
        self.sampling_probability = _probability(sampling_probability)
        self.seed = seed
        self.next_inputs_fn = next_inputs_fn
        self._auxiliary: Any = None

    def arguments(self) -> dict[str, Any]:  # noqa: D102
        return {
            "sampling_probability": self.sampling_probability,
            **super().arguments(),
            "seed": self.seed,
            "next_inputs_fn": self.next_inputs_fn,
        }

    def initialize(  # type: ignore[override]
        self, inputs: Any, sequence_length: Any = None, mask: Any = None, auxiliary_inputs: Any = None
    ) -> tuple[Any, Any]:
        """Take inputs and lengths as `TrainingSampler` does.

        ``auxiliary_inputs`` ``[batch, time, more]`` are appended to the input of every step, whichever it is.
        """
        self._auxiliary = auxiliary_inputs
        if auxiliary_inputs is not None:
            auxiliary_inputs = tf.convert_to_tensor(auxiliary_inputs)
            self._auxiliary = auxiliary_inputs.shape[-1]
            inputs = tf.nest.map_structure(lambda x: tf.concat([x, auxiliary_inputs], axis=-1), inputs)
        return super().initialize(inputs, sequence_length=sequence_length, mask=mask)

    def sample(self, time: Any, outputs: Any, state: Any) -> Any:
        """Draw whether the output is used: 1 or 0, int32 ``[batch]``."""
        return tf.cast(_drawn_switches(self.sampling_probability, self.batch_size, self.seed), tf.int32)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any) -> tuple[Any, Any, Any]:
        """Return the decoder's output where that was drawn, else the given input."""
        finished, given, state = super().next_inputs(time, outputs, state, sample_ids)
        own = outputs if self.next_inputs_fn is None else self.next_inputs_fn(outputs)
        if self._auxiliary is not None:
            own = tf.concat([tf.cast(own, given.dtype), given[:, -self._auxiliary :]], axis=-1)
        used = (sample_ids > 0)[:, None] & tf.logical_not(tf.reduce_all(finished))
        return finished, tf.where(used, tf.cast(own, given.dtype), given), state


def _probability(value: Any) -> Any:
    """Return the value if it may be a probability; a tensor, which may change in training, is not range-checked.

    Raises
    ------
    ValueError
        If it is not a scalar, or is a number outside 0 to 1.
    """
    if tf.convert_to_tensor(value).shape.rank not in (None, 0):
        raise ValueError("sampling_probability must be a scalar")
    if isinstance(value, (int, float)) and not 0 <= value <= 1:
        raise ValueError(f"sampling_probability must be between 0 and 1, and is {value}")
    return value
