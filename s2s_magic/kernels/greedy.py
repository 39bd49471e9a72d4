"""Greedy decoding: each row is fed its own most probable id until it says the end id.

At step t, with state s and embedding e(·): ``id(t) = argmax_k P(k | e(id(t-1)), s(t-1))``. Rows that have ended leave
the batch at once, so that the work is that of the ids that are given out, not that of the longest row times the
number of rows; the loop stops when no row is left. Here rows are rows: their number shrinks, and dropping some is
cheap where each is contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Step = Callable[[Any, Sequence[Any]], tuple[Any, Sequence[Any]]]


def greedy(step: Step, start: Any, states: Sequence[Any], *, end: Any, longest: Any) -> tuple[Any, Any]:
    """Decode rows greedily.

    Parameters
    ----------
    step
        From ids of shape (rows,) and the states of those rows to scores of shape (rows, classes) and the next states;
        each row by itself.
    start
        The first ids that are fed in, int32 of shape (batch,).
    states
        Where each row starts from; tensors of shape (batch, ...).
    end
        int32 scalar: the id that ends a row.
    longest
        int32 scalar: most ids a row can have.

    Returns
    -------
    ids : tensor
        int32 of shape (batch, steps), as many steps as the longest row has; behind its end a row is filled up with
        ``end``.
    lengths : tensor
        int32 of shape (batch,): the ids of each row, its end id included.
    """
    batch = tf.size(start)
    silent = tf.fill([batch], end)
    # One row more than there are steps: an array that stays empty could not be stacked.
    said = tf.TensorArray(tf.int32, 1, dynamic_size=True, element_shape=silent.shape).write(0, silent)
    lengths = tf.zeros([batch], tf.int32)

    def body(time: Any, rows: Any, ids: Any, said: Any, lengths: Any, *states: Any) -> Any:
        scores, after = step(ids, states)
        ids = tf.argmax(scores, axis=-1, output_type=tf.int32)
        said = said.write(time + 1, tf.tensor_scatter_nd_update(silent, rows[:, None], ids))
        lengths = tf.tensor_scatter_nd_add(lengths, rows[:, None], tf.ones_like(rows))
        going = tf.where(tf.not_equal(ids, end))[:, 0]
        kept = [tf.gather(value, going) for value in (rows, ids)]
        return time + 1, *kept, said, lengths, *(tf.gather(state, going) for state in after)

    carried = [tf.range(batch), tf.convert_to_tensor(start), said, lengths, *states]
    fewer = [tf.TensorShape([None, *state.shape[1:]]) for state in states]
    _, _, _, said, lengths, *_ = tf.while_loop(
        lambda time, rows, *_: (time < longest) & (tf.size(rows) > 0),
        body,
        [tf.constant(0), *carried],
        shape_invariants=[tf.TensorShape([]), *[tf.TensorShape([None])] * 2, tf.TensorShape([]), lengths.shape, *fewer],
        parallel_iterations=1,
    )
    return tf.transpose(said.stack()[1:]), lengths
