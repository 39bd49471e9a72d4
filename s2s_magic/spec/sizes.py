"""Compute the size of a plan's model before anything is created."""

from __future__ import annotations

from s2s_magic.spec.parts import Recurrent, numbered
from s2s_magic.spec.plans import Spec

BYTES = 4
"""Bytes per number, in float32."""
_GATES = {"lstm": 4, "gru": 3}


def params_by_owner(spec: Spec) -> dict[str, int]:
    """Count the parameters of each layer object that owns some, by its name in the generated code.

    The plan's vocabulary sizes must be known.
    """
    source, target = spec.sizes["source"], spec.sizes["target"]
    if spec.shared:
        sizes = {"embeddings": source * spec.embed.source}
    else:
        sizes = {"source_embeddings": source * spec.embed.source, "target_embeddings": target * spec.embed.target}
    encoder, decoder = spec.encoder, spec.decoder
    for layer in encoder.numbers:
        reads = spec.embed.source if layer == 1 else encoder.state_units
        ways = 2 if encoder.bidirectional else 1
        sizes[numbered("encoder", layer, encoder)] = ways * _cell(encoder, reads)
    for layer in decoder.numbers:
        reads = spec.embed.target + _fed(spec) if layer == 1 else decoder.units
        sizes[numbered("decoder_cell", layer, decoder)] = _cell(decoder, reads)
    if spec.input_feeding:
        sizes |= _mechanisms(spec)
    elif spec.attention:
        sizes |= _attention(spec)
    if spec.feeding is not None:
        sizes["feeding_rate"] = 1  # the number of steps, which it counts
    if not spec.tie_output:
        sizes["output_layer"] = ((_fed(spec) or decoder.units) + 1) * target
    if spec.layer_norm:
        read = filter(spec.read_outputs, encoder.numbers)
        sizes |= {numbered("encoder_norm", layer, encoder): 2 * encoder.state_units for layer in read}
        sizes |= {numbered("decoder_norm", layer, decoder): 2 * decoder.units for layer in decoder.numbers}
    if spec.bridge == "dense":
        states = len(decoder.state_names) * decoder.layers
        alike = (encoder.kind, encoder.layers) == (decoder.kind, decoder.layers)
        reads = encoder.state_units * (1 if alike else len(encoder.state_names) * encoder.layers)
        sizes["bridge"] = states * (reads + 1) * decoder.units
    return sizes


def _attention(spec: Spec) -> dict[str, int]:
    """Count the parameters of attention, and of the layer that joins what it finds with the decoder's outputs."""
    (attention,) = spec.attention
    units, read, made = spec.units_of(attention), spec.encoder.state_units, spec.decoder.units
    sizes = {"memory_layer": read * units}
    if attention.kind == "bahdanau":
        sizes |= {"query_layer": made * units, "attention": units}
        read = units
    elif attention.scale:
        sizes["attention"] = 1
    return {**sizes, "attention_layer": (made + read) * made}


def _fed(spec: Spec) -> int:
    """Return the size of what a step attended to and the next one reads: the decoder's units for each mechanism."""
    return len(spec.attention) * spec.decoder.units if spec.input_feeding else 0


def _mechanisms(spec: Spec) -> dict[str, int]:
    """Count the parameters of the mechanisms of a cell with attention, and of their layers."""
    sizes, read, made = {}, spec.encoder.state_units, spec.decoder.units
    for number, one in enumerate(spec.attention, 1):
        units, ending = spec.units_of(one), f"_{number}" if len(spec.attention) > 1 else ""
        score = units + made * units if one.kind == "bahdanau" else 0
        score += 1 if one.scale or spec.monotonic else 0
        score += 1 if one.scale and spec.monotonic else 0
        score += units + 1 if one.normalize else 0
        sizes[f"attention_mechanism{ending}"] = read * units + score
        sizes[f"attention_layer{ending}"] = (made + read) * made
    return sizes


def _cell(part: Recurrent, reads: int) -> int:
    """Count a cell's parameters: kernel, recurrent kernel and bias; a GRU of Keras has two biases."""
    biases = 2 if part.kind == "gru" else 1
    return _GATES[part.kind] * part.units * (reads + part.units + biases)
