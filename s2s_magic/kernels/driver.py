"""Run a recurrent layer over all its steps: layout, masks, direction, loops and gradients, for any cell.

``W x(t) + b`` is one product before the loop and each weight gradient is one product after it.
Inside, features are rows and the batch is columns: a gate is then a contiguous block of rows, which costs nothing to
cut out, and both products of a step, with the transposed recurrent kernel (made once) forward and the kernel as it is
backward, read their matrices in the order they are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.kernels.scan import UNROLLED, scan, sequence, side_by_side, stacked, step_count, twice_differentiable

COLUMNS, ROWS = 0, 1
"""Whether each sample is a column (inside the driver: features are rows), or a row."""

Step = Callable[..., tuple[Sequence[Any], Sequence[Any]]]


class Cell(Protocol):
    """One step of a recurrent layer, which the driver runs over a sequence.

    ``net`` is the inputs' part of a step, ``W x(t) + b`` for all its gates; the first state is the output.

    Attributes
    ----------
    states
        Number of state tensors, each with one row per unit.
    kept
        Heights of the values that a step keeps for its gradient, in units.
    found
        Heights of the values that a backward step returns for the weights' gradients, in units.
    """

    states: int
    kept: Sequence[int]
    found: Sequence[int]

    def biases(self, bias: Any) -> tuple[Any, Any]:
        """Split a layer's bias into those of the inputs and of the states; None for none."""

    def forward(self, recurrent: Any, bias: Any, axis: int, start: Any = None) -> Step:
        """Prepare ``step(net, *states) -> (states, values to keep)``.

        Parameters
        ----------
        recurrent, bias
            The recurrent kernel of shape (units, gates * units), and the states' own bias.
        axis
            `COLUMNS` or `ROWS`.
        start
            The initial state if known to be zeros, so that its product can be skipped.
        """

    def backward(self, recurrent: Any, axis: int = COLUMNS) -> Step:
        """Prepare ``back(gradients of the states, kept values, states before) -> (gradients, found values)``."""

    def net(self, found: Sequence[Any], axis: int = COLUMNS) -> Any:
        """Return the gradient of ``net`` among what a backward step found, or all steps side by side."""

    def gradients(self, found: Sequence[Any], kept: Sequence[Any], before: Any) -> tuple[Any, Any, Any]:
        """Return the gradients of ``net``, of the recurrent kernel and of the bias after the loop.

        Parameters
        ----------
        found, kept
            Matrices with all steps side by side; ``kept`` as functions that build one on demand.
        before
            The first state before each step.
        """


def run(
    cell: Cell,
    x: Any,
    kernel: Any,
    recurrent: Any,
    bias: Any = None,
    states: Sequence[Any] | None = None,
    *,
    mask: Any = None,
    reverse: bool = False,
    sequences: bool = True,
    unrolled: int = UNROLLED,
) -> tuple[Any, ...]:
    """Run a recurrent layer, with Keras's weights and mask semantics.

    Parameters
    ----------
    cell
        The step.
    x
        Inputs of shape (batch, steps, features); float16, bfloat16, float32 or float64.
    kernel
        Shape (features, gates * units), of the inputs' type like all that follow.
    recurrent
        Shape (units, gates * units).
    bias
        As the cell takes it, or None.
    states
        Initial states, tensors of shape (batch, units); None for zeros.
    mask
        Booleans of shape (batch, steps). A False step keeps the state and repeats the previous step's output,
        or zeros if there is none.
    reverse
        Go from the last step to the first; the outputs come in the order in which they are computed, as with Keras's
        ``go_backwards``.
    sequences
        Return the outputs of all steps; else only the last one.
    unrolled
        A loop of at most this many steps, if known when the graph is built, is unrolled.

    Returns
    -------
    output : tensor
        Shape (batch, steps, units), or (batch, units) without ``sequences``.
    *states : tensors
        The states after the last step, each of shape (batch, units).
    """
    if reverse:
        x = tf.reverse(x, [1])
        mask = None if mask is None else tf.reverse(mask, [1])
    given = [*([] if bias is None else [bias]), *(states or [])]
    started = states is not None

    def parted(more: Sequence[Any]) -> tuple[Any, Sequence[Any] | None]:
        """Split the further arguments into the bias and the initial states."""
        b, rest = (more[0], more[1:]) if bias is not None else (None, more)
        return b, rest if started else None

    def plain(x: Any, kernel: Any, recurrent: Any, *more: Any) -> Any:
        return _plain(cell, x, kernel, recurrent, *parted(more), mask, sequences)

    @backend.custom_gradient
    def fast(x: Any, kernel: Any, recurrent: Any, *more: Any) -> Any:
        outputs, gradient = _forward(cell, x, kernel, recurrent, *parted(more), mask, sequences, unrolled)
        return outputs, twice_differentiable(gradient, plain, [x, kernel, recurrent, *more])

    output, *after = fast(x, kernel, recurrent, *given)
    if mask is not None and started:
        # Before its first unmasked step a row outputs zeros, whatever its initial state.
        seen = tf.math.cumsum(tf.cast(mask, x.dtype), axis=1) > 0
        output = tf.where(seen[:, :, None] if sequences else seen[:, -1:], output, tf.zeros_like(output))
    if sequences:  # a loop that is not unrolled loses the static number of steps
        output.set_shape([*x.shape[:2], recurrent.shape[0]])
    return output, *after


def _forward(
    cell: Cell,
    x: Any,
    kernel: Any,
    recurrent: Any,
    bias: Any,
    states: Sequence[Any] | None,
    mask: Any,
    sequences: bool,
    unrolled: int,
) -> tuple[Any, Callable[..., list[Any]]]:
    """Return the outputs, and the function that maps their gradients to those of the arguments."""
    units = recurrent.shape[0]
    steps = step_count(x, 1, unrolled)
    bias_x, bias_h = cell.biases(bias)
    columns = tf.transpose(x, [1, 2, 0])  # (steps, features, batch)
    net = tf.raw_ops.BatchMatMulV2(x=kernel[None], y=columns, adj_x=True)
    net = net if bias_x is None else net + bias_x[:, None]
    zeros = tf.zeros([units, tf.shape(x)[0]], x.dtype)
    first = [zeros] * cell.states if states is None else [tf.transpose(state) for state in states]
    masks = [] if mask is None else [sequence(tf.transpose(mask)[:, None], steps)]
    cell_step = cell.forward(recurrent, bias_h, COLUMNS, zeros)

    def step(*values: Any) -> Any:
        before, (net, *real) = values[: cell.states], values[cell.states :]
        after, kept = cell_step(net, *before)
        if real:
            after = [tf.where(real[0], new, old) for new, old in zip(after, before, strict=True)]
        return after, (*kept, *before, after[0])

    rows = [units * height for height in (*cell.kept, *[1] * (cell.states + 1))]
    last, every = scan(steps, step, first, [sequence(net, steps), *masks], rows)
    kept, before, outputs = every[: len(cell.kept)], every[len(cell.kept) : -1], every[-1]
    after = [tf.transpose(state) for state in last]
    output = tf.transpose(stacked(outputs), [2, 0, 1]) if sequences else after[0]
    cell_back = cell.backward(recurrent)

    def back(*values: Any) -> Any:
        d_states, values = list(values[: cell.states]), values[cell.states :]
        kept, before, rest = values[: len(cell.kept)], values[len(cell.kept) :][: cell.states], values[len(every) - 1 :]
        *real, d_output = rest if sequences else (*rest, None)
        d_states[0] = d_states[0] if d_output is None else d_states[0] + d_output
        passed: list[Any] = []
        if real:
            share = tf.cast(real[0], d_states[0].dtype)
            passed, d_states = [d * (1 - share) for d in d_states], [d * share for d in d_states]
        d_before, found = cell_back(d_states, kept, before)
        return [d + p for d, p in zip(d_before, passed, strict=True)] if real else d_before, found

    def gradient(d_output: Any, *d_after: Any) -> list[Any]:
        d_last = [tf.transpose(d) for d in (d_after if sequences else (d_after[0] + d_output, *d_after[1:]))]
        d_outputs = [sequence(tf.transpose(d_output, [1, 2, 0]), steps)] if sequences else []
        heights = [units * height for height in cell.found]
        d_first, found = scan(steps, back, d_last, [*kept, *before, *masks, *d_outputs], heights, backwards=True)
        joined = [_once(values) for values in kept]
        d_net, d_recurrent, d_bias = cell.gradients(
            [side_by_side(values) for values in found], joined, side_by_side(before[0])
        )
        features, batch = kernel.shape[0], tf.shape(x)[0]
        d_columns = tf.reshape(tf.matmul(kernel, d_net), [features, -1, batch])
        inputs = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, features])
        d_kernel = tf.matmul(inputs, d_net, transpose_a=True, transpose_b=True)
        gradients = [tf.transpose(d_columns, [2, 1, 0]), d_kernel, d_recurrent, *([] if bias is None else [d_bias])]
        return gradients if states is None else [*gradients, *(tf.transpose(d) for d in d_first)]

    return (output, *after), gradient


def _once(values: Any) -> Callable[[], Any]:
    return lambda: side_by_side(values)


def _plain(
    cell: Cell, x: Any, kernel: Any, recurrent: Any, bias: Any, states: Sequence[Any] | None, mask: Any, sequences: bool
) -> tuple[Any, ...]:
    """Compute the same outputs by operations that TensorFlow itself differentiates, to any order."""
    bias_x, bias_h = cell.biases(bias)
    net = tf.tensordot(x, kernel, 1)
    net = tf.transpose(net if bias_x is None else net + bias_x, [1, 0, 2])
    first = tuple(states or [tf.zeros([tf.shape(x)[0], recurrent.shape[0]], x.dtype)] * cell.states)
    real = tf.ones(tf.shape(x)[:2], tf.bool) if mask is None else mask
    cell_step = cell.forward(recurrent, bias_h, ROWS)

    def step(before: Any, now: Any) -> Any:
        after, _ = cell_step(now[0], *before)
        return tuple(tf.where(now[1], new, old) for new, old in zip(after, before, strict=True))

    every = tf.scan(step, (net, tf.transpose(real)[:, :, None]), first)
    last = [tf.concat([start[None], values], 0)[-1] for start, values in zip(first, every, strict=True)]
    return (tf.transpose(every[0], [1, 0, 2]) if sequences else last[0]), *last


def one_step(cell: Cell, kernel: Any, recurrent: Any, bias: Any = None) -> Callable[..., Sequence[Any]]:
    """Prepare a single step of a layer, for loops in which each input depends on the previous output.

    Parameters
    ----------
    cell, kernel, recurrent, bias
        As for `run`.

    Returns
    -------
    callable
        Maps inputs of shape (batch, features) and states of shape (batch, units) to the next states; the first of them
        is the output.
    """
    bias_x, bias_h = cell.biases(bias)
    step = cell.forward(recurrent, bias_h, ROWS)

    def advance(x: Any, *states: Any) -> Sequence[Any]:
        net = tf.matmul(x, kernel)
        return step(net if bias_x is None else tf.nn.bias_add(net, bias_x), *states)[0]

    return advance
