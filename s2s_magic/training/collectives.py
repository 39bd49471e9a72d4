"""Numbers that all workers compute together: sums over workers, and rows of all of them.

These are TensorFlow's own collective operations, those that ``tf.distribute.MultiWorkerMirroredStrategy`` runs in its
replicas, over the connections that it made. Every worker must call the same ones in the same order.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.errors import FitError
from s2s_magic.training.workers import Workers

GROUP = 2_000_003
"""The number of the group of all workers; a strategy counts its own from 1."""
SECONDS = 600.0
"""How long a worker waits for the others: longer than any checkpoint takes to be written."""


def combined(workers: Workers, numbers: Any, name: str, how: str = "Add") -> Any:
    """Return the sum over workers of a tensor whose shape is the same on each, or with ``how`` its "Max" or "Min"."""
    return tf.raw_ops.CollectiveReduceV2(
        input=numbers,
        group_key=GROUP,
        instance_key=_key(f"{name} {how} {numbers.dtype.name} {numbers.shape}"),
        **_common(workers),
        merge_op=how,
        final_op="Id",
    )


def rows_of_all(workers: Workers, slices: Any, rows: Any, name: str) -> Any:
    """Return the sparse gradient that the workers' ones make up, filled up with zeros to so many rows of each worker.

    ``rows`` must be the greatest number that any of them has.
    """
    missing = rows - tf.shape(slices.indices)[0]
    values = tf.pad(slices.values, [[0, missing], *([0, 0] for _ in slices.values.shape[1:])])
    first = tf.pad(slices.indices, [[0, 1]])[:1]  # rows of zeros go where there are others, if there are any
    indices = tf.concat([slices.indices, tf.tile(first, [missing])], axis=0)

    def gathered(part: Any, what: str) -> Any:
        found = tf.raw_ops.CollectiveGatherV2(
            input=part,
            group_key=GROUP,
            instance_key=(_key(f"{name} {what} {part.dtype.name} {part.shape[1:]}") >> 1) + rows,  # one shape a key
            **_common(workers),
        )
        return tf.ensure_shape(found, [None, *part.shape[1:]])

    every = gathered(values, "values"), gathered(indices, "indices")
    return tf.IndexedSlices(*every, dense_shape=slices.dense_shape)


def _common(workers: Workers) -> dict[str, Any]:
    return {"group_size": workers.count, "ordering_token": [], "timeout_seconds": SECONDS}


def _key(said: str) -> int:
    return zlib.crc32(said.encode()) & 0x3FFFFFFF


def at_once(workers: Workers, numbers: Sequence[float], name: str, how: str = "Add") -> list[float]:
    """Combine numbers outside a step."""
    return [float(each) for each in _now(workers, tf.constant(numbers, tf.float64), name, how).numpy()]


def _now(workers: Workers, numbers: Any, name: str, how: str = "Add") -> Any:
    return _compiled(workers, name, how, tuple(numbers.shape), numbers.dtype)(numbers)


@functools.cache
def _compiled(workers: Workers, name: str, how: str, shape: tuple[int, ...], dtype: Any) -> Any:
    call = tf.function(lambda given: combined(workers, given, name, how), autograph=False)
    return call.get_concrete_function(tf.TensorSpec(shape, dtype))


def of_the_chief(workers: Workers, numbers: Sequence[float], name: str) -> list[float]:
    """Return the chief's numbers; those of the others only have to be as many."""
    return at_once(workers, numbers if workers.is_chief else [0.0] * len(numbers), name)


def take_from_chief(workers: Workers, variables: Sequence[Any]) -> None:
    """Give variables the values that the chief's have."""
    groups: dict[Any, list[Any]] = {}
    for variable in variables:
        dtype = tf.as_dtype(variable.dtype)
        if dtype != tf.string:
            groups.setdefault(dtype if dtype.is_floating else tf.int64, []).append(variable)
    for wide, group in groups.items():
        own = tf.concat([tf.reshape(tf.cast(tf.convert_to_tensor(each), wide), [-1]) for each in group], axis=0)
        every = _now(workers, own if workers.is_chief else tf.zeros_like(own), "state")
        for variable, numbers in zip(group, tf.split(every, [backend.size_of(each) for each in group]), strict=True):
            variable.assign(tf.cast(tf.reshape(numbers, backend.shape_of(variable)), variable.dtype))


def check_same(workers: Workers, sums: dict[str, str]) -> None:
    """Compare checksums by what they are of.

    Raises
    ------
    FitError
        On every worker, with what is not the same on all of them.
    """
    numbers = [float(zlib.crc32(each.encode())) for each in sums.values()]
    least, most = (at_once(workers, numbers, "checksums", how) for how in ("Min", "Max"))
    others = [name for name, one, other in zip(sums, least, most, strict=True) if one != other]
    if others:
        wait_until_told(workers)
        raise FitError(
            f"the {workers.count} workers cannot train one model: {' and '.join(others)} must be the same on all of "
            "them; use the same files, or folders that all of them share"
        )


def wait_until_told(workers: Workers) -> None:
    """Wait until all workers know what they compared last: one that ends before takes the answer from the others."""
    with suppress(tf.errors.OpError):  # another one knows it and has ended, or has gone; this one knows it
        at_once(workers, [0.0], "told")


def loss_of_a_worker(workers: Workers | None, error: Exception, steps: int) -> FitError | None:
    """Return what to say if an error shows that the connection of workers is lost; None if it has another cause.

    ``steps`` were taken before.
    """
    gone = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)
    if workers is None or not (isinstance(error, gone) or "ollective" in str(error)):
        return None
    return FitError(
        f"{workers} lost the others after step {steps:,}: one of them ended, or cannot be reached any more. Start all "
        "of them again; where the fit has 'checkpoint' and 'resume', they go on from its last checkpoint"
    )


def end_together(workers: Workers) -> None:
    """Wait until all workers have trained: the process of the chief keeps track of the others.

    Raises
    ------
    FitError
        When one of them is lost.
    """
    try:
        at_once(workers, [0.0], "end")
    except tf.errors.OpError as error:
        raise FitError(f"{workers} has trained, and another one ended before it could say the same") from error
    wait_until_told(workers)


def described(model: Any) -> str:
    """Return the shapes and dtypes of all variables of a training."""
    return " ".join(f"{backend.dtype_of(each)}{backend.shape_of(each)}" for each in backend.state_of(model))
