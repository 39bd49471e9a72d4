"""Decoding with a decoder of `s2s_magic.addons` whose cell attends to memories on the wires of a functional model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.acceleration import put_on_kernels
from s2s_magic.decoding.fast_decoder import gives_logits
from s2s_magic.decoding.recipe import Way
from s2s_magic.decoding.search import Step, Steps
from s2s_magic.decoding.spelling import Names
from s2s_magic.undoing import Changes

_TEMPLATE = """\
{imports}
# What the decoder starts from, and the memory that it attends to: these wires exist already.
{encoder_model} = keras.models.Model(
    inputs={encoder_input},
    outputs=[{outputs}],
)
{models}
# The decoder once more, over the same cell and the same output layer. The greedy sampler feeds it the most
# probable id of the step before. Keras looks into a layer's attributes and not into its sampler, so the
# embedding is made known as an attribute.
{sampler} = seq2seq.GreedyEmbeddingSampler({embedding_fn})
{decoder} = seq2seq.BasicDecoder(
    {cell}, {sampler}, output_layer={output_layer}, maximum_iterations={longest}
)
{decoder}.embedding = {embedding}

# Source ids and start ids in, decoded ids out. A row ends with id {end}.
{start_ids} = keras.layers.Input(shape=[], dtype="int32")
{decoded_outputs}, {decoded_state}, {decoded_lengths} = {decoder}(
    None, initial_state={state}, start_tokens={start_ids}, end_token={end}
)
{inference_model} = keras.models.Model(
    inputs=[{encoder_input}, {start_ids}], outputs=[{decoded_outputs}.sample_id, {decoded_lengths}]
)
"""

_Advance = Callable[[Any, Any], tuple[Any, list[Any], list[Any]]]
"""One step of a decoder; see ``single_steps`` in `s2s_magic.addons`."""
_NEW_NAMES = {
    "encoder_model": "encoder_model",
    "sampler": "greedy_sampler",
    "decoder": "greedy_decoder",
    "start_ids": "start_ids",
    "decoded_outputs": "decoded_outputs",
    "decoded_state": "decoded_state",
    "decoded_lengths": "decoded_lengths",
    "inference_model": "inference_model",
}


def attends(settings: Mapping[str, Any]) -> bool:
    """Return whether a decoder was called with memories on the wires of a functional model."""
    return any(settings.get("given_memories") or ())


def attentive_decoder(
    names: Names, decoder: Any, settings: Mapping[str, Any], embedding: tuple[str, str, str], output_layer: str
) -> Way:
    """Generate a copy of a trained decoder with a greedy sampler, over the memories that it was given.

    Parameters
    ----------
    names
        Finds the names of the code.
    decoder
        A ``BasicDecoder`` of `s2s_magic.addons`.
    settings
        The keyword arguments of its call.
    embedding
        The object that makes its input of ids, the function, and the code that creates models it needs.
    output_layer
        The layer that makes its scores.
    """
    state, memories = settings["initial_state"], settings["given_memories"]
    wires = tf.nest.flatten([state, memories])
    encoder_input = names.input_behind(wires, "what the decoder starts from and attends to")
    new = {role: names.fresh(name) for role, name in _NEW_NAMES.items()}
    tracked, function, models = embedding
    code = partial(
        _TEMPLATE.format,
        imports=names.imports(*(["tf"] if "tf." in models else []), "keras", "seq2seq"),
        encoder_input=names.tensor(encoder_input),
        outputs=", ".join(map(names.tensor, wires)),
        models=models,
        embedding_fn=function,
        embedding=tracked,
        cell=names.layer(decoder.cell, decoder, "cell"),
        output_layer=output_layer,
        state=names.structure(state),
        **new,
    )
    return Way(
        lambda longest, end: code(longest=longest, end=-1 if end is None else end).lstrip("\n"),
        encoder_input,
        entry=new["inference_model"],
        steps=lambda made: _steps(made[new["encoder_model"]], made[new["decoder"]], [state, memories]),
        attending=lambda made: _Attending(
            made[new["encoder_model"]],
            made[new["decoder"]],
            [state, memories],
            [names.bound(mechanism) or mechanism.name for mechanism in decoder.cell.attention_mechanisms],
        ),
    )


class _Attending:
    """Tells the weights of a cell's mechanisms, step by step."""

    def __init__(self, encoder: Any, decoder: Any, structure: Any, names: Sequence[str]) -> None:
        self._encoder, self._decoder, self._structure = encoder, decoder, structure
        self.names = names

    def weights(self, sources: Any, fed: Any) -> list[Any]:
        """Return the weights of each mechanism, (rows, steps, positions), for sources and the ids that are fed."""
        state, advance = _started(self._encoder, self._decoder, self._structure, sources)
        found = []
        for ids in np.asarray(fed, np.int32).T:
            read = tf.identity(self._decoder.sampler.embedding_fn(tf.constant(ids)))
            _, state, alignments = advance(read, state)
            found.append([np.asarray(tf.cast(one, tf.float32)) for one in alignments])
        return [np.stack(each, axis=1) for each in zip(*found, strict=True)]


def _steps(encoder: Any, decoder: Any, structure: Any) -> Steps:
    """Return the steps of a decoder; its encoder model returns what is flattened of ``[state, memories]``."""
    # of each memory its values, its keys, and its mask if it has one
    constant = sum(2 + ("memory_mask" in one or "memory_sequence_length" in one) for one in structure[1])

    def begin(sources: Any) -> tuple[Sequence[Any], Step]:
        state, advance = _started(encoder, decoder, structure, sources)
        embed = decoder.sampler.embedding_fn

        def step(ids: Any, before: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
            scores, after, _ = advance(tf.identity(embed(ids)), before)  # without a mask, which a cell cannot take
            return scores, after

        return state, step

    carried = len(tf.nest.flatten(decoder.cell.cell.state_size))  # a wrapper's state begins with its cell's
    return Steps(begin, gives_logits(decoder.output_layer), constant=constant, carried=carried)


def _started(encoder: Any, decoder: Any, structure: Any, sources: Any) -> tuple[list[Any], _Advance]:
    """Return a decoder's state for some sources, and its step; see ``single_steps`` in `s2s_magic.addons`."""
    with Changes() as changes, changes, changes:
        put_on_kernels(changes, encoder)
        made = tf.nest.flatten(encoder(sources, training=False))
    state, memories = tf.nest.pack_sequence_as(structure, made)
    found: tuple[list[Any], _Advance] = decoder.single_steps(state, memories)
    return found
