"""The settings of a search for one model: whether it can be searched so, and the ids of a prefix."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

from s2s_magic import backend
from s2s_magic.data import tokens
from s2s_magic.decoding.recipe import Way
from s2s_magic.decoding.settings import SearchSettings
from s2s_magic.errors import DecodeError, nearest
from s2s_magic.handle import Seq2Seq


def fitted_to(seq2seq: Seq2Seq, way: Way, settings: SearchSettings, longest: int) -> SearchSettings:
    """Check the settings of a search against the model, and return them with the ids of the prefix.

    Raises
    ------
    DecodeError
        Naming the option that does not fit the model.
    """
    classes = classes_of(seq2seq, way)
    check_width(seq2seq, settings, classes)
    if not settings.is_greedy and way.steps is None:
        raise DecodeError(f"{seq2seq.name} is {way.note or 'decoded as a whole'}: it cannot be searched in another way")
    if settings.min_length >= longest:
        raise DecodeError(
            f"min_length is {settings.min_length}; expected less than max_length, which is {longest}", "min_length"
        )
    if settings.prefix is None:
        return settings
    prefix = _prefix(seq2seq, way, settings.prefix)
    wrong = [number for number in prefix if classes is not None and not 0 <= number < classes]
    if wrong:
        raise DecodeError(
            f"prefix has the id {wrong[0]}, and {seq2seq.name} has the ids 0 to {(classes or 1) - 1}", "prefix"
        )
    if len(prefix) > longest:
        raise DecodeError(f"prefix has {len(prefix)} ids, and max_length is {longest}", "prefix")
    return replace(settings, prefix=prefix)


def check_width(seq2seq: Seq2Seq, settings: SearchSettings, classes: int | None) -> None:
    """Refuse a beam that is wider than there are symbols: after the first step it would hold what is impossible.

    Raises
    ------
    DecodeError
        Naming the option.
    """
    if classes is not None and settings.beam > classes:
        raise DecodeError(f"beam is {settings.beam}; expected at most the {classes} symbols of {seq2seq.name}", "beam")


def classes_of(seq2seq: Seq2Seq, way: Way) -> int | None:
    """Return the number of symbols that a model has scores for; None if it is not known."""
    if way.classes is not None:
        return way.classes
    outputs = backend.ends(seq2seq.model)[1]
    return int(outputs[0].shape[-1]) if outputs and outputs[0].shape and outputs[0].shape[-1] else None


def _prefix(seq2seq: Seq2Seq, way: Way, prefix: Any) -> tuple[int, ...]:
    """Return the ids of a prefix, given as a text, ids, or ids in a text."""
    tokenizer = seq2seq.tokenizers.get("target")
    if isinstance(prefix, str) and tokenizer is not None:
        if unknown := tokenizer.unknown([prefix]):
            raise DecodeError(f"prefix has {tokens.listed(unknown)}, not in the vocabulary of {seq2seq.name}", "prefix")
        return tuple(map(int, tokenizer.encode(prefix)))
    if isinstance(prefix, str) and way.words is not None:
        vocabulary = list(way.words.get_vocabulary())
        for word in prefix.split():
            if word not in vocabulary:
                raise DecodeError(
                    f"prefix has {word!r}, not in the vocabulary of {seq2seq.name}{nearest(word, vocabulary)}",
                    "prefix",
                )
        return tuple(vocabulary.index(word) for word in prefix.split())
    try:
        parts = prefix.strip("[]").replace(",", " ").split() if isinstance(prefix, str) else prefix
        return tuple(int(part) if isinstance(part, str) else operator.index(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise DecodeError(f"prefix is {prefix!r}; expected ids, as {seq2seq.name} works on ids", "prefix") from error
