"""A model's greedy decoding as functions of tensors: its encoder, one step of its decoder, and the whole loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.data.special_ids import Edge
from s2s_magic.data.vocabularies import AnyTokenizer
from s2s_magic.decoding.inference import ready_for_any
from s2s_magic.decoding.search import greedy, most_probable
from s2s_magic.decoding.sources import vocabulary_of
from s2s_magic.errors import SetupError
from s2s_magic.handle import Seq2Seq


@dataclass(frozen=True)
class Searched:
    """What an exported model decodes with.

    Attributes
    ----------
    name
        The model's name.
    start, end
        The ids that outputs start and end with; None for an end that no row has.
    longest
        The most ids of an output, the end id included.
    steps
        The number of ids in each source; None for any number.
    vocabulary
        The number of ids that sources may have; None if it is not known.
    tokenizers
        By side, what ids represent; empty for a model over ids.
    whole
        From source ids, int32 of shape (rows, steps), to the ids of the outputs, int32 of shape (rows, steps), and the
        number of ids of each, int32 of shape (rows,), its end id included.
    encoder, decoder_step
        From source ids to a state, tensors of shape (rows, ...); and from ids, int32 of shape (rows,), and a state to
        scores (rows, classes) and those first tensors of the state that a step changes. None if the decoder does not
        run step by step.
    note
        How the model is decoded, if that is not by a decoder step.
    """

    name: str
    start: int
    end: int | None
    longest: int
    steps: int | None
    vocabulary: int | None
    tokenizers: dict[str, AnyTokenizer]
    whole: Callable[[Any], tuple[Any, Any]]
    encoder: Callable[[Any], Sequence[Any]] | None = None
    decoder_step: Callable[[Any, Sequence[Any]], tuple[Any, Sequence[Any]]] | None = None
    note: str = ""

    @property
    def source(self) -> Any:
        """The signature of the source ids."""
        return tf.TensorSpec([None, self.steps], tf.int32, name="source")


def searched(seq2seq: Seq2Seq, *, max_length: int | None = None, start: Edge = None, end: Edge = None) -> Searched:
    """Return how a model is decoded greedily, as functions of its source ids.

    Parameters
    ----------
    seq2seq
        The model.
    max_length, start, end
        As for `s2s_magic.decode`.

    Raises
    ------
    DecodeError
        When the model cannot be decoded.
    SetupError
        When its sources cannot be given as ids.
    """
    inference, longest = ready_for_any(seq2seq, max_length=max_length, start=start, end=end)
    way, ids = inference.way, inference.ids
    assert way is not None
    read, vocabulary = _reader(seq2seq, way.source)
    steps = None if way.steps is None else way.steps(inference.namespace)
    first, last = ids.start or 0, -1 if ids.end is None else ids.end
    known = {
        "name": seq2seq.name,
        "start": first,
        "end": ids.end,
        "longest": longest,
        "steps": way.source.shape[1],
        "vocabulary": vocabulary,
        "tokenizers": dict(seq2seq.tokenizers),
    }
    if steps is None:
        model, with_starts = inference.namespace[way.entry], way.takes == "sources and starts"

        def at_once(source: Any) -> tuple[Any, Any]:
            given, rows = read(source), tf.shape(source)[:1]
            made = model([given, tf.fill(rows, first)] if with_starts else given, training=False)
            said, *lengths = tf.nest.flatten(made)
            said = tf.cast(said, tf.int32)[:, :longest]
            return said, _lengths(said, lengths[0] if lengths else tf.fill(rows, longest), last)

        return Searched(whole=at_once, note=way.note or "decoded as a whole", **known)

    def whole(source: Any) -> tuple[Any, Any]:
        state, step = steps.begin(read(source))
        begun = tf.fill(tf.shape(source)[:1], first)
        said, lengths, _ = greedy(step, most_probable, begun, state, end=last, longest=longest)
        return said, lengths

    def encoder(source: Any) -> Sequence[Any]:
        return steps.begin(read(source))[0]

    def decoder_step(ids: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        # a step is a part of a decoding that has begun: of this one's beginning nothing reaches the step's results
        _, step = steps.begin(read(tf.zeros([tf.size(ids), way.source.shape[1] or 1], tf.int32)))
        scores, after = step(ids, state)
        return scores, after[: len(after) - steps.constant]

    return Searched(whole=whole, encoder=encoder, decoder_step=decoder_step, **known)


def _lengths(said: Any, lengths: Any, end: int) -> Any:
    """Return the number of ids of each row up to its first end id, included."""
    ends = tf.equal(said, end)
    first = tf.argmax(tf.cast(ends, tf.int32), axis=1, output_type=tf.int32) + 1
    return tf.where(tf.reduce_any(ends, axis=1), first, tf.minimum(tf.cast(lengths, tf.int32), tf.shape(said)[1]))


def _reader(seq2seq: Seq2Seq, source: Any) -> tuple[Callable[[Any], Any], int | None]:
    """Return what makes the encoder's input of ids, and how many ids there are; see `s2s_magic.decoding.sources`."""
    shape, dtype = source.shape, backend.dtype_of(source)
    vocabulary = vocabulary_of(seq2seq, source)
    if dtype == "string":
        raise SetupError(
            f"{seq2seq.name} cannot be exported: it makes ids of texts within the model, and an exported one reads "
            "ids; give the vectorization's layer its texts before the model"
        )
    if len(shape) == 3 and shape[2] is not None:
        return lambda ids: tf.one_hot(ids, shape[2], dtype=dtype), int(shape[2])
    if len(shape) == 2 and (vocabulary is not None or "int" in dtype):
        return lambda ids: tf.cast(ids, dtype), vocabulary
    raise SetupError(
        f"{seq2seq.name} cannot be exported: it reads numbers of shape {tuple(shape)}; what can be is a model that "
        "reads ids or one-hot vectors"
    )
