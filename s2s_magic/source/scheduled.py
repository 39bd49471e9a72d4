"""Write the source of scheduled sampling: the layer whose rate grows, the sampler that draws ids, and their wiring."""

from __future__ import annotations

from s2s_magic.source.dialect import Dialect
from s2s_magic.spec import Feeding

_CLASS = """\
# Scheduled sampling: at a rate that grows with the training steps, the decoder reads an id drawn from
# its own scores in place of the true one, and so learns to go on after its own mistakes. The layer
# counts the steps, and reports the rate as a metric. Outside training the rate is 0.
@keras.saving.register_keras_serializable()
class FeedingRate(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.reported = keras.metrics.Mean(name="feeding_rate")

    def build(self, input_shape):
        self.steps = self.add_weight(name="steps", shape=(), initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        if not training:
            return {zero}
        rate = {rate}
        self.reported.update_state(rate)
        self.steps.assign_add(1)
        return rate"""

_FUNCTIONS = {
    "tf": {"zero": "tf.constant(0.0)", "minimum": "tf.minimum", "exp": "tf.exp", "full": "tf.constant({})"},
    "keras.ops": {
        "zero": "keras.ops.zeros(())",
        "minimum": "keras.ops.minimum",
        "exp": "keras.ops.exp",
        "full": "keras.ops.full((), {})",
    },
}


def rate_layer(feeding: Feeding, dialect: Dialect) -> str:
    """Write the class ``FeedingRate``."""
    functions = _FUNCTIONS[dialect.operations]
    k = f"{feeding.decay:.6g}"
    rates = {
        "constant": functions["full"].format(feeding.rate),
        "linear": f"{feeding.rate} * {functions['minimum']}(self.steps / {feeding.steps}, 1.0)",
        "exponential": f"{feeding.rate} * (1 - 0.01 ** (self.steps / {feeding.steps}))",
        "inverse_sigmoid": f"{feeding.rate} * (1 - {k} / ({k} + {functions['exp']}(self.steps / {k})))",
    }
    return _CLASS.format(zero=functions["zero"], rate=rates[feeding.schedule])


def sampler_lines(dialect: Dialect, embeddings: str) -> list[str]:
    """Write the sampler, which embeds the ids that it draws, and the layer that gives its rate."""
    return [
        f"sampler = {dialect.sampler}.ScheduledEmbeddingTrainingSampler(0.0, {embeddings})",
        "feeding_rate = FeedingRate()",
    ]
