"""Telling which of a model's outputs are the scores of its decoder, where it returns more than these.

They are the output that has a loss, if the model was compiled with losses by output and that is one; else the one with
as many symbols as the table has rows in which the ids that the decoder reads are looked up. Each must have the shape of
scores and depend on source and ids. Where this leaves none or several, nothing is guessed: they are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic import backend
from s2s_magic.decoding.causality import is_causal
from s2s_magic.decoding.model_functions import SHORT, Output, TwoInputs, drawn
from s2s_magic.errors import DecodeError, first_line_of
from s2s_magic.handle import Seq2Seq
from s2s_magic.undoing import Changes


def scores_among(seq2seq: Seq2Seq, outputs: Sequence[Output], whole: Callable[[], TwoInputs | None]) -> int:
    """Return which of the outputs that may be scores are those of the decoder.

    Parameters
    ----------
    seq2seq
        A model with several outputs.
    outputs
        Those that may be scores by their shape, and depend on source and ids.
    whole
        Gives the model as a function of two inputs to these outputs; None if it is not one.

    Raises
    ------
    DecodeError
        When it cannot be told; the message names the candidates.
    """
    if not outputs:
        raise _refused(
            seq2seq, "none of its outputs has scores (rows, steps, symbols) that depend on source and on ids"
        )
    compared = _with_loss(seq2seq)
    left = [number for number, output in enumerate(outputs) if compared is None or compared(output)]
    if compared is not None and len(left) == 1:
        return left[0]
    if not left:
        raise _refused(
            seq2seq, f"its loss leaves out {_either(outputs)}, and compares no other scores (rows, steps, symbols)"
        )
    sizes = _ids_read(seq2seq, whole())
    found = [number for number in left if outputs[number].shape[2] in sizes]
    if len(found) == 1:
        return found[0]
    known = f"{' or '.join(map(str, sorted(sizes)))} ids" if sizes else "ids"
    raise _refused(
        seq2seq,
        f"its scores may be {_either([outputs[number] for number in left])}, and neither its loss nor the number of "
        f"{known} that it reads tells; compile it with a loss for the scores, and None for the other outputs",
    )


def told(output: Output) -> str:
    """Return the words that say which output the scores are."""
    return f"its scores are its output {output.name}"


def _refused(seq2seq: Seq2Seq, why: str) -> DecodeError:
    return DecodeError(f"{seq2seq.name} cannot be decoded: {why}")


def _either(outputs: Sequence[Output]) -> str:
    return " or ".join(map(str, outputs))


def _with_loss(seq2seq: Seq2Seq) -> Callable[[Output], bool] | None:
    """Return whether an output has a loss, as a function; None if the model was not compiled with losses by output."""
    model = seq2seq.model
    loss = model.loss if backend.is_compiled(model) else None
    if not isinstance(loss, dict | list | tuple):
        return None
    by_number = backend.by_output(model, loss) if backend.is_wired(model) else None
    losses = dict(loss) if isinstance(loss, dict) and by_number is None else dict(enumerate(by_number or loss))
    return lambda output: losses.get(output.place[0]) is not None


def _ids_read(seq2seq: Seq2Seq, whole: TwoInputs | None) -> set[int]:
    """Return how many ids there are for what the decoder reads: the rows of the tables that it looks them up in."""
    if whole is None:
        return set()
    try:
        numbers = range(len(whole.outputs))
        places = [place for place in (0, 1) if any(is_causal(whole, number, place) for number in numbers)]
        if len(places) != 1:
            return set()
        (place,) = places
        fed = whole.inputs[place]
        return {int(fed.shape[2])} if len(fed.shape) == 3 else _tables(seq2seq, whole, place)
    except Exception as error:
        raise _refused(
            seq2seq, f"it cannot be tried out which output are its scores: {first_line_of(error)}"
        ) from error


def _tables(seq2seq: Seq2Seq, whole: TwoInputs, place: int) -> set[int]:
    """Return the sizes of the tables of which an input of ids chooses the rows.

    Each output is computed for ids that are all 1, and all 2: the rows of a table that were looked up are those that
    the output has a gradient for, and of this input's tables they are not the same.
    """
    numbers = np.random.default_rng(0)
    variables = [backend.in_tensorflow(backend.bare(one)) for kind in backend.weights(seq2seq.model) for one in kind]
    variables = [one for one in variables if len(one.shape) == 2 and one.dtype.is_floating]
    other = drawn(whole.inputs[1 - place], SHORT, None, numbers)
    if other.ndim == 2:
        other = np.full_like(other, 2)  # in a table that both inputs share, its rows are the same both times
    like = drawn(whole.inputs[place], SHORT, None, numbers)
    sizes = set()
    for number in range(len(whole.outputs)):
        first, second = (
            _rows_read(whole, number, variables, [ids, other] if place == 0 else [other, ids])
            for ids in (np.full_like(like, 1), np.full_like(like, 2))
        )
        for variable, one, two in zip(variables, first, second, strict=True):
            if 1 in one and 1 not in two and 2 in two:
                sizes.add(int(variable.shape[0]))
    return sizes


def _rows_read(whole: TwoInputs, number: int, variables: Sequence[Any], given: Sequence[Any]) -> list[set[int]]:
    """Return which rows of each variable an output has a gradient for."""
    with Changes() as changes, changes, changes:
        tape = changes.enter(tf.GradientTape(watch_accessed_variables=False))
        for variable in variables:
            tape.watch(variable)
        output = whole.run(given)[number]
        weights = np.random.default_rng(0).normal(size=output.shape)  # the sum of probabilities has no gradient
        total = tf.reduce_sum(output * tf.cast(weights, output.dtype))
    return [_rows_of(gradient) for gradient in tape.gradient(total, variables)]


def _rows_of(gradient: Any) -> set[int]:
    """Return which rows a gradient is of."""
    if gradient is None:
        return set()
    if isinstance(gradient, tf.IndexedSlices):
        return set(gradient.indices.numpy().ravel().tolist())
    return set(np.flatnonzero(np.abs(np.asarray(gradient)).max(axis=1)).tolist())
