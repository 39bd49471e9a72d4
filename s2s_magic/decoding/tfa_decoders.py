"""Decoding with TensorFlow Addons: a greedy version of the trained decoder, or the user's own inference decoder."""

from __future__ import annotations

from functools import partial
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.decoding.after_decoder import scores_layer
from s2s_magic.decoding.attentive_decoder import attends, attentive_decoder
from s2s_magic.decoding.fast_decoder import decoder_steps
from s2s_magic.decoding.positions import UNKNOWN, looks_around
from s2s_magic.decoding.recipe import Way
from s2s_magic.decoding.spelling import Names
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Called
from s2s_magic.ledger.anatomy import anatomy_of
from s2s_magic.ledger.wires import number_in_graph

_TEMPLATE = """\
{imports}
# The encoder, from its input to the states that the decoder starts from: these wires exist already.
{encoder_model} = keras.models.Model(inputs={encoder_input}, outputs={state})
{models}
# The decoder once more, over the same cell and the same output layer. The greedy sampler feeds it the most
# probable id of the step before. Keras looks into a layer's attributes and not into its sampler, so the
# embedding is made known as an attribute.
{sampler} = tfa.seq2seq.sampler.GreedyEmbeddingSampler({embedding_fn})
{decoder} = tfa.seq2seq.basic_decoder.BasicDecoder(
    {cell}, {sampler}, output_layer={output_layer}, maximum_iterations={longest}
)
{decoder}.embedding = {embedding}

# Source ids and start ids in, decoded ids out. A row ends with id {end}.
{source_ids} = keras.layers.Input(shape=[None], dtype="{dtype}")
{start_ids} = keras.layers.Input(shape=[], dtype="int32")
{outputs}, {final_state}, {lengths} = {decoder}(
    None, initial_state={encoder_model}({source_ids}), start_tokens={start_ids}, end_token={end}
)
{inference_model} = keras.models.Model(inputs=[{source_ids}, {start_ids}], outputs=[{outputs}.sample_id, {lengths}])
"""

_EMBEDDING_TEMPLATE = """
# From an id to what the decoder reads, by the wires of the training model.
{model} = keras.models.Model(inputs={source}, outputs={output})
"""

_WRITTEN_TEMPLATE = """\
{imports}
# {decoder} is the code's own decoder for inference, with its own start and end: these wires exist already.
{inference_model} = keras.models.Model(inputs={inputs}, outputs=[{ids}, {lengths}])
"""

_NEW_NAMES = {
    "encoder_model": "encoder_model",
    "sampler": "greedy_sampler",
    "decoder": "greedy_decoder",
    "source_ids": "source_ids",
    "start_ids": "start_ids",
    "outputs": "decoded_outputs",
    "final_state": "decoded_state",
    "lengths": "decoded_lengths",
    "inference_model": "inference_model",
}

_TRAINING = ("TrainingSampler", "ScheduledEmbeddingTrainingSampler")
"""Samplers that feed the decoder embedded ids of a target, which its own ids can replace."""
_INFERENCE = ("GreedyEmbeddingSampler", "SampleEmbeddingSampler")


def trained_call(seq2seq: Seq2Seq) -> Called | None:
    """Return the last call of a ``BasicDecoder`` behind the model's output; None if there is none."""
    parts = anatomy_of(seq2seq.ledger)
    return parts.decoder if parts is not None and seq2seq.ledger.kind(parts.decoder) == "decoder" else None


def _calls(seq2seq: Seq2Seq) -> list[Called]:
    return [
        event
        for event in seq2seq.ledger.events
        if isinstance(event, Called) and seq2seq.ledger.kind(event) == "decoder" and event.in_graph
    ]


def written_decoder(seq2seq: Seq2Seq, names: Names, trained: Called | None) -> Way | None:
    """Return the decoder that the user made for inference over the trained cell; None if there is none.

    Raises
    ------
    DecodeError
        When it might never end, or does not get all it needs from one input.
    """
    mine = trained and seq2seq.live.layers[trained.object]
    for call in reversed(_calls(seq2seq)):
        decoder = seq2seq.live.layers[call.object]
        if type(decoder.sampler).__name__ in _INFERENCE and (mine is None or decoder.cell is mine.cell):
            return _over_decoder(seq2seq, names, call, decoder)
    return None


def _over_decoder(seq2seq: Seq2Seq, names: Names, call: Called, decoder: Any) -> Way:
    if decoder.maximum_iterations is None:
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: {call.layer} has no maximum_iterations and may run for ever; "
            "give it one where it is made"
        )
    number = number_in_graph(seq2seq.ledger, call)
    _, ids, *_, lengths = backend.outputs_of(decoder, number)
    inputs = backend.inputs_behind([ids])
    starts = [tensor for tensor in inputs if len(tensor.shape) < 2 and "int" in backend.dtype_of(tensor)]
    sources = [tensor for tensor in inputs if not any(tensor is start for start in starts)]
    if len(sources) != 1 or len(starts) > 1:
        shown = ", ".join(sorted(backend.history(tensor)[0].name for tensor in inputs)) or "none"
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: {call.layer} must get all it needs from one input, and gets it "
            f"from {shown}"
        )
    model = names.fresh("inference_model")
    given = [names.tensor(tensor) for tensor in (*sources, *starts)]
    code = _WRITTEN_TEMPLATE.format(
        imports=names.imports("tfa", "keras"),
        decoder=call.layer,
        inference_model=model,
        inputs=f"[{', '.join(given)}]",
        ids=names.tensor(ids),
        lengths=names.tensor(lengths),
    )
    end = backend.call_of(ids)[1].get("end_token")
    return Way(
        lambda longest, end: code.lstrip("\n"),
        sources[0],
        "sources and starts" if starts else "sources",
        model,
        end=None if end is None or backend.is_keras_tensor(end) else int(end),
        longest=int(decoder.maximum_iterations),
        note=f"decoded by the code's own {call.layer}, which has a {type(decoder.sampler).__name__}",
    )


def scores_of(seq2seq: Seq2Seq, call: Called) -> list[int]:
    """Return which of the model's outputs were made from what a call of a decoder returned as outputs."""
    begin = _outputs(seq2seq, call)
    tensors = backend.ends(seq2seq.model)[1]
    return [number for number, tensor in enumerate(tensors) if backend.leads_to(begin, [tensor], ())]


def _outputs(seq2seq: Seq2Seq, call: Called) -> Any:
    decoder = seq2seq.live.layers[call.object]
    return backend.outputs_of(decoder, number_in_graph(seq2seq.ledger, call))[0]


def greedy_decoder(seq2seq: Seq2Seq, names: Names, call: Called, scores: Any = None) -> Way:
    """Generate a copy of the trained decoder with TFA's ``GreedyEmbeddingSampler``.

    Parameters
    ----------
    seq2seq, names
        The model, and what finds the names of its code.
    call
        That of its decoder.
    scores
        The model's scores, a symbolic tensor; None if they are the decoder's own.

    Raises
    ------
    DecodeError
        When its sampler or its wires are not those of an encoder-decoder.
    """
    decoder = seq2seq.live.layers[call.object]
    sampler = type(decoder.sampler).__name__
    if sampler not in _TRAINING:
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: {call.layer} has a {sampler}; expected a TrainingSampler or a "
            "ScheduledEmbeddingTrainingSampler"
        )
    arguments, settings = backend.arguments_of(decoder, number_in_graph(seq2seq.ledger, call))
    state = settings.get("initial_state")
    if state is None:
        raise DecodeError(f"{call.layer} is called without initial_state, so nothing of the source reaches it")
    embedding, embedding_fn, embedding_model = _embedding(seq2seq, names, arguments[0])
    output_layer, made = names.layer(decoder.output_layer, decoder, "output_layer"), ""
    if scores is not None:
        output_layer, made = scores_layer(seq2seq, names, decoder, _outputs(seq2seq, call), scores)
    models = embedding_model + made
    if attends(settings):
        return attentive_decoder(names, decoder, settings, (embedding, embedding_fn, models), output_layer)
    encoder_input = names.input_behind(tf.nest.flatten(state), "the initial state")
    new = {role: names.fresh(name) for role, name in _NEW_NAMES.items()}
    code = partial(
        _TEMPLATE.format,
        imports=names.imports(*(["tf"] if made else []), "tfa", "keras"),
        encoder_input=names.tensor(encoder_input),
        state=names.structure(state),
        models=models,
        embedding_fn=embedding_fn,
        embedding=embedding,
        cell=names.layer(decoder.cell, decoder, "cell"),
        output_layer=output_layer,
        dtype=backend.dtype_of(encoder_input),
        **new,
    )
    return Way(
        lambda longest, end: code(longest=longest, end=-1 if end is None else end).lstrip("\n"),
        encoder_input,
        entry=new["inference_model"],
        steps=lambda made: decoder_steps(made[new["encoder_model"]], made[new["decoder"]]),
    )


def _embedding(seq2seq: Seq2Seq, names: Names, tensor: Any) -> tuple[str, str, str]:
    """Return how an id becomes the decoder's input: the object to track, the function, and the code that creates it."""
    path = backend.calls_behind(tensor)
    for layer, arguments, settings in path:
        if looks_around(layer, arguments, settings):
            raise DecodeError(
                f"{seq2seq.name} cannot be decoded: {names.shown(layer)} stands between the ids and the decoder, "
                f"{UNKNOWN}"
            )
    embeddings = [layer for layer, _, _ in path if isinstance(layer, keras.layers.Embedding)]
    if len(path) == 1 and embeddings:
        name = names.layer(embeddings[0])
        return name, name, ""
    inputs = backend.inputs_behind([tensor])
    if len(inputs) != 1 or not embeddings:
        raise DecodeError(f"{seq2seq.name} cannot be decoded: the decoder reads no embedding of one input's ids")
    model = names.fresh("embedding_model")
    code = _EMBEDDING_TEMPLATE.format(model=model, source=names.tensor(inputs[0]), output=names.tensor(tensor))
    return model, f"lambda ids: {model}(ids[:, None])[:, 0]", code
