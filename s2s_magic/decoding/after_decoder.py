"""What follows a decoder of TFA's API on the way to a model's scores, as a layer that makes those of one step."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.positions import looks_around
from s2s_magic.decoding.spelling import Names
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq

_CODE = """
# What follows the decoder, on the way to the scores; and as an output layer, for one step.
{after} = keras.models.Model(inputs={begin}, outputs={scores})


class {kind}(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.parts = [{parts}]

    def call(self, outputs):
        return {after}({read}[:, tf.newaxis], training=False)[:, 0]

    def compute_output_shape(self, shape):
        return tf.TensorShape([None, {classes}])

"""
_CLOSE = 1e-4
"""The largest difference, as a part of the largest score, of what is the same but for rounding."""
_TRAINING_ALONE = ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout")
_SOFTMAX = ("nn.softmax", "nn.log_softmax", "softmax", "log_softmax")

_Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def scores_layer(seq2seq: Seq2Seq, names: Names, decoder: Any, begin: Any, scores: Any) -> tuple[str, str]:
    """Return the output layer that a decoder needs to give the scores of its model, and the code that makes it.

    It is the decoder's own, and no code, if only a softmax follows, and what acts in training alone.

    Parameters
    ----------
    seq2seq, names
        The model, and what finds the names of its code.
    decoder
        A ``BasicDecoder``.
    begin
        What its call returned as outputs, a symbolic tensor (rows, steps, numbers).
    scores
        The model's scores, a symbolic tensor that was made from ``begin``.

    Raises
    ------
    DecodeError
        When the scores need more than the decoder's output, or other positions of it; the message names the layer.
    """
    own = names.layer(decoder.output_layer, decoder, "output_layer")
    calls = _between(seq2seq, names, begin, scores)
    kinds = [_kind(call) for call in calls]
    if all(kinds) and kinds.count("softmax") <= (0 if _has_softmax(decoder.output_layer) else 1):
        return own, ""
    new = {"after": names.fresh("after_decoder"), "kind": names.fresh("StepScores")}
    has_own = decoder.output_layer is not None
    code = _CODE.format(
        **new,
        begin=names.tensor(begin),
        scores=names.tensor(scores),
        parts=", ".join([*([own] if has_own else []), new["after"]]),
        classes=scores.shape[-1],
        read=f"{own}(outputs)" if has_own else "outputs",
    )
    return f"{new['kind']}()", code


def _between(seq2seq: Seq2Seq, names: Names, begin: Any, scores: Any) -> list[_Call]:
    """List the calls that make the scores from a decoder's outputs, the last first."""
    found = []
    for tensor in backend.tensors_behind([scores], [begin]):
        if not backend.leads_to(begin, [tensor], ()):
            continue
        call = (backend.history(tensor)[0], *backend.call_of(tensor))
        wires = [leaf for leaf in tf.nest.flatten(call[1:]) if backend.is_keras_tensor(leaf)]
        place = f"{seq2seq.name} cannot be decoded: {names.shown(call[0])} stands between the decoder and the scores, "
        if not all(backend.leads_to(begin, [wire], ()) for wire in wires):
            raise DecodeError(f"{place}and reads more than the decoder's outputs")
        if looks_around(*call) and not _is_by_position(begin, scores):
            raise DecodeError(f"{place}and looks at more than one position")
        found.append(call)
    return found


def _is_by_position(begin: Any, scores: Any) -> bool:
    """Try out whether the scores at a position are made of the decoder's output at that position alone."""
    model = tf.keras.models.Model(begin, scores)
    rows = np.random.default_rng(0).normal(size=(4, 6, begin.shape[-1])).astype(backend.dtype_of(begin))
    try:
        whole = np.asarray(model(tf.constant(rows), training=False), float)
        steps = [np.asarray(model(tf.constant(rows[:2, [step]]), training=False), float) for step in range(6)]
    except (tf.errors.OpError, ValueError):  # of a number of steps, or rows, that it does not take
        return False
    return bool(np.abs(np.concatenate(steps, 1) - whole[:2]).max() <= _CLOSE * np.abs(whole).max())


def _kind(call: _Call) -> str:
    """Return ``"softmax"``, or ``"none"`` for a call that changes nothing outside of training; else an empty text."""
    layer = call[0]
    operation = (backend.operation(layer) or "").removeprefix("tf.").removeprefix("keras.ops.")
    if operation in _SOFTMAX or backend.stock_class(layer) == "Softmax" or _has_softmax(layer, "Activation"):
        return "softmax"
    return "none" if operation == "identity" or backend.stock_class(layer) in _TRAINING_ALONE else ""


def _has_softmax(layer: Any, kind: str = "") -> bool:
    """Return whether a layer, of this kind if one is given, ends with a softmax."""
    names = [getattr(tf.keras.activations, name, None) for name in ("softmax", "log_softmax")]
    right = not kind or backend.stock_class(layer) == kind
    return right and getattr(layer, "activation", None) in [one for one in names if one is not None]
