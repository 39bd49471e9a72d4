"""Averaging of the weights at the ends of the last epochs of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.sequences import Numbers
from s2s_magic.errors import DataError, Fault
from s2s_magic.training.callback import Loop

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


def check_averages(model: Any, plan: FitPlan) -> None:
    """Refuse to average the weights of a model whose optimizer replaces them by moving averages in the end.

    Raises
    ------
    DataError
        At the place of the key.
    """
    optimizer = backend.bare_optimizer(getattr(model, "optimizer", None))
    if plan.average is not None and getattr(optimizer, "use_ema", False):
        said = "the optimizer keeps moving averages of the weights already (ema): average in one way"
        raise DataError([Fault(*plan.place_of("average"), said)])


class Averaging(keras.callbacks.Callback):  # type: ignore[misc]
    """Gives a model in the end the mean of its weights after each of the last epochs.

    Averaged are the variables that were trained, and the moving mean and variance of batch normalization, which go with
    the weights of their epoch. Whatever else changes (counters, states, the optimizer's variables) stays as the last
    epoch left it. A variable that did not change keeps its numbers exactly.

    With a patience, the last epoch that counts is the best one. Keras must call this after the loop.

    Parameters
    ----------
    variables
        The model's variables by a name that stays the same.
    loop
        Knows the best epoch.
    last
        So many epochs at most.

    References
    ----------
    Vaswani et al. 2017, "Attention Is All You Need", section 6.1, which averages the last 5 or 20 checkpoints:
    https://arxiv.org/abs/1706.03762
    """

    _supports_tf_logs = True

    def __init__(self, variables: Mapping[str, Any], loop: Loop, last: int) -> None:
        super().__init__()
        self._variables, self._loop, self._last = variables, loop, last
        self._kept: dict[int, dict[str, Numbers]] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights, and drop those that no mean will need."""
        kept = {**self._kept, epoch + 1: {name: value.numpy() for name, value in self._averaged().items()}}
        needed = {*self._needed(epoch + 1), *self._needed(self._loop.best_epoch or epoch + 1)}
        self._kept = {number: weights for number, weights in kept.items() if number in needed}

    def on_train_end(self, logs: Any = None) -> None:
        """Put the mean in place, and say so."""
        told = "" if self._loop.pauses else self.put()
        if told:
            self._loop.stopped = f"{self._loop.stopped or 'all epochs done'}; {told}"

    def put(self) -> str:
        """Give the model the mean; return in words what it has then, or nothing if no epoch was finished."""
        best = self._loop.best_epoch or max(self._kept, default=0)
        epochs = [number for number in self._needed(best) if number in self._kept]
        if not epochs:
            return ""
        for name in self._kept[epochs[0]]:
            first, *others = (self._kept[number][name] for number in epochs)
            wide = np.promote_types(first.dtype, np.float64)
            moved = sum(((other.astype(wide) - first.astype(wide)) for other in others), np.zeros(first.shape, wide))
            self._variables[name].assign((first.astype(wide) + moved / len(epochs)).astype(first.dtype))
        which = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
        return f"the weights are the mean of those after {which}"

    def arrays(self) -> dict[str, Numbers]:
        """Return the weights kept so far, by epoch and name: ``3.v0``."""
        return {f"{number}.{name}": value for number, kept in self._kept.items() for name, value in kept.items()}

    def take(self, arrays: Mapping[str, Numbers]) -> None:
        """Go on with the weights that `arrays` returned."""
        self._kept = {}
        for name, value in arrays.items():
            number, _, variable = name.partition(".")
            self._kept.setdefault(int(number), {})[variable] = value

    def _needed(self, epoch: int) -> range:
        return range(max(1, epoch - self._last + 1), epoch + 1)

    def _averaged(self) -> dict[str, Any]:
        """Return the variables to average, by name."""
        moving = [each for each in backend.reached(self.model) if isinstance(each, keras.layers.BatchNormalization)]
        statistics = [variable for layer in moving for variable in backend.meant_to_stay(layer)]
        known = {id(backend.bare(each)) for each in (*backend.trained_by_fit(self.model), *statistics)}
        return {
            name: each
            for name, each in self._variables.items()
            if id(backend.bare(each)) in known and backend.floats(each)
        }
