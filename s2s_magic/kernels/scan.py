"""Loops over time steps for the recurrent kernels, and what makes their gradients safe to differentiate again.

A *sequence* here is one value a step: a list of tensors where the number of steps is a known, small ``int`` (the loop
is then written out, which spares a while loop's bookkeeping), else a `tf.TensorArray`. Values that the gradient will
read again stay in such sequences: writing and reading one is free, while stacking them up would copy them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from s2s_magic.undoing import Changes

UNROLLED = 32
"""Up to this many steps, known when the graph is made, the loop is written out."""


def step_count(x: Any, axis: int, most: int = UNROLLED) -> Any:
    """Return the number of steps: an ``int`` where a loop of at most ``most`` is written out, else a scalar tensor."""
    known = x.shape[axis]
    return known if known is not None and 0 < known <= most else tf.shape(x)[axis]


def sequence(values: Any, steps: Any) -> Any:
    """Cut a tensor of shape (steps, ...) into one value a step."""
    if isinstance(steps, int):
        return tf.unstack(values, steps)
    return tf.TensorArray(values.dtype, steps, element_shape=values.shape[1:], clear_after_read=False).unstack(values)


def stacked(values: Any) -> Any:
    """Join a sequence along a new first axis."""
    return tf.stack(values) if isinstance(values, list) else values.stack()


def side_by_side(values: Any) -> Any:
    """Join a sequence of matrices of shape (rows, batch) to one of shape (rows, steps * batch)."""
    if isinstance(values, list):
        return tf.concat(values, 1)
    joined = values.stack()
    return tf.reshape(tf.transpose(joined, [1, 0, 2]), [joined.shape[1], -1])


def transposed(matrix: Any) -> Any:
    """Transpose a matrix once for all products that read it.

    The graph optimizer would fold a plain transposition into each of those products, where it costs more: it turns a
    small product's large side around again at every step.
    """
    rows, columns = matrix.shape
    return tf.reshape(tf.transpose(matrix[:, :, None], [1, 0, 2]), [columns, rows])


def times(matrix: Any, axis: int) -> Callable[[Any], Any]:
    """Prepare the product of a transposed matrix with columns (``axis`` 0), or of rows with the matrix (1)."""
    if axis:
        return lambda rows: tf.matmul(rows, matrix)
    turned = transposed(matrix)
    return lambda columns: tf.matmul(turned, columns)


def scan(
    steps: Any,
    step: Callable[..., tuple[Sequence[Any], Sequence[Any]]],
    carry: Sequence[Any],
    read: Sequence[Any],
    rows: Sequence[int],
    *,
    backwards: bool = False,
) -> tuple[list[Any], list[Any]]:
    """Run a step over sequences.

    Parameters
    ----------
    steps
        What `step_count` gave.
    step
        Takes the carry and one value of each sequence; gives the next carry and the values to keep.
    carry
        Tensors of the first step.
    read
        Sequences.
    rows
        Rows of each value that is kept; they are matrices of shape (rows, batch).
    backwards
        Go from the last step to the first; what is kept stands at its own step all the same.

    Returns
    -------
    carry : list of tensors
        After the last step.
    kept : list of sequences
        One for each of ``rows``.
    """
    carry = list(carry)
    if isinstance(steps, int):
        kept: list[Any] = [[None] * steps for _ in rows]
        for time in reversed(range(steps)) if backwards else range(steps):
            new, values = step(*carry, *(values[time] for values in read))
            carry = list(new)
            for place, value in zip(kept, values, strict=True):
                place[time] = value
        return carry, kept
    dtype = carry[0].dtype
    # Where the batch is known, an array that stays empty can still be stacked.
    batch = carry[0].shape[1]
    arrays = [tf.TensorArray(dtype, steps, element_shape=[count, batch], clear_after_read=False) for count in rows]

    def body(turn: Any, *state: Any) -> Any:
        time = steps - 1 - turn if backwards else turn
        new, values = step(*state[: len(carry)], *(values.read(time) for values in read))
        written = [array.write(time, value) for array, value in zip(state[len(carry) :], values, strict=True)]
        return turn + 1, *new, *written

    # One step after the other is all there is, and one iteration in flight needs the least bookkeeping.
    shapes = [tf.TensorShape([value.shape[0], None]) for value in carry]
    _, *state = tf.while_loop(
        lambda turn, *_: turn < steps,
        body,
        [tf.constant(0), *carry, *arrays],
        shape_invariants=[tf.TensorShape([]), *shapes, *(tf.TensorShape([]) for _ in arrays)],
        parallel_iterations=1,
    )
    return state[: len(carry)], state[len(carry) :]


def twice_differentiable(
    gradient: Callable[..., Sequence[Any]], plain: Callable[..., Sequence[Any]], arguments: Sequence[Any]
) -> Callable[..., Any]:
    """Let a hand-written gradient be differentiated once more, through the plain form of the function.

    What a hand-written gradient reads besides its arguments (activations kept by the forward pass) would count as
    constant, and second derivatives would come out wrong without a word. They are taken from the plain function
    instead: slow, and right.

    Parameters
    ----------
    gradient
        From the gradients of the outputs to the gradients of ``arguments``.
    plain
        The same function by operations that TensorFlow differentiates itself.
    arguments
        Where the gradient is taken.
    """

    def outer(*upstream: Any) -> Any:
        count = len(upstream)

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def inner(*values: Any) -> Any:
            def second(*above: Any) -> Any:
                with Changes() as around, around, around:
                    outside = around.enter(tf.GradientTape())
                    outside.watch(values)
                    with Changes() as within, within, within:
                        inside = within.enter(tf.GradientTape())
                        inside.watch(values[count:])
                        outputs = plain(*values[count:])
                    first = inside.gradient(
                        outputs, values[count:], values[:count], unconnected_gradients=tf.UnconnectedGradients.ZERO
                    )
                return outside.gradient(first, values, list(above), unconnected_gradients=tf.UnconnectedGradients.ZERO)

            return tuple(gradient(*values[:count])), second

        return inner(*upstream, *arguments)

    return outer
