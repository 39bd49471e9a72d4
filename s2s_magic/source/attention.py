"""Write the source of attention between a decoder's layers and its output layer."""

from __future__ import annotations

from s2s_magic.source.dialect import Dialect
from s2s_magic.source.layout import call, listed, statement
from s2s_magic.spec import Spec


def attention_layers(spec: Spec) -> list[str]:
    """Write the layers of attention; none without it."""
    if not spec.attention:
        return []
    (attention,), dense = spec.attention, "keras.layers.Dense"
    units = str(spec.units_of(attention))
    lines = ["# Attention: the memory layer makes of each encoder output what a decoder output is compared with."]
    if attention.kind == "bahdanau":
        lines.append(statement(call(dense, units, use_bias=False), to="query_layer"))
    lines.append(statement(call(dense, units, use_bias=False), to="memory_layer"))
    if attention.kind == "bahdanau":
        lines.append(statement(call("keras.layers.AdditiveAttention"), to="attention"))
    else:
        scaled = {"use_scale": True} if attention.scale else {}
        lines.append(statement(call("keras.layers.Attention", **scaled), to="attention"))
    joined = call(dense, str(spec.decoder.units), activation='"tanh"', use_bias=False)
    return [*lines, statement(joined, to="attention_layer")]


def attention_calls(spec: Spec, dialect: Dialect) -> tuple[list[str], str]:
    """Write the calls of attention, and return them with the name of what the output layer reads."""
    if not spec.attention:
        return [], "decoder_outputs"
    masked = {} if spec.padding is None else {"mask": "[None, encoder_mask]"}
    read = ["decoder_outputs", "encoder_outputs", "memory_layer(encoder_outputs)"]
    if spec.attention[0].kind == "bahdanau":
        # Keras's layer has the depth of the values, so they are the memory layer's
        read = ["query_layer(decoder_outputs)", "memory_layer(encoder_outputs)"]
    looked = call("attention", listed(read), **masked)
    both = call(dialect["concat"], listed(["contexts", "decoder_outputs"]), axis=-1)
    lines = [
        "# Attention: each step reads the encoder's outputs, weighted by how well they fit its own.",
        statement(looked, to="contexts"),
        statement(call("attention_layer", both), to="attended_outputs"),
    ]
    return lines, "attended_outputs"
