"""TFA's ``BasicDecoder`` with a ``GreedyEmbeddingSampler``, searched greedily over one step of its cell's kernels."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from s2s_magic.acceleration import ACCELERATED, model_obstacle, put_on_kernels, recurrent_layers
from s2s_magic.acceleration.decoder import is_decoder, settings_obstacle
from s2s_magic.acceleration.keras_cells import (
    cell_obstacle,
    cells_of,
    kernel_cell,
    run_cells,
    state_count,
    weights_of,
)
from s2s_magic.acceleration.overriding import override
from s2s_magic.decoding.search import Step, greedy, most_probable
from s2s_magic.kernels import one_step
from s2s_magic.undoing import Changes


@contextmanager
def accelerate_greedy(model: Any) -> Iterator[Mapping[str, str]]:
    """Let a decoding model give the same ids and lengths faster for the time of a ``with`` block.

    Besides what `s2s_magic.acceleration.accelerate` does, a ``BasicDecoder`` with a ``GreedyEmbeddingSampler`` drops
    rows as they end; behind their end, ids are the end id. A function that is traced inside the block stays fast
    outside.

    Parameters
    ----------
    model
        A functional Keras model.

    Yields
    ------
    Mapping[str, str]
        For each recurrent layer by its name: ``"accelerated"``, or why not.
    """
    with Changes() as changes, changes, changes:
        yield put_on_greedy_kernels(changes, model)


def put_on_greedy_kernels(changes: Changes, model: Any) -> Mapping[str, str]:
    """Let a decoding model give ids and lengths faster until changes are undone; see `accelerate_greedy`."""
    found = dict(put_on_kernels(changes, model))
    for layer in recurrent_layers(model):
        if found[layer.name] != ACCELERATED and is_decoder(layer):
            obstacle = model_obstacle(model) or _obstacle(layer)
            found[layer.name] = obstacle or ACCELERATED
            if obstacle is None:
                _search_greedily(changes, layer)
    return found


def _obstacle(decoder: Any) -> str | None:
    """Say in words why a decoder of TFA cannot be searched so; None where it can."""
    sampler = decoder.sampler
    if type(sampler) is not sys.modules["tensorflow_addons"].seq2seq.GreedyEmbeddingSampler:
        return f"its {type(sampler).__name__} does not choose the most probable id"
    if decoder.maximum_iterations is None:
        return "without maximum_iterations, it may run for ever"
    if decoder.impute_finished:
        return "impute_finished=True gives zeros where this would give the end id"
    return settings_obstacle(decoder) or cell_obstacle(decoder.cell)


def _search_greedily(changes: Changes, decoder: Any) -> None:
    """Let a decoder without `_obstacle` choose ids faster, until changes are undone.

    Behind a row's end, where TFA lets the row run on, ids are the end id, outputs zeros, and the state stays. Outputs
    and last states are computed from the ids once these are all there: a graph that is asked for ids alone leaves that
    out.
    """
    by_tfa = decoder.call
    output_of = sys.modules[type(decoder).__module__].BasicDecoderOutput

    def call(self: Any, inputs: Any, initial_state: Any = None, training: Any = None, **kwargs: Any) -> Any:
        if training is not False:
            return by_tfa(inputs, initial_state=initial_state, training=training, **kwargs)
        decoder.initialize(inputs, initial_state=initial_state, **kwargs)
        start, end, embed = decoder.sampler.start_tokens, decoder.sampler.end_token, decoder.sampler.embedding_fn
        state = tf.nest.flatten(initial_state)
        longest = tf.convert_to_tensor(decoder.maximum_iterations, tf.int32)
        ids, lengths = greedy(step_of(decoder), most_probable, start, state, end=end, longest=longest)
        fed = tf.concat([start[:, None], ids[:, :-1]], axis=1)
        vectors = embed(tf.reshape(fed, [-1]))
        vectors = tf.reshape(vectors, [*tf.unstack(tf.shape(fed)), vectors.shape[-1]])
        real = tf.sequence_mask(lengths, tf.shape(fed)[1])
        outputs, after = run_cells(decoder.cell, vectors, state, training, mask=real)
        outputs = outputs if decoder.output_layer is None else decoder.output_layer(outputs)
        outputs = tf.where(real[:, :, None], outputs, tf.zeros_like(outputs))
        return output_of(outputs, ids), tf.nest.pack_sequence_as(initial_state, after), lengths

    override(changes, decoder, "call", call)


def step_of(decoder: Any) -> Step:
    """Return one step of a decoder whose cell and output layer are understood; its weights are read once."""
    embed, layer, cells = decoder.sampler.embedding_fn, decoder.output_layer, cells_of(decoder.cell)
    steps = [one_step(kernel_cell(cell), *weights_of(cell)) for cell in cells]
    weights = [tf.cast(tf.convert_to_tensor(weight), layer.compute_dtype) for weight in layer.weights] if layer else []

    def step(ids: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        x = embed(ids)
        after: list[Any] = []
        for cell, advance in zip(cells, steps, strict=True):
            new = advance(tf.cast(x, cell.compute_dtype), *state[len(after) : len(after) + state_count(cell)])
            x, after = new[0], [*after, *new]
        if layer is not None:
            x = tf.matmul(tf.cast(x, layer.compute_dtype), weights[0])
            x = x + weights[1] if layer.use_bias else x
            x = x if layer.activation is None else layer.activation(x)
        return x, after

    return step
