"""Generate plain, self-contained Keras source from a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s2s_magic.source.attention import attention_calls, attention_layers
from s2s_magic.source.attention_cell import attention_cell, attention_state
from s2s_magic.source.dialect import PLAIN, Dialect
from s2s_magic.source.freezing import frozen
from s2s_magic.source.layers import (
    bridge_blocks,
    cell_lines,
    decoder_calls,
    decoder_layers,
    encoder_block,
    initial_state,
)
from s2s_magic.source.layout import call, statement
from s2s_magic.source.loss_code import compiled
from s2s_magic.source.scheduled import rate_layer, sampler_lines
from s2s_magic.source.tied import tied_embedding
from s2s_magic.source.vectors import initial_vectors
from s2s_magic.spec import Spec

INPUTS = """\
# Inputs: source ids, target ids one step behind, and how long each target is.
encoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
decoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
sequence_lengths = keras.layers.Input(shape=[], dtype="int32")"""

TWO_INPUTS = """\
# Inputs: source ids, and target ids one step behind.
encoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
decoder_inputs = keras.layers.Input(shape=[None], dtype="int32")"""

SHARED_EMBEDDING = """\
# One embedding for both sides: called twice, it uses the same weights twice.
embeddings = {kind}(vocab_size, embed_size)
encoder_embeddings = embeddings(encoder_inputs)
decoder_embeddings = embeddings(decoder_inputs)"""

EMBEDDING_DROPOUT = """\
# Dropout: while the model is trained, a part of the numbers that are read is zeroed.
embedding_dropout = keras.layers.Dropout({rate})
encoder_embeddings = embedding_dropout(encoder_embeddings)
decoder_embeddings = embedding_dropout(decoder_embeddings)"""

PRECISION = """\
# Precision: layers made from here on compute in {said}.
policy = keras.mixed_precision.global_policy()
keras.mixed_precision.set_global_policy("{policy}")"""

PRECISION_AFTER = """\
# Layers made after this compute as before.
keras.mixed_precision.set_global_policy(policy)"""

PARTS = "# Parts of the decoder: what reads the true ids, and the output layer that scores the next one."
TIED_PARTS = "# Parts of the decoder: what reads the true ids. The embedding scores the next one."

MODEL = """\
# Model: follows the wires from the outputs back to the inputs, and has every layer on the way.
model = keras.models.Model(
    inputs=[encoder_inputs, decoder_inputs, sequence_lengths], outputs=[Y_proba]
)"""

TWO_INPUT_MODEL = """\
# Model: follows the wires from the outputs back to the inputs, and has every layer on the way.
model = keras.models.Model(inputs=[encoder_inputs, decoder_inputs], outputs=[Y_proba])"""


def generate(spec: Spec, dialect: Dialect = PLAIN, tokens: Mapping[str, Sequence[str]] | None = None) -> str:
    """Write the Keras code of a plan.

    The code needs only TensorFlow, Keras and what the dialect names. It binds ``encoder_inputs`` (shape
    batch, time), ``decoder_inputs`` (batch, time) and, for a decoder of TFA's API, ``sequence_lengths`` (batch), the
    layer objects and tensors between, ``Y_proba`` (batch, time, target vocabulary) and ``model``, compiled.

    Parameters
    ----------
    spec
        The plan, with known vocabulary sizes.
    dialect
        The packages and functions to use.
    tokens
        For a plan with ``init``, by ``source`` and ``target``, the tokens that have the ids from 4 on.

    Returns
    -------
    str
        Source text, formatted, in lines of at most 100 characters.

    Raises
    ------
    ValueError
        If a vocabulary size is still the name of a variable, a side with ``init`` has no tokens, or a decoder of TFA's
        API cannot be written as planned.
    """
    if spec.of_keras_alone and dialect.decoder == "tfa":
        raise ValueError(f"{spec.of_keras_alone[0]} is written with Keras's own layers alone")
    if needed := spec.names_needed():
        raise ValueError(f"vocabulary sizes still to be counted: {needed}")
    tokens = tokens or {}
    if not spec.init.keys() <= tokens.keys():
        raise ValueError(f"init of {', '.join(spec.init)} needs the tokens, and has those of {list(tokens)}")
    by_tfa = dialect.decoder == "tfa"
    # A bridge of zeros calls the cells of TFA's decoder, so it goes between the cells and the decoder.
    blocks = [
        _sizes(spec),
        INPUTS if by_tfa else TWO_INPUTS,
        *([f"\n{tied_embedding(spec, dialect)}\n"] if spec.tie_output else []),
        *([f"\n{rate_layer(spec.feeding, dialect)}\n"] if spec.feeding else []),
        *([_precision(spec)] if spec.precision else []),
        _embeddings(spec),
        encoder_block(spec, dialect),
        _decoder_parts(spec, dialect),
        *bridge_blocks(spec, dialect),
        _decoder(spec, dialect),
        *([PRECISION_AFTER] if spec.precision else []),
        MODEL if by_tfa else TWO_INPUT_MODEL,
        *frozen(spec, dialect),
        compiled(spec, _size_name(spec, "vocab", "target"), dialect),
    ]
    code = "\n\n".join(blocks)
    imports = dialect.imports(code)  # before the tokens, which may be any text
    if spec.init:
        code = f"{code}\n\n{initial_vectors(spec, tokens)}"
    return f"{imports}\n\n{code}\n"


def _sizes(spec: Spec) -> str:
    lines = []
    for name in ("vocab", "embed"):
        sides = getattr(spec, name)
        if sides.one:
            lines.append(f"{name}_size = {sides.source}")
        else:
            lines += [f"source_{name}_size = {sides.source}", f"target_{name}_size = {sides.target}"]
    if spec.padding is not None:
        lines.append(f"padding = {spec.padding}")
    return "\n".join(lines)


def _precision(spec: Spec) -> str:
    said = "bfloat16, and keep their weights in float32" if spec.mixes_precision else "float32"
    return PRECISION.format(said=said, policy=spec.precision)


def _size_name(spec: Spec, name: str, side: str) -> str:
    return f"{name}_size" if getattr(spec, name).one else f"{side}_{name}_size"


def _embeddings(spec: Spec) -> str:
    """Write one embedding or two, and their dropout; the target's table is the one that the output layer may use."""
    kinds = {
        "source": "keras.layers.Embedding",
        "target": "TiedEmbedding" if spec.tie_output else "keras.layers.Embedding",
    }
    if spec.shared:
        lines = [SHARED_EMBEDDING.format(kind=kinds["target"])]
    else:
        lines = ["# Each side has an embedding of its own."]
        for side, kind in kinds.items():
            sizes = [_size_name(spec, name, side) for name in ("vocab", "embed")]
            lines.append(statement(call(kind, *sizes), to=f"{side}_embeddings"))
        lines.append("encoder_embeddings = source_embeddings(encoder_inputs)")
        lines.append("decoder_embeddings = target_embeddings(decoder_inputs)")
    if spec.dropout is not None and spec.dropout.embeddings:
        lines += ["", EMBEDDING_DROPOUT.format(rate=spec.dropout.embeddings)]
    return "\n".join(lines)


def _decoder_parts(spec: Spec, dialect: Dialect) -> str:
    size = _size_name(spec, "vocab", "target")
    if dialect.decoder == "keras":
        lines = [
            PARTS if not spec.tie_output else TIED_PARTS,
            *decoder_layers(spec),
            *attention_layers(spec),
            *_scoring_layers(spec, size),
        ]
    else:
        scorer = "embedding" if spec.tie_output else "output layer"
        feeds = f"the sampler feeds it the true ids, the {scorer} scores the next one."
        sampler = [f"sampler = {dialect.sampler}.TrainingSampler()"]
        if spec.feeding is not None:
            feeds = "the sampler feeds it true or drawn ids, the output layer scores the next."
            sampler = sampler_lines(dialect, "embeddings" if spec.shared else "target_embeddings")
        lines = [
            f"# Parts of the decoder: {feeds}",
            *sampler,
            *cell_lines(spec.decoder),
            *(attention_cell(spec) if spec.input_feeding else []),
            *(_scoring_layers(spec, size) if _scores_outside(spec) else [f"output_layer = keras.layers.Dense({size})"]),
        ]
    return "\n".join(lines)


def _scores_outside(spec: Spec) -> bool:
    """Return whether scores are made of what a decoder of TFA's API returns, and not by a layer within it."""
    return spec.tie_output or bool(_output_dropout(spec))


def _scoring_layers(spec: Spec, size: str) -> list[str]:
    """Write the layers that make probabilities of what a decoder's layers, or one of TFA's API, return."""
    dropped = _output_dropout(spec)
    return [
        *([f"output_dropout = keras.layers.Dropout({dropped})"] if dropped else []),
        *([_output_layer(spec, size)] if not spec.tie_output else []),
    ]


def _scored(spec: Spec, last: str) -> str:
    """Write how the layers of `_scoring_layers`, or the embedding, make probabilities of what is read last."""
    read = f"output_dropout({last})" if _output_dropout(spec) else last
    if spec.tie_output:
        return f"Y_proba = {'embeddings' if spec.shared else 'target_embeddings'}({read}, scores=True)"
    return f"Y_proba = output_layer({read})"


def _output_layer(spec: Spec, size: str) -> str:
    """Write the output layer outside of a decoder; a softmax needs the digits of float32."""
    wide = {"dtype": '"float32"'} if spec.mixes_precision else {}
    return statement(call("keras.layers.Dense", size, activation='"softmax"', **wide), to="output_layer")


def _output_dropout(spec: Spec) -> float:
    return 0.0 if spec.dropout is None else spec.dropout.outputs


def _decoder(spec: Spec, dialect: Dialect) -> str:
    if dialect.decoder == "keras":
        comment = "# Decoder: a step for each target id, and a probability for each id that may follow."
        attending, last = attention_calls(spec, dialect)
        return "\n".join([comment, *decoder_calls(spec), *attending, _scored(spec, last)])
    cell = "attention_cell" if spec.input_feeding else "decoder_cell"
    state = "attention_state" if spec.input_feeding else initial_state(spec)
    outside = _scores_outside(spec)
    made = call(dialect.basic_decoder, cell, "sampler", **({} if outside else {"output_layer": "output_layer"}))
    given = {"initial_state": state, "sequence_length": "sequence_lengths"}
    if spec.feeding is not None:
        given["sampling_probability"] = "feeding_rate(decoder_inputs)"
    called, read = call("decoder", "decoder_embeddings", **given), "final_outputs.rnn_output"
    lines = [
        "# Decoder: a step of the cell for each target id, and a probability for each id that may follow.",
        *([attention_state(spec)] if spec.input_feeding else []),
        statement(made, to="decoder"),
        statement(called, to="final_outputs, final_state, final_sequence_lengths"),
        _scored(spec, read) if outside else f"Y_proba = {dialect['softmax']}({read})",
    ]
    return "\n".join(lines)
