"""Which input of a model gets what: by name, or by what the wires show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from s2s_magic.ledger import Called, Constructed, Ledger, Wire
from s2s_magic.seq2seq import Seq2Seq

Role = Literal["encoder", "decoder", "lengths"]


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes
    ----------
    name
        The user's name for its tensor, else Keras's.
    keras_name
        Keras's name for it.
    rank
        Dimensions, the batch's included.
    event
        The event that made it; None for one older than the trace.
    vocabulary
        Ids that the embedding it feeds can look up; None where it feeds none.
    """

    name: str
    keras_name: str
    rank: int
    event: int | None
    vocabulary: int | None


def inputs_of(seq2seq: Seq2Seq) -> list[ModelInput]:
    """List the inputs of the main model, in its order."""
    record = seq2seq.ledger.main_model
    wires = record.inputs if record else ()
    found = []
    for wire, tensor, keras_name in zip(wires, seq2seq.model.inputs, seq2seq.model.input_names, strict=True):
        vocabulary = _vocabulary(seq2seq, wire.from_event)
        found.append(ModelInput(wire.name or keras_name, keras_name, len(tensor.shape), wire.from_event, vocabulary))
    return found


def _vocabulary(seq2seq: Seq2Seq, event: int | None) -> int | None:
    sizes = [
        seq2seq.live.layers[call.object].input_dim
        for call in seq2seq.ledger.events
        if isinstance(call, Called)
        and call.class_name == "Embedding"
        and any(w.from_event == event for w in call.inputs)
    ]
    return min(sizes, default=None)


def roles(seq2seq: Seq2Seq) -> dict[Role, str] | None:
    """Tell the encoder's input, the decoder's and the lengths apart by following the wires back from the decoder.

    The decoder is the last call of a TFA ``BasicDecoder``, else of a recurrent layer that is given an initial state:
    what feeds its first argument is the decoder's input, what feeds its state the encoder's, and an input with one
    number a row holds the lengths.

    Returns
    -------
    dict or None
        Role to input name; None when the model is no encoder-decoder of that kind.
    """
    found = inputs_of(seq2seq)
    decoder = decoder_call(seq2seq.ledger)
    if decoder is None:
        return None
    lengths = [i.name for i in found if i.rank == 1]
    ids = [i for i in found if i.rank == 2]
    fed = _origins(seq2seq.ledger, decoder.inputs[0])
    by_wire = [i.name for i in ids if i.event in fed]
    others = [i.name for i in ids if i.event not in fed]
    if len(by_wire) != 1 or len(others) != 1 or len(lengths) + 2 != len(found) or len(lengths) > 1:
        return None
    named: dict[Role, str] = {"encoder": others[0], "decoder": by_wire[0]}
    return {**named, "lengths": lengths[0]} if lengths else named


def decoder_call(ledger: Ledger) -> Called | None:
    """Find the call that decodes: see `roles`."""
    calls = [event for event in ledger.events if isinstance(event, Called) and event.in_graph and event.inputs]
    decoders = [call for call in calls if call.class_name == "BasicDecoder"]
    stateful = [
        call for call in calls if call.class_name in ("LSTM", "GRU", "SimpleRNN", "RNN") and len(call.inputs) > 1
    ]
    found = decoders or stateful
    return found[-1] if found else None


def _origins(ledger: Ledger, wire: Wire) -> set[int]:
    """List the events without inputs that a wire comes from."""
    origins, seen, todo = set(), set(), [wire.from_event]
    while todo:
        index = todo.pop()
        if index is None or index in seen:
            continue
        seen.add(index)
        event = ledger.events[index]
        if isinstance(event, Constructed) or not event.inputs:
            origins.add(index)
        todo += [] if isinstance(event, Constructed) else [w.from_event for w in event.inputs]
    return origins


def gives_probabilities(seq2seq: Seq2Seq) -> bool:
    """Say whether the model's output went through a softmax, and so holds probabilities rather than logits."""
    record = seq2seq.ledger.main_model
    index = record.outputs[0].from_event if record and record.outputs else None
    if index is None:
        return False
    event = seq2seq.ledger.events[index]
    layer = seq2seq.live.layers.get(event.object)
    if event.class_name == "TFOpLambda":
        return "softmax" in event.keras_name
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    return event.class_name == "Softmax" or activation == "softmax"
