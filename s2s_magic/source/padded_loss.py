"""The compile statement of generated code, with a loss and a metric that exclude padding."""

from __future__ import annotations

from s2s_magic.source.dialect import Dialect

PLAIN_LOSS = 'model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")'

_WIDER = """\
# Padding is nothing to learn: loss and accuracy leave it out. Targets may be wider than the
# output, which ends with the batch's longest sequence."""
_ALIKE = "# Padding is nothing to learn: loss and accuracy leave it out."
_CUT = "    targets = targets[:, : tf.shape(probabilities)[1]]\n"
_REAL = {
    "tf": """\
    real = tf.cast(tf.not_equal(targets, padding), losses.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(losses * real), tf.reduce_sum(real))""",
    "keras.ops": """\
    real = keras.ops.cast(keras.ops.not_equal(targets, padding), losses.dtype)
    return keras.ops.sum(losses * real) / keras.ops.maximum(keras.ops.sum(real), 1)""",
}
_MASKED = """\

{why}
def masked_loss(targets, probabilities):
{cut}    losses = keras.losses.sparse_categorical_crossentropy(targets, probabilities)
{real}


def masked_accuracy(targets, probabilities):
{cut}    right = keras.metrics.sparse_categorical_accuracy(targets, probabilities)
    return tf.boolean_mask(right, tf.not_equal(targets, padding))


model.compile(loss=masked_loss, optimizer="adam", metrics=[masked_accuracy])"""


def masked_loss(dialect: Dialect) -> str:
    """Return the statements that compile a model whose targets are padded."""
    wide = dialect.decoder == "tfa"
    operations = "tf" if wide else dialect.operations
    return _MASKED.format(why=_WIDER if wide else _ALIKE, cut=_CUT if wide else "", real=_REAL[operations])
