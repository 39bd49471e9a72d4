"""Write the source of the recurrent parts: encoder, bridge and decoder cells."""

from __future__ import annotations

from s2s_magic.source.dialect import Dialect
from s2s_magic.source.layout import Bracketed, call, listed, statement
from s2s_magic.spec import Recurrent, Spec, numbered, same_states, states_handed_on


def encoder_block(spec: Spec, dialect: Dialect) -> str:
    """Write the encoder, including the names of its final states."""
    part = spec.encoder
    lines = ["# Encoder: reads the source; its last states are what the decoder starts from."]
    if spec.attention:
        lines.append("# Its outputs, one for each position, are what the decoder looks back at.")
    masked = {}
    if spec.padding is not None:
        lines.append(f"encoder_mask = {dialect['not_equal']}(encoder_inputs, padding)")
        masked = {"mask": "encoder_mask"}
    read = "encoder_embeddings"
    for layer in part.numbers:
        name = numbered("encoder", layer, part)
        every = spec.read_outputs(layer)
        lines.append(statement(_encoder_layer(part, every), to=name))
        norm, made, after = _what_follows(spec, "encoder", part, layer) if every else ([], "encoder_outputs", [])
        lines += norm
        states = _state_names(part, layer)
        if part.bidirectional:
            halves = [f"{way}_{state[6:]}" for way in ("forward", "backward") for state in states]
            lines.append(statement(call(name, read, **masked), to=", ".join([made, *halves])))
            for state in states:
                ends = listed([f"forward_{state[6:]}", f"backward_{state[6:]}"])
                lines.append(statement(call(dialect["concat"], ends, axis=-1), to=state))
        else:
            lines.append(statement(call(name, read, **masked), to=", ".join([made, *states])))
        lines += after
        read = "encoder_outputs"
    if not _is_bridged(spec):
        lines.append(statement(_nested(part, [_state_names(part, n) for n in part.numbers]), to="encoder_state"))
    return "\n".join(lines)


def _what_follows(spec: Spec, name: str, part: Recurrent, layer: int) -> tuple[list[str], str, list[str]]:
    """Write what becomes of a layer's outputs: the layers for it, the name it gives them, and the calls."""
    outputs, adds = "_".join([name, "outputs"]), spec.residual and layer > 1
    made = "layer_outputs" if adds else outputs
    calls = [f"{outputs} = {outputs} + layer_outputs"] if adds else []
    if not spec.layer_norm:
        return [], made, calls
    norm = numbered(f"{name}_norm", layer, part)
    return [f"{norm} = keras.layers.LayerNormalization()"], made, [*calls, f"{outputs} = {norm}({outputs})"]


def _state_names(part: Recurrent, layer: int, prefix: str = "state") -> list[str]:
    return [numbered(f"{prefix}_{state}", layer, part) for state in part.state_names]


def _nested(part: Recurrent, states: list[list[str]]) -> Bracketed:
    """Nest states as the decoder's cell takes them: a list per layer, and for a stack a list of these."""
    if part.layers == 1:
        return listed(states[0])
    return listed([listed(own) for own in states])


def _encoder_layer(part: Recurrent, every: bool) -> Bracketed:
    sequences = {"return_sequences": True} if every else {}
    inner = call(f"keras.layers.{part.kind.upper()}", str(part.units), **_rates(part), **sequences, return_state=True)
    return call("keras.layers.Bidirectional", inner) if part.bidirectional else inner


def _rates(part: Recurrent) -> dict[str, float]:
    both = {"dropout": part.dropout, "recurrent_dropout": part.recurrent_dropout}
    return {name: rate for name, rate in both.items() if rate}


def cell_lines(part: Recurrent) -> list[str]:
    """Write the decoder's cell, or its cells and their stack."""
    names = [numbered("decoder_cell", layer, part) for layer in part.numbers]
    cell = call(f"keras.layers.{part.kind.upper()}Cell", str(part.units), **_rates(part))
    lines = [statement(cell, to=name) for name in names]
    if part.layers > 1:
        lines.append(statement(call("keras.layers.StackedRNNCells", listed(names)), to="decoder_cell"))
    return lines


def bridge_blocks(spec: Spec, dialect: Dialect) -> list[str]:
    """Write the bridge from the encoder's final states to the decoder's initial ones; nothing if they are the same."""
    if not _is_bridged(spec):
        return []
    return [_dense_bridge(spec, dialect) if spec.bridge == "dense" else _zero_bridge(spec, dialect)]


def bridge_layers(decoder: Recurrent) -> list[list[str]]:
    """Return the names of the dense layers of a bridge, by the decoder's layers."""
    return [_state_names(decoder, layer, prefix="bridge") for layer in decoder.numbers]


def _dense_bridge(spec: Spec, dialect: Dialect) -> str:
    encoder, decoder = spec.encoder, spec.decoder
    sources = [name for layer in encoder.numbers for name in _state_names(encoder, layer)]
    targets = bridge_layers(decoder)
    lines = ["# Bridge: a dense layer makes each of the decoder's first states."]
    if (encoder.kind, encoder.layers) != (decoder.kind, decoder.layers) and len(sources) > 1:
        lines[0] = "# Bridge: a dense layer makes each of the decoder's first states out of all the encoder's."
        lines.append(statement(call(dialect["concat"], listed(sources), axis=-1), to="encoder_states"))
        sources = ["encoder_states"]
    flat = [name for layer in targets for name in layer]
    lines += [f"{name} = keras.layers.Dense({decoder.units})" for name in flat]
    read = dict(zip(flat, sources if len(sources) == len(flat) else sources * len(flat), strict=True))
    states = [[f"{name}({read[name]})" for name in layer] for layer in targets]
    lines.append(statement(_nested(decoder, states), to="decoder_state"))
    return "\n".join(lines)


def _zero_bridge(spec: Spec, dialect: Dialect) -> str:
    encoder, decoder = spec.encoder, spec.decoder
    handed_on = states_handed_on(encoder, decoder)
    lasts = encoder.numbers[encoder.layers - handed_on :]
    states: list[Bracketed] = [listed(_state_names(encoder, layer)) for layer in lasts]
    for layer in decoder.numbers[handed_on:] if dialect.decoder == "tfa" else ():
        # Computed from the source, so that decoding gets all initial states by feeding the source alone.
        states.append(_zeros(dialect, numbered("decoder_cell", layer, decoder), decoder))
    comment = (
        "# Bridge: the decoder starts from the states of the encoder's last layers."
        if handed_on == decoder.layers
        else "# Bridge: the decoder's first layers start from the encoder's states, the others from zeros."
    )
    state = states[0] if decoder.layers == 1 else listed(states)
    return "\n".join([comment, statement(state, to="decoder_state")])


def _zeros(dialect: Dialect, cell: str, part: Recurrent) -> Bracketed:
    """Write a cell's initial state of zeros, as the installed Keras makes it from symbolic tensors."""
    if dialect.operations == "tf":
        return call(f"{cell}.get_initial_state", "encoder_embeddings")
    nought = call("keras.ops.zeros_like", "encoder_embeddings[:, 0, :1]")
    return listed([call("keras.ops.repeat", nought, str(part.units), axis=-1) for _ in part.state_names])


def decoder_layers(spec: Spec) -> list[str]:
    """Write the layers of a decoder that is made of Keras's own."""
    part = spec.decoder
    layer = call(f"keras.layers.{part.kind.upper()}", str(part.units), **_rates(part), return_sequences=True)
    lines = []
    for number in part.numbers:
        lines += [
            statement(layer, to=numbered("decoder", number, part)),
            *_what_follows(spec, "decoder", part, number)[0],
        ]
    return lines


def decoder_calls(spec: Spec) -> list[str]:
    """Write the calls of the decoder's layers, each from its initial state; without one, it starts from zeros."""
    part, read, lines = spec.decoder, "decoder_embeddings", []
    started = part.layers
    if _is_bridged(spec) and spec.bridge != "dense":
        started = states_handed_on(spec.encoder, part)
    for number in part.numbers:
        state = initial_state(spec) if part.layers == 1 else f"{initial_state(spec)}[{number - 1}]"
        begin = {"initial_state": state} if number <= started else {}
        _, made, after = _what_follows(spec, "decoder", part, number)
        lines += [statement(call(numbered("decoder", number, part), read, **begin), to=made), *after]
        read = "decoder_outputs"
    return lines


def initial_state(spec: Spec) -> str:
    """Return the name of the decoder's initial state."""
    return "decoder_state" if _is_bridged(spec) else "encoder_state"


def _is_bridged(spec: Spec) -> bool:
    return spec.bridge == "dense" or not same_states(spec.encoder, spec.decoder)
