"""Decoding id by id: a search runs a decoder's step repeatedly, and a choice takes ids from the step's scores.

A step maps the previous ids and a state to the scores of the next ids and the next state, independently for each row.
At step t the greedy search takes ``id(t) = choice(scores(id(t-1), state(t-1)))``, one for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Step = Callable[[Any, Sequence[Any]], tuple[Any, Sequence[Any]]]
"""From ids, int32 of shape (rows,), and a state, tensors (rows, ...), to scores (rows, classes) and the next state."""
Choice = Callable[[Any], Any]
"""From scores of shape (rows, classes) to ids, int32 of shape (rows,)."""


@dataclass(frozen=True)
class Steps:
    """A decoder as a step function, for searches other than the one that its code writes out.

    Attributes
    ----------
    begin
        From a batch of sources to the state before the first step, tensors of shape (rows, ...), and one step of the
        decoder. Within a graph, the step reads the weights as they are when the graph runs.
    logits
        Whether its scores are logits; None where only the numbers tell.
    constant
        How many of the last tensors of the state no step changes, such as an encoder's outputs.
    carried
        How many of the first tensors of the state are those of recurrent cells; None for all that are not constant.
    preferred
        Whether the greedy search goes by them too, as it gives the same ids as the code and is faster.
    """

    begin: Callable[[Any], tuple[Sequence[Any], Step]]
    logits: bool | None = None
    constant: int = 0
    carried: int | None = None
    preferred: bool = True


def most_probable(scores: Any) -> Any:
    """Return the id with the highest score in each row."""
    return tf.argmax(scores, axis=-1, output_type=tf.int32)


def greedy(
    step: Step,
    choice: Choice,
    start: Any,
    state: Sequence[Any],
    *,
    end: Any,
    longest: Any,
    rated: Callable[[Any, Any], Any] | None = None,
) -> tuple[Any, Any, Any]:
    """Search with one hypothesis for each row: the chosen id is fed back until it is the end id.

    Finished rows leave the batch at once, so the work is proportional to the number of ids returned, not to the longest
    row times the number of rows. The loop stops when no row is left.

    Parameters
    ----------
    step, choice
        The decoder's step, and the function that chooses ids from its scores.
    start
        The ids fed in first, int32 of shape (batch,).
    state
        The initial state of each row; tensors of shape (batch, ...).
    end
        int32 scalar: the id that ends a row; -1 if none does.
    longest
        int32 scalar: the most ids in a row.
    rated
        From ids (rows,) and scores (rows, classes) to numbers (rows,) that are added up for each row.

    Returns
    -------
    ids : tensor
        int32 of shape (batch, steps), with as many steps as the longest row has; after its end, a row is padded with
        ``end``.
    lengths : tensor
        int32 of shape (batch,): the number of ids in each row, including its end id.
    ratings : tensor or None
        float32 of shape (batch,): the sums of what ``rated`` gave.
    """
    batch = tf.size(start)
    silent = tf.fill([batch], end)
    # One entry more than there are steps: an empty TensorArray cannot be stacked.
    said = tf.TensorArray(tf.int32, 1, dynamic_size=True, element_shape=silent.shape).write(0, silent)
    lengths, ratings = tf.zeros([batch], tf.int32), [tf.zeros([batch])] if rated is not None else []

    def body(time: Any, rows: Any, ids: Any, said: Any, lengths: Any, ratings: Any, *state: Any) -> Any:
        scores, after = step(ids, state)
        ids = choice(scores)
        said = said.write(time + 1, tf.tensor_scatter_nd_update(silent, rows[:, None], ids))
        lengths = tf.tensor_scatter_nd_add(lengths, rows[:, None], tf.ones_like(rows))
        if rated is not None:
            ratings = [tf.tensor_scatter_nd_add(ratings[0], rows[:, None], rated(ids, scores))]
        going = tf.where(tf.not_equal(ids, end))[:, 0]
        kept = [rows, ids, *after]
        kept = tf.cond(tf.size(going) == tf.size(rows), lambda: kept, lambda: [tf.gather(one, going) for one in kept])
        return time + 1, *kept[:2], said, lengths, ratings, *kept[2:]

    carried = [tf.range(batch), tf.convert_to_tensor(start), said, lengths, ratings, *state]
    fewer = [tf.TensorShape([None, *one.shape[1:]]) for one in state]
    _, _, _, said, lengths, ratings, *_ = tf.while_loop(
        lambda time, rows, *_: (time < longest) & (tf.size(rows) > 0),
        body,
        [tf.constant(0), *carried],
        shape_invariants=[
            *(tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([])),
            *(lengths.shape, [one.shape for one in ratings], *fewer),
        ],
        parallel_iterations=1,
    )
    return tf.transpose(said.stack()[1:]), lengths, ratings[0] if ratings else None
