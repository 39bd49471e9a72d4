"""Learning-rate schedules: Keras's own, and warm-up and the inverse square root, which it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow import keras

if TYPE_CHECKING:
    from s2s_magic.spec import Named


@keras.utils.register_keras_serializable(package="s2s_magic")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Grow the learning rate linearly over the first steps, then follow another schedule from its beginning.

    Parameters
    ----------
    after
        The rate after the warm-up: a number, or a schedule that begins there.
    warmup
        Steps until the rate is reached; the first step has a ``1 / warmup`` of it.

    References
    ----------
    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2: https://arxiv.org/abs/1706.02677
    """

    def __init__(self, after: Any, warmup: int) -> None:
        super().__init__()
        self.after, self.warmup = after, warmup

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0."""
        done = tf.cast(step, tf.float32)
        later = self._at(tf.maximum(done - self.warmup, 0.0))
        return tf.where(done < self.warmup, self._at(tf.zeros(())) * (done + 1) / self.warmup, later)

    def _at(self, step: Any) -> Any:
        return tf.cast(self.after(step) if callable(self.after) else self.after, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, a schedule in Keras's serialized form."""
        after = self.after
        return {
            "after": keras.optimizers.schedules.serialize(after) if callable(after) else after,
            "warmup": self.warmup,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """Make the schedule that `get_config` described."""
        after = config["after"]
        if isinstance(after, dict):
            after = keras.optimizers.schedules.deserialize(after)
        return cls(after, config["warmup"])


@keras.utils.register_keras_serializable(package="s2s_magic")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Grow the learning rate linearly to its peak, then let it fall with the square root of the steps.

    Parameters
    ----------
    rate
        The highest rate, which the last step of the warm-up has.
    warmup
        Steps until then.

    References
    ----------
    Vaswani et al. 2017, "Attention Is All You Need", equation 3, where the highest rate is ``(units * warmup) ** -0.5``
    at ``units`` of the model: https://arxiv.org/abs/1706.03762
    """

    def __init__(self, rate: float, warmup: int) -> None:
        super().__init__()
        self.rate, self.warmup = rate, warmup

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0."""
        number = tf.cast(step, tf.float32) + 1
        return self.rate * tf.minimum(number / self.warmup, tf.sqrt(self.warmup / number))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"rate": self.rate, "warmup": self.warmup}


def schedule_of(named: Named) -> Any:
    """Return the learning rate that a fit body names: a schedule of Keras's kind, or the number that it starts from.

    ``steps`` of a schedule count from the end of its warm-up.
    """
    settings = {"factor": 1.0 if named.kind == "noam" else 0.5, "end": 0.0, "warmup": 0, **named.arguments}
    rate, steps, warmup = settings.get("rate", 0.0), settings.get("steps", 0), settings["warmup"]
    schedules = keras.optimizers.schedules
    if named.kind == "plateau":
        return rate
    if named.kind == "noam":
        return InverseSquareRoot(settings["factor"] * (settings["units"] * warmup) ** -0.5, warmup)
    if named.kind == "inverse_sqrt":
        return InverseSquareRoot(rate, warmup)
    after = rate
    if named.kind == "linear":
        after = schedules.PolynomialDecay(rate, steps, end_learning_rate=settings["end"])
    elif named.kind == "cosine":
        after = schedules.CosineDecay(rate, steps, alpha=settings["end"] / rate)
    elif named.kind == "exponential":
        after = schedules.ExponentialDecay(rate, steps, settings["factor"])
    return WarmUp(after, warmup) if warmup else after


def plateau_callback(named: Named, *, monitor: str) -> Any:
    """Return Keras's callback that multiplies the rate by ``factor`` when ``monitor`` stops getting better."""
    settings = named.arguments
    return keras.callbacks.ReduceLROnPlateau(
        monitor=monitor,
        factor=settings.get("factor", 0.5),
        patience=settings.get("patience", 2),
        min_lr=settings.get("least", 0.0),
        verbose=0,
    )
