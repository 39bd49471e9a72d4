"""Softmax cross entropy of an output layer, without ever holding all logits or probabilities.

With the layer's input y (a row for each position), weights W and bias b, labels t and a weight ω for each row::

    E      = Σ_i ω_i (log Σ_k exp l_ik - l_{i,t_i})        l = y W + b
    ∂E/∂l  = ω_i (softmax(l_i)_k - [k = t_i])
    ∂E/∂W  = yᵀ ∂E/∂l      ∂E/∂b = Σ_i ∂E/∂l_i      ∂E/∂y = ∂E/∂l Wᵀ

E is a scalar, so its incoming gradient is a single factor. All gradients can therefore be computed with the logits, a
block of rows at a time, while the block is still in the cache: only one block of logits is ever held, and no product is
computed twice.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.kernels.scan import twice_differentiable

BLOCK_BYTES = 24 << 20
"""Approximate bytes of logits held at a time. The more rows a product has, the less it costs per row to reorder the
weights; above 32 MiB, an allocation is memory that the system must clear first."""


def projected_cross_entropy(
    rows: Any, kernel: Any, bias: Any, labels: Any, weights: Any, *, with_gradient: bool = True
) -> Any:
    """Return the weighted sum of the cross entropy of ``softmax(rows @ kernel + bias)``.

    Parameters
    ----------
    rows
        The output layer's input, of shape (rows, units); float32 or float64.
    kernel
        Shape (units, classes).
    bias
        Shape (classes,), or None.
    labels
        int32 or int64 of shape (rows,). A label outside the classes is an error on CPU, as it is for TensorFlow's own
        operation.
    weights
        Shape (rows,): the weight of each row; zero for padding. No gradient is taken with respect to them.
    with_gradient
        Compute gradients along the way. Without, the loss is cheaper but cannot be differentiated fast.

    Returns
    -------
    tensor
        A scalar.
    """
    arguments = [rows, kernel, *([] if bias is None else [bias])]
    weights = tf.stop_gradient(weights)

    def plain(rows: Any, kernel: Any, *more: Any) -> Any:
        logits = tf.matmul(rows, kernel)
        logits = tf.nn.bias_add(logits, more[0]) if more else logits
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        return [tf.reduce_sum(weights * losses)]

    @backend.custom_gradient
    def blockwise(rows: Any, kernel: Any, *more: Any) -> Any:
        b = more[0] if more else None
        total, *gradients = _blocks(rows, kernel, b, labels, weights, with_gradient)

        def gradient(factor: Any) -> list[Any]:
            if not with_gradient:
                _, *found = _blocks(rows, kernel, b, labels, weights, True)
                return [factor * value for value in found]
            return [factor * value for value in gradients]

        return total, twice_differentiable(gradient, plain, [rows, kernel, *more])

    return blockwise(*arguments)


def _blocks(rows: Any, kernel: Any, bias: Any, labels: Any, weights: Any, with_gradient: bool) -> list[Any]:
    """Return the loss and, if requested, its gradients with respect to rows, kernel and bias."""
    units, classes = kernel.shape
    count = tf.shape(rows)[0]
    extended = kernel
    kernel_rows = tf.transpose(kernel) if with_gradient else None
    if bias is not None:
        # An extra unit that is always 1: the existing products then also apply the bias and yield its gradient.
        extended = tf.concat([kernel, bias[None]], 0)
        rows = tf.concat([rows, tf.ones([count, 1], rows.dtype)], 1)
    most = max(1, BLOCK_BYTES // (classes * rows.dtype.size))
    blocks = tf.maximum(1, (count + most - 1) // most)
    size = tf.maximum(1, (count + blocks - 1) // blocks)  # about equal, with no small remainder
    d_rows = tf.TensorArray(rows.dtype, blocks, element_shape=[None, units], infer_shape=False)
    d_kernel = tf.zeros(extended.shape if with_gradient else [0, 0], rows.dtype)

    def body(block: Any, total: Any, d_kernel: Any, d_rows: Any) -> Any:
        here = slice(block * size, tf.minimum((block + 1) * size, count))
        y, omega, block_labels = rows[here], weights[here], labels[here]
        places = tf.stack([tf.range(tf.shape(y)[0], dtype=labels.dtype), block_labels], 1)
        probabilities = tf.nn.softmax(tf.matmul(y, extended))
        chosen = tf.gather_nd(probabilities, places)

        def from_logits() -> Any:
            logits = tf.matmul(y, extended)
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=block_labels, logits=logits)

        # The logarithm of a probability is accurate as long as that is a normal number.
        normal = tf.reduce_min(chosen) > 1e-30
        total += tf.reduce_sum(omega * tf.cond(normal, lambda: -tf.math.log(chosen), from_logits))
        if with_gradient:
            with tf.control_dependencies([chosen]):  # else the subtraction, which is in place, would need a copy
                d_logits = tf.raw_ops.ScatterNdNonAliasingAdd(
                    input=probabilities, indices=places, updates=-tf.ones_like(omega)
                )
            # Each row's weight is applied on the small sides of the two products.
            d_kernel += tf.matmul(y * omega[:, None], d_logits, transpose_a=True)
            with tf.control_dependencies([d_kernel]):  # in parallel, the two products would compete for the cache
                d_rows = d_rows.write(block, tf.matmul(d_logits, kernel_rows) * omega[:, None])
        return block + 1, total, d_kernel, d_rows

    shapes = [tf.TensorShape([]), tf.TensorShape([]), d_kernel.shape, tf.TensorShape([])]
    _, total, d_kernel, d_rows = tf.while_loop(
        lambda block, *_: block < blocks,
        body,
        [tf.constant(0), tf.zeros([], rows.dtype), d_kernel, d_rows],
        shape_invariants=shapes,
        parallel_iterations=1,
    )
    if not with_gradient:
        return [total]
    return [total, d_rows.concat(), d_kernel[:units], *([] if bias is None else [d_kernel[units]])]
