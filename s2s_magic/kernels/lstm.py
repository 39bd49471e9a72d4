"""A whole LSTM layer, forward and gradient written out.

The unit (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000), in Keras's order
of gates ``i, f, c, o``. With input x(t), output y(t), internal state s(t), net inputs ``net`` and the squashing
functions σ (gates) and tanh (cell input g and cell output h)::

    net(t)   = W x(t) + R y(t-1) + b                 rows: in, forget (φ), cell (c), out
    y_in(t)  = σ(net_in(t))      y_φ(t) = σ(net_φ(t))      y_out(t) = σ(net_out(t))
    s(t)     = y_φ(t) s(t-1) + y_in(t) tanh(net_c(t))
    y(t)     = y_out(t) tanh(s(t))

Backward, with ε(t) = ∂E/∂y(t) and δ(t) = ∂E/∂s(t), each of them summed over all ways into the future::

    δ(t)         = δ(t+1) y_φ(t+1) + ε(t) y_out(t) (1 - tanh²(s(t)))
    ∂E/∂net_out  = ε(t) tanh(s(t)) · y_out (1 - y_out)
    ∂E/∂net_φ    = δ(t) s(t-1)     · y_φ (1 - y_φ)
    ∂E/∂net_in   = δ(t) tanh(net_c) · y_in (1 - y_in)
    ∂E/∂net_c    = δ(t) y_in       · (1 - tanh²(net_c))
    ε(t-1)       = Rᵀ ∂E/∂net(t) + what comes from the loss
    ∂E/∂W = Σ ∂E/∂net(t) x(t)ᵀ     ∂E/∂R = Σ ∂E/∂net(t) y(t-1)ᵀ     ∂E/∂b = Σ ∂E/∂net(t)     ∂E/∂x(t) = Wᵀ ∂E/∂net(t)

How it is computed: W x(t) + b is one product before the loop and each weight gradient is one product after it.
Inside, features are rows and the batch is columns: a gate is then a contiguous block of rows, which costs nothing to
cut out, and both products of a step, with Rᵀ (made once) forward and R as it is backward, read their matrices in the
order they are stored.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic.kernels.loop import (
    UNROLLED,
    scan,
    sequence,
    side_by_side,
    stacked,
    step_count,
    transposed,
    twice_differentiable,
)


def lstm(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Any = None,
    *,
    mask: Any = None,
    reverse: bool = False,
    sequences: bool = True,
    unrolled: int = UNROLLED,
) -> tuple[Any, Any, Any]:
    """Run an LSTM layer, with Keras's weights and Keras's meaning of a mask.

    Parameters
    ----------
    x
        Inputs of shape (batch, steps, features); float16, bfloat16, float32 or float64.
    kernel
        Shape (features, 4 * units), of the inputs' type like all that follow.
    recurrent_kernel
        Shape (units, 4 * units).
    bias
        Shape (4 * units,), or None.
    initial_state
        Two tensors of shape (batch, units): output and cell state. None for zeros.
    mask
        Booleans of shape (batch, steps). A False step keeps the state and repeats the output of the step before,
        zeros where there is none.
    reverse
        Go from the last step to the first; the outputs come in the order in which they are computed, as with Keras's
        ``go_backwards``.
    sequences
        Give the outputs of all steps; else only the last one.
    unrolled
        Up to this many steps, known when the graph is made, the loop over them is written out.

    Returns
    -------
    output : tensor
        Shape (batch, steps, units), or (batch, units) without ``sequences``.
    h, c : tensors
        The states after the last step, each of shape (batch, units).
    """
    if reverse:
        x = tf.reverse(x, [1])
        mask = None if mask is None else tf.reverse(mask, [1])
    started = initial_state is not None
    arguments = [x, kernel, recurrent_kernel]
    arguments += [] if bias is None else [bias]
    arguments += list(initial_state) if started else []

    def named(values: Any) -> tuple[Any, Any, Any]:
        """Give bias and the two initial states, of the further arguments."""
        b, *state = values if bias is not None else (None, *values)
        return b, *(state if started else (None, None))

    def plain(x: Any, kernel: Any, recurrent_kernel: Any, *more: Any) -> Any:
        return _plain(x, kernel, recurrent_kernel, *named(more), mask, sequences)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def fast(x: Any, kernel: Any, recurrent_kernel: Any, *more: Any) -> Any:
        b, h0, c0 = named(more)
        outputs, gradient = _forward(x, kernel, recurrent_kernel, b, h0, c0, mask, sequences, unrolled)
        return outputs, twice_differentiable(gradient, plain, [x, kernel, recurrent_kernel, *more])

    output, h, c = fast(*arguments)
    if mask is not None and started:
        # Before its first real step a row gives zeros, whatever its initial state.
        seen = tf.math.cumsum(tf.cast(mask, x.dtype), axis=1) > 0
        output = tf.where(seen[:, :, None] if sequences else seen[:, -1:], output, tf.zeros_like(output))
    return output, h, c


def _forward(
    x: Any, kernel: Any, recurrent_kernel: Any, bias: Any, h0: Any, c0: Any, mask: Any, sequences: bool, unrolled: int
) -> tuple[Any, Any]:
    """Give the outputs, and the function from their gradients to those of the arguments."""
    units = recurrent_kernel.shape[0]
    steps = step_count(x, 1, unrolled)
    columns = tf.transpose(x, [1, 2, 0])  # (steps, features, batch)
    net_x = tf.raw_ops.BatchMatMulV2(x=kernel[None], y=columns, adj_x=True)
    net_x = net_x if bias is None else net_x + bias[:, None]
    into_gates = transposed(recurrent_kernel)
    zeros = tf.zeros([units, tf.shape(x)[0]], x.dtype)
    h_first = zeros if h0 is None else tf.transpose(h0)
    c_first = zeros if c0 is None else tf.transpose(c0)
    masks = [] if mask is None else [sequence(tf.transpose(mask)[:, None], steps)]

    def step(h: Any, c: Any, net: Any, *real: Any) -> Any:
        if h is not zeros:
            net += tf.matmul(into_gates, h)
        net_in, net_forget, net_c, net_out = tf.split(net, 4)
        y_in, y_forget, g, y_out = tf.sigmoid(net_in), tf.sigmoid(net_forget), tf.tanh(net_c), tf.sigmoid(net_out)
        c_new = y_forget * c + y_in * g
        squashed = tf.tanh(c_new)
        h_new = y_out * squashed
        if real:
            h_new, c_new = tf.where(real[0], h_new, h), tf.where(real[0], c_new, c)
        return (h_new, c_new), (y_in, y_forget, g, y_out, squashed, c, h, h_new)

    rows = [units] * 8
    (h, c), kept = scan(steps, step, (h_first, c_first), [sequence(net_x, steps), *masks], rows)
    *activations, h_before, h_all = kept
    h_last = tf.transpose(h)
    output = tf.transpose(stacked(h_all), [2, 0, 1]) if sequences else h_last

    def back(dh: Any, dc: Any, y_in: Any, y_forget: Any, g: Any, y_out: Any, squashed: Any, c: Any, *more: Any) -> Any:
        *real, d_output = more if sequences else (*more, None)
        dh = dh if d_output is None else dh + d_output
        dh_kept = dc_kept = None
        if real:
            share = tf.cast(real[0], dh.dtype)
            dh_kept, dc_kept = dh * (1 - share), dc * (1 - share)
            dh, dc = dh * share, dc * share
        dc += _tanh_gradient(squashed, dh * y_out)
        d_net = tf.concat(
            [
                _sigmoid_gradient(y_in, dc * g),
                _sigmoid_gradient(y_forget, dc * c),
                _tanh_gradient(g, dc * y_in),
                _sigmoid_gradient(y_out, dh * squashed),
            ],
            0,
        )
        dh, dc = tf.matmul(recurrent_kernel, d_net), dc * y_forget
        if real:
            dh, dc = dh + dh_kept, dc + dc_kept
        return (dh, dc), (d_net,)

    def gradient(d_output: Any, d_h: Any, d_c: Any) -> list[Any]:
        d_h = d_h if sequences else d_h + d_output
        d_outputs = [sequence(tf.transpose(d_output, [1, 2, 0]), steps)] if sequences else []
        first = (tf.transpose(d_h), tf.transpose(d_c))
        read = [*activations, *masks, *d_outputs]
        (dh, dc), (d_nets,) = scan(steps, back, first, read, [4 * units], backwards=True)
        d_net = side_by_side(d_nets)
        features, batch = kernel.shape[0], tf.shape(x)[0]
        d_columns = tf.reshape(tf.matmul(kernel, d_net), [features, -1, batch])
        rows = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, features])
        gradients = [
            tf.transpose(d_columns, [2, 1, 0]),
            tf.matmul(rows, d_net, transpose_a=True, transpose_b=True),
            tf.matmul(side_by_side(h_before), d_net, transpose_b=True),
        ]
        gradients += [] if bias is None else [tf.reduce_sum(d_net, 1)]
        return gradients if h0 is None else [*gradients, tf.transpose(dh), tf.transpose(dc)]

    return (output, h_last, tf.transpose(c)), gradient


def _plain(
    x: Any, kernel: Any, recurrent_kernel: Any, bias: Any, h: Any, c: Any, mask: Any, sequences: bool
) -> tuple[Any, Any, Any]:
    """Give the same outputs by operations that TensorFlow differentiates itself, as often as it is asked to."""
    units = recurrent_kernel.shape[0]
    net_x = tf.tensordot(x, kernel, 1)
    net_x = tf.transpose(net_x if bias is None else net_x + bias, [1, 0, 2])
    zeros = tf.zeros([tf.shape(x)[0], units], x.dtype)
    h, c = (zeros, zeros) if h is None else (h, c)
    real = tf.ones(tf.shape(x)[:2], tf.bool) if mask is None else mask
    real = tf.transpose(real)[:, :, None]

    def step(before: Any, now: Any) -> Any:
        h, c = before
        net_in, net_forget, net_c, net_out = tf.split(now[0] + tf.matmul(h, recurrent_kernel), 4, axis=1)
        c_new = tf.sigmoid(net_forget) * c + tf.sigmoid(net_in) * tf.tanh(net_c)
        h_new = tf.sigmoid(net_out) * tf.tanh(c_new)
        return tf.where(now[1], h_new, h), tf.where(now[1], c_new, c)

    h_all, c_all = tf.scan(step, (net_x, real), (h, c))
    h, c = tf.concat([h[None], h_all], 0)[-1], tf.concat([c[None], c_all], 0)[-1]
    return (tf.transpose(h_all, [1, 0, 2]) if sequences else h), h, c


def _sigmoid_gradient(y: Any, dy: Any) -> Any:
    return tf.raw_ops.SigmoidGrad(y=y, dy=dy)


def _tanh_gradient(y: Any, dy: Any) -> Any:
    return tf.raw_ops.TanhGrad(y=y, dy=dy)
