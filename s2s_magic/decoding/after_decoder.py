"""What follows a decoder of TFA's API on the way to a model's scores, as a layer that makes those of one step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.causality import is_by_position
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
        if not all(backend.leads_to(begin, [wire], ()) for wire in wires):
            raise _refused(seq2seq, names, call, "and reads more than the decoder's outputs")
        found.append(call)
    unknown = [call for call in found if looks_around(*call)]
    if unknown and not is_by_position(begin, scores):  # all together: one may undo what another does
        raise _refused(seq2seq, names, unknown[0], "and looks at more than one position")
    return found


def _refused(seq2seq: Seq2Seq, names: Names, call: _Call, why: str) -> DecodeError:
    return DecodeError(
        f"{seq2seq.name} cannot be decoded: {names.shown(call[0])} stands between the decoder and the scores, {why}"
    )


def _kind(call: _Call) -> str:
    """Return ``"softmax"``, or ``"none"`` for a call that changes nothing outside of training; else an empty text."""
    layer = call[0]
    operation = (backend.operation(layer) or "").removeprefix("tf.").removeprefix("keras.ops.")
    kind = backend.stock_class(layer)
    if operation in _SOFTMAX or kind == "Softmax" or (kind == "Activation" and _has_softmax(layer)):
        return "softmax"
    return "none" if operation == "identity" or kind in _TRAINING_ALONE else ""


def _has_softmax(layer: Any) -> bool:
    """Return whether a layer ends with a softmax."""
    known = [getattr(tf.keras.activations, name, None) for name in ("softmax", "log_softmax")]
    return getattr(layer, "activation", None) in [one for one in known if one is not None]
