"""The parts of an encoder-decoder, told by the kinds of the layers along the wires of a ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import AnyEvent, Called, Constructed, Wire
from s2s_magic.ledger.wires import events_behind

RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN")
ATTENTION = ("Attention", "AdditiveAttention", "MultiHeadAttention", "Dot")
_DENSE = ("Dense", "EinsumDense", "TimeDistributed")


@dataclass(frozen=True)
class Anatomy:
    """The parts of an encoder-decoder; layers are given by their keys.

    Attributes
    ----------
    decoder
        The call that decodes: the last one of TFA's ``BasicDecoder``, else of a recurrent layer that is given a state.
    cell
        The decoder's cell; None where the layer has none of its own.
    output_layer
        What makes the logits, or the probabilities, of what the decoder gives; None where nothing does.
    target
        Indexes of the events at the beginning of what the decoder reads, the target's input among them.
    read
        The layers between these and the decoder, the embedding among them, the nearest to the decoder first.
    embeddings
        Those of them that are embeddings.
    source
        Indexes of the events at the beginning of the decoder's first states and of its memory: the source's input.
    encoder
        The calls of recurrent layers behind the states and the memory, in their order.
    attention
        The calls by which the model looks at a memory.
    """

    decoder: Called
    cell: str | None
    output_layer: str | None
    target: frozenset[int]
    read: tuple[str, ...]
    embeddings: tuple[str, ...]
    source: frozenset[int]
    encoder: tuple[Called, ...]
    attention: tuple[Called, ...]


def anatomy_of(ledger: Ledger) -> Anatomy | None:
    """Find the parts of the model that is meant; None where nothing in it decodes."""
    main = ledger.main_model
    inside = events_behind(ledger, main.outputs) if main and main.outputs else ledger.events[::-1]
    calls = [event for event in inside if isinstance(event, Called) and event.in_graph and event.inputs]
    decoders = [call for call in calls if call.class_name == "BasicDecoder"]
    decoders = decoders or [call for call in calls if call.class_name in RECURRENT and len(call.inputs) > 1]
    if not decoders:
        return None
    decoder = max(decoders, key=lambda call: call.index)
    before = events_behind(ledger, decoder.inputs[:1], _along_the_input)
    attention = [call for call in calls if call.class_name in ATTENTION]
    looked_at = [wire for call in attention for wire in call.inputs[1:]]
    known = {event.index for event in before}
    behind = [e for e in events_behind(ledger, [*decoder.inputs[1:], *looked_at]) if e.index not in known]
    dense = [call.object for call in calls if call.class_name in _DENSE and call.index > decoder.index]
    encoder = {e.index: e for e in behind if isinstance(e, Called) and e.class_name in (*RECURRENT, "Bidirectional")}
    return Anatomy(
        decoder=decoder,
        cell=_held(ledger, decoder.object, "cell"),
        output_layer=_held(ledger, decoder.object, "output_layer") or next(iter(dense), None),
        target=_beginnings(before),
        read=tuple(event.object for event in before),
        embeddings=tuple(event.object for event in before if event.class_name == "Embedding"),
        source=_beginnings(event for event in behind if not _counts(event)),
        encoder=tuple(encoder[index] for index in sorted(encoder) if index != decoder.index),
        attention=tuple(sorted(attention, key=lambda call: call.index)),
    )


def _along_the_input(event: AnyEvent) -> Iterable[Wire]:
    """Go on behind what a recurrent layer reads, and not behind the state that it starts from."""
    return event.inputs[:1] if event.class_name in RECURRENT else event.inputs


def _beginnings(events: Iterable[AnyEvent]) -> frozenset[int]:
    return frozenset(event.index for event in events if isinstance(event, Constructed) or not event.inputs)


def _counts(event: AnyEvent) -> bool:
    """Say whether an input has one whole number a row, as lengths and ids to start with are."""
    made = event.outputs[0] if event.outputs else None
    return made is not None and made.dtype.startswith("int") and made.shape is not None and len(made.shape) == 1


def _held(ledger: Ledger, holder: str, attribute: str) -> str | None:
    """Give the layer that another one holds by an attribute."""
    path = f"{ledger.layers[holder].name}.{attribute}"
    for key, layer in ledger.layers.items():
        if (layer.parent, layer.attribute) == (holder, attribute) or path in layer.held_by:
            return key
    return None


def beginning_of(ledger: Ledger, event: Called) -> int | None:
    """Find the event at the beginning of a call's steps: its first input comes from there, by first inputs alone."""
    last = [event, *events_behind(ledger, event.inputs[:1], lambda before: before.inputs[:1])][-1]
    return last.index if isinstance(last, Constructed) or not last.inputs else None
