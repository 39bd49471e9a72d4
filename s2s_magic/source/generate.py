"""Generate plain, self-contained Keras source from a plan."""

from __future__ import annotations

from s2s_magic.source.layers import bridge_blocks, cell_lines, encoder_block, initial_state
from s2s_magic.source.layout import call, statement
from s2s_magic.spec import Spec

IMPORTS = """\
import tensorflow as tf
import tensorflow_addons as tfa
from tensorflow import keras"""

INPUTS = """\
# Inputs: source ids, target ids one step behind, and how long each target is.
encoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
decoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
sequence_lengths = keras.layers.Input(shape=[], dtype="int32")"""

SHARED_EMBEDDING = """\
# One embedding for both sides: called twice, it uses the same weights twice.
embeddings = keras.layers.Embedding(vocab_size, embed_size)
encoder_embeddings = embeddings(encoder_inputs)
decoder_embeddings = embeddings(decoder_inputs)"""

MODEL = """\
# Model: follows the wires from the outputs back to the inputs, and has every layer on the way.
model = keras.models.Model(
    inputs=[encoder_inputs, decoder_inputs, sequence_lengths], outputs=[Y_proba]
)"""

PLAIN_LOSS = 'model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")'

MASKED_LOSS = """\

# Padding is nothing to learn: loss and accuracy leave it out. Targets may be wider than the
# output, which ends with the batch's longest sequence.
def masked_loss(targets, probabilities):
    targets = targets[:, : tf.shape(probabilities)[1]]
    losses = keras.losses.sparse_categorical_crossentropy(targets, probabilities)
    real = tf.cast(tf.not_equal(targets, padding), losses.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(losses * real), tf.reduce_sum(real))


def masked_accuracy(targets, probabilities):
    targets = targets[:, : tf.shape(probabilities)[1]]
    right = keras.metrics.sparse_categorical_accuracy(targets, probabilities)
    return tf.boolean_mask(right, tf.not_equal(targets, padding))


model.compile(loss=masked_loss, optimizer="adam", metrics=[masked_accuracy])"""


def generate(spec: Spec) -> str:
    """Write the Keras code of a plan.

    The code needs TensorFlow and TensorFlow Addons and nothing else. It binds ``encoder_inputs`` (shape batch, time),
    ``decoder_inputs`` (batch, time) and ``sequence_lengths`` (batch), the layer objects and tensors between,
    ``Y_proba`` (batch, time, target vocabulary) and ``model``, compiled.

    Parameters
    ----------
    spec
        The plan, with known vocabulary sizes.

    Returns
    -------
    str
        Source text, formatted, in lines of at most 100 characters.

    Raises
    ------
    ValueError
        When a vocabulary size is still the name of a variable.
    """
    if needed := spec.names_needed():
        raise ValueError(f"vocabulary sizes still to be counted: {needed}")
    bridge = bridge_blocks(spec)
    # A bridge of zeros calls the decoder's cells, so it goes between the cells and the decoder.
    blocks = [
        IMPORTS,
        _sizes(spec),
        INPUTS,
        _embeddings(spec),
        encoder_block(spec),
        _decoder_parts(spec),
        *bridge,
        _decoder(spec),
        MODEL,
        PLAIN_LOSS if spec.padding is None else MASKED_LOSS,
    ]
    return "\n\n".join(blocks) + "\n"


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


def _size_name(spec: Spec, name: str, side: str) -> str:
    return f"{name}_size" if getattr(spec, name).one else f"{side}_{name}_size"


def _embeddings(spec: Spec) -> str:
    if spec.shared:
        return SHARED_EMBEDDING
    lines = ["# Each side has an embedding of its own."]
    for side in ("source", "target"):
        sizes = [_size_name(spec, name, side) for name in ("vocab", "embed")]
        lines.append(statement(call("keras.layers.Embedding", *sizes), to=f"{side}_embeddings"))
    lines.append("encoder_embeddings = source_embeddings(encoder_inputs)")
    lines.append("decoder_embeddings = target_embeddings(decoder_inputs)")
    return "\n".join(lines)


def _decoder_parts(spec: Spec) -> str:
    lines = [
        "# Parts of the decoder: the sampler feeds it the true ids, the output layer scores the next one.",
        "sampler = tfa.seq2seq.sampler.TrainingSampler()",
        *cell_lines(spec.decoder),
        f"output_layer = keras.layers.Dense({_size_name(spec, 'vocab', 'target')})",
    ]
    return "\n".join(lines)


def _decoder(spec: Spec) -> str:
    made = call("tfa.seq2seq.basic_decoder.BasicDecoder", "decoder_cell", "sampler", output_layer="output_layer")
    called = call(
        "decoder", "decoder_embeddings", initial_state=initial_state(spec), sequence_length="sequence_lengths"
    )
    lines = [
        "# Decoder: a step of the cell for each target id, and a probability for each id that may follow.",
        statement(made, to="decoder"),
        statement(called, to="final_outputs, final_state, final_sequence_lengths"),
        "Y_proba = tf.nn.softmax(final_outputs.rnn_output)",
    ]
    return "\n".join(lines)
