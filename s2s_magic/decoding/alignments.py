"""What a decoder attended to while it said an output, computed by the training model that is fed with that output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.tokens import UNKNOWN, spelled
from s2s_magic.decoded import Alignment
from s2s_magic.decoding.recipe import Way
from s2s_magic.decoding.sources import Sources
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Called
from s2s_magic.ledger.anatomy import anatomy_of
from s2s_magic.ledger.wires import number_in_graph
from s2s_magic.undoing import Changes

SCORING = ("Attention", "AdditiveAttention", "MultiHeadAttention")
"""Keras's layers that return their weights when they are asked to."""
TOGETHER = 64
"""The most outputs whose alignments are computed at once."""


class Attending:
    """The attention of a model, as it is for given rows.

    Parameters
    ----------
    seq2seq
        A model with Keras's attention layers, whose decoder reads ids.
    way
        How it is decoded.

    Raises
    ------
    DecodeError
        When there is no attention to look at; the message says why.
    """

    def __init__(self, seq2seq: Seq2Seq, way: Way) -> None:
        self._seq2seq = seq2seq
        parts = anatomy_of(seq2seq.ledger)
        calls = () if parts is None else parts.attention
        self._calls = [call for call in calls if backend.stock_class(seq2seq.live.layers[call.object]) in SCORING]
        inputs = backend.ends(seq2seq.model)[0]
        fed = [tensor for tensor in inputs if tensor is not way.source]
        if not self._calls:
            raise DecodeError(f"{seq2seq.name} has no attention layer of Keras whose weights could be shown")
        texts = any(backend.dtype_of(tensor) == "string" for tensor in inputs)
        if texts or len(fed) != 1 or len(inputs) != 2 or len(fed[0].shape) != 2:
            raise DecodeError(f"what {seq2seq.name} attends to can be shown for a model of two inputs, sources and ids")
        self.names = [call.layer for call in self._calls]
        self._source_first = inputs[0] is way.source
        self._given = [self._arguments(call) for call in self._calls]
        wires = [one for one in tf.nest.flatten(self._given) if backend.is_keras_tensor(one)]
        self._probe = keras.Model(inputs, wires)

    def _arguments(self, call: Called) -> Any:
        number = number_in_graph(self._seq2seq.ledger, call)
        arguments, settings = backend.arguments_of(self._seq2seq.live.layers[call.object], number)
        ours = ("training", "return_attention_scores")
        return [list(arguments), {name: value for name, value in settings.items() if name not in ours}]

    def weights(self, sources: Any, fed: Any) -> list[Any]:
        """Return the weights of each attention layer, (rows, steps, positions), for sources and a matrix of fed ids."""
        ids = np.asarray(fed, np.int32)
        made = tf.nest.flatten(self._probe([sources, ids] if self._source_first else [ids, sources], training=False))
        values = iter(made)
        filled = tf.nest.map_structure(lambda one: next(values) if backend.is_keras_tensor(one) else one, self._given)
        found = []
        for call, (arguments, settings) in zip(self._calls, filled, strict=True):
            layer = self._seq2seq.live.layers[call.object]
            _, scores = layer(*arguments, **settings, training=False, return_attention_scores=True)
            scores = np.asarray(tf.cast(scores, tf.float32))
            found.append(scores.mean(axis=1) if scores.ndim == 4 else scores)
        return found


def alignments(
    seq2seq: Seq2Seq,
    way: Way,
    source: Sources,
    outputs: Sequence[tuple[int, Sequence[int]]],
    *,
    start: int,
    end: int | None,
    most: int,
) -> list[list[Alignment]]:
    """Return for each output its alignments, one for each attention layer.

    Outputs of one length whose sources have one length are computed together, so that none is padded.

    Parameters
    ----------
    seq2seq, way
        The model, and how it is decoded.
    source
        The rows.
    outputs
        The number of a row, and an output of it, without the end id; a row may have several.
    start, end
        The ids that were fed first, and that ended outputs.
    most
        The most ids in an output: one that has as many did not end.
    """
    made = None if seq2seq.inference is None else seq2seq.inference.namespace
    ended = [[*said, end] if end is not None and len(said) < most else list(said) for _, said in outputs]
    found: list[list[Alignment]] = [[] for _ in outputs]
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, seq2seq.model)
        attending = Attending(seq2seq, way) if way.attending is None else way.attending(made or {})
        sizes = [(int(source.lengths[number]), len(wrote)) for (number, _), wrote in zip(outputs, ended, strict=True)]
        for places in _of_one_size(sizes):
            rows = source.take([outputs[place][0] for place in places])
            weights = attending.weights(rows, [[start, *ended[place][:-1]] for place in places])
            for row, place in enumerate(places):
                read = tokens_of(seq2seq, "source", np.asarray(rows)[row])
                said = outputs[place][1]
                wrote = tokens_of(seq2seq, "target", said) + (["end"] if len(ended[place]) > len(said) else [])
                found[place] = [
                    Alignment(name, tuple(read), tuple(wrote), tuple(map(tuple, each[row].tolist())))
                    for name, each in zip(attending.names, weights, strict=True)
                ]
    return found


def _of_one_size(sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Yield the places of equal sizes, at most `TOGETHER` at once; those of outputs without a step have no weights."""
    order = sorted((place for place, (_, steps) in enumerate(sizes) if steps), key=lambda place: sizes[place])
    for _, group in groupby(order, key=lambda place: sizes[place]):
        alike = list(group)
        yield from (alike[at : at + TOGETHER] for at in range(0, len(alike), TOGETHER))


def tokens_of(seq2seq: Seq2Seq, side: str, ids: Any) -> list[str]:
    """Return the tokens of a row of ids or of one-hot vectors, of the ``source`` or the ``target``; a text's words."""
    if np.asarray(ids).dtype.kind in "SO":  # for a model that makes ids of texts itself
        return [word for text in np.ravel(ids).tolist() for word in text.decode(errors="replace").split()]
    tokenizer = seq2seq.tokenizers.get(side)
    numbers = [int(number) for number in ids] if np.ndim(ids) == 1 else list(map(int, np.argmax(ids, axis=-1)))
    if tokenizer is None:
        return [str(number) for number in numbers]
    known = [number if number < tokenizer.size else UNKNOWN for number in numbers]
    return ["".join(spelled([number], tokenizer.tokens)) for number in known]
