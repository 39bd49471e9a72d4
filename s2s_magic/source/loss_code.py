"""The compile statement of generated code, with a loss and a metric that exclude padding, and label smoothing."""

from __future__ import annotations

from s2s_magic.source.dialect import Dialect
from s2s_magic.spec import Spec

PLAIN_LOSS = 'model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")'

_WIDER = """\
# Padding is nothing to learn: loss and accuracy leave it out. Targets may be wider than the
# output, which ends with the batch's longest sequence."""
_ALIKE = "# Padding is nothing to learn: loss and accuracy leave it out."
_CUT = "    targets = targets[:, : tf.shape(probabilities)[1]]\n"
_LOSSES = "    losses = keras.losses.sparse_categorical_crossentropy(targets, probabilities)"
_SMOOTH = "# Label smoothing: a part of each target's probability is spread over all ids."
_WANTED = {
    "tf": "    wanted = tf.one_hot(tf.cast(targets, tf.int32), {size})",
    "keras.ops": '    wanted = keras.ops.one_hot(keras.ops.cast(targets, "int32"), {size})',
}
_SMOOTHED = "keras.losses.categorical_crossentropy(wanted, probabilities, label_smoothing={part})"
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
{cut}{losses}
{real}


def masked_accuracy(targets, probabilities):
{cut}    right = keras.metrics.sparse_categorical_accuracy(targets, probabilities)
    return tf.boolean_mask(right, tf.not_equal(targets, padding))


model.compile(loss=masked_loss, optimizer="adam", metrics=[masked_accuracy])"""

_PLAIN_SMOOTHED = """\
{smooth}
def smoothed_loss(targets, probabilities):
{wanted}
    return {smoothed}


model.compile(loss=smoothed_loss, optimizer="adam")"""


def compiled(spec: Spec, size: str, dialect: Dialect) -> str:
    """Write the statements that compile a model; ``size`` is the name of the target vocabulary's size."""
    if not spec.label_smoothing:
        return PLAIN_LOSS if spec.padding is None else "\n" + masked_loss(dialect)
    wanted = _WANTED[_operations(dialect)].format(size=size)
    smoothed = _SMOOTHED.format(part=spec.label_smoothing)
    if spec.padding is None:
        return "\n" + _PLAIN_SMOOTHED.format(smooth=_SMOOTH, wanted=wanted, smoothed=smoothed)
    return "\n" + masked_loss(dialect, f"{wanted}\n    losses = {smoothed}", f"\n{_SMOOTH}")


def masked_loss(dialect: Dialect, losses: str = _LOSSES, why: str = "") -> str:
    """Write the statements that compile a model whose targets are padded.

    ``losses`` are the lines for the loss of each position, and ``why`` what the comment adds on them.
    """
    wide = dialect.decoder == "tfa"
    return _MASKED.format(
        why=(_WIDER if wide else _ALIKE) + why,
        cut=_CUT if wide else "",
        losses=losses,
        real=_REAL[_operations(dialect)],
    )


def _operations(dialect: Dialect) -> str:
    """Return whose functions a loss is written with: a decoder of TFA's API needs TensorFlow anyway."""
    return "tf" if dialect.decoder == "tfa" else dialect.operations
