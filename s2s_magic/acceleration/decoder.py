"""Running TFA's ``BasicDecoder`` over inputs that are known as a recurrent layer, then one product for all outputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.acceleration.drawn_inputs import drawing_obstacle, drawn_with, inputs_read
from s2s_magic.acceleration.fed_attention import attending_obstacle, built, is_attending, run_attending
from s2s_magic.acceleration.keras_cells import cell_obstacle, regularized_output, run_cells
from s2s_magic.acceleration.overriding import override
from s2s_magic.acceleration.understood import is_known_activation, strangeness
from s2s_magic.undoing import Changes

_BY_POSITION = tuple(
    getattr(keras.activations, name)
    for name in ("linear", "softmax", "relu", "tanh", "sigmoid", "elu", "gelu", "selu", "softplus", "softsign", "swish")
)


def addons() -> list[Any]:
    """Return the packages of decoders that were imported: TFA's, and our own."""
    found = (sys.modules.get(name) for name in ("tensorflow_addons.seq2seq", "s2s_magic.addons.seq2seq"))
    return [module for module in found if module is not None]


def is_decoder(layer: Any) -> bool:
    """Return whether a layer is any of the decoders of TFA's API."""
    return any(isinstance(layer, module.BaseDecoder) for module in addons())


def decoder_obstacle(decoder: Any) -> str | None:
    """Return why a decoder of TFA's API cannot run on the kernels; None if it can."""
    if backend.kind_of(decoder) != "decoder":
        return f"{type(decoder).__name__} is none of the decoders understood: BasicDecoder"
    sampler = decoder.sampler
    if type(sampler) not in [module.TrainingSampler for module in addons()] and not _is_scheduled(decoder):
        understood = "understood are TrainingSampler and ScheduledEmbeddingTrainingSampler"
        return f"its {type(sampler).__name__} chooses each input from the output before; {understood}"
    if sampler.time_major:
        return "its sampler reads time-major inputs"
    if decoder.maximum_iterations is not None:
        return f"maximum_iterations={decoder.maximum_iterations} is left to the decoder"
    if (why := settings_obstacle(decoder)) is not None:
        return why
    why = attending_obstacle(decoder) if is_attending(decoder.cell) else cell_obstacle(decoder.cell)
    return drawing_obstacle(decoder) if why is None and _is_scheduled(decoder) else why


def _is_scheduled(decoder: Any) -> bool:
    """Return whether a decoder's inputs are those given, and now and then the embeddings of ids that it drew."""
    return type(decoder.sampler) in [module.ScheduledEmbeddingTrainingSampler for module in addons()]


def settings_obstacle(decoder: Any) -> str | None:
    """Return which setting or output layer of a ``BasicDecoder`` is unsupported, whatever its sampler; else None."""
    layer, sampler = decoder.output_layer, decoder.sampler
    if (odd := strangeness(decoder)) is not None:
        return odd
    if (odd := strangeness(sampler)) is not None:
        return f"of its {type(sampler).__name__}, {odd}"
    if decoder.output_time_major:
        return "output_time_major=True is left to the decoder"
    if layer is not None and type(layer) is not keras.layers.Dense:
        return f"its output layer is a {type(layer).__name__}; understood is Dense"
    if layer is not None and (odd := strangeness(layer)) is not None:
        return f"of its output layer, {odd}"
    known = (None, *_BY_POSITION)
    if layer is not None and (layer.activation not in known or not is_known_activation(layer.activation)):
        return "the activation of its output layer may look at more than one position"
    if layer is not None and (why := regularized_output(layer)) is not None:
        return f"of its output layer, {why}"
    return None


def accelerate_decoder(changes: Changes, decoder: Any, fixed_lengths: Mapping[int, int], unrolled: int) -> None:
    """Run a decoder that has no `decoder_obstacle` on the kernels; for ``fixed_lengths`` see `accelerate`."""
    by_itself = decoder.call
    attends = is_attending(decoder.cell)
    output_of = sys.modules[type(decoder).__module__].BasicDecoderOutput

    def call(
        self: Any,
        inputs: Any,
        initial_state: Any = None,
        training: Any = None,
        given_memories: Any = None,
        **given: Any,
    ) -> Any:
        memories = passed({"given_memories": given_memories})
        if not isinstance(inputs, tf.Tensor) or inputs.shape.rank != 3 or (memories and not attends):
            return by_itself(inputs, initial_state=initial_state, training=training, **memories, **given)
        if attends:
            return decoder.decoded(given_memories, lambda: decoded(inputs, initial_state, training, given))
        return decoded(inputs, initial_state, training, given)

    def decoded(inputs: Any, initial_state: Any, training: Any, given: Mapping[str, Any]) -> Any:
        kwargs = passed(given)
        # The sampler checks its arguments, and sets attributes that its users may read.
        finished, first, state = decoder.initialize(inputs, initial_state=initial_state, **kwargs)
        lengths = decoder.sampler.sequence_length
        types = {value.dtype for value in tf.nest.flatten(state)}
        known = lengths.dtype == tf.int32 and types == {tf.as_dtype(decoder.cell.compute_dtype)}
        if not known or (attends and not built(decoder.cell)):
            return by_itself(inputs, initial_state=initial_state, training=training, **given)
        # A row is finished before the first step, or after at least one. Finished rows still run through the cell until
        # all are finished; with impute_finished they keep their states and output zeros.
        lengths = tf.where(finished, 0, tf.maximum(lengths, 1))
        ids = None
        if _is_scheduled(decoder) and not attends:
            ids = by_itself(inputs, initial_state=initial_state, training=training, **given)[0].sample_id
            inputs = inputs_read(decoder.sampler.embedding_fn, inputs, ids)
        if kwargs:
            longest = tf.maximum(tf.reduce_max(lengths), 0)
            fixed = fixed_lengths.get(_column(kwargs.get("sequence_length")), -1)
            if fixed == inputs.shape[1]:
                # The number of steps stays statically known, so that the loop can be unrolled.
                with tf.control_dependencies([tf.debugging.assert_equal(longest, fixed)]):
                    inputs = tf.identity(inputs)
            else:
                inputs = tf.slice(inputs, [0, 0, 0], [-1, longest, -1])
        real = tf.sequence_mask(lengths, tf.shape(inputs)[1]) if decoder.impute_finished else None
        if attends:
            inputs = tf.cast(inputs, decoder.cell.compute_dtype)
            drawing = drawn_with(decoder, inputs, first) if _is_scheduled(decoder) else None
            outputs, after, ids = run_attending(decoder.cell, inputs, state, unrolled=unrolled, drawing=drawing)
        else:
            flat = tf.nest.flatten(state)
            outputs, after = run_cells(decoder.cell, inputs, flat, training, mask=real, unrolled=unrolled)
        if decoder.output_layer is not None:
            outputs = decoder.output_layer(outputs)
            if decoder.output_layer.activation is keras.activations.softmax:
                outputs = tf.identity(outputs)  # a loss does not see the logits behind those of a loop either
        if real is not None:
            outputs = tf.where(real[:, :, None], outputs, tf.zeros_like(outputs))
        chosen = tf.argmax(outputs, axis=-1, output_type=tf.int32) if ids is None else ids
        return output_of(outputs, chosen), tf.nest.pack_sequence_as(state, after), lengths

    override(changes, decoder, "call", call)


def passed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a decoder's call that hold something."""
    return {name: value for name, value in given.items() if any(part is not None for part in tf.nest.flatten(value))}


def _column(lengths: Any) -> int:
    """Return the index of the batch column that a tensor is, unchanged; -1 if it is none."""
    return backend.batch_column(lengths) if tf.is_symbolic_tensor(lengths) else -1
