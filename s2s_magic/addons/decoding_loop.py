"""The loop that runs a decoder's steps until every sequence has ended."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import tensorflow as tf

from s2s_magic.addons.keras_at_hand import exchange_axes

LONGEST = 1000
"""The most steps of a decoding that neither ``maximum_iterations`` nor the end of given inputs bounds."""


def dynamic_decode(
    decoder: Any,
    output_time_major: bool = False,
    impute_finished: bool = False,
    maximum_iterations: Any = None,
    parallel_iterations: int = 32,
    swap_memory: bool = False,
    training: bool | None = None,
    scope: str | None = None,
    enable_tflite_convertible: bool = False,
    **kwargs: Any,
) -> tuple[Any, Any, Any]:
    """Run a decoder: `initialize` once, then `step` until every sequence has ended.

    Parameters
    ----------
    decoder : BaseDecoder or Decoder
    output_time_major : bool
        Return outputs as ``[time, batch, ...]``; else ``[batch, time, ...]``.
    impute_finished : bool
        Once a sequence has ended, output zeros and keep its state. This has no effect on a decoder that tracks its own
        finished sequences, such as a beam search.
    maximum_iterations : int or scalar tensor, optional
        The most steps, at least 1. Without it, a decoder whose inputs do not end by themselves runs at most `LONGEST`
        steps.
    parallel_iterations, swap_memory
        Passed to `tf.while_loop`.
    training : bool, optional
        Whether dropout is active.
    scope : str, optional
        Accepted for compatibility and ignored; operations are named by the layer.
    enable_tflite_convertible : bool
        Accepted for compatibility and ignored.
    **kwargs
        ``decoder_init_input`` and ``decoder_init_kwargs``, which are passed to `initialize`.

    Returns
    -------
    tuple
        ``(outputs, final state, lengths)``; lengths are int32 ``[batch]``.

    Raises
    ------
    ValueError
        If ``maximum_iterations`` is not a scalar, or is below 1.
    TypeError
        If there is any other keyword argument.
    """
    unknown = kwargs.keys() - {"decoder_init_input", "decoder_init_kwargs"}
    if unknown:
        raise TypeError(f"dynamic_decode has no argument {sorted(unknown)[0]!r}")
    most = _most_steps(decoder, maximum_iterations)
    if kwargs:
        first = decoder.initialize(kwargs.get("decoder_init_input"), **(kwargs.get("decoder_init_kwargs") or {}))
    else:
        first = decoder.initialize()
    finished, inputs, state = first
    state = tf.nest.map_structure(_tensor, state)
    inputs = tf.nest.map_structure(_tensor, inputs)
    outputs = tf.nest.map_structure(
        lambda size, dtype: tf.TensorArray(
            dtype, size=0, dynamic_size=True, element_shape=tf.TensorShape(finished.shape[:1]).concatenate(size)
        ),
        decoder.output_size,
        decoder.output_dtype,
    )
    lengths = tf.zeros_like(finished, tf.int32)

    def step(time: Any, outputs: Any, state: Any, inputs: Any, finished: Any, lengths: Any) -> tuple[Any, ...]:
        given, next_state, next_inputs, ended = decoder.step(time, inputs, state, training)
        next_state = _like(state, next_state)
        ended = ended if decoder.tracks_own_finished else tf.logical_or(ended, finished)
        tf.nest.assert_same_structure(outputs, given)
        if impute_finished and not decoder.tracks_own_finished:
            given = tf.nest.map_structure(lambda new: _where(finished, tf.zeros_like(new), new), given)
            next_state = tf.nest.map_structure(lambda old, new: _where(finished, old, new), state, next_state)
        outputs = tf.nest.map_structure(lambda array, new: array.write(time, new), outputs, given)
        # a beam inherits its parent's length, so a beam search counts lengths itself
        counted = getattr(next_state, "lengths", None)
        lengths = tf.where(finished, lengths, time + 1) if counted is None else tf.cast(counted, tf.int32)
        return time + 1, outputs, next_state, _like(inputs, next_inputs), ended, lengths

    beginning = (tf.constant(0), outputs, state, inputs, finished, lengths)
    _, outputs, state, _, _, lengths = tf.while_loop(
        lambda time, outputs, state, inputs, finished, lengths: ~tf.reduce_all(finished),
        step,
        beginning,
        parallel_iterations=parallel_iterations,
        swap_memory=swap_memory,
        maximum_iterations=most,
        shape_invariants=tf.nest.map_structure(_free_of_growing, beginning),
    )
    # after zero steps, only the array's declared shape tells that of its elements
    outputs = tf.nest.map_structure(_stacked, outputs)
    if hasattr(decoder, "finalize"):
        with suppress(NotImplementedError):
            outputs, state = decoder.finalize(outputs, state, lengths)
    if not output_time_major:
        outputs = tf.nest.map_structure(exchange_axes, outputs)
    return outputs, state, lengths


def _stacked(array: Any) -> Any:
    stacked = array.stack()
    stacked.set_shape(tf.TensorShape([None]).concatenate(array.element_shape))
    return stacked


def _most_steps(decoder: Any, maximum_iterations: Any) -> Any:
    if maximum_iterations is None:
        return None if getattr(decoder, "ends_by_itself", False) else LONGEST
    most = tf.convert_to_tensor(maximum_iterations, dtype_hint=tf.int32)
    if most.shape.rank not in (None, 0):
        raise ValueError("maximum_iterations must be a scalar")
    if isinstance(maximum_iterations, int) and maximum_iterations < 1:
        raise ValueError(f"maximum_iterations must be at least 1, and is {maximum_iterations}")
    tf.debugging.assert_positive(most, message="maximum_iterations must be at least 1")
    return tf.cast(most, tf.int32)


def _tensor(value: Any) -> Any:
    return value if isinstance(value, tf.TensorArray) else tf.convert_to_tensor(value)


def _like(structure: Any, other: Any) -> Any:
    """Return the values of ``other`` in the structure and dtypes of ``structure``, which some cells change."""

    def fit(old: Any, new: Any) -> Any:
        return new if isinstance(new, tf.TensorArray) else tf.cast(new, old.dtype)

    values = [fit(a, b) for a, b in zip(tf.nest.flatten(structure), tf.nest.flatten(other), strict=True)]
    return tf.nest.pack_sequence_as(structure, values)


def _where(finished: Any, old: Any, new: Any) -> Any:
    """Choose old values for finished sequences, else new ones; always new for a TensorArray or a scalar."""
    if isinstance(new, tf.TensorArray) or new.shape.rank == 0:
        return new
    for _ in range(new.shape.rank - finished.shape.rank):
        finished = finished[..., None]
    return tf.where(finished, old, new)


def _free_of_growing(value: Any) -> Any:
    """Return a loop variable's shape invariant: its initial shape, or unknown for a growing TensorArray."""
    return tf.TensorShape(None) if isinstance(value, tf.TensorArray) else value.shape
