"""Decoding with a whole model at each step, for decoders whose step cannot be taken apart: over all that was said.

So run decoders with self-attention, such as a Transformer's, and decoders within a layer of the user's own. It is right
for a causal decoder alone: one whose scores at a position do not depend on what comes later. That is tried out with
the model's own weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
_SHORT, _LONG = 4, 6
"""Steps of the rows that a model is tried out with, where it takes any number: different ones for its inputs."""
_IDS = 3
"""Ids from 0 to this are in every vocabulary."""
_CLOSE = 1e-4
"""The largest difference, as a part of the largest score, of scores that are the same but for rounding."""


@dataclass(frozen=True)
class _Whole:
    """A model as a function of two inputs.

    Attributes
    ----------
    inputs
        Two symbolic tensors; of a model without wires they only say what it takes.
    scores
        The shape of what it gives.
    run
        From two arrays to the scores.
    code
        From which input is fed, 0 or 1, and a name, to code that makes a functional model of that name, over the
        source and what is fed.
    """

    inputs: Sequence[Any]
    scores: Sequence[int | None]
    run: Callable[[Sequence[Any]], Any]
    code: Callable[[int, str], str]


def rereading(seq2seq: Seq2Seq, names: Names, why: str) -> Way | None:
    """Return how to decode a model by running all of it at each step; None if it is not causal.

    It has two inputs, of which one holds ids or one-hot vectors, as many as there are scores. That one feeds the
    decoder, if no score depends on a later id of it, and the other is the source, if scores do depend on it. ``why``
    says why its decoder cannot be run for one id at a time.
    """
    if any(getattr(layer, "stateful", False) for layer in backend.reached(seq2seq.model)):
        return None
    whole = _wired(seq2seq, names) if backend.is_wired(seq2seq.model) else _subclassed(seq2seq, names)
    if whole is None:
        return None
    causal = [place for place in (0, 1) if _is_read(whole.inputs[place], whole.scores) and _is_causal(whole, place)]
    if len(causal) != 1:
        return None
    (place,) = causal
    source, fed = whole.inputs[1 - place], whole.inputs[place]
    steps, classes = fed.shape[1], fed.shape[2] if len(fed.shape) == 3 else None
    model, function = names.fresh("inference_model"), names.fresh("decode_ids")
    spoken = {
        "imports": names.imports("tf", "keras"),
        "made": whole.code(place, model),
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
        longest=steps,
        note=f"decoded by running the whole model again at each step: {why}",
    )


def _wired(seq2seq: Seq2Seq, names: Names) -> _Whole | None:
    """Describe a functional model, if it has two inputs and one output."""
    model = seq2seq.model
    inputs, outputs = backend.ends(model)
    if len(inputs) != 2 or len(outputs) != 1 or any(backend.dtype_of(each) == "string" for each in inputs):
        return None

    def run(given: Sequence[Any]) -> Any:
        assert model is not None
        rows = tf.nest.pack_sequence_as(model.input, [tf.constant(each) for each in given])
        return tf.nest.flatten(model(rows, training=False))[0]

    def code(place: int, made: str) -> str:
        source, fed = (names.tensor(inputs[number]) for number in (1 - place, place))
        return f"{made} = keras.models.Model(inputs=[{source}, {fed}], outputs={names.tensor(outputs[0])})"

    return _Whole(inputs, outputs[0].shape, run, code)


def _subclassed(seq2seq: Seq2Seq, names: Names) -> _Whole | None:
    """Describe a model without wires that was called with two inputs: with a tuple, a list, or a dictionary of them."""
    model = seq2seq.model
    shapes = backend.built_for(model)
    if shapes is None or len(shapes) != 2:
        return None
    keys = list(shapes) if isinstance(shapes, dict) else None
    shapes = [shapes[key] for key in keys] if keys is not None else list(shapes)
    if not all(isinstance(shape, list | tuple) and len(shape) in (2, 3) for shape in shapes):
        return None
    kinds = ["int32" if len(shape) == 2 else "float32" for shape in shapes]
    inputs = [
        tf.keras.Input([None, *shape[2:]], dtype=kind, name="given") for shape, kind in zip(shapes, kinds, strict=True)
    ]  # of any number of steps: those it was built for are those of the rows it saw

    def run(given: Sequence[Any]) -> Any:
        assert model is not None
        rows = [tf.constant(each) for each in given]
        return model(dict(zip(keys, rows, strict=True)) if keys is not None else tuple(rows), training=False)

    numbers = np.random.default_rng(0)
    scores = run([_drawn(tensor, _LONG, None, numbers) for tensor in inputs])
    if not hasattr(scores, "shape") or len(scores.shape) != 3:
        return None

    def code(place: int, made: str) -> str:
        spoken = ["fed", "source"] if place == 0 else ["source", "fed"]
        spoken = [names.fresh(name) for name in spoken]
        lines = [
            f'{name} = keras.layers.Input(shape=[{", ".join(map(str, tensor.shape[1:]))}], dtype="{kind}")'
            for name, tensor, kind in zip(spoken, inputs, kinds, strict=True)
        ]
        pairs = ", ".join(f"{key!r}: {name}" for key, name in zip(keys or (), spoken, strict=False))
        given = f"{{{pairs}}}" if keys is not None else f"({', '.join(spoken)})"
        order = ", ".join([spoken[1 - place], spoken[place]])
        called = f"{names.layer(model)}({given})"
        return "\n".join([*lines, f"{made} = keras.models.Model(inputs=[{order}], outputs={called})"])

    return _Whole(inputs, (None, None, scores.shape[2]), run, code)


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


def _is_read(tensor: Any, scores: Sequence[int | None]) -> bool:
    """Return whether an input has the shape of what a decoder reads: ids, or one-hot vectors of the scores' classes."""
    if len(scores) != 3 or scores[2] is None or len(tensor.shape) not in (2, 3):
        return False
    if scores[1] not in (None, tensor.shape[1]):
        return False
    return len(tensor.shape) == 2 or tensor.shape[2] == scores[2]


def _is_causal(whole: _Whole, place: int) -> bool:
    """Try out whether each score depends on the source, and on the ids of an input up to its position, none later."""
    numbers = np.random.default_rng(0)
    classes = whole.scores[2]
    given = [
        _drawn(tensor, _LONG if number == place else _SHORT, classes, numbers)
        for number, tensor in enumerate(whole.inputs)
    ]
    read = given[place]

    def scored(**changed: Any) -> Any:
        rows = [
            changed.get("read", row) if number == place else changed.get("source", row)
            for number, row in enumerate(given)
        ]
        return np.asarray(whole.run(rows), np.float64)

    scores = scored()
    if scores.shape[1] != read.shape[1] or not np.isfinite(scores).all():
        return False
    near = _CLOSE * float(np.abs(scores).max())
    for position in range(scores.shape[1]):
        later = _drawn(whole.inputs[place], read.shape[1], classes, numbers)
        changed = np.concatenate([read[:, :position], later[:, position:]], axis=1)
        apart = np.abs(scored(read=changed) - scores).max(axis=(0, 2))
        if apart[:position].max(initial=0) > near or (position == 0 and apart.max() <= near):
            return False
    if np.abs(scored(source=given[1 - place][::-1]) - scores).max() <= near:  # it does not read the source
        return False
    if whole.inputs[place].shape[1] is None:  # nor does a score depend on how many ids there are
        return bool(np.abs(scored(read=read[:, :-2]) - scores[:, :-2]).max() <= near)
    return True


def _drawn(tensor: Any, steps: int, classes: int | None, numbers: np.random.Generator) -> Any:
    """Draw rows for an input: ids, one-hot vectors if they are as long as there are classes, else numbers."""
    sizes = [4, *(size if size is not None else steps for size in tensor.shape[1:])]
    if len(sizes) == 2 and sizes[1]:
        return numbers.integers(1, _IDS + 1, sizes).astype(backend.dtype_of(tensor))
    if len(sizes) == 3 and classes is not None and sizes[2] == classes:
        return np.eye(classes, dtype=backend.dtype_of(tensor))[numbers.integers(0, classes, sizes[:2])]
    return numbers.normal(size=sizes).astype(backend.dtype_of(tensor))
