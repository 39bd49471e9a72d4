"""Decoding with a whole model at each step, for decoders whose step cannot be taken apart: over all that was said.

So run decoders with self-attention, such as a Transformer's, and decoders within a layer of the user's own. It is right
for a causal decoder alone: one whose scores at a position do not depend on what comes later. That is tried out with
the model's own weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.recipe import Way
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
_SHORT, _LONG = 4, (24, 6, 3)
"""Steps of the rows that a model is tried out with, where it takes any number: fewer where it does not take so many."""
_IDS = 2
"""Ids from 0 to this are in every vocabulary."""
_SAME, _CLOSE = 2e-6, 1e-4
"""The largest difference, as a part of the largest score, of what is the same but for rounding: in rows of the same
shape, and of another one."""
_TELLING = 50
"""An id must change the scores so many times as much, else nothing can be said of what later ones change."""


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
        return None  # of one batch after the other
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


def _wired(seq2seq: Seq2Seq, names: Names) -> _Whole | None:
    """Describe a functional model, if it has two inputs and one output."""
    model = seq2seq.model
    inputs, outputs = backend.ends(model)
    if len(inputs) != 2 or len(outputs) != 1 or any(backend.dtype_of(each) == "string" for each in inputs):
        return None
    if any(each.shape[0] is not None for each in inputs):
        return None  # it takes so many rows alone

    def run(given: Sequence[Any]) -> Any:
        assert model is not None
        rows = tf.nest.pack_sequence_as(model.input, [tf.constant(each) for each in given])
        return tf.nest.flatten(model(rows, training=False))[0]

    def code(place: int, made: str) -> str:
        source, fed = (names.tensor(inputs[number]) for number in (1 - place, place))
        scores = f"{names.layer(model)}.outputs[0]" if names.found(model) else names.tensor(outputs[0])
        return f"{made} = keras.models.Model(inputs=[{source}, {fed}], outputs={scores})"

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
    scores = run([_drawn(tensor, _SHORT, None, numbers) for tensor in inputs])
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


def _is_read(tensor: Any, scores: Sequence[int | None]) -> bool:
    """Return whether an input has the shape of what a decoder reads: ids, or one-hot vectors of the scores' classes."""
    if len(scores) != 3 or scores[2] is None or len(tensor.shape) not in (2, 3):
        return False
    if scores[1] not in (None, tensor.shape[1]):
        return False
    return len(tensor.shape) == 2 or tensor.shape[2] == scores[2]


def _is_causal(whole: _Whole, place: int) -> bool:
    """Try out whether each score depends on the source, and on the ids of an input up to its position, none later."""
    if whole.inputs[place].shape[1] is not None:
        return _Trial(whole, place, whole.inputs[place].shape[1]).is_causal()
    for steps in _LONG:
        try:
            return _Trial(whole, place, steps).is_causal()
        except (tf.errors.OpError, ValueError):  # of more positions than a layer has
            if steps == _LONG[-1]:
                raise
    return False


class _Trial:
    """Rows of ids of so many steps for one of a model's inputs, rows for the other, and their scores."""

    def __init__(self, whole: _Whole, place: int, steps: int) -> None:
        self._whole, self._place = whole, place
        self._numbers = np.random.default_rng(0)
        self._read = self._of(place, steps)
        self._source = self._of(1 - place, _SHORT)
        self._scores = self._scored(self._read, self._source)
        self._largest = float(np.abs(self._scores).max())

    def _of(self, place: int, steps: int) -> Any:
        return _drawn(self._whole.inputs[place], steps, self._whole.scores[2], self._numbers)

    def _scored(self, read: Any, source: Any) -> Any:
        return np.asarray(self._whole.run([read, source] if self._place == 0 else [source, read]), np.float64)

    def is_causal(self) -> bool:
        """Return whether it is, and whether each row has scores of its own."""
        scores, read, source, fixed = self._scores, self._read, self._source, self._whole.inputs[self._place].shape[1]
        if scores.shape[1] != read.shape[1] or not np.isfinite(scores).all():
            return False
        same, close = _SAME * self._largest, _CLOSE * self._largest
        for position in range(read.shape[1]):
            later = self._of(self._place, read.shape[1])
            endings = [later[:, position:]]
            if fixed is not None:  # which decoding fills up
                endings.append(_padding(read[:, position:]))
            for ending in endings:
                changed = np.concatenate([read[:, :position], ending], axis=1)
                apart = np.abs(self._scored(changed, source) - scores).max(axis=(0, 2))
                if apart[:position].max(initial=0) > same or (position == 0 and apart.max() <= _TELLING * same):
                    return False
        if np.abs(self._scored(read, source[::-1]) - scores).max() <= _TELLING * same:  # it does not read the source
            return False
        if np.abs(self._scored(read[:1], source[:1]) - scores[:1]).max() > close:
            return False
        if fixed is None:  # nor does a score depend on how many ids there are
            fewer = read.shape[1] - read.shape[1] // 3
            return bool(np.abs(self._scored(read[:, :fewer], source) - scores[:, :fewer]).max() <= close)
        return True


def _padding(rows: Any) -> Any:
    """Return rows of id 0, as ids or as one-hot vectors, in place of others."""
    filled = np.zeros_like(rows)
    if filled.ndim == 3:
        filled[..., 0] = 1
    return filled


def _drawn(tensor: Any, steps: int, classes: int | None, numbers: np.random.Generator) -> Any:
    """Draw rows for an input: ids, one-hot vectors if they are as long as there are classes, else numbers."""
    sizes = [4, *(size if size is not None else steps for size in tensor.shape[1:])]
    if len(sizes) == 2 and sizes[1]:
        return numbers.integers(1, _IDS + 1, sizes).astype(backend.dtype_of(tensor))
    if len(sizes) == 3 and classes is not None and sizes[2] == classes:
        return np.eye(classes, dtype=backend.dtype_of(tensor))[numbers.integers(0, classes, sizes[:2])]
    return numbers.normal(size=sizes).astype(backend.dtype_of(tensor))
