"""A fit by several workers: each computes a part of every batch, and all make the same update from the sum.

Keras's own way, a model made in the scope of a ``MultiWorkerMirroredStrategy``, is not used: Keras 3 cannot train so
(its step gets values of several replicas that it cannot convert), nothing would run on the kernels, and the loss of a
batch would be the mean over workers, not over rows. What is summed here, and how, is the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.training.callback import NotFinite
from s2s_magic.training.collectives import at_once, combined, of_the_chief, rows_of_all, wait_until_told
from s2s_magic.training.heeding import SIGNALS
from s2s_magic.training.loss_parts import Count, rows_of
from s2s_magic.training.workers import Workers
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.training.validating import Validate

_APART = 1_000_003
"""What is added to the seeds of a worker, times its number, so that each draws other numbers in its rows."""


class Together:
    """What the workers of a fit exchange.

    After each step, the weights, the optimizer's variables, the metrics and what layers keep are the same on all of
    them: those of one worker that trained on the whole batch.

    Parameters
    ----------
    workers
        The workers.
    model
        The compiled model, whose metrics are made.
    count
        What its loss is a mean over.
    empty
        Whether a worker's part of a batch may be empty.
    """

    def __init__(self, workers: Workers, model: Any, count: Count, *, empty: bool) -> None:
        self.workers, self._model, self._count, self._empty = workers, model, count, empty
        self._asked = tf.Variable(tf.zeros([len(SIGNALS)], tf.float64), trainable=False)  # of this worker
        self._heard = tf.Variable(tf.zeros([len(SIGNALS)], tf.float64), trainable=False)  # of any, in the last step
        self._weight: Any = None
        self._states: Sequence[Any] = ()
        trackers = backend.loss_trackers(model)
        self._losses = {id(each.total): each.count for each, _ in trackers}
        self._even = {id(each.count) for each, by_rows in trackers if not by_rows}
        self._metrics = [variable for metric in backend.metrics_of(model) for variable in metric.variables]
        known = {id(each) for each in (*self._metrics, *backend.own_seeds(model))}
        self._running = [
            each for each in backend.running_state(model) if id(each) not in known and backend.floats(each)
        ]

    def draw_apart(self, states: Sequence[Any]) -> None:
        """Let each worker draw other random numbers, where all have the chief's states.

        ``states`` are those of generators that were made for the fit, each two counters and a key.
        """
        self._states = states
        for state, place in [*((each, 2) for each in states), *((each, 0) for each in backend.own_seeds(self._model))]:
            value = state.numpy()
            value[place] += self.workers.index * _APART
            state.assign(value)

    def watch(self, changes: Changes) -> None:
        """Sum gradients before each update, and metrics after each step, until changes are undone.

        What records and accumulates gradients must watch the optimizer already or not be told of a part's ones.
        """

        def update_with_all(pairs: Sequence[tuple[Any, Any]], update: Callable[..., Any]) -> Any:
            if all(gradient is None for gradient, _ in pairs):
                return update()
            return update(self._of_all(pairs))

        backend.on_update(changes, self._model.optimizer, update_with_all)
        step = self._model.train_step

        @functools.wraps(step)
        def train_step(data: Any) -> Any:
            inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
            rows = tf.cast(rows_of(inputs), tf.float64)
            self._weight = tf.cast(self._count(inputs, targets), tf.float32)
            before = [tf.cast(tf.identity(tf.convert_to_tensor(each)), tf.float64) for each in self._metrics]
            for each in self._metrics:
                each.assign(tf.zeros_like(tf.convert_to_tensor(each)))
            step(tf.nest.map_structure(_with_a_row, data) if self._empty else data)
            self._meet(rows, before)
            return backend.metric_results(self._model)

        changes.replace(self._model, "train_step", train_step)
        backend.leave_xla_out(changes, self._model)  # it has no operations between workers

    def _of_all(self, pairs: Sequence[tuple[Any, Any]]) -> list[Any]:
        """Return the gradients of the whole batch."""
        weight = self._weight
        shapes = [tuple(size or 0 for size in backend.shape_of(variable) or ()) for _, variable in pairs]
        parts = {place: _weighed(each, weight) for place, (each, _) in enumerate(pairs) if each is not None}
        sparse = {place: each for place, each in parts.items() if isinstance(each, tf.IndexedSlices)}
        kinds: dict[Any, list[int]] = {tf.float32: []}
        for place in parts.keys() - sparse.keys():
            kinds.setdefault(parts[place].dtype, []).append(place)
        found: list[Any] = [None] * len(pairs)
        whole: Any = None
        for dtype, places in kinds.items():
            flat = [tf.reshape(parts[place], [math.prod(shapes[place])]) for place in sorted(places)]
            own = tf.concat([tf.cast(weight, dtype)[None], *flat], axis=0)
            every = combined(self.workers, own, "gradients")
            first, *sums = tf.split(every, [1, *(int(each.shape[0]) for each in flat)])
            whole = tf.cast(first[0], tf.float32) if whole is None else whole
            for place, total in zip(sorted(places), sums, strict=True):
                found[place] = _share(tf.reshape(total, shapes[place]), whole)
        if sparse:
            own = tf.stack([tf.shape(each.indices)[0] for each in sparse.values()])
            most = combined(self.workers, own, "rows of gradients", "Max")
            for number, (place, each) in enumerate(sparse.items()):
                total = rows_of_all(self.workers, each, most[number], f"gradient {place}")
                found[place] = tf.IndexedSlices(_share(total.values, whole), total.indices, total.dense_shape)
        return found

    def _meet(self, rows: Any, before: Sequence[Any]) -> None:
        """Make metrics and states those of all workers, and hear which signals came to any."""
        weight = tf.cast(self._weight, tf.float64)
        own: list[Any] = [tf.stack([rows, weight]), tf.identity(self._asked)]
        for each in self._metrics:
            value = tf.cast(tf.convert_to_tensor(each), tf.float64)
            if id(each) in self._losses:
                value = tf.math.divide_no_nan(value, tf.cast(self._losses[id(each)], tf.float64)) * weight
            elif id(each) in self._even and not self.workers.is_chief:
                value = tf.zeros_like(value)
            own.append(tf.where(rows > 0, value, tf.zeros_like(value)))
        for each in self._running:
            value = tf.cast(tf.convert_to_tensor(each), tf.float64)
            own.append(tf.where(rows > 0, value * rows, tf.zeros_like(value)))
        for each in self._states:  # the counters; the parts of a batch may differ in size
            own.append(tf.cast(each[:-1], tf.float64) * float(self.workers.is_chief))
        sizes = [_size(each) for each in own]
        every = combined(self.workers, tf.concat([tf.reshape(each, [-1]) for each in own], axis=0), "metrics")
        counts, heard, *sums = (
            tf.reshape(total, each.shape) for total, each in zip(tf.split(every, sizes), own, strict=True)
        )
        self._heard.assign(heard)
        metrics = dict(zip(map(id, self._metrics), sums, strict=False))
        for each, start in zip(self._metrics, before, strict=True):
            total = metrics[id(each)]
            if id(each) in self._losses:
                total = tf.math.divide_no_nan(total, counts[1]) * metrics[id(self._losses[id(each)])]
            each.assign(tf.cast(start + total, each.dtype))
        rest = sums[len(self._metrics) :]
        for each, total in zip(self._running, rest, strict=False):
            each.assign(tf.cast(total / counts[0], each.dtype))
        for each, total in zip(self._states, rest[len(self._running) :], strict=True):
            each.assign(tf.concat([tf.cast(total, each.dtype), each[-1:]], axis=0))

    def agree(self, number: int, *, within: bool) -> int:
        """Return the signal that all workers heed now, or 0, where this one was sent ``number``, or 0.

        ``within`` says that a step has just ended, and others follow: then a signal is heeded after the next step,
        which tells the others of it.
        """
        asked = [float(number == each) for each in SIGNALS]
        if within:
            heard = self._heard.numpy().tolist()
            self._asked.assign(asked)
        else:
            heard = at_once(self.workers, asked, "signals")
        if any(heard):
            wait_until_told(self.workers)
        return next((int(each) for each, count in zip(SIGNALS, heard, strict=True) if count), 0)

    def as_chief(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the chief's values by name, on which all workers decide."""
        numbers = [float(each) for each in values.values()]
        return dict(zip(values, of_the_chief(self.workers, numbers, "values"), strict=True)) if values else {}

    def validating(self, validate: Validate) -> Validate:
        """Return what scores the validation, and has the chief's scores on all workers."""
        return lambda: self.as_chief(validate())


class Meeting(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets all workers see the same values, and end at one step where the loss breaks; Keras must call it first."""

    _supports_tf_logs = True

    def __init__(self, together: Together) -> None:
        super().__init__()
        self._together = together

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """End at the step at which the loss is not finite any more."""
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            wait_until_told(self._together.workers)
            raise NotFinite

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the chief's values."""
        if logs:
            logs.update(self._together.as_chief(logs))


def _weighed(gradient: Any, weight: Any) -> Any:
    """Return a gradient times what its part of the batch counts; zeros if that is nothing."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(_weighed(gradient.values, weight), gradient.indices, gradient.dense_shape)
    gradient = tf.convert_to_tensor(gradient)
    return tf.where(weight > 0, gradient * tf.cast(weight, gradient.dtype), tf.zeros_like(gradient))


def _share(total: Any, whole: Any) -> Any:
    return tf.math.divide_no_nan(total, tf.cast(whole, total.dtype))


def _size(tensor: Any) -> int:
    return int(tensor.shape.num_elements())


def _with_a_row(column: Any) -> Any:
    """Return a column of a batch, with a row of ones if it has none: ids and lengths that any model can read."""
    none = tf.cast(tf.equal(tf.shape(column)[0], 0), tf.int32)
    ends = tf.concat([[[0, none]], tf.zeros([column.shape.rank - 1, 2], tf.int32)], axis=0)
    filled = (
        tf.pad(column, ends)
        if column.dtype == tf.string
        else tf.pad(column, ends, constant_values=tf.ones([], column.dtype))
    )
    return tf.ensure_shape(filled, [None, *column.shape[1:]])
