"""The callback of a fit: evidence, progress, early stopping, and the state after the last finite epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.scores.measures import HIGHER_IS_BETTER
from s2s_magic.training.norms import Epoch, Recorder
from s2s_magic.training.owning import Owned
from s2s_magic.training.progress import PAUSE, Progress, Show
from s2s_magic.training.reached import Reached, State, put_values


def at_most_once_a_second(call: Callable[[], object]) -> Callable[[], None]:
    """Return a function that calls ``call``, unless it did so less than a second ago."""
    last = -math.inf

    def throttled() -> None:
        nonlocal last
        if time.monotonic() - last >= 1:
            call()
            last = time.monotonic()

    return throttled


class NotFinite(Exception):
    """The loss or a weight became NaN or infinite."""


class Loop(keras.callbacks.Callback):  # type: ignore[misc]
    """Measures one fit, shows its progress, and stops it early.

    Parameters
    ----------
    recorder
        Measures each epoch.
    show
        Receives the progress.
    name, epochs, steps
        The model's name, the number of epochs, and the steps in each.
    patience
        Epochs without a better validation after which to stop and restore the best epoch's state; None for never.
    scheduled
        Whether to record the learning rate of each epoch's last step, as ``learning_rate``.
    seen, rows
        For progress in pairs: how many there were after a step of an epoch, and how many an epoch has.
    owned
        What the progress shows of each owner; None for nothing.

    Attributes
    ----------
    stopped
        In words, why the fit stopped early and which state was restored; None if neither.
    validate
        Called at the end of each epoch; returns further values of the validation by name. The first is the one that
        ``patience`` counts on, if there are any.
    after_epoch
        What to call at the end of each epoch, after it was measured.
    steps_before
        Steps that were taken in a process before this one.
    pauses
        Whether what Keras takes for the end of the training is none.
    failed
        Whether a step failed while it ran: TensorFlow may have counted it all the same.
    after_beginning
        Called when an epoch has begun.
    """

    _supports_tf_logs = True  # Keras then leaves the values on the device until they are read.

    def __init__(
        self,
        recorder: Recorder,
        show: Show,
        *,
        name: str,
        epochs: int,
        steps: int,
        patience: int | None,
        scheduled: bool = False,
        seen: Callable[[int, int], int] | None = None,
        rows: int = 0,
        owned: Owned | None = None,
    ) -> None:
        super().__init__()
        self._recorder, self._show = recorder, show
        self._name, self._planned, self._patience, self._scheduled = name, epochs, patience, scheduled
        self.steps, self._seen, self._rows, self._owned = steps, seen, rows, owned
        self._measured: list[tuple[dict[str, float], Epoch, int]] = []  # with the steps done so far
        self.stopped: str | None = None
        self.validate: Callable[[], Mapping[str, float]] = dict
        self.after_epoch: list[Callable[[], object]] = []
        self.steps_before = 0
        self.pauses = self.failed = False
        self.after_beginning: Callable[[], object] = lambda: None
        self._began_training = False
        self._seen_steps = self._step = self._before = 0
        self._skipped = self._skips = 0  # steps of this epoch that another process took, and of the next one
        self._epoch = 1
        self._values: Mapping[str, float] = {}
        self._running: Any = {}
        self._began = self._looked = time.monotonic()
        self._best = (math.inf, 0)
        self._sound: State = []
        self._best_state: State | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the fit began."""
        return time.monotonic() - self._began

    @property
    def epochs(self) -> list[tuple[dict[str, float], Epoch]]:
        """The metrics (including the loss) and the norms of each epoch, including one that was interrupted."""
        return [(values, epoch) for values, epoch, _ in self._measured]

    @property
    def steps_seen(self) -> int:
        """Steps that Keras has reported, in this process or in one before it."""
        return self._seen_steps

    @property
    def within_epoch(self) -> bool:
        """Whether an epoch has begun and has steps left."""
        return 0 < self._step < self.steps

    @property
    def best_epoch(self) -> int | None:
        """The epoch, from 1, with the best validation so far; None without a patience."""
        return None if self._patience is None else self._best[1] or None

    @property
    def steps_done(self) -> int:
        """Steps taken, including one that Keras has not reported yet, if it has not failed."""
        counted = self._began_training and not self.failed
        taken = self._before + backend.steps_taken(self.model) if counted else 0
        return max(self._seen_steps, taken)

    @property
    def reached(self) -> tuple[int, int]:
        """The current epoch, from 1, and the steps taken in it."""
        whole = [done for *_, done in self._measured]
        epoch = max(1, min(self._epoch, len(whole) + 1))
        return epoch, self.steps_done - (whole[epoch - 2] if epoch > 1 else 0)

    def on_train_begin(self, logs: Any = None) -> None:
        """Save the state before the first step."""
        self._sound = self._state()
        self._before = self._seen_steps - backend.steps_taken(self.model)
        self._began_training = True
        self._tell()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Reset the counts of the epoch."""
        self._running = {}
        self._epoch, self._step = epoch + 1, self._skips
        self._skipped, self._skips = self._skips, 0
        self._recorder.begin_epoch()
        self.after_beginning()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Check the loss only a few times a second: to read it, the host waits for the device."""
        step = self._skipped + batch + 1
        self._seen_steps += step - self._step
        self._step, self._running = step, logs
        now = time.monotonic()
        if now - self._looked >= PAUSE:
            self._looked = now
            self._values = _numbers(logs)
            self._check(self._values)
            self._tell()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure the epoch, and save its state if it is finite."""
        self._values = _numbers(logs)
        self._check(self._values)
        if self._scheduled:
            optimizer = backend.bare_optimizer(self.model.optimizer)
            self._values = {**self._values, "learning_rate": backend.current_learning_rate(optimizer)}
        measured = self._recorder.end_epoch()
        if not np.isfinite(measured.norm).all():
            raise NotFinite
        sound = self._state()
        self._measured.append((dict(self._values), measured, self.steps_done))
        self._sound = sound
        found = self.validate()
        self._values = {**self._values, **found}
        self._measured[-1][0].update(found)
        self._draw(self._measured[-1:])
        self._tell(self.steps)
        for call in self.after_epoch:
            call()
        monitored = next(iter(found), "val_loss" if "val_loss" in self._values else "loss")
        if self._patience is not None or monitored in self._values:
            self._weigh(epoch + 1, monitored)

    def _weigh(self, epoch: int, monitored: str) -> None:
        value = self._values[monitored]
        if monitored.removeprefix("val_") in HIGHER_IS_BETTER:
            value = -value
        if value < self._best[0]:
            self._best, self._best_state = (value, epoch), self._sound if self._patience is not None else None
        elif self._patience is not None and epoch - self._best[1] >= self._patience:
            self.model.stop_training = True
            self.stopped = f"no better {monitored} for {epoch - self._best[1]} epochs"

    def on_train_end(self, logs: Any = None) -> None:
        """Restore the best epoch's state, if there is a patience."""
        if self.pauses:
            return
        if self._best_state is not None and self._best[1] < len(self._measured):
            put_values(self._best_state)
            backend.put_averages(self.model)  # Keras did so already, with the last epoch's
            self.stopped = (
                f"{self.stopped or 'all epochs done'}; the state after epoch {self._best[1]}, the best, was put back"
            )

    def cut_off(self) -> None:
        """Measure an interrupted epoch up to its last step; further calls do nothing."""
        done = self.steps_done
        if done > (self._measured[-1][2] if self._measured else 0):
            told = self._running if done == self._seen_steps else None  # else Keras has not reported the last step
            values = _numbers(told or backend.metric_results(self.model) or self._running)
            self._measured.append((values, self._recorder.end_epoch(), done))
            self._draw(self._measured[-1:])

    def put_back(self) -> None:
        """Restore the state after the last finite epoch, or the state before the fit if there is none."""
        put_values(self._sound)

    def reached_so_far(self) -> Reached:
        """Return all that is known of the fit so far; to be called between two steps."""
        state = None if self._best_state is None else [value for _, value in self._best_state]
        best = self._best if self._best[1] else None
        return Reached(self.seconds, self._seen_steps, tuple(self._measured), best, state)

    def go_on(self, reached: Reached) -> None:
        """Go on from what `reached_so_far` returned; the variables have the values of then."""
        self._began = time.monotonic() - reached.seconds
        self._seen_steps = self.steps_before = reached.steps
        self._measured = list(reached.measured)
        self._draw(self._measured)
        self._skips = reached.steps - (reached.measured[-1][2] if reached.measured else 0)
        self._best = reached.best or self._best
        if reached.best_state is not None:
            self._best_state = list(zip(backend.state_of(self.model), reached.best_state, strict=True))

    def finish(self, state: str) -> None:
        """Show how the fit ended, if its beginning was shown."""
        if not self._began_training:
            return
        self._values = self._measured[-1][0] if self._measured else {}
        self._epoch = max(1, len(self._measured))
        self._tell(self.steps, state)

    def _state(self) -> State:
        return [(variable, variable.numpy()) for variable in backend.state_of(self.model)]

    def _check(self, values: Mapping[str, float]) -> None:
        if not math.isfinite(values.get("loss", 0.0)):
            raise NotFinite

    def _draw(self, measured: Sequence[tuple[dict[str, float], Epoch, int]]) -> None:
        if self._owned is not None:
            for values, epoch, _ in measured:
                self._owned.add(values, epoch)

    def _tell(self, step: int | None = None, state: str = "running") -> None:
        done = self._step if step is None else step
        told = Progress(self._name, self._epoch, self._planned, done, self.steps, self._values, self.seconds, state)
        if self._owned is not None:
            told = replace(told, curves=self._owned.curves)
        if self._seen is not None:
            told = replace(
                told, pairs=self._rows, seen=self._rows if step == self.steps else self._seen(self._epoch, done)
            )
        self._show(told)


def _numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}


def merged(earlier: Mapping[str, Sequence[float | None]], epochs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Append the epochs of a fit to the history of earlier fits; None where a fit has no value."""
    before = max((len(values) for values in earlier.values()), default=0)
    names = dict.fromkeys([*earlier, *(name for epoch in epochs for name in epoch)])
    return {name: (*earlier.get(name, [None] * before), *(epoch.get(name) for epoch in epochs)) for name in names}
