"""TFA's ``BasicDecoder`` with a ``GreedyEmbeddingSampler``, on a loop that drops the rows that have ended."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.acceleration.cells import cell_obstacle, cells_of, state_count
from s2s_magic.acceleration.decoder import settings_obstacle
from s2s_magic.acceleration.overriding import override
from s2s_magic.kernels import greedy
from s2s_magic.undoing import Changes


def greedy_obstacle(decoder: Any) -> str | None:
    """Say in words why a decoder of TFA cannot run on the greedy loop; None where it can."""
    sampler = decoder.sampler
    if type(sampler) is not sys.modules["tensorflow_addons"].seq2seq.GreedyEmbeddingSampler:
        return f"its {type(sampler).__name__} does not choose the most probable id"
    if decoder.maximum_iterations is None:
        return "without maximum_iterations, it may run for ever"
    if decoder.impute_finished:
        return "impute_finished=True gives zeros where this would give the end id"
    return settings_obstacle(decoder) or cell_obstacle(decoder.cell)


def accelerate_greedy_loop(changes: Changes, decoder: Any) -> None:
    """Let a decoder without `greedy_obstacle` choose ids faster.

    What it gives are ids and lengths, for models that are asked for nothing else: outputs and last states are NaN.
    Behind a row's end, ids are the end id, where TFA lets the row run on.
    """
    by_tfa = decoder.call
    output_of = sys.modules[type(decoder).__module__].BasicDecoderOutput

    def call(self: Any, inputs: Any, initial_state: Any = None, training: Any = None, **kwargs: Any) -> Any:
        if training is not False:
            return by_tfa(inputs, initial_state=initial_state, training=training, **kwargs)
        decoder.initialize(inputs, initial_state=initial_state, **kwargs)
        sampler, layer = decoder.sampler, decoder.output_layer
        advance = _advance(decoder.cell)
        weights = (
            [tf.convert_to_tensor(weight) for weight in layer.weights] if type(layer) is keras.layers.Dense else []
        )

        def step(ids: Any, states: Any) -> Any:
            outputs, states = advance(sampler.embedding_fn(ids), states)
            if weights:
                outputs = tf.matmul(tf.cast(outputs, layer.compute_dtype), tf.cast(weights[0], layer.compute_dtype))
                outputs = outputs + tf.cast(weights[1], layer.compute_dtype) if layer.use_bias else outputs
                outputs = outputs if layer.activation is None else layer.activation(outputs)
            return outputs, states

        longest = tf.convert_to_tensor(decoder.maximum_iterations, tf.int32)
        states = tf.nest.flatten(initial_state)
        ids, lengths = greedy(step, sampler.start_tokens, states, end=sampler.end_token, longest=longest)
        scores = tf.fill([*tf.unstack(tf.shape(ids)), decoder._rnn_output_size()[-1]], _nan(states[0]))
        return (
            output_of(scores, ids),
            tf.nest.map_structure(lambda s: tf.fill(tf.shape(s), _nan(s)), initial_state),
            lengths,
        )

    override(changes, decoder, "call", call)


def _nan(like: Any) -> Any:
    return tf.constant(float("nan"), like.dtype)


def _advance(cell: Any) -> Any:
    """Give one step of a cell, or of a stack, on flat states; weights are joined once, before the loop."""
    steps = [(_lstm_step if type(one) is keras.layers.LSTMCell else _gru_step)(one) for one in cells_of(cell)]
    counts = [state_count(one) for one in cells_of(cell)]

    def advance(x: Any, states: Any) -> Any:
        after: list[Any] = []
        for step, count in zip(steps, counts, strict=True):
            new = step(x, *states[len(after) : len(after) + count])
            x, after = new[0], [*after, *new]
        return x, after

    return advance


def _weights(cell: Any) -> tuple[Any, Any, Any]:
    own = [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]
    kernel, recurrent, *bias = (tf.cast(tf.convert_to_tensor(weight), cell.compute_dtype) for weight in own)
    return kernel, recurrent, bias[0] if bias else tf.zeros([2, kernel.shape[1]], cell.compute_dtype)


def _lstm_step(cell: Any) -> Any:
    kernel, recurrent, bias = _weights(cell)
    joined = tf.concat([kernel, recurrent], 0)
    bias = bias if cell.use_bias else bias[0]

    def step(x: Any, h: Any, c: Any) -> Any:
        net = tf.nn.bias_add(tf.matmul(tf.concat([tf.cast(x, joined.dtype), h], 1), joined), bias)
        net_in, net_forget, net_c, net_out = tf.split(net, 4, axis=1)
        c = tf.sigmoid(net_forget) * c + tf.sigmoid(net_in) * tf.tanh(net_c)
        return tf.sigmoid(net_out) * tf.tanh(c), c

    return step


def _gru_step(cell: Any) -> Any:
    kernel, recurrent, bias = _weights(cell)
    units = recurrent.shape[0]
    after = cell.reset_after
    bias_x, bias_h = (bias[0], bias[1]) if after or not cell.use_bias else (bias, None)

    def step(x: Any, h: Any) -> Any:
        a = tf.nn.bias_add(tf.matmul(tf.cast(x, kernel.dtype), kernel), bias_x)
        m = tf.matmul(h, recurrent if after else recurrent[:, : 2 * units])
        m = tf.nn.bias_add(m, bias_h) if after else m
        z, r = tf.split(tf.sigmoid(a[:, : 2 * units] + m[:, : 2 * units]), 2, axis=1)
        inner = r * m[:, 2 * units :] if after else tf.matmul(r * h, recurrent[:, 2 * units :])
        return (z * h + (1 - z) * tf.tanh(a[:, 2 * units :] + inner),)

    return step
