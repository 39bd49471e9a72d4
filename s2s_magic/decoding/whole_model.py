"""Decoding with a whole model at each step, for decoders whose step cannot be taken apart: over all that was said.

So run decoders with self-attention, such as a Transformer's, and decoders within a layer of the user's own. It is right
for a causal decoder alone: one whose scores at a position do not depend on what comes later. That is tried out with
the model's own weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.recipe import Way
from s2s_magic.decoding.search import Step, Steps
from s2s_magic.decoding.spelling import Names
from s2s_magic.handle import Seq2Seq

_CODE = """\
{imports}
# Its decoder may look at all that was said: so the whole model reads it again at each step, with the same layers.
{model} = keras.models.Model(inputs=[{source}, {fed}], outputs={scores})

# Each row is fed its own most probable ids{until}, {longest} at most.
@tf.function(reduce_retracing=True)
def {function}(source, start):
    said, going, step = start[:, tf.newaxis], tf.fill(tf.shape(start), True), 0
    while step < {longest} and tf.reduce_any(going):
        tf.autograph.experimental.set_loop_options(shape_invariants=[(said, tf.TensorShape([None, None]))])
        scores = {model}([source, {given}], training=False)[:, step]
        last = tf.where(going, tf.argmax(scores, axis=-1, output_type=tf.int32), {end})
        going = going & (last != {end})
        said, step = tf.concat([said, last[:, tf.newaxis]], axis=1), step + 1
    return said[:, 1:]
"""
_SHORT, _LONG = 4, 6
"""Steps of the rows that a model is tried out with, where it takes any number: different ones for its inputs."""
_IDS = 3
"""Ids from 0 to this are in every vocabulary."""
_CLOSE = 1e-4
"""The largest difference, as a part of the largest score, of scores that are the same but for rounding."""


def rereading(seq2seq: Seq2Seq, names: Names, why: str) -> Way | None:
    """Return how to decode a functional model by running all of it at each step; None if it is not causal.

    It has two inputs, of which one holds ids or one-hot vectors, as many as there are scores. That one feeds the
    decoder, if no score depends on a later id of it, and the other is the source, if scores do depend on it. ``why``
    says why its decoder cannot be run for one id at a time.
    """
    (inputs, (output,)) = backend.ends(seq2seq.model)
    if len(inputs) != 2 or len(output.shape) != 3 or any(backend.dtype_of(each) == "string" for each in inputs):
        return None
    if any(getattr(layer, "stateful", False) for layer in backend.reached(seq2seq.model)):
        return None
    causal = [place for place in (0, 1) if _is_read(inputs[place], output) and _is_causal(seq2seq, place)]
    if len(causal) != 1:
        return None
    (place,) = causal
    source, fed = inputs[1 - place], inputs[place]
    steps, classes = fed.shape[1], fed.shape[2] if len(fed.shape) == 3 else None
    model, function = names.fresh("inference_model"), names.fresh("decode_ids")
    spoken = {
        "imports": names.imports("tf", "keras"),
        "model": model,
        "source": names.tensor(source),
        "fed": names.tensor(fed),
        "scores": names.tensor(output),
        "function": function,
        "given": _given_code(steps, classes),
    }

    def code(longest: int, end: int | None) -> str:
        until = "" if end is None else f" until all rows have said id {end}"
        return _CODE.format(**spoken, longest=longest, until=until, end=-1 if end is None else end).lstrip("\n")

    return Way(
        code,
        source,
        steps=lambda made: _steps(made[model], steps, classes),
        longest=steps,
        note=f"decoded by running the whole model again at each step: {why}",
    )


def _given_code(steps: int | None, classes: int | None) -> str:
    padded = "said" if steps is None else f"tf.pad(said, [[0, 0], [0, {steps} - tf.shape(said)[1]]])"
    return padded if classes is None else f"tf.one_hot({padded}, {classes})"


def _steps(model: Any, steps: int | None, classes: int | None) -> Steps:
    """Return the decoder's steps: the state is what was said, and the source."""
    dtype = backend.dtype_of(model.inputs[1])

    def step(ids: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        said, source = state
        said = tf.concat([said, ids[:, tf.newaxis]], 1)
        count = tf.shape(said)[1]
        read = said if steps is None else tf.pad(said, [[0, 0], [0, steps - count]])
        read = tf.cast(read, dtype) if classes is None else tf.one_hot(read, classes, dtype=dtype)
        return model([source, read], training=False)[:, count - 1], [said, source]

    def begin(source: Any) -> tuple[Sequence[Any], Step]:
        rows = tf.shape(source)[0]
        return [tf.zeros([rows, 0 * rows], tf.int32), source], step  # of as many steps as there will be

    return Steps(begin, constant=1, carried=0)


def _is_read(tensor: Any, output: Any) -> bool:
    """Return whether an input has the shape of what a decoder reads: ids, or one-hot vectors of the scores' classes."""
    steps = tensor.shape[1] if len(tensor.shape) > 1 else 0
    if steps != 0 and output.shape[1] not in (None, steps):
        return False
    return len(tensor.shape) == 2 or (len(tensor.shape) == 3 and tensor.shape[2] == output.shape[2])


def _is_causal(seq2seq: Seq2Seq, place: int) -> bool:
    """Try out whether each score depends on the source, and on the ids of an input up to its position, none later."""
    numbers = np.random.default_rng(0)
    inputs, (output,) = backend.ends(seq2seq.model)
    given = [
        _drawn(tensor, _LONG if number == place else _SHORT, output.shape[2], numbers)
        for number, tensor in enumerate(inputs)
    ]
    scores = _scores(seq2seq, given)
    if scores.shape[1] != given[place].shape[1] or not np.isfinite(scores).all():
        return False
    near = _CLOSE * float(np.abs(scores).max())
    for position in range(scores.shape[1]):
        changed = list(given)
        later = _drawn(inputs[place], given[place].shape[1], output.shape[2], numbers)
        changed[place] = np.concatenate([given[place][:, :position], later[:, position:]], axis=1)
        apart = np.abs(_scores(seq2seq, changed) - scores).max(axis=(0, 2))
        if apart[:position].max(initial=0) > near or (position == 0 and apart.max() <= near):
            return False
    other = [row if number == place else row[::-1] for number, row in enumerate(given)]
    if np.abs(_scores(seq2seq, other) - scores).max() <= near:  # it does not read the source
        return False
    if inputs[place].shape[1] is None:  # nor does it depend on how many there are
        shorter = [row[:, :-2] if number == place else row for number, row in enumerate(given)]
        return bool(np.abs(_scores(seq2seq, shorter) - scores[:, :-2]).max() <= near)
    return True


def _drawn(tensor: Any, steps: int, classes: int, numbers: np.random.Generator) -> Any:
    """Draw rows for an input: ids, one-hot vectors if they are as long as there are classes, else numbers."""
    sizes = [4, *(size if size is not None else steps for size in tensor.shape[1:])]
    if len(sizes) == 2 and sizes[1]:
        return numbers.integers(1, _IDS + 1, sizes).astype(backend.dtype_of(tensor))
    if len(sizes) == 3 and sizes[2] == classes:
        return np.eye(classes, dtype=backend.dtype_of(tensor))[numbers.integers(0, classes, sizes[:2])]
    return numbers.normal(size=sizes).astype(backend.dtype_of(tensor))


def _scores(seq2seq: Seq2Seq, given: Sequence[Any]) -> Any:
    model = seq2seq.model
    assert model is not None
    rows = tf.nest.pack_sequence_as(model.input, [tf.constant(each) for each in given])
    return np.asarray(tf.nest.flatten(model(rows, training=False))[0], np.float64)
