"""The scores of additive attention, with a hand-written backward pass.

With queries q, keys k and weights v (Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473)::

    t_ijd  = tanh(q_id + k_jd)        s_ij = Σ_d v_d t_ijd
    ∂E/∂z_ijd = ∂E/∂s_ij v_d (1 - t²_ijd)
    ∂E/∂q_id  = Σ_j ∂E/∂z_ijd         ∂E/∂k_jd = Σ_i ∂E/∂z_ijd         ∂E/∂v_d = Σ_ij ∂E/∂s_ij t_ijd

Both sums over d or over i and j are products of matrices; only tanh is kept for the way back.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.kernels.scan import twice_differentiable


def additive_scores(query: Any, key: Any, weights: Any) -> Any:
    """Return ``reduce_sum(weights * tanh(query[:, :, None] + key[:, None]), -1)``.

    Parameters
    ----------
    query
        Shape (batch, queries, depth); float32 or float64.
    key
        Shape (batch, keys, depth), of the same type.
    weights
        Shape (depth,), of the same type.

    Returns
    -------
    tensor
        Shape (batch, queries, keys).
    """

    def plain(query: Any, key: Any, weights: Any) -> Any:
        return [tf.reduce_sum(weights * tf.tanh(query[:, :, None] + key[:, None]), axis=-1)]

    @backend.custom_gradient
    def fast(query: Any, key: Any, weights: Any) -> Any:
        squashed = tf.tanh(query[:, :, None] + key[:, None])
        shape, depth = tf.shape(squashed), tf.shape(squashed)[-1]
        # one row for each pair of query and key
        pairs = tf.reshape(squashed, [-1, depth])
        scores = tf.reshape(tf.matmul(pairs, weights[:, None]), shape[:-1])

        def gradient(d_scores: Any) -> list[Any]:
            d_sums = tf.raw_ops.TanhGrad(y=squashed, dy=d_scores[..., None] * weights)
            d_weights = tf.matmul(pairs, tf.reshape(d_scores, [-1, 1]), transpose_a=True)[:, 0]
            return [tf.reduce_sum(d_sums, 2), tf.reduce_sum(d_sums, 1), d_weights]

        return scores, twice_differentiable(gradient, plain, [query, key, weights])

    scores = fast(query, key, weights)
    scores.set_shape([query.shape[0], query.shape[1], key.shape[1]])
    return scores
