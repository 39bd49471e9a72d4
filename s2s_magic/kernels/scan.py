"""Loops over time steps for the recurrent kernels, and second derivatives of their gradients.

A *sequence* here has one value per step: a list of tensors if the number of steps is a known, small ``int`` (the loop
is then unrolled, which saves a while loop's bookkeeping), else a `tf.TensorArray`. Values that the gradient will read
again stay in such sequences: writing and reading one is free, while stacking them would copy them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.undoing import Changes

UNROLLED = 32
"""A loop of at most this many steps, if known when the graph is built, is unrolled."""


def step_count(x: Any, axis: int, most: int = UNROLLED) -> Any:
    """Return the number of steps: an ``int`` if at most ``most``, so the loop is unrolled, else a scalar tensor."""
    known = x.shape[axis]
    return known if known is not None and 0 < known <= most else tf.shape(x)[axis]


def sequence(values: Any, steps: Any) -> Any:
    """Split a tensor of shape (steps, ...) into one value per step."""
    if isinstance(steps, int):
        return tf.unstack(values, steps)
    return tf.TensorArray(values.dtype, steps, element_shape=values.shape[1:], clear_after_read=False).unstack(values)


def stacked(values: Any) -> Any:
    """Join a sequence along a new first axis."""
    if isinstance(values, list):
        return tf.stack(values)
    joined, element = values.stack(), values.element_shape
    # an empty array, outside of a graph, has forgotten the shape of its elements
    return joined if joined.shape.rank == element.rank + 1 else tf.zeros([0, *element], values.dtype)


def side_by_side(values: Any) -> Any:
    """Join a sequence of matrices of shape (rows, batch) to one of shape (rows, steps * batch)."""
    if isinstance(values, list):
        return tf.concat(values, 1)
    joined = stacked(values)
    return tf.reshape(tf.transpose(joined, [1, 0, 2]), [joined.shape[1], -1])


def transposed(matrix: Any) -> Any:
    """Transpose a matrix once for all products that read it.

    The graph optimizer would fold a plain transposition into each of those products, where it costs more: the large
    matrix would be transposed again at every step.
    """
    rows, columns = matrix.shape
    return tf.reshape(tf.transpose(matrix[:, :, None], [1, 0, 2]), [columns, rows])


def times(matrix: Any, axis: int) -> Callable[[Any], Any]:
    """Prepare the product of a transposed matrix with columns (``axis`` 0), or of rows with the matrix (1)."""
    if axis:
        return lambda rows: tf.matmul(rows, matrix)
    turned = transposed(matrix)
    return lambda columns: tf.matmul(turned, columns)


def back_through(matrix: Any, axis: int) -> Callable[[Any], Any]:
    """Prepare the way back through `times`: the product of the matrix with columns, or of rows with it transposed."""
    if axis:
        turned = transposed(matrix)
        return lambda rows: tf.matmul(rows, turned)
    return lambda columns: tf.matmul(matrix, columns)


def scan(
    steps: Any,
    step: Callable[..., tuple[Sequence[Any], Sequence[Any]]],
    carry: Sequence[Any],
    read: Sequence[Any],
    rows: Sequence[Any],
    *,
    backwards: bool = False,
    columns: bool = True,
) -> tuple[list[Any], list[Any]]:
    """Run a step over sequences.

    Parameters
    ----------
    steps
        The result of `step_count`.
    step
        Takes the carry and one value of each sequence; returns the next carry and the values to keep.
    carry
        Tensors for the first step.
    read
        Sequences.
    rows
        Number of rows of each kept value, a matrix of shape (rows, batch); None if it varies. Of any other value, a
        `tf.TensorSpec`.
    backwards
        Go from the last step to the first; kept values are still stored at their own step.
    columns
        Whether the batch is the last axis of carry and kept values; else it is the first, and ``rows`` counts columns.

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
    # With a static batch size, even an array that stays empty can be stacked.
    batch = carry[0].shape[1 if columns else 0]
    specs = [
        each if isinstance(each, tf.TensorSpec) else tf.TensorSpec([each, batch] if columns else [batch, each], dtype)
        for each in rows
    ]
    arrays = [tf.TensorArray(spec.dtype, steps, element_shape=spec.shape, clear_after_read=False) for spec in specs]

    def body(turn: Any, *state: Any) -> Any:
        time = steps - 1 - turn if backwards else turn
        new, values = step(*state[: len(carry)], *(values.read(time) for values in read))
        written = [array.write(time, value) for array, value in zip(state[len(carry) :], values, strict=True)]
        return turn + 1, *new, *written

    # The steps are sequential anyway, and one iteration in flight needs the least bookkeeping.
    varies = 1 if columns else 0

    def loose(value: Any) -> tf.TensorShape:
        is_vector = len(value.shape) == 1  # of sums over the batch
        return tf.TensorShape([None if axis == varies and not is_vector else n for axis, n in enumerate(value.shape)])

    shapes = [loose(value) for value in carry]
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
    """Make a hand-written gradient differentiable, through the plain form of the function.

    What a hand-written gradient reads besides its arguments (activations kept by the forward pass) would count as
    constants, and second derivatives would be silently wrong. They are taken from the plain function instead: slow, but
    correct.

    Parameters
    ----------
    gradient
        Maps the gradients of the outputs to the gradients of ``arguments``.
    plain
        The same function in operations that TensorFlow itself differentiates.
    arguments
        The point at which the gradient is taken.
    """

    def outer(*upstream: Any) -> Any:
        count = len(upstream)

        @backend.custom_gradient
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
