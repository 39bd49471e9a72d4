"""The decoding loop over a pair of models, an encoder and a decoder step, as readable code and as a step function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from s2s_magic.decoding.search import Step, Steps

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
    """The inputs and outputs of an encoder and a decoder step, from which the loop is generated.

    Attributes
    ----------
    function
        The name of the generated function.
    encoder, decoder
        Expressions for the two models.
    begin
        Names for the encoder's outputs, in order.
    zeros
        Names, shapes and dtypes of states that start at zero.
    fed
        Names for the decoder's inputs, in order; ``last`` is the id of the previous step.
    after
        Names for the states that the decoder returns after its scores.
    classes
        Size of the one-hot vectors that the decoder takes, None if it takes ids.
    by_step
        Whether the scores have a time axis.
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

    def code(self, longest: int, end: int | None) -> str:
        """Return the loop as code."""
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

    def steps(self, encoder: Any, decoder: Any) -> Steps:
        """Return the loop's steps; the encoder's memory is the last part of the state and stays unchanged."""
        memory = [name for name in self.begin if name not in self.after]
        states = [name for name in self.begin if name in self.after]
        names = [*states, *(name for name, _, _ in self.zeros), *memory]

        def step(ids: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
            known = dict(zip(names, state, strict=True))
            last = (ids if self.classes is None else tf.one_hot(ids, self.classes))[:, tf.newaxis]
            made = decoder([last if name == "last" else known[name] for name in self.fed], training=False)
            scores, *after = tf.nest.flatten(made)
            known |= zip(self.after, after, strict=True)
            return scores[:, -1] if self.by_step else scores, [known[name] for name in names]

        def begin(source: Any) -> tuple[Sequence[Any], Step]:
            given = tf.nest.flatten(encoder(source, training=False))
            rows = tf.shape(given[0])[0]
            known = dict(zip(self.begin, given, strict=True))
            known |= {name: tf.zeros([rows, *shape], dtype) for name, shape, dtype in self.zeros}
            return [known[name] for name in names], step

        return Steps(begin, constant=len(memory))
