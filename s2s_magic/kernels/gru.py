"""The GRU cell, with hand-written forward and backward passes.

The unit of Cho et al. 2014, in Keras's order of gates ``z, r, h``. With input x(t), state h(t), weights W and U::

    z(t) = σ(W_z x(t) + U_z h(t-1) + b_z)            update gate
    r(t) = σ(W_r x(t) + U_r h(t-1) + b_r)            reset gate
    h̃(t) = tanh(W x(t) + U (r(t) ⊙ h(t-1)) + b)      as in the paper (``reset_after=False``)
    h̃(t) = tanh(W x(t) + b + r(t) ⊙ (U h(t-1) + c))  as cuDNN has it (``reset_after=True``), with a separate bias c
    h(t) = z(t) h(t-1) + (1 - z(t)) h̃(t)

Backward, with ε(t) = ∂E/∂h(t) summed over all paths into the future, and a for the arguments of σ and tanh::

    ∂E/∂a_h = ε (1 - z) (1 - h̃²)           ∂E/∂a_z = ε (h(t-1) - h̃) z (1 - z)
    reset before:  ρ = Uᵀ ∂E/∂a_h           ∂E/∂a_r = ρ h(t-1) r (1 - r)
                   ε(t-1) = ε z + ρ r + U_zᵀ ∂E/∂a_z + U_rᵀ ∂E/∂a_r
    reset after:   m = U h(t-1) + c         ∂E/∂a_r = ∂E/∂a_h m r (1 - r)
                   ε(t-1) = ε z + [U_z U_r U]ᵀ [∂E/∂a_z, ∂E/∂a_r, r ∂E/∂a_h]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from s2s_magic.kernels.driver import COLUMNS, Step, run
from s2s_magic.kernels.scan import back_through, times


class GruCell:
    """One step of a GRU that resets after the product with the state; see `s2s_magic.kernels.driver.Cell`."""

    states = 1
    kept: Sequence[int] = (2, 1, 1)
    found: Sequence[int] = (2, 1, 1)

    def biases(self, bias: Any) -> tuple[Any, Any]:
        """Of shape (2, 3 * units): for inputs, and for states."""
        return (None, None) if bias is None else (bias[0], bias[1])

    def forward(self, recurrent: Any, bias: Any, axis: int, start: Any = None) -> Step:
        """Prepare the step."""
        from_state = times(recurrent, axis)
        bias = bias[:, None] if bias is not None and axis == COLUMNS else bias
        parts = _parts(recurrent)

        def step(net: Any, h: Any) -> Any:
            m = from_state(h) if bias is None else from_state(h) + bias
            (net_gates, net_state), (m_gates, m_state) = tf.split(net, parts, axis), tf.split(m, parts, axis)
            gates = tf.sigmoid(net_gates + m_gates)
            z, r = tf.split(gates, 2, axis)
            candidate = tf.tanh(net_state + r * m_state)
            return (z * h + (1 - z) * candidate,), (gates, candidate, m_state)

        return step

    def backward(self, recurrent: Any, axis: int = COLUMNS) -> Step:
        """Prepare the backward step."""
        to_state, parts = back_through(recurrent, axis), _parts(recurrent)

        def back(gradients: Sequence[Any], kept: Sequence[Any], before: Sequence[Any]) -> Any:
            (dh,), (gates, candidate, m_state), (h,) = gradients, kept, before
            z, r = tf.split(gates, 2, axis)
            da_state, dz = _of_candidate(dh, z, candidate, h)
            da_gates = tf.raw_ops.SigmoidGrad(y=gates, dy=tf.concat([dz, da_state * m_state], axis))
            dm = tf.concat([da_gates, da_state * r], axis)
            return (dh * z + to_state(dm),), (da_gates, da_state, tf.split(dm, parts, axis)[1])

        return back

    def net(self, found: Sequence[Any], axis: int = COLUMNS) -> Any:
        """Return the gradient of the net input."""
        return tf.concat(found[:2], axis)

    def gradients(self, found: Sequence[Any], kept: Sequence[Any], before: Any) -> tuple[Any, Any, Any]:
        """Return the gradients of net input, recurrent kernel and bias."""
        da_gates, _, dm_state = found
        d_net, dm = self.net(found), tf.concat([da_gates, dm_state], 0)
        d_bias = tf.stack([tf.reduce_sum(d_net, 1), tf.reduce_sum(dm, 1)])
        return d_net, tf.matmul(before, dm, transpose_b=True), d_bias


class ResetBeforeGruCell(GruCell):
    """One step of a GRU that resets the state before its product."""

    found: Sequence[int] = (2, 1)

    def biases(self, bias: Any) -> tuple[Any, Any]:
        """All of it, of shape (3 * units,), belongs to the inputs."""
        return bias, None

    def forward(self, recurrent: Any, bias: Any, axis: int, start: Any = None) -> Step:
        """Prepare the step."""
        parts = _parts(recurrent)
        into_gates, into_state = (times(part, axis) for part in tf.split(recurrent, parts, 1))

        def step(net: Any, h: Any) -> Any:
            net_gates, net_state = tf.split(net, parts, axis)
            gates = tf.sigmoid(net_gates + into_gates(h))
            z, r = tf.split(gates, 2, axis)
            reset = r * h
            candidate = tf.tanh(net_state + into_state(reset))
            return (z * h + (1 - z) * candidate,), (gates, candidate, reset)

        return step

    def backward(self, recurrent: Any, axis: int = COLUMNS) -> Step:
        """Prepare the backward step."""
        to_gates, to_state = (back_through(part, axis) for part in tf.split(recurrent, _parts(recurrent), 1))

        def back(gradients: Sequence[Any], kept: Sequence[Any], before: Sequence[Any]) -> Any:
            (dh,), (gates, candidate, _), (h,) = gradients, kept, before
            z, r = tf.split(gates, 2, axis)
            da_state, dz = _of_candidate(dh, z, candidate, h)
            dr = to_state(da_state)
            da_gates = tf.raw_ops.SigmoidGrad(y=gates, dy=tf.concat([dz, dr * h], axis))
            return (dh * z + dr * r + to_gates(da_gates),), (da_gates, da_state)

        return back

    def gradients(self, found: Sequence[Any], kept: Sequence[Any], before: Any) -> tuple[Any, Any, Any]:
        """Return the gradients of net input, recurrent kernel and bias."""
        da_gates, da_state = found
        d_gates = tf.matmul(before, da_gates, transpose_b=True)
        d_state = tf.matmul(kept[2](), da_state, transpose_b=True)
        d_net = self.net(found)
        return d_net, tf.concat([d_gates, d_state], 1), tf.reduce_sum(d_net, 1)


def gru(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Any = None,
    *,
    reset_after: bool = True,
    **how: Any,
) -> Any:
    """Run a GRU layer.

    Parameters
    ----------
    x
        Inputs of shape (batch, steps, features); float16, bfloat16, float32 or float64.
    kernel, recurrent_kernel
        Shapes (features, 3 * units) and (units, 3 * units), of the inputs' type like all that follow.
    bias
        Shape (2, 3 * units) with ``reset_after``: for inputs and for states; else (3 * units,). None for none.
    initial_state
        A tensor of shape (batch, units). None for zeros.
    reset_after
        Apply the reset gate after the product with the state, not before.
    **how
        ``mask``, ``reverse``, ``sequences`` and ``unrolled``, as for `s2s_magic.kernels.driver.run`.

    Returns
    -------
    output : tensor
        Shape (batch, steps, units), or (batch, units) without ``sequences``.
    h : tensor
        The state after the last step, of shape (batch, units).
    """
    cell = GruCell() if reset_after else ResetBeforeGruCell()
    return run(cell, x, kernel, recurrent_kernel, bias, None if initial_state is None else [initial_state], **how)


def _parts(recurrent: Any) -> list[int]:
    """Return the size of both gates together, and that of the candidate."""
    return [2 * recurrent.shape[0], recurrent.shape[0]]


def _of_candidate(dh: Any, z: Any, candidate: Any, h: Any) -> tuple[Any, Any]:
    """Return the gradients of the candidate's net input and of the update gate."""
    return tf.raw_ops.TanhGrad(y=candidate, dy=dh * (1 - z)), dh * (h - candidate)
