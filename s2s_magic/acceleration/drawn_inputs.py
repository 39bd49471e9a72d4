"""Scheduled sampling on the kernels: the decoder's own loop draws the ids, and a kernel reads what they stand for.

A drawn id has no gradient. So the decoder runs twice: once as it is, forward only, which draws the ids; and then over
inputs that are known, as with teacher forcing, which gives outputs, states and gradients. With attention, where a step
takes longer, it runs once: the kernel draws as it goes.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.acceleration.keras_cells import cells_of
from s2s_magic.acceleration.understood import strangeness
from s2s_magic.kernels.attending import Drawing


def drawing_obstacle(decoder: Any) -> str | None:
    """Return why the inputs of a decoder with scheduled sampling cannot be known beforehand; None if they can."""
    embedding = decoder.sampler.embedding_fn
    if type(embedding) is not keras.layers.Embedding:
        return "its sampler maps ids to inputs by a function; understood is an Embedding layer"
    if (odd := strangeness(embedding)) is not None:
        return f"of the embedding of its sampler, {odd}"
    if getattr(embedding, "quantization_mode", None) or getattr(embedding, "lora_enabled", False):
        return "the embedding of its sampler does more than to look up"
    if any(getattr(cell, "dropout", 0) for cell in cells_of(decoder.cell)):
        return "with scheduled sampling, dropout has to be the same where ids are drawn and where they are read"
    return None


def inputs_read(embedding: Any, inputs: Any, ids: Any) -> Any:
    """Return what a decoder read: the given inputs, and from the second step on the embeddings of drawn ids.

    Parameters
    ----------
    embedding
        The layer that maps ids to inputs.
    inputs
        The given inputs, of shape (batch, steps, features).
    ids
        For the first steps the id that was drawn after it, or -1 where none was, of shape (batch, steps).
    """
    rows, steps = tf.unstack(tf.shape(inputs)[:2])
    ids = tf.reshape(ids, [rows, tf.size(ids) // tf.maximum(rows, 1)])  # TFA's are flat after no steps
    before = tf.concat([tf.fill([rows, 1], -1), ids], axis=1)[:, :steps]
    before = tf.pad(before, [[0, 0], [0, steps - tf.shape(before)[1]]], constant_values=-1)
    table = _of_dense_gradient(tf.convert_to_tensor(embedding.embeddings))
    drawn = tf.cast(tf.gather(table, tf.maximum(before, 0)), inputs.dtype)
    read = tf.where((before >= 0)[:, :, None], drawn, inputs)
    read.set_shape(inputs.shape)
    return read


def drawn_with(decoder: Any, inputs: Any, first: Any) -> Drawing:
    """Return how a decoder with attention draws its inputs: by its output layer and its sampler, as its own loop does.

    Parameters
    ----------
    decoder
        With a sampler that has its inputs.
    inputs
        The given inputs, of shape (batch, steps, features).
    first
        Those of the first step.
    """
    sampler = decoder.sampler

    def following(time: Any, outputs: Any) -> tuple[Any, Any]:
        scores = outputs if decoder.output_layer is None else decoder.output_layer(outputs)
        ids = sampler.sample(time=time, outputs=scores, state=None)
        _, read, _ = sampler.next_inputs(time=time, outputs=scores, state=None, sample_ids=ids)
        return ids, tf.cast(read, inputs.dtype)

    first = tf.cast(first, inputs.dtype)
    return Drawing(first, following, lambda ids: inputs_read(sampler.embedding_fn, inputs, ids))


@backend.custom_gradient
def _of_dense_gradient(x: Any) -> Any:
    """Return a tensor whose gradient is dense, as that of a loop is: Keras 3's Adam squares sparse rows one by one."""
    return tf.identity(x), tf.convert_to_tensor
