"""Find the parts of an encoder-decoder from the kinds of layers along the wires of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from s2s_magic.ledger.calls import AnyEvent, Called, Constructed, Wire
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.wires import events_behind


@dataclass(frozen=True)
class Anatomy:
    """The parts of an encoder-decoder; layers are keys into the ledger.

    Attributes
    ----------
    decoder
        The call that decodes: the last of TFA's ``BasicDecoder``, else of a recurrent layer with an initial state.
    cell
        The decoder's cell; None if the layer has none.
    output_layer
        The layer that turns the decoder's output into logits or probabilities; None if there is none.
    target
        Indexes of the events where the wires into the decoder's input begin, the target's input among them.
    read
        The layers between these and the decoder (the embedding among them), nearest to the decoder first.
    embeddings
        The embeddings among ``read``.
    source_embeddings
        The embeddings behind the states and the memory.
    source
        Indexes of the events where the wires to the decoder's initial states and memory begin: the source's input.
    encoder
        The calls of recurrent layers behind the states and the memory, in order.
    attention
        The calls with which the model attends to a memory.
    """

    decoder: Called
    cell: str | None
    output_layer: str | None
    target: frozenset[int]
    read: tuple[str, ...]
    embeddings: tuple[str, ...]
    source_embeddings: tuple[str, ...]
    source: frozenset[int]
    encoder: tuple[Called, ...]
    attention: tuple[Called, ...]


def anatomy_of(trace: Trace) -> Anatomy | None:
    """Find the parts of the main model; None if nothing in it decodes."""

    def along_the_input(event: AnyEvent) -> Iterable[Wire]:  # not along a recurrent layer's initial state
        return event.inputs[:1] if trace.kind(event) == "recurrent" else event.inputs

    main = trace.main_model
    inside = events_behind(trace, main.outputs) if main and main.outputs else trace.events[::-1]
    calls = [event for event in inside if isinstance(event, Called) and event.in_graph and event.inputs]
    decoders = [call for call in calls if trace.kind(call) == "decoder"]
    decoders = decoders or [call for call in calls if trace.kind(call) == "recurrent" and len(call.inputs) > 1]
    if not decoders:
        return None
    decoder = max(decoders, key=lambda call: call.index)
    before = events_behind(trace, decoder.inputs[:1], along_the_input)
    attention = [call for call in calls if trace.kind(call) == "attention"]
    looked_at = [wire for call in attention for wire in call.inputs[1:]]
    known = {event.index for event in before}
    behind = [e for e in events_behind(trace, [*decoder.inputs[1:], *looked_at]) if e.index not in known]
    dense = [call.object for call in calls if trace.kind(call) == "dense" and call.index > decoder.index]
    encoder = {e.index: e for e in behind if isinstance(e, Called) and trace.kind(e) in ("recurrent", "bidirectional")}
    return Anatomy(
        decoder=decoder,
        cell=_held(trace, decoder.object, "cell"),
        output_layer=_held(trace, decoder.object, "output_layer") or next(iter(dense), None),
        target=_beginnings(before),
        read=tuple(event.object for event in before),
        embeddings=tuple(event.object for event in before if trace.kind(event) == "embedding"),
        source_embeddings=tuple(event.object for event in behind if trace.kind(event) == "embedding"),
        source=_beginnings(event for event in behind if not _counts(event)),
        encoder=tuple(encoder[index] for index in sorted(encoder) if index != decoder.index),
        attention=tuple(sorted(attention, key=lambda call: call.index)),
    )


def part_names(trace: Trace) -> dict[str | tuple[int | None, int], str]:
    """Name the parts of the main model.

    Returns
    -------
    dict
        From the key of a layer, or the origin of a tensor, to its part: ``the decoder's cell``.
    """
    parts = anatomy_of(trace)
    if parts is None:
        return {}
    found: dict[str | tuple[int | None, int], str] = {}
    for name, begins in (("the source input", parts.source), ("the target input", parts.target)):
        for event in (trace.events[index] for index in begins):
            if trace.kind(event) == "input":
                found[event.object] = found[event.index, 0] = name
    found |= dict.fromkeys(parts.embeddings, "the decoder's embedding")
    for key in parts.source_embeddings:
        found[key] = "the embedding of source and target" if key in parts.embeddings else "the encoder's embedding"
    found.update(_one_or_parts("encoder", [call.object for call in parts.encoder]))
    below = [key for key in parts.read if trace.layers[key].kind == "recurrent"]
    found.update(_one_or_parts("decoder", [*below, parts.decoder.object]))
    for call in parts.attention:
        if parts.decoder in events_behind(trace, call.inputs[:1]):
            found[call.object] = "the decoder's attention"
            found |= {wire.origin: f"the memory that {call.layer} looks at" for wire in call.inputs[1:]}
    held = {parts.cell: "the decoder's cell", parts.output_layer: "the output layer"}
    return found | {key: name for key, name in held.items() if key is not None}


def part_said(trace: Trace, thing: str | tuple[int | None, int]) -> Iterator[str]:
    """Say which part a layer (by key) or a tensor (by origin) is, if any."""
    if (part := part_names(trace).get(thing)) is not None:
        yield f"In {trace.main_model.name}, it is {part}." if trace.main_model else f"It is {part}."


def _one_or_parts(name: str, keys: Iterable[str]) -> dict[str, str]:
    every = dict.fromkeys(keys)
    return dict.fromkeys(every, f"the {name}" if len(every) == 1 else f"part of the {name}")


def _beginnings(events: Iterable[AnyEvent]) -> frozenset[int]:
    return frozenset(event.index for event in events if isinstance(event, Constructed) or not event.inputs)


def _counts(event: AnyEvent) -> bool:
    """Return whether an input has one integer per row, as lengths and start ids have."""
    made = event.outputs[0] if event.outputs else None
    return made is not None and made.dtype.startswith("int") and made.shape is not None and len(made.shape) == 1


def _held(trace: Trace, holder: str, attribute: str) -> str | None:
    """Return the layer that ``holder`` holds as an attribute."""
    path = f"{trace.layers[holder].name}.{attribute}"
    for key, layer in trace.layers.items():
        if (layer.parent, layer.attribute) == (holder, attribute) or path in layer.held_by:
            return key
    return None


def beginning_of(trace: Trace, event: Called) -> int | None:
    """Follow first inputs back from a call, and return the event where they begin."""
    last = [event, *events_behind(trace, event.inputs[:1], lambda before: before.inputs[:1])][-1]
    return last.index if isinstance(last, Constructed) or not last.inputs else None
