"""TFA's ``BasicDecoder`` with a ``GreedyEmbeddingSampler``, on a loop that drops the rows that have ended."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.acceleration.decoder import settings_obstacle
from s2s_magic.acceleration.keras_cells import cell_obstacle, cells_of, kernel_cell, state_count, weights_of
from s2s_magic.acceleration.overriding import override
from s2s_magic.kernels import greedy, one_step
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
    """Give one step of a cell, or of a stack, on flat states."""
    steps = [one_step(kernel_cell(one), *weights_of(one)) for one in cells_of(cell)]
    counts = [state_count(one) for one in cells_of(cell)]
    types = [one.compute_dtype for one in cells_of(cell)]

    def advance(x: Any, states: Any) -> Any:
        after: list[Any] = []
        for step, count, dtype in zip(steps, counts, types, strict=True):
            new = step(tf.cast(x, dtype), *states[len(after) : len(after) + count])
            x, after = new[0], [*after, *new]
        return x, after

    return advance
