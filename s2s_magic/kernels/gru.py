"""A whole GRU layer, forward and gradient written out.

The unit of Cho et al. 2014, in Keras's order of gates ``z, r, h``. With input x(t), state h(t), weights W and U::

    z(t) = σ(W_z x(t) + U_z h(t-1) + b_z)            update gate
    r(t) = σ(W_r x(t) + U_r h(t-1) + b_r)            reset gate
    h̃(t) = tanh(W x(t) + U (r(t) ⊙ h(t-1)) + b)      as in the paper (``reset_after=False``)
    h̃(t) = tanh(W x(t) + b + r(t) ⊙ (U h(t-1) + c))  as cuDNN has it (``reset_after=True``), with a bias c of its own
    h(t) = z(t) h(t-1) + (1 - z(t)) h̃(t)

Backward, with ε(t) = ∂E/∂h(t) summed over all ways into the future, and a for what stands inside σ and tanh::

    ∂E/∂a_h = ε (1 - z) (1 - h̃²)           ∂E/∂a_z = ε (h(t-1) - h̃) z (1 - z)
    reset before:  ρ = Uᵀ ∂E/∂a_h           ∂E/∂a_r = ρ h(t-1) r (1 - r)
                   ε(t-1) = ε z + ρ r + U_zᵀ ∂E/∂a_z + U_rᵀ ∂E/∂a_r
    reset after:   m = U h(t-1) + c         ∂E/∂a_r = ∂E/∂a_h m r (1 - r)
                   ε(t-1) = ε z + [U_z U_r U]ᵀ [∂E/∂a_z, ∂E/∂a_r, r ∂E/∂a_h]

Weight gradients are sums over the steps, each of them one product after the loop; the inputs' product is hoisted out
of it. Features are rows and the batch is columns, for the reasons that `s2s_magic.kernels.lstm` gives.
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


def gru(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Any = None,
    *,
    reset_after: bool = True,
    mask: Any = None,
    reverse: bool = False,
    sequences: bool = True,
    unrolled: int = UNROLLED,
) -> tuple[Any, Any]:
    """Run a GRU layer, with Keras's weights and Keras's meaning of a mask.

    Parameters
    ----------
    x
        Inputs of shape (batch, steps, features); float16, bfloat16, float32 or float64.
    kernel
        Shape (features, 3 * units), of the inputs' type like all that follow.
    recurrent_kernel
        Shape (units, 3 * units).
    bias
        Shape (2, 3 * units) with ``reset_after``: for inputs and for states; else (3 * units,). None for none.
    initial_state
        A tensor of shape (batch, units). None for zeros.
    reset_after
        Apply the reset gate after the product with the state, not before.
    mask, reverse, sequences, unrolled
        As for `s2s_magic.kernels.lstm`.

    Returns
    -------
    output : tensor
        Shape (batch, steps, units), or (batch, units) without ``sequences``.
    h : tensor
        The state after the last step, of shape (batch, units).
    """
    if reverse:
        x = tf.reverse(x, [1])
        mask = None if mask is None else tf.reverse(mask, [1])
    started = initial_state is not None
    arguments = [x, kernel, recurrent_kernel]
    arguments += [] if bias is None else [bias]
    arguments += [initial_state] if started else []

    def named(values: Any) -> tuple[Any, Any]:
        """Give bias and initial state, of the further arguments."""
        b, *state = values if bias is not None else (None, *values)
        return b, state[0] if started else None

    def plain(x: Any, kernel: Any, recurrent_kernel: Any, *more: Any) -> Any:
        return _plain(x, kernel, recurrent_kernel, *named(more), reset_after, mask, sequences)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def fast(x: Any, kernel: Any, recurrent_kernel: Any, *more: Any) -> Any:
        outputs, gradient = _forward(x, kernel, recurrent_kernel, *named(more), reset_after, mask, sequences, unrolled)
        return outputs, twice_differentiable(gradient, plain, [x, kernel, recurrent_kernel, *more])

    output, h = fast(*arguments)
    if mask is not None and started:
        # Before its first real step a row gives zeros, whatever its initial state.
        seen = tf.math.cumsum(tf.cast(mask, x.dtype), axis=1) > 0
        output = tf.where(seen[:, :, None] if sequences else seen[:, -1:], output, tf.zeros_like(output))
    return output, h


def _forward(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    h0: Any,
    reset_after: bool,
    mask: Any,
    sequences: bool,
    unrolled: int,
) -> tuple[Any, Any]:
    """Give the outputs, and the function from their gradients to those of the arguments."""
    units = recurrent_kernel.shape[0]
    steps = step_count(x, 1, unrolled)
    bias_x, bias_h = (bias[0], bias[1]) if reset_after and bias is not None else (bias, None)
    columns = tf.transpose(x, [1, 2, 0])  # (steps, features, batch)
    a_x = tf.raw_ops.BatchMatMulV2(x=kernel[None], y=columns, adj_x=True)
    a_x = a_x if bias_x is None else a_x + bias_x[:, None]
    zeros = tf.zeros([units, tf.shape(x)[0]], x.dtype)
    h_first = zeros if h0 is None else tf.transpose(h0)
    masks = [] if mask is None else [sequence(tf.transpose(mask)[:, None], steps)]
    into = transposed(recurrent_kernel)  # (3 * units, units)
    into_gates, into_state = into[: 2 * units], into[2 * units :]
    from_gates, from_state = recurrent_kernel[:, : 2 * units], recurrent_kernel[:, 2 * units :]

    def step(h: Any, a: Any, *real: Any) -> Any:
        a_gates, a_state = tf.split(a, [2 * units, units])
        if reset_after:
            m = tf.matmul(into, h)
            m = m if bias_h is None else m + bias_h[:, None]
            m_gates, m_state = tf.split(m, [2 * units, units])
            gates = tf.sigmoid(a_gates + m_gates)
            z, r = tf.split(gates, 2)
            candidate = tf.tanh(a_state + r * m_state)
            more = m_state
        else:
            gates = tf.sigmoid(a_gates + tf.matmul(into_gates, h))
            z, r = tf.split(gates, 2)
            more = r * h
            candidate = tf.tanh(a_state + tf.matmul(into_state, more))
        h_new = z * h + (1 - z) * candidate
        if real:
            h_new = tf.where(real[0], h_new, h)
        return (h_new,), (gates, candidate, more, h, h_new)

    rows = [2 * units, *[units] * 4]
    (h,), kept = scan(steps, step, (h_first,), [sequence(a_x, steps), *masks], rows)
    *activations, h_all = kept
    more_all, h_before = activations[2:]
    h_last = tf.transpose(h)
    output = tf.transpose(stacked(h_all), [2, 0, 1]) if sequences else h_last

    def back(dh: Any, gates: Any, candidate: Any, more: Any, h: Any, *rest: Any) -> Any:
        *real, d_output = rest if sequences else (*rest, None)
        dh = dh if d_output is None else dh + d_output
        dh_kept = None
        if real:
            share = tf.cast(real[0], dh.dtype)
            dh_kept, dh = dh * (1 - share), dh * share
        z, r = tf.split(gates, 2)
        da_state = tf.raw_ops.TanhGrad(y=candidate, dy=dh * (1 - z))
        dz = dh * (h - candidate)
        if reset_after:
            da_gates = tf.raw_ops.SigmoidGrad(y=gates, dy=tf.concat([dz, da_state * more], 0))
            dm = tf.concat([da_gates, da_state * r], 0)
            dh = dh * z + tf.matmul(recurrent_kernel, dm)
            values = [da_gates, da_state, dm[2 * units :]]
        else:
            dr = tf.matmul(from_state, da_state)
            da_gates = tf.raw_ops.SigmoidGrad(y=gates, dy=tf.concat([dz, dr * h], 0))
            dh = dh * z + dr * r + tf.matmul(from_gates, da_gates)
            values = [da_gates, da_state]
        return (dh if dh_kept is None else dh + dh_kept,), values

    def gradient(d_output: Any, d_h: Any) -> list[Any]:
        d_h = d_h if sequences else d_h + d_output
        d_outputs = [sequence(tf.transpose(d_output, [1, 2, 0]), steps)] if sequences else []
        rows = [2 * units, units, *([units] if reset_after else [])]
        read = [*activations, *masks, *d_outputs]
        (dh,), found = scan(steps, back, (tf.transpose(d_h),), read, rows, backwards=True)
        da_gates, da_state, *dm_state = map(side_by_side, found)
        da = tf.concat([da_gates, da_state], 0)
        features, batch = kernel.shape[0], tf.shape(x)[0]
        d_columns = tf.reshape(tf.matmul(kernel, da), [features, -1, batch])
        rows_x = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, features])
        h_rows = side_by_side(h_before)
        d_bias = [tf.reduce_sum(da, 1)]
        if reset_after:
            dm = tf.concat([da_gates, dm_state[0]], 0)
            d_recurrent = tf.matmul(h_rows, dm, transpose_b=True)
            d_bias = [tf.stack([d_bias[0], tf.reduce_sum(dm, 1)])]
        else:
            d_gates = tf.matmul(h_rows, da_gates, transpose_b=True)
            d_state = tf.matmul(side_by_side(more_all), da_state, transpose_b=True)
            d_recurrent = tf.concat([d_gates, d_state], 1)
        d_kernel = tf.matmul(rows_x, da, transpose_a=True, transpose_b=True)
        gradients = [tf.transpose(d_columns, [2, 1, 0]), d_kernel, d_recurrent, *(d_bias if bias is not None else [])]
        return gradients if h0 is None else [*gradients, tf.transpose(dh)]

    return (output, h_last), gradient


def _plain(
    x: Any, kernel: Any, recurrent_kernel: Any, bias: Any, h: Any, reset_after: bool, mask: Any, sequences: bool
) -> tuple[Any, Any]:
    """Give the same outputs by operations that TensorFlow differentiates itself, as often as it is asked to."""
    units = recurrent_kernel.shape[0]
    bias_x, bias_h = (bias[0], bias[1]) if reset_after and bias is not None else (bias, None)
    a_x = tf.tensordot(x, kernel, 1)
    a_x = tf.transpose(a_x if bias_x is None else a_x + bias_x, [1, 0, 2])
    h = tf.zeros([tf.shape(x)[0], units], x.dtype) if h is None else h
    real = tf.ones(tf.shape(x)[:2], tf.bool) if mask is None else mask
    real = tf.transpose(real)[:, :, None]

    def step(h: Any, now: Any) -> Any:
        a_z, a_r, a_h = tf.split(now[0], 3, axis=1)
        if reset_after:
            m = tf.matmul(h, recurrent_kernel)
            m_z, m_r, m_h = tf.split(m if bias_h is None else m + bias_h, 3, axis=1)
            z, r = tf.sigmoid(a_z + m_z), tf.sigmoid(a_r + m_r)
            candidate = tf.tanh(a_h + r * m_h)
        else:
            m_z, m_r = tf.split(tf.matmul(h, recurrent_kernel[:, : 2 * units]), 2, axis=1)
            z, r = tf.sigmoid(a_z + m_z), tf.sigmoid(a_r + m_r)
            candidate = tf.tanh(a_h + tf.matmul(r * h, recurrent_kernel[:, 2 * units :]))
        return tf.where(now[1], z * h + (1 - z) * candidate, h)

    h_all = tf.scan(step, (a_x, real), h)
    h = tf.concat([h[None], h_all], 0)[-1]
    return (tf.transpose(h_all, [1, 0, 2]) if sequences else h), h
