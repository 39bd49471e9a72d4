"""Running TFA's ``BasicDecoder`` with a ``GreedyEmbeddingSampler`` as a greedy search over single kernel steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.acceleration import ACCELERATED, model_obstacle, put_on_kernels, recurrent_layers
from s2s_magic.acceleration.decoder import addons, is_decoder, passed, settings_obstacle
from s2s_magic.acceleration.keras_cells import (
    cell_obstacle,
    cells_of,
    kernel_cell,
    run_cells,
    state_count,
    weights_of,
)
from s2s_magic.acceleration.overriding import override
from s2s_magic.decoding.search import Step, Steps, greedy, most_probable
from s2s_magic.kernels import one_step
from s2s_magic.undoing import Changes


@contextmanager
def accelerate_greedy(model: Any) -> Iterator[Mapping[str, str]]:
    """Make a decoding model return the same ids and lengths faster within a ``with`` block.

    In addition to `s2s_magic.acceleration.accelerate`, a ``BasicDecoder`` with a ``GreedyEmbeddingSampler`` drops
    finished rows; after their end, ids are the end id. A function traced within the block stays fast afterwards.

    Parameters
    ----------
    model
        A functional Keras model.

    Yields
    ------
    Mapping[str, str]
        For each recurrent layer by name: ``"accelerated"``, or the reason why not.
    """
    with Changes() as changes, changes, changes:
        yield put_on_greedy_kernels(changes, model)


def put_on_greedy_kernels(changes: Changes, model: Any) -> Mapping[str, str]:
    """Make a decoding model faster until the changes are undone; see `accelerate_greedy`."""
    found = dict(put_on_kernels(changes, model))
    for layer in recurrent_layers(model):
        if found[layer.name] != ACCELERATED and is_decoder(layer):
            obstacle = model_obstacle(model) or _obstacle(layer)
            found[layer.name] = obstacle or ACCELERATED
            if obstacle is None:
                _search_greedily(changes, layer)
    return found


def _obstacle(decoder: Any) -> str | None:
    """Return why a decoder of TFA cannot run as this greedy search; None if it can."""
    sampler = decoder.sampler
    if type(sampler) not in [module.GreedyEmbeddingSampler for module in addons()]:
        return f"its {type(sampler).__name__} does not choose the most probable id"
    if decoder.maximum_iterations is None:
        return "without maximum_iterations, it may run for ever"
    if decoder.impute_finished:
        return "impute_finished=True gives zeros where this would give the end id"
    return settings_obstacle(decoder) or cell_obstacle(decoder.cell)


def _search_greedily(changes: Changes, decoder: Any) -> None:
    """Make a decoder that has no `_obstacle` choose ids faster, until the changes are undone.

    After a row's end, where TFA keeps running the row, ids are the end id, outputs are zero and the state is kept.
    Outputs and final states are computed from the complete ids, so a graph that needs only ids omits that work.
    """
    by_itself = decoder.call
    output_of = sys.modules[type(decoder).__module__].BasicDecoderOutput

    def call(self: Any, inputs: Any, initial_state: Any = None, training: Any = None, **kwargs: Any) -> Any:
        if training is not False:
            return by_itself(inputs, initial_state=initial_state, training=training, **kwargs)
        given, embed = passed(kwargs), None
        if set(given) == {"start_tokens", "end_token"}:
            decoder.initialize(inputs, initial_state=initial_state, **given)
            embed = decoder.sampler.embedding_fn
        if embed is None:
            return by_itself(inputs, initial_state=initial_state, training=training, **kwargs)
        start, end = (tf.cast(given[name], tf.int32) for name in ("start_tokens", "end_token"))
        state = tf.nest.flatten(initial_state)
        longest = tf.convert_to_tensor(decoder.maximum_iterations, tf.int32)
        ids, lengths, _ = greedy(step_of(decoder), most_probable, start, state, end=end, longest=longest)
        fed = tf.concat([start[:, None], ids[:, :-1]], axis=1)
        vectors = embed(tf.reshape(fed, [-1]))
        vectors = tf.reshape(vectors, [*tf.unstack(tf.shape(fed)), vectors.shape[-1]])
        real = tf.sequence_mask(lengths, tf.shape(fed)[1])
        outputs, after = run_cells(decoder.cell, vectors, state, training, mask=real)
        outputs = outputs if decoder.output_layer is None else decoder.output_layer(outputs)
        outputs = tf.where(real[:, :, None], outputs, tf.zeros_like(outputs))
        return output_of(outputs, ids), tf.nest.pack_sequence_as(initial_state, after), lengths

    override(changes, decoder, "call", call)


def decoder_steps(encoder: Any, decoder: Any) -> Steps:
    """Return the steps of a decoder of TFA: on the kernels if they know it, else by its cell and output layer.

    Parameters
    ----------
    encoder
        A model from sources to the decoder's initial state.
    decoder
        A ``BasicDecoder`` with a ``GreedyEmbeddingSampler``.
    """
    on_kernels = (model_obstacle(encoder) or _obstacle(decoder)) is None

    def begin(sources: Any) -> tuple[Sequence[Any], Step]:
        with Changes() as changes, changes, changes:
            put_on_kernels(changes, encoder)
            state = encoder(sources, training=False)
        return tf.nest.flatten(state), step_of(decoder) if on_kernels else _step_by_cell(decoder, state)

    return Steps(begin, gives_logits(decoder.output_layer), preferred=on_kernels)


def _step_by_cell(decoder: Any, structure: Any) -> Step:
    """Return one step of any decoder, by its cell and output layer; its state is nested like ``structure``."""
    embed, layer = decoder.sampler.embedding_fn, decoder.output_layer

    def step(ids: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        outputs, after = decoder.cell(embed(ids), tf.nest.pack_sequence_as(structure, state), training=False)
        return outputs if layer is None else layer(outputs), tf.nest.flatten(after)

    return step


def gives_logits(layer: Any) -> bool | None:
    """Return True if a decoder's output layer gives logits; None if only its numbers tell."""
    linear = backend.stock_class(layer) == "Dense" and layer.activation in (None, tf.keras.activations.linear)
    return True if linear else None


def step_of(decoder: Any) -> Step:
    """Return one step of a decoder with a supported cell and output layer; its weights are read once."""
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
