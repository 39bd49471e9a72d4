"""The LSTM cell, with hand-written forward and backward passes.

The unit (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000), in Keras's order
of gates ``i, f, c, o``. With input x(t), output y(t), internal state s(t), net inputs ``net`` and the squashing
functions σ (gates) and tanh (cell input g and cell output h)::

    net(t)   = W x(t) + R y(t-1) + b                 rows: in, forget (φ), cell (c), out
    y_in(t)  = σ(net_in(t))      y_φ(t) = σ(net_φ(t))      y_out(t) = σ(net_out(t))
    s(t)     = y_φ(t) s(t-1) + y_in(t) tanh(net_c(t))
    y(t)     = y_out(t) tanh(s(t))

Backward, with ε(t) = ∂E/∂y(t) and δ(t) = ∂E/∂s(t), both summed over all paths into the future::

    δ(t)         = δ(t+1) y_φ(t+1) + ε(t) y_out(t) (1 - tanh²(s(t)))
    ∂E/∂net_out  = ε(t) tanh(s(t)) · y_out (1 - y_out)
    ∂E/∂net_φ    = δ(t) s(t-1)     · y_φ (1 - y_φ)
    ∂E/∂net_in   = δ(t) tanh(net_c) · y_in (1 - y_in)
    ∂E/∂net_c    = δ(t) y_in       · (1 - tanh²(net_c))
    ε(t-1)       = Rᵀ ∂E/∂net(t) + what comes from the loss
    ∂E/∂W = Σ ∂E/∂net(t) x(t)ᵀ     ∂E/∂R = Σ ∂E/∂net(t) y(t-1)ᵀ     ∂E/∂b = Σ ∂E/∂net(t)     ∂E/∂x(t) = Wᵀ ∂E/∂net(t)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from s2s_magic.kernels.driver import COLUMNS, Step, run
from s2s_magic.kernels.scan import back_through, times


class LstmCell:
    """One step of an LSTM; see `s2s_magic.kernels.driver.Cell`. Its states are the output and the cell state."""

    states = 2
    kept: Sequence[int] = (1, 1, 1, 1, 1)
    found: Sequence[int] = (4,)

    def biases(self, bias: Any) -> tuple[Any, Any]:
        """All of it, of shape (4 * units,), belongs to the inputs."""
        return bias, None

    def forward(self, recurrent: Any, bias: Any, axis: int, start: Any = None) -> Step:
        """Prepare the step."""
        from_state = times(recurrent, axis)

        def step(net: Any, h: Any, c: Any) -> Any:
            net = net if h is start else net + from_state(h)
            net_in, net_forget, net_c, net_out = tf.split(net, 4, axis=axis)
            y_in, y_forget, g, y_out = tf.sigmoid(net_in), tf.sigmoid(net_forget), tf.tanh(net_c), tf.sigmoid(net_out)
            c = y_forget * c + y_in * g
            squashed = tf.tanh(c)
            return (y_out * squashed, c), (y_in, y_forget, g, y_out, squashed)

        return step

    def backward(self, recurrent: Any, axis: int = COLUMNS) -> Step:
        """Prepare the backward step."""
        to_state = back_through(recurrent, axis)

        def back(gradients: Sequence[Any], kept: Sequence[Any], before: Sequence[Any]) -> Any:
            (dh, dc), (y_in, y_forget, g, y_out, squashed), (_, c) = gradients, kept, before
            dc += _tanh_gradient(squashed, dh * y_out)
            d_net = tf.concat(
                [
                    _sigmoid_gradient(y_in, dc * g),
                    _sigmoid_gradient(y_forget, dc * c),
                    _tanh_gradient(g, dc * y_in),
                    _sigmoid_gradient(y_out, dh * squashed),
                ],
                axis,
            )
            return (to_state(d_net), dc * y_forget), (d_net,)

        return back

    def net(self, found: Sequence[Any], axis: int = COLUMNS) -> Any:
        """Return the gradient of the net input."""
        return found[0]

    def gradients(self, found: Sequence[Any], kept: Sequence[Any], before: Any) -> tuple[Any, Any, Any]:
        """Return the gradients of net input, recurrent kernel and bias."""
        (d_net,) = found
        return d_net, tf.matmul(before, d_net, transpose_b=True), tf.reduce_sum(d_net, 1)


def lstm(x: Any, kernel: Any, recurrent_kernel: Any, bias: Any = None, initial_state: Any = None, **how: Any) -> Any:
    """Run an LSTM layer.

    Parameters
    ----------
    x
        Inputs of shape (batch, steps, features); float16, bfloat16, float32 or float64.
    kernel, recurrent_kernel, bias
        Shapes (features, 4 * units), (units, 4 * units) and (4 * units,), of the inputs' type; ``bias`` may be None.
    initial_state
        Two tensors of shape (batch, units): output and cell state. None for zeros.
    **how
        ``mask``, ``reverse``, ``sequences`` and ``unrolled``, as for `s2s_magic.kernels.driver.run`.

    Returns
    -------
    output : tensor
        Shape (batch, steps, units), or (batch, units) without ``sequences``.
    h, c : tensors
        The states after the last step, each of shape (batch, units).
    """
    return run(LstmCell(), x, kernel, recurrent_kernel, bias, initial_state, **how)


def _sigmoid_gradient(y: Any, dy: Any) -> Any:
    return tf.raw_ops.SigmoidGrad(y=y, dy=dy)


def _tanh_gradient(y: Any, dy: Any) -> Any:
    return tf.raw_ops.TanhGrad(y=y, dy=dy)
