"""Gradient accumulation: the gradients of several batches are averaged before the optimizer makes one update.

Keras 3's own ``gradient_accumulation_steps`` is not used: with it the schedule of a learning rate counts batches and
not updates, moving averages of the weights move with each batch, the rest of an epoch waits for the next one or for
another fit, and an optimizer that is built already cannot be given it. Keras 2 has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.errors import DataError, Fault
from s2s_magic.training.norms import Recorder
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


def check_accumulates(model: Any, plan: FitPlan) -> None:
    """Refuse a plan to accumulate the gradients of a model whose updates are not one plain optimizer's.

    Raises
    ------
    DataError
        With the reason, at the place of the key.
    """
    obstacle = _obstacle(model) if plan.accumulate > 1 else None
    if obstacle is not None:
        raise DataError([Fault(*plan.place_of("accumulate"), f"gradients cannot be accumulated: {obstacle}")])


def no_plain(optimizer: Any) -> str | None:
    """Say that an object is no optimizer of the Keras at hand; None if it is one."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return None
    return f"{type(optimizer).__name__} is no plain optimizer of this Keras, such as adam(1e-3)"


def scales_loss(optimizer: Any) -> bool:
    """Return whether an optimizer scales the loss, or delegates to one that it contains."""
    return len(list(backend.parts(optimizer))) > 1 or bool(getattr(optimizer, "loss_scale_factor", None))


def _obstacle(model: Any) -> str | None:
    optimizer = model.optimizer
    name = type(optimizer).__name__
    if backend.has_own_step(model):
        return f"{type(model).__name__} has a training step of its own; accumulate in its train_step"
    if (unknown := no_plain(optimizer)) is not None:
        return unknown
    if scales_loss(optimizer):
        return f"{name} scales the loss, differently from batch to batch; mixed_bfloat16 needs no scale"
    own = getattr(optimizer, "gradient_accumulation_steps", None)
    if own:
        return f"{name} accumulates those of {own} batches itself; compile without gradient_accumulation_steps"
    if model.distribute_strategy is not tf.distribute.get_strategy():
        return "a distribution strategy sums gradients in a way of its own"
    return None


class Accumulation:
    """Averages the gradients of batches, each batch with the same weight, until an optimizer is to update.

    What the optimizer computes from gradients (clipping, weight decay, moving averages, its schedule) it computes from
    their mean, once an update. The last update of an epoch is made of what is left, so that none of it waits: after an
    epoch, there is no state but the optimizer's.

    Parameters
    ----------
    every
        So many batches for an update.

    References
    ----------
    Ott et al. 2018, "Scaling Neural Machine Translation", section 3.2 ("delayed updates"):
    https://arxiv.org/abs/1806.00187
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._batches = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._sums: dict[int, Any] = {}
        self._variables: dict[int, Any] = {}
        self._update_rest: Callable[[], Any] | None = None

    @property
    def rest(self) -> int:
        """The number of batches whose gradients no update has used so far."""
        return int(self._batches)

    def begin(self) -> None:
        """Drop what is left from an earlier fit."""
        for variable in (self._batches, *self._sums.values()):
            variable.assign(tf.zeros_like(variable))

    def watch(self, changes: Changes, optimizer: Any, recorder: Recorder) -> None:
        """Let an optimizer update once for several batches until changes are undone.

        The training step must be traced within that time, and the recorder must watch the optimizer already: it then
        sees updates, and not what makes them up.
        """

        def accumulate(pairs: Sequence[tuple[Any, Any]], update: Callable[..., Any]) -> Any:
            if all(gradient is None for gradient, _ in pairs):  # the call for the rest; Keras refuses such a step
                return self._update(pairs, update)
            self._note(optimizer, pairs)
            for gradient, variable in pairs:
                if isinstance(gradient, tf.IndexedSlices):
                    recorder.note_rows(variable)  # the mean does not show any more how it came
                    self._sums[_key(variable)].scatter_add(gradient)
                elif gradient is not None:
                    self._sums[_key(variable)].assign_add(gradient)
            batches = self._batches.assign_add(1)
            return tf.cond(
                batches >= self._every, lambda: self._update(pairs, update), lambda: tf.constant(0, tf.int64)
            )

        backend.on_update(changes, optimizer, accumulate)

        def update_rest() -> Any:
            optimizer.apply_gradients([(None, variable) for variable in self._variables.values()])

        self._update_rest = self._update_rest or tf.function(update_rest, autograph=False)

    def apply_rest(self) -> None:
        """Update with what is left of an epoch, if anything is."""
        if self.rest and self._update_rest is not None:
            self._update_rest()

    def _note(self, optimizer: Any, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Make the sums of gradients, and the optimizer's slots: within a condition no variable can be made."""
        with Changes() as changes, changes, changes:
            changes.enter(tf.init_scope())
            for gradient, variable in pairs:
                self._variables.setdefault(_key(variable), variable)
                if gradient is not None and _key(variable) not in self._sums:
                    zeros = tf.zeros(variable.shape, variable.dtype)
                    self._sums[_key(variable)] = tf.Variable(zeros, trainable=False)
        if not backend.has_slots(optimizer):
            backend.make_slots(optimizer, [variable for _, variable in pairs])

    def _update(self, pairs: Sequence[tuple[Any, Any]], update: Callable[..., Any]) -> Any:
        sums = [self._sums.get(_key(variable)) for _, variable in pairs]
        update([None if total is None else total / tf.cast(self._batches, total.dtype) for total in sums])
        for total in sums:
            if total is not None:
                total.assign(tf.zeros_like(total))
        return self._batches.assign(0) * 0


def _key(variable: Any) -> int:
    return id(backend.bare(variable))


class UpdatesTheRest(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets an epoch end with an update of what is left, before it is validated and measured."""

    _supports_tf_logs = True

    def __init__(self, accumulation: Accumulation) -> None:
        super().__init__()
        self._accumulation = accumulation

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin without what an earlier fit left."""
        self._accumulation.begin()

    def on_test_begin(self, logs: Any = None) -> None:
        """Update before the validation."""
        self._accumulation.apply_rest()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Update before the epoch is measured."""
        self._accumulation.apply_rest()
