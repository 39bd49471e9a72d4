"""Choosing how a trained model is decoded, and generating the code of its decoding model in the user's own names."""

from __future__ import annotations

from dataclasses import replace

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.model_functions import Output, score_like, wired
from s2s_magic.decoding.pairs import stepwise, written_pair
from s2s_magic.decoding.recipe import Way
from s2s_magic.decoding.scores_output import scores_among, told
from s2s_magic.decoding.spelling import Names
from s2s_magic.decoding.tfa_decoders import greedy_decoder, scores_of, trained_call, written_decoder
from s2s_magic.decoding.whole_model import rereading
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Called

_AT_ONCE = """\
{imports}
# No id is fed back in: from the one vector that is repeated, the decoder gives all positions at once.
{inference_model} = keras.models.Model(inputs={model}.inputs, outputs=tf.argmax({model}.outputs[{number}], axis=-1))
"""


def way_to_decode(seq2seq: Seq2Seq) -> Way:
    """Choose how a model is decoded, and generate its code.

    The user's own inference code is preferred: a decoder of TensorFlow Addons with a greedy or a sampling sampler over
    the trained cell, then a pair of an encoder and a decoder step over the trained layers. Otherwise code is generated
    that runs the trained decoder for one id at a time: TFA's with its greedy sampler, plain Keras layers as a pair. A
    causal decoder that cannot be run so is run over all that was said, with the whole model, at each step.

    Raises
    ------
    DecodeError
        When none of these works; the message names the obstacle.
    """
    model = seq2seq.model
    if model is None:
        raise DecodeError(f"{seq2seq.name} has no model")
    names = Names(seq2seq)
    trained = trained_call(seq2seq)
    found = written_decoder(seq2seq, names, trained)
    if found is None:
        found = written_pair(seq2seq, names)
    if found is not None:
        return found
    if not backend.is_wired(model):
        kind = type(model).__name__
        if isinstance(model, tf.keras.Sequential):
            raise DecodeError(f"{seq2seq.name} cannot be decoded: its {kind} has no shapes yet; fit it first")
        refusal = DecodeError(
            f"{seq2seq.name} cannot be decoded: its model is of class {kind}, no functional model with wires to "
            "follow; such a class is decoded once it was fitted or called, if it takes a source and ids, in a tuple or "
            "by name, and returns scores (rows, steps, symbols) that depend on no later id; or by two functional "
            "models over its layers: an encoder, and a step of the decoder whose states are inputs and outputs"
        )
        return _reread(seq2seq, refusal, f"its model is of class {kind}, without wires to follow")
    inputs, outputs = backend.ends(model)
    if trained is not None:
        return _greedy(seq2seq, names, trained)
    if len(inputs) == 1:
        return _at_once(seq2seq, names)
    scores = _scores(seq2seq, names)
    note = "" if scores is None or len(outputs) == 1 else told(scores)
    try:
        way = stepwise(seq2seq, names, outputs[0 if scores is None else scores.place[0]])
    except DecodeError as refusal:
        return _reread(seq2seq, refusal, "; ".join(filter(None, [_reason(refusal), note])), scores)
    return replace(way, note=note)


def _greedy(seq2seq: Seq2Seq, names: Names, trained: Called) -> Way:
    """Return how to decode by a decoder of TFA's API, and by what follows it on the way to the scores."""
    inputs, outputs = backend.ends(seq2seq.model)
    behind = [number for number in scores_of(seq2seq, trained) if len(outputs[number].shape) == 3]
    found = _scores(seq2seq, names) if len(behind) > 1 else None
    number = found.place[0] if found is not None else behind[0] if behind else None
    try:
        way = greedy_decoder(seq2seq, names, trained, None if number is None else outputs[number])
    except DecodeError as refusal:
        if len(inputs) != 2:
            raise
        scores = found or _scores(seq2seq, names)
        return _reread(seq2seq, refusal, _reason(refusal), scores)
    classes = None if number is None else outputs[number].shape[2]
    return replace(way, classes=classes, note="" if found is None else told(found))


def _scores(seq2seq: Seq2Seq, names: Names) -> Output | None:
    """Return which output of a functional model is its scores; None if its only one has not the shape of any."""
    found = score_like(seq2seq)
    if len(backend.ends(seq2seq.model)[1]) == 1:
        return found[0] if found else None
    return found[scores_among(seq2seq, found, lambda: wired(seq2seq, names, found))]


def _reason(refusal: DecodeError) -> str:
    return str(refusal).partition(" cannot be decoded: ")[2]


def _reread(seq2seq: Seq2Seq, refusal: DecodeError, why: str, scores: Output | None = None) -> Way:
    """Return how to decode by the whole model, or raise the refusal."""
    try:
        found = rereading(seq2seq, Names(seq2seq), why, scores)
    except DecodeError:
        raise
    except Exception as error:  # it could not be tried out, so the refusal stands
        raise refusal from error
    if found is None:
        raise refusal
    return found


def _at_once(seq2seq: Seq2Seq, names: Names) -> Way:
    """Generate the code for a model that repeats one vector for all positions and feeds nothing back."""
    (source,), outputs = backend.ends(seq2seq.model)
    repeats = any(backend.stock_class(layer) == "RepeatVector" for layer in backend.reached(seq2seq.model))
    if not repeats or not any(len(output.shape) == 3 for output in outputs):
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: its model has one input and no decoder, which would "
            "read its own output, or follow a RepeatVector; predict gives all that it has to say"
        )
    scores = _scores(seq2seq, names)
    number = 0 if scores is None else scores.place[0]
    entry = names.fresh("inference_model")
    imports = names.imports("tf", "keras")
    code = _AT_ONCE.format(imports=imports, inference_model=entry, model=names.layer(seq2seq.model), number=number)
    code = code.lstrip("\n")
    note = "decoded at once for all positions, as nothing is fed back into the decoder"
    if scores is not None and len(outputs) > 1:
        note += f"; {told(scores)}"
    return Way(lambda longest, end: code, source, "sources", entry, longest=outputs[number].shape[1], note=note)
