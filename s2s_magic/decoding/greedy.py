"""Greedy decoding: one compiled loop over batches of rows of about the same length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.acceleration import put_on_greedy_kernels
from s2s_magic.decoding.source import decoding_source, encoder_event
from s2s_magic.errors import DecodeError
from s2s_magic.seq2seq import Seq2Seq
from s2s_magic.text import UNKNOWN, Tokenizer
from s2s_magic.tracing import Traced, refresh, run
from s2s_magic.training import rows
from s2s_magic.training.inputs import inputs_of
from s2s_magic.training.rows import Rows
from s2s_magic.undoing import Changes

BATCH = 256
UNKNOWN_LENGTH = 50
MOST_LENGTH = 100_000
"""Longest rows that may be asked for: a loop without an end id runs through all of them."""


def decode(seq2seq: Seq2Seq, sources: Any, *, max_length: int | None = None) -> list[Any]:
    """Decode greedily, through TFA's ``GreedyEmbeddingSampler``, over the very layer objects that were trained.

    The decoding model is made once, by code in the user's own names that is run under capture in a copy of their
    namespace; it is kept as ``seq2seq.inference``, whose ledger shows that it created no variable.

    Parameters
    ----------
    seq2seq
        A built or traced model whose decoder is a TFA ``BasicDecoder`` with a ``TrainingSampler``.
    sources
        Texts for a model that reads text, else rows of ids: an array of shape (rows, steps), or a sequence of rows.
    max_length
        Most ids a row, 1 to 100000; by default the spec's ``max_length``, else the longest target that was fitted, else
        twice the longest source and ten more.

    Returns
    -------
    list
        For each source a text, or a list of ids; both end before the end id.

    Raises
    ------
    DecodeError
        When the model cannot be decoded so, or a source or ``max_length`` does not fit.

    Notes
    -----
    The loop starts with the spec's ``start`` id; for a traced model with the one that its decoder's input began with
    when it was fitted, 0 before that. It ends when each row of the batch gave the spec's ``end`` id; where there is
    none, after ``max_length`` ids. A model that masks no padding gets rows of one length together, so that its encoder
    never reads the filling.
    """
    _check_length(max_length)
    source = _read(seq2seq, sources)
    if not len(source):
        return []
    inference = inference_model(seq2seq, max_length=_longest(seq2seq, source) if max_length is None else max_length)
    _check(source, _source_vocabulary(seq2seq))
    found: list[Any] = [None] * len(source)
    step = _compiled(inference)
    for numbers, batch in _batches(source, _padding(seq2seq)):
        ids, _ = step(batch, tf.fill([len(numbers)], _start(seq2seq)))
        for number, row in zip(numbers, ids.numpy(), strict=True):
            found[number] = _ended(row.tolist(), _end(seq2seq))
    if "target" in seq2seq.tokenizers:
        return [_text(seq2seq.tokenizers["target"], row) for row in found]
    return found


def _text(tokenizer: Tokenizer, row: Sequence[int]) -> str:
    """Give a row's text; a model's vocabulary may have room for ids that no token was counted for."""
    return tokenizer.decode([number if number < tokenizer.size else UNKNOWN for number in row])


def _read(seq2seq: Seq2Seq, sources: Any) -> Rows:
    tokenizer = seq2seq.tokenizers.get("source")
    try:
        value = rows.plain(sources)
        if tokenizer is None and seq2seq.spec is not None and seq2seq.spec.tokens != "none":
            raise rows.Unreadable(f"cannot be read before the first fit, which counts the vocabulary of {seq2seq.name}")
        if isinstance(value, list | tuple) and not value:
            return Rows.of([])
        if tokenizer is not None:
            if not rows.is_text(value):
                raise rows.Unreadable(f"hold no texts, and {seq2seq.name} reads texts")
            found = Rows.of([tokenizer.encode(text) for text in rows.texts(value)])
        elif rows.is_text(value):
            raise rows.Unreadable(f"hold text, and {seq2seq.name} reads ids")
        else:
            found = rows.ids(value)
    except rows.Unreadable as error:
        raise DecodeError(f"the sources {error}") from error
    padding = _padding(seq2seq)
    return found if padding is None else found.without_padding(padding)


def _check(source: Rows, vocabulary: int | None) -> None:
    empty = np.flatnonzero(source.lengths == 0)
    if len(empty):
        raise DecodeError(f"source {int(empty[0])} is empty")
    outside = np.flatnonzero((source.values < 0) | (source.values >= (vocabulary or np.inf)))
    if len(outside):
        row, position = source.place(int(outside[0]))
        number = int(source.values[outside[0]])
        raise DecodeError(
            f"source {row}, position {position} (both from 0) is id {number}, outside the vocabulary of {vocabulary}"
        )


def _check_length(length: int | None) -> None:
    whole = isinstance(length, int | np.integer) and not isinstance(length, bool)
    if length is not None and not (whole and 1 <= length <= MOST_LENGTH):
        raise DecodeError(f"max_length is {length!r}; expected a whole number from 1 to {MOST_LENGTH}")


def _padding(seq2seq: Seq2Seq) -> int | None:
    return seq2seq.spec.padding if seq2seq.spec is not None else None


def _start(seq2seq: Seq2Seq) -> int:
    if seq2seq.spec is not None:
        return seq2seq.spec.start
    return (seq2seq.fitted.start if seq2seq.fitted else None) or 0


def _end(seq2seq: Seq2Seq) -> int | None:
    return seq2seq.spec.end if seq2seq.spec is not None else None


def _source_vocabulary(seq2seq: Seq2Seq) -> int | None:
    event = encoder_event(seq2seq)
    return next((i.vocabulary for i in inputs_of(seq2seq) if i.event == event), None)


def _longest(seq2seq: Seq2Seq, source: Rows | None) -> int:
    if seq2seq.spec is not None and seq2seq.spec.max_length is not None:
        return seq2seq.spec.max_length
    if seq2seq.fitted is not None and seq2seq.fitted.longest is not None:
        return seq2seq.fitted.longest
    return UNKNOWN_LENGTH if source is None else 2 * int(source.lengths.max()) + 10


def inference_model(seq2seq: Seq2Seq, *, max_length: int | None = None) -> Seq2Seq:
    """Give the decoding model, with its own ledger; it is made anew only when its code is another than the last one's.

    Parameters
    ----------
    seq2seq
        The trained model.
    max_length
        Most ids to decode; by default the spec's, else the longest target that was fitted, else 50.

    Raises
    ------
    DecodeError
        When the model cannot be decoded, or ``max_length`` does not fit.
    """
    _check_length(max_length)
    longest = _longest(seq2seq, None) if max_length is None else int(max_length)
    code = decoding_source(seq2seq, longest=longest, end=_end(seq2seq))
    before = seq2seq.inference
    if before is not None and before.source == code and before.namespace["__trained__"] is seq2seq.model:
        return before
    namespace = {**seq2seq.namespace, "__trained__": seq2seq.model}
    traced = run(
        code,
        namespace,
        name=seq2seq.name,
        before=Traced(ledger=seq2seq.ledger, live=seq2seq.live, namespace=seq2seq.namespace),
        title="decoding",
    )
    if traced.error is not None:
        if isinstance(traced.error, Exception):
            raise DecodeError(f"the decoding model of {seq2seq.name} cannot be made: {traced.error}") from traced.error
        raise traced.error
    made = traced.ledger.changed(chosen=traced.ledger.models[-1].name)  # the trained one is not what is meant here
    seq2seq.inference = Seq2Seq(
        name=f"{seq2seq.name}.inference",
        ledger=refresh(made, traced.live),
        live=traced.live,
        source=code,
        namespace=traced.namespace,
        tokenizers=seq2seq.tokenizers,
    )
    return seq2seq.inference


def _compiled(inference: Seq2Seq) -> Any:
    """Give the decoding model as one graph for batches of any size, compiled once, accelerated."""
    name = "__compiled__"
    if name not in inference.namespace:
        model = inference.model
        ids = model.inputs[0].dtype

        signature = [tf.TensorSpec([None, None], ids), tf.TensorSpec([None], tf.int32)]
        compiled = tf.function(
            lambda source, start: model([source, start], training=False), input_signature=signature, autograph=False
        )
        with Changes() as changes, changes, changes:
            put_on_greedy_kernels(changes, model)
            compiled.get_concrete_function()
        inference.namespace[name] = compiled
    return inference.namespace[name]


def _batches(source: Rows, padding: int | None) -> list[tuple[Sequence[int], Any]]:
    """Sort rows by length and cut them into batches; without padding, a batch has one length."""
    order = np.argsort(source.lengths, kind="stable")
    lengths = source.lengths[order]
    edges = [0] if padding is not None else [0, *(np.flatnonzero(np.diff(lengths)) + 1)]
    batches = []
    for start, stop in zip(edges, [*edges[1:], len(order)], strict=True):
        for first in range(start, stop, BATCH):
            numbers = order[first : min(first + BATCH, stop)]
            filled = np.full((len(numbers), int(source.lengths[numbers].max())), padding or 0, np.int32)
            for place, number in enumerate(numbers):
                filled[place, : source.lengths[number]] = source[number]
            batches.append((numbers.tolist(), filled))
    return batches


def _ended(row: list[int], end: int | None) -> list[int]:
    return row[: row.index(end)] if end in row else row
