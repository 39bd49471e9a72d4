"""Write the statements that freeze parts of a model."""

from __future__ import annotations

from s2s_magic.source.attention_cell import attention_names
from s2s_magic.source.dialect import Dialect
from s2s_magic.source.layers import bridge_layers
from s2s_magic.spec import Spec, numbered


def frozen(spec: Spec, dialect: Dialect) -> list[str]:
    """Write the lines that freeze what the plan says; none if it freezes nothing."""
    if not spec.freeze:
        return []
    names = [name for part in dict.fromkeys(spec.freeze) for name in _layers(spec, part, dialect)]
    comment = "# Frozen: these layers keep the weights that they begin with."
    return ["\n".join([comment, *(f"{name}.trainable = False" for name in names)])]


def _layers(spec: Spec, part: str, dialect: Dialect) -> list[str]:
    """Return the names of a part's layers that own weights."""
    encoder, decoder = spec.encoder, spec.decoder
    if part == "embeddings":
        return ["embeddings"] if spec.shared else ["source_embeddings", "target_embeddings"]
    if part == "encoder":
        norms = [
            numbered("encoder_norm", n, encoder) for n in encoder.numbers if spec.layer_norm and spec.read_outputs(n)
        ]
        return [*(numbered("encoder", number, encoder) for number in encoder.numbers), *norms]
    if part == "bridge":
        return [name for layer in bridge_layers(decoder) for name in layer]
    if part == "decoder":
        name = "decoder" if dialect.decoder == "keras" else "decoder_cell"
        norms = [numbered("decoder_norm", number, decoder) for number in decoder.numbers if spec.layer_norm]
        return [*(numbered(name, number, decoder) for number in decoder.numbers), *norms]
    if part == "attention" and spec.input_feeding:
        return [name for names in attention_names(spec) for name in names]
    if part == "attention":
        (attention,) = spec.attention
        added = attention.kind == "bahdanau"
        scores = ["attention"] if added or attention.scale else []
        return [*(["query_layer"] if added else []), "memory_layer", *scores, "attention_layer"]
    return ["output_layer"]
