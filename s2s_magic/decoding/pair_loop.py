"""The loop over a pair of models, encoder and decoder step, as code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LOOP = """
# Each row is fed its own most probable id{until}, {longest} at most.
@tf.function(reduce_retracing=True)
def {function}(source, start):
    {begin} = {encoder}(source, training=False)
{zeros}    step, last, going = 0, start, tf.fill(tf.shape(start), True)
    ids = tf.TensorArray(tf.int32, size=0, dynamic_size=True)
    while step < {longest} and tf.reduce_any(going):
        {after} = {decoder}([{fed}], training=False)
        last = tf.where(going, tf.argmax({scores}, axis=-1, output_type=tf.int32), {end})
        going = going & (last != {end})
        ids, step = ids.write(step, last), step + 1
    return tf.transpose(ids.stack())
"""


@dataclass(frozen=True)
class Loop:
    """What the loop's code needs to know.

    Attributes
    ----------
    function
        The name of the function that it becomes.
    encoder, decoder
        Expressions for the two models.
    begin
        Names for what the encoder gives, in order.
    zeros
        Names, sizes and dtypes of states that start as zeros.
    fed
        Names for what the decoder is given, in order; ``last`` is the id of the step before.
    after
        Names for the states that the decoder gives behind its scores.
    classes
        Symbols of a one-hot vector where the decoder is given such, None for ids.
    by_step
        Whether the scores have a dimension of time.
    """

    function: str
    encoder: str
    decoder: str
    begin: Sequence[str]
    fed: Sequence[str]
    after: Sequence[str]
    zeros: Sequence[tuple[str, tuple[int, ...], str]] = ()
    classes: int | None = None
    by_step: bool = True

    def code(self, *, longest: int, end: int | None) -> str:
        """Write the loop."""
        last = "last[:, tf.newaxis]" if self.classes is None else f"tf.one_hot(last, {self.classes})[:, tf.newaxis]"
        zeros = [
            f"    {name} = tf.zeros([tf.shape(start)[0], {', '.join(map(str, shape))}], {dtype!r})\n"
            for name, shape, dtype in self.zeros
        ]
        return _LOOP.format(
            until="" if end is None else f" until all rows have said id {end}",
            longest=longest,
            function=self.function,
            begin=", ".join(self.begin),
            encoder=self.encoder,
            zeros="".join(zeros),
            after=", ".join(["scores", *self.after]),
            decoder=self.decoder,
            fed=", ".join(last if name == "last" else name for name in self.fed),
            scores="scores[:, -1]" if self.by_step else "scores",
            end=-1 if end is None else end,
        )
