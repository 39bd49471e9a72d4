"""From a training model's ledger to the code of its decoding model, in the user's own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from s2s_magic.errors import DecodeError
from s2s_magic.ledger import Called, Constructed
from s2s_magic.seq2seq import Seq2Seq

_WITHOUT_NEIGHBOURS = (
    "Embedding",
    "Dropout",
    "SpatialDropout1D",
    "GaussianNoise",
    "Dense",
    "Activation",
    "LayerNormalization",
    "TFOpLambda",
)
"""Layers that treat every position by itself, so that one id at a time goes through them as a whole row does."""

_TEMPLATE = """\
{imports}
# The encoder, from its input to the states that the decoder starts from: these wires exist already.
{encoder_model} = keras.models.Model(inputs={encoder_input}, outputs={state})
{embedding_model}
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


def decoding_source(seq2seq: Seq2Seq, *, longest: int, end: int | None) -> str:
    """Write the decoding model of a built or a traced model.

    Parameters
    ----------
    seq2seq
        A model that decodes by a call of TFA's ``BasicDecoder`` with a ``TrainingSampler``.
    longest
        Most ids to decode.
    end
        The id that ends a row; None for none.

    Raises
    ------
    DecodeError
        When the model is no such encoder-decoder, in words.
    """
    names = _Names(seq2seq)
    call = training_decoder(seq2seq)
    decoder = seq2seq.live.layers[call.object]
    wires = _wires(seq2seq, call)
    state = wires.call_kwargs.get("initial_state")
    if state is None:
        raise DecodeError(f"{call.layer} is called without initial_state, so nothing of the source reaches it")
    embedding, embedding_fn, embedding_model = _embedding(seq2seq, names, wires.call_args[0])
    _, encoder_input = _encoder_input(seq2seq, names, tf.nest.flatten(state))
    new = {role: names.fresh(name) for role, name in _NEW_NAMES.items()}
    code = _TEMPLATE.format(
        imports=_imports(seq2seq.namespace),
        encoder_input=names.tensor(encoder_input),
        state=names.structure(state),
        embedding_model=embedding_model,
        embedding_fn=embedding_fn,
        embedding=embedding,
        cell=names.layer(decoder.cell, decoder, "cell"),
        output_layer=names.layer(decoder.output_layer, decoder, "output_layer"),
        longest=longest,
        end=-1 if end is None else end,
        dtype=encoder_input.dtype.name,
        **new,
    )
    return code.lstrip("\n")


def encoder_event(seq2seq: Seq2Seq) -> int:
    """Find the event that made the encoder's input."""
    call = training_decoder(seq2seq)
    return _encoder_input(
        seq2seq, _Names(seq2seq), tf.nest.flatten(_wires(seq2seq, call).call_kwargs["initial_state"])
    )[0]


def training_decoder(seq2seq: Seq2Seq) -> Called:
    """Find the call of the ``BasicDecoder`` that the main model was trained with.

    Raises
    ------
    DecodeError
        When there is none, or its sampler is another than TFA's ``TrainingSampler``.
    """
    if seq2seq.model is None:
        raise DecodeError(f"{seq2seq.name} has no model")
    calls = [
        e for e in seq2seq.ledger.events if isinstance(e, Called) and e.class_name == "BasicDecoder" and e.in_graph
    ]
    if not hasattr(seq2seq.model, "_nodes_by_depth"):
        kind = type(seq2seq.model).__name__
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: its model is of class {kind}, no functional model with wires to follow"
        )
    nodes = {id(n) for nodes in seq2seq.model._nodes_by_depth.values() for n in nodes}
    calls = [c for c in calls if id(_wires(seq2seq, c)) in nodes]
    if not calls:
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: its model has no call of tfa.seq2seq.BasicDecoder, whose "
            "cell and output layer greedy decoding runs step by step"
        )
    call = calls[-1]
    sampler = type(seq2seq.live.layers[call.object].sampler).__name__
    if sampler != "TrainingSampler":
        raise DecodeError(f"{seq2seq.name} cannot be decoded: {call.layer} has a {sampler}; expected a TrainingSampler")
    return call


def _wires(seq2seq: Seq2Seq, call: Called) -> Any:
    """Give the Keras node of a call: the calls of an object that entered the graph made its nodes, in order."""
    earlier = seq2seq.ledger.events[: call.index]
    number = sum(isinstance(e, Called) and e.object == call.object and e.in_graph for e in earlier)
    return seq2seq.live.layers[call.object]._inbound_nodes[number]


def _imports(namespace: Mapping[str, Any]) -> str:
    lines = {
        "tfa": "import tensorflow_addons as tfa",
        "keras": "from tensorflow import keras",
    }
    missing = [line for name, line in lines.items() if getattr(namespace.get(name), "__name__", None) is None]
    return "\n".join([*missing, ""]) if missing else ""


def _encoder_input(seq2seq: Seq2Seq, names: _Names, state: list[Any]) -> tuple[int, Any]:
    """Find the one input that the initial state comes from."""
    found = {event for tensor in state for event in names.origins(tensor)}
    if len(found) != 1:
        shown = ", ".join(sorted(str(seq2seq.ledger.events[e].outputs[0].name) for e in found)) or "none"
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: the initial state must come from one input, and comes from {shown}"
        )
    event = found.pop()
    return event, seq2seq.live.tensors[event, 0]


def _embedding(seq2seq: Seq2Seq, names: _Names, tensor: Any) -> tuple[str, str, str]:
    """Say how an id becomes what the decoder reads: the object to track, the function, and the code that makes it."""
    path = names.path_back(tensor)
    other = [event for event in path if event.class_name not in _WITHOUT_NEIGHBOURS]
    if other:
        raise DecodeError(
            f"{seq2seq.name} cannot be decoded: {other[0].layer} ({other[0].class_name}) stands between the ids and "
            "the decoder, and may look at more than one position"
        )
    if len(path) == 1 and path[0].class_name == "Embedding":
        name = names.layer(seq2seq.live.layers[path[0].object])
        return name, name, ""
    origins = names.origins(tensor)
    if len(origins) != 1 or not any(event.class_name == "Embedding" for event in path):
        raise DecodeError(f"{seq2seq.name} cannot be decoded: the decoder reads no embedding of one input's ids")
    source = names.tensor(seq2seq.live.tensors[origins.pop(), 0])
    model = names.fresh("embedding_model")
    code = _EMBEDDING_TEMPLATE.format(model=model, source=source, output=names.tensor(tensor))
    return model, f"lambda ids: {model}(ids[:, None])[:, 0]", code


class _Names:
    """Finds an expression for each live object, in the names of the user's code."""

    def __init__(self, seq2seq: Seq2Seq) -> None:
        self._seq2seq = seq2seq
        self._namespace = seq2seq.namespace
        self._keys = {id(layer): key for key, layer in seq2seq.live.layers.items()}
        self._made_by = {id(tensor): place for place, tensor in seq2seq.live.tensors.items()}
        model = seq2seq.ledger.main_model
        self._model = model.name if model and self._namespace.get(model.name) is seq2seq.model else None

    def fresh(self, name: str) -> str:
        """Give a name that the code does not use."""
        while name in self._namespace:
            name += "_"
        return name

    def _bound(self, value: Any) -> str | None:
        names = [name for name, bound in self._namespace.items() if bound is value and not name.startswith("_")]
        return names[-1] if names else None

    def layer(self, layer: Any, holder: Any = None, attribute: str = "") -> str:
        """Give an expression for a layer object, if need be as an attribute of the one that holds it."""
        if layer is None:
            return "None"
        name = self._bound(layer)
        if name is None and holder is not None:
            return f"{self.layer(holder)}.{attribute}"
        if name is None and self._model and layer in self._seq2seq.model.layers:
            return f"{self._model}.get_layer({layer.name!r})"
        if name is None:
            raise DecodeError(
                f"{self._seq2seq.name} cannot be decoded: no name leads to the layer {layer.name!r}; give it one"
            )
        return name

    def tensor(self, tensor: Any) -> str:
        """Give an expression for a symbolic tensor: its name, else the output of a layer's call."""
        name = self._bound(tensor)
        if name is not None:
            return name
        history = tensor._keras_history
        output = f"{self.layer(history.layer)}.get_output_at({history.node_index})"
        many = len(tf.nest.flatten(history.layer.get_output_at(history.node_index))) > 1
        return f"{output}[{history.tensor_index}]" if many else output

    def structure(self, value: Any) -> str:
        """Give an expression for nested lists of tensors, by one name where there is one."""
        if not isinstance(value, list | tuple):
            return self.tensor(value)
        for name, bound in self._namespace.items():
            if type(bound) is type(value) and not name.startswith("_") and _same(bound, value):
                return name
        inside = ", ".join(self.structure(part) for part in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"

    def _event(self, tensor: Any) -> Constructed | Called:
        place = self._made_by.get(id(tensor))
        if place is None:
            raise DecodeError(
                f"{self._seq2seq.name} cannot be decoded: the ledger does not know where {tensor.name} comes from"
            )
        return self._seq2seq.ledger.events[place[0]]

    def path_back(self, tensor: Any) -> list[Called]:
        """List the calls between a tensor and the inputs, the last one first."""
        path, todo, seen = [], [self._event(tensor).index], set()
        while todo:
            event = self._seq2seq.ledger.events[todo.pop()]
            if event.index in seen or isinstance(event, Constructed):
                continue
            seen.add(event.index)
            path.append(event)
            todo += [wire.from_event for wire in event.inputs if wire.from_event is not None]
        return path

    def origins(self, tensor: Any) -> set[int]:
        """List the events of the inputs that a tensor comes from."""
        first = self._event(tensor)
        events = [first, *self.path_back(tensor)]
        sources = {first.index} | {wire.from_event for event in events for wire in event.inputs}
        return {i for i in sources if i is not None and isinstance(self._seq2seq.ledger.events[i], Constructed)}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other
