"""Telling how an output was said: the probabilities of each step, the hypotheses of a beam, and the attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.decoded import Alignment
from s2s_magic.decoding.alignments import tokens_of
from s2s_magic.decoding.constraints import IMPOSSIBLE
from s2s_magic.decoding.inference import decoded, prepared
from s2s_magic.decoding.log_probabilities import log_probabilities
from s2s_magic.decoding.neighbours import nearest_pairs, read_pairs
from s2s_magic.decoding.recipe import DecodingModel
from s2s_magic.decoding.runners import searching
from s2s_magic.decoding.search import Steps
from s2s_magic.decoding.settings import SearchSettings
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq
from s2s_magic.told import Branch, SaidStep, Told

Name = Callable[[int], str]

NEAREST = 3
"""So many training pairs are told of each step, unless another number is asked for."""


def tell(
    seq2seq: Seq2Seq, source: Any, *, likely: int = 5, among: Any = None, nearest: int | None = None, **options: Any
) -> Told:
    """Decode one source and tell how its best output was said.

    Parameters
    ----------
    seq2seq
        The trained model.
    source
        A text, or ids.
    likely
        How many of the most probable tokens of each step to tell.
    among, nearest
        The sources and targets of training pairs, and how many of them to tell of each step.
    **options
        As for `s2s_magic.decode`, without samples.

    Raises
    ------
    DecodeError
        When the model cannot be decoded, or not step by step.
    """
    if type(likely) is not int or likely < 1:
        raise DecodeError(f"likely is {likely!r}; expected a whole number of at least 1")
    if nearest is not None and (type(nearest) is not int or nearest < 1):
        raise DecodeError(f"nearest is {nearest!r}; expected a whole number of at least 1")
    if nearest is not None and among is None:
        raise DecodeError("nearest needs the training pairs to look among: a model does not keep what it was fitted on")
    if options.get("sample"):
        raise DecodeError("what is drawn is not told step by step: leave 'sample' out")
    if options.get("coverage_penalty"):
        raise DecodeError("coverage_penalty has no place here: it ranks outputs once the told search is over")
    ready = prepared(seq2seq, [source], **options)
    assert ready is not None
    outputs = decoded(seq2seq, [source], ready)
    settings, longest, inference, row = ready.settings, ready.longest, ready.inference, ready.source.take([0])
    assert inference.way is not None
    if inference.way.steps is None:
        note = inference.way.note or "decoded at once"
        raise DecodeError(f"{seq2seq.name} is {note}: it has no steps to tell of")
    steps, end = inference.way.steps(inference.namespace), inference.ids.end
    best = outputs.n_best[0][0]
    ids = [*best.ids, end] if end is not None and len(best.ids) < longest else list(best.ids)
    name = _names(seq2seq, inference, end)
    found = [tuple(one.ids) for one in outputs.n_best[0]]
    pairs = None if among is None else read_pairs(seq2seq, ready, among)
    told, states = _steps(steps, row, inference.ids.start or 0, ids, name, likely)
    if pairs is not None:
        sourced = partial(tokens_of, seq2seq, "source")
        likest = nearest_pairs(ready, steps, pairs, states, nearest or NEAREST, sourced, name)
        told = [replace(step, nearest=each) for step, each in zip(told, likest, strict=True)]
    return Told(
        seq2seq.name,
        tuple(tokens_of(seq2seq, "source", np.asarray(row)[0])),
        tuple(told),
        _tree(inference, steps, row, settings, len(ids), found, name) if settings.beam > 1 else (),
        _attended(outputs),
        "" if settings.prefix is None else f"begins with {' '.join(name(number) for number in settings.prefix)}",
        "" if pairs is None else pairs.compared,
    )


def _names(seq2seq: Seq2Seq, inference: DecodingModel, end: int | None) -> Name:
    assert inference.way is not None
    words = None if inference.way.words is None else inference.way.words.get_vocabulary()

    def name(number: int) -> str:
        if number == end:
            return "end"
        if words is not None:
            return str(words[number]) if number < len(words) else str(number)
        return tokens_of(seq2seq, "target", [number])[0]

    return name


def _attended(outputs: Any) -> tuple[Alignment, ...]:
    try:
        return tuple(outputs.alignments[0])
    except DecodeError:  # there is no attention to look at
        return ()


def _steps(
    steps: Steps, row: Any, start: int, ids: Sequence[int], name: Name, most: int
) -> tuple[list[SaidStep], list[Sequence[Any]]]:
    """Feed an output to the decoder, and return what was probable at each step, and the state that it was in."""
    state, step = steps.begin(tf.convert_to_tensor(row))
    found, states = [], []
    for last, number in zip([start, *ids[:-1]], ids, strict=True):
        scores, state = step(tf.constant([last]), state)
        chances = np.exp(log_probabilities(scores, logits=steps.logits)[0].numpy().astype(float))
        order = np.argsort(-chances, kind="stable")[:most]
        likely = tuple((name(int(one)), float(chances[one])) for one in order)
        found.append(SaidStep(name(number), float(chances[number]), likely))
        states.append(state)
    return found, states


def _tree(
    inference: DecodingModel,
    steps: Steps,
    row: Any,
    settings: SearchSettings,
    longest: int,
    found: Sequence[tuple[int, ...]],
    name: Name,
) -> tuple[tuple[Branch, ...], ...]:
    """Return the hypotheses after each step: those of a search of the same width that stops there."""
    end, start = inference.ids.end, tf.fill([1], inference.ids.start or 0)
    ended = [(*ids, end) for ids in found]
    levels: list[tuple[Branch, ...]] = []
    before: list[tuple[int, ...]] = []
    for time in range(1, longest + 1):
        parts = searching(inference, steps, time, replace(settings, n_best=settings.beam))(row, start, tf.constant(0))
        ids, lengths, scores = (part[0].numpy() for part in (parts.ids, parts.lengths, parts.scores))
        likely = parts.log_probs[0].numpy() > IMPOSSIBLE
        rows = [
            (tuple(map(int, one[:time])), float(score))
            for one, length, score, can in zip(ids, lengths, scores, likely, strict=True)
            if can and length == time
        ]
        known = {ids: place for place, ids in enumerate(before)}
        levels.append(
            tuple(
                Branch(name(ids[-1]), score, known.get(ids[:-1]), any(one[:time] == ids for one in ended))
                for ids, score in rows
            )
        )
        before = [ids for ids, _ in rows]
    return tuple(levels)
