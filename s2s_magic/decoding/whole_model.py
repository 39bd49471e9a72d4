"""Decoding with a whole model at each step, for decoders whose step cannot be taken apart: over all that was said.

So run decoders with self-attention, such as a Transformer's, and decoders within a layer of the user's own. It is right
for a causal decoder alone: one whose scores at a position do not depend on what comes later. That is tried out with
the model's own weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.causality import is_causal
from s2s_magic.decoding.model_functions import Output, subclassed, wired
from s2s_magic.decoding.recipe import Way
from s2s_magic.decoding.scores_output import scores_among, told
from s2s_magic.decoding.search import Step, Steps
from s2s_magic.decoding.spelling import Names
from s2s_magic.errors import first_line_of
from s2s_magic.handle import Seq2Seq

_CODE = """\
{imports}
# Its decoder may look at all that was said: so the whole model reads it again at each step, with the same layers.
{made}

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


def rereading(seq2seq: Seq2Seq, names: Names, why: str, scores: Output | None = None) -> Way | None:
    """Return how to decode a model by running all of it at each step; None if it is not causal.

    Its scores come from two inputs, of which one holds ids or one-hot vectors, as many as there are scores. That one
    feeds the decoder, if no score depends on a later id of it, and the other is the source, if scores do depend on it.

    Parameters
    ----------
    seq2seq, names
        The model.
    why
        Why its decoder cannot be run for one id at a time.
    scores
        Which output of a functional model they are.

    Raises
    ------
    DecodeError
        When the model has more inputs than two, or it cannot be told which of several outputs are scores.
    """
    if any(getattr(layer, "stateful", False) for layer in backend.reached(seq2seq.model)):
        return None  # of one batch after the other
    if backend.is_wired(seq2seq.model):
        whole = None if scores is None else wired(seq2seq, names, [scores])
    else:
        whole = subclassed(seq2seq, names)
    if whole is None:
        return None
    chosen = 0 if whole.alone else scores_among(seq2seq, whole.outputs, lambda: whole)
    causal = [place for place in (0, 1) if is_causal(whole, chosen, place)]
    if len(causal) != 1:
        return None
    if not whole.alone:
        why += f"; {told(whole.outputs[chosen])}"
    (place,) = causal
    source, fed = whole.inputs[1 - place], whole.inputs[place]
    steps, classes = fed.shape[1], fed.shape[2] if len(fed.shape) == 3 else None
    model, function = names.fresh("inference_model"), names.fresh("decode_ids")
    spoken = {
        "imports": names.imports("tf", "keras"),
        "made": whole.code(place, whole.outputs[chosen], model),
        "model": model,
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
        classes=whole.outputs[chosen].shape[2],
        longest=steps,
        note=f"decoded by running the whole model again at each step: {why}",
        stopped=_stopped,
    )


def _stopped(error: Exception) -> str:
    """Say what stopped a model that was run on what it said."""
    found = re.search(r"= (-?\d+) is not in \[0, (\d+)\)", str(error))
    if found is None:
        return f"stopped while it was decoded: {first_line_of(error)}"
    return (
        f"looks up {found[1]} in a table of {found[2]}: an id of the sources, of start or prefix, or one that it said; "
        "or a position in a source or output that is longer than it has places for, and max_length bounds outputs"
    )


def _given_code(steps: int | None, classes: int | None) -> str:
    padded = "said"
    if steps is not None:
        padded = f"tf.ensure_shape(tf.pad(said, [[0, 0], [0, {steps} - tf.shape(said)[1]]]), [None, {steps}])"
    return padded if classes is None else f"tf.one_hot({padded}, {classes})"


def _steps(model: Any, steps: int | None, classes: int | None) -> Steps:
    """Return the decoder's steps: the state is what was said, and the source."""
    dtype = backend.dtype_of(model.inputs[1])

    def step(ids: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        said, source = state
        said = tf.concat([said, ids[:, tf.newaxis]], 1)
        count = tf.shape(said)[1]
        read = said
        if steps is not None:
            read = tf.ensure_shape(tf.pad(said, [[0, 0], [0, steps - count]]), [None, steps])
        read = tf.cast(read, dtype) if classes is None else tf.one_hot(read, classes, dtype=dtype)
        return model([source, read], training=False)[:, count - 1], [said, source]

    def begin(source: Any) -> tuple[Sequence[Any], Step]:
        rows = tf.shape(source)[0]
        return [tf.zeros([rows, 0 * rows], tf.int32), source], step  # of as many steps as there will be

    return Steps(begin, constant=1, carried=0)
