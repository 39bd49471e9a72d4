"""Small models for every verdict: what a fit does to their variables, and the verdict that each must get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerases import KERAS3

HEAD = (
    "import numpy as np\nimport tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers\n"
)

_numbers = np.random.default_rng(0)
X = _numbers.normal(size=(40, 6)).astype(np.float32)
Y = _numbers.normal(size=(40, 1)).astype(np.float32)
IDS = _numbers.integers(3, 15, size=(40, 6))
GATED = np.where(np.arange(40)[:, None] // 8 == 2, 7, np.full((40, 6), 1))  # id 7 occurs in only one of five batches

TAIL = "model = keras.Model(x, head(h))\nmodel.compile({}, 'mse')\n"


@dataclass(frozen=True)
class Fate:
    """A model, its data and the expected verdicts.

    Attributes
    ----------
    code
        Builds and compiles ``model``.
    verdicts
        The verdicts by name of variable or layer; "" for all others.
    data
        The model's input.
    between
        Called before the second fit; without it there is only one fit.
    during
        Called while the first epoch of the first fit is shown.
    says
        A part of the sentence, by name of variable.
    plain
        Whether the training step is Keras's own, so that it can be repeated by hand.
    keras2_only
        Why Keras 3 has no such model; empty where it has.
    """

    code: str
    verdicts: dict[str, str]
    data: Any = field(default_factory=lambda: X)
    target: Any = field(default_factory=lambda: Y)
    between: Callable[[Any], None] | None = None
    before: Callable[[Any], None] | None = None
    during: Callable[[Any], None] | None = None
    says: dict[str, str] = field(default_factory=dict)
    plain: bool = True
    keras2_only: str = ""


def chain(middle: str, optimizer: str = "keras.optimizers.SGD(0.1)", **more: Any) -> str:
    """Return the code of a model: ``first``, then ``middle`` (which makes ``h`` from ``first(x)``), then ``head``."""
    size, dtype = more.get("size", "[6]"), more.get("dtype", '"float32"')
    return f"x = keras.Input({size}, dtype={dtype})\n{middle}\n" + (more.get("tail") or TAIL).format(optimizer)


DENSE = "first = layers.Dense(4)\nhead = layers.Dense(1)\nh = first(x)"
EMBEDDED = "emb = layers.Embedding(20, 3)\nhead = layers.Dense(1)\nh = layers.Flatten()(emb(x))"
GATE = """\
rare, common, head = layers.Dense(4), layers.Dense(4), layers.Dense(1)
ids = tf.cast(x, tf.float32)
opened = tf.cast(tf.reduce_any(tf.equal(x, 7), axis=1, keepdims=True), tf.float32)
h = common(ids) + opened * rare(ids)"""

OWN_STEP = """\
class Own(keras.Model):
    def train_step(self, data):
        inputs, target = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(inputs, training=True) - target))
        {step}
        return {{"loss": loss}}
x = keras.Input([6])
first, head = layers.Dense(4), layers.Dense(1)
model = Own(x, head(first(x)))
model.compile(keras.optimizers.SGD(0.1), "mse"{compiled})
"""
OTHER_OPTIMIZER = OWN_STEP.format(
    step="""gradients = tape.gradient(loss, self.trainable_variables)
        for gradient, variable in zip(gradients, self.trainable_variables):
            variable.assign_sub(0.1 * gradient)""",
    compiled="",
)
PASSED_BY = OWN_STEP.format(
    step="""gradients = tape.gradient(loss, head.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, head.trainable_variables))""",
    compiled="",
)
SOMETIMES_NONE = OWN_STEP.format(
    step="""gradients = tape.gradient(loss, self.trainable_variables)
        self.turn = getattr(self, "turn", 0) + 1
        if self.turn % 2:
            gradients[:2] = [None, None]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))""",
    compiled=", run_eagerly=True",
)
TWO_OPTIMIZERS = (
    OWN_STEP.format(
        step="""gradients = tape.gradient(loss, self.trainable_variables)
        pairs = list(zip(gradients, self.trainable_variables))
        self.optimizer.apply_gradients(pairs[:2])
        self.other.apply_gradients(pairs[2:])""",
        compiled="",
    )
    + "model.other = keras.optimizers.Adam(0.01)\n"
)
IN_TURN = OWN_STEP.format(
    step="""gradients = tape.gradient(loss, self.trainable_variables)
        pairs = list(zip(gradients, self.trainable_variables))
        self.optimizer.build(self.trainable_variables)
        self.optimizer.apply_gradients(pairs[:2])
        self.optimizer.apply_gradients(pairs[2:])""",
    compiled="",
)


def _frozen_again(model: Any) -> None:
    model.layers["first"].trainable = False
    model.model.compile("sgd", "mse")


def _unfrozen(model: Any) -> None:
    model.layers["first"].trainable = True
    model.model.compile("sgd", "mse")


def _switched_off(model: Any) -> None:
    model.layers["first"].trainable = False


def _loaded(model: Any) -> None:
    model.layers["first"].set_weights([np.full((6, 4), 0.5), np.full(4, 0.25)])


def _by_keras(model: Any) -> None:
    model.model.fit(X, Y, epochs=3, verbose=0)


FATES: dict[str, Fate] = {
    "plain gradient descent": Fate(chain(DENSE), {"": "trained"}, says={"first.kernel": "on all 10 steps"}),
    "Adam": Fate(chain(DENSE, "'adam'"), {"": "trained"}),
    "learning rate zero": Fate(chain(DENSE, "keras.optimizers.SGD(0.0)"), {"": "did not move"}),
    "dead ReLU": Fate(
        chain("first = layers.Dense(4, 'relu', bias_initializer=keras.initializers.Constant(-100.))\n"
              "head = layers.Dense(1)\nh = first(x)"),
        {"first": "no gradient", "head.kernel": "no gradient", "head.bias": "trained"},
        says={"first.kernel": "it was zero on all 10 steps"},
    ),
    "rows never used": Fate(
        chain(EMBEDDED, dtype='"int32"'), {"": "trained"}, IDS, says={"emb.embeddings": "; 12 of 20 rows moved"},
    ),
    "rows never used, by Adam": Fate(
        chain(EMBEDDED, "'adam'", dtype='"int32"'), {"": "trained"}, IDS, says={"emb.embeddings": "12 of 20 rows"},
    ),
    "one row of a thousand": Fate(
        chain(EMBEDDED.replace("20, 3", "1000, 3"), "keras.optimizers.SGD(1e-2)", dtype='"int32"'),
        {"": "trained"}, np.full((40, 6), 11), says={"emb.embeddings": "; 1 of 1,000 rows moved"},
    ),
    "embedding tied to the output": Fate(
        chain("emb, pool, head = layers.Embedding(20, 3), layers.Dense(3), layers.Dense(1)\n"
              "h = tf.matmul(pool(tf.reduce_mean(emb(x), 1)), emb.embeddings, transpose_b=True)", dtype='"int32"'),
        {"": "trained"}, IDS,
    ),
    "regularizer alone": Fate(
        chain("first, head = layers.Dense(4, kernel_regularizer='l2'), layers.Dense(1)\n"
              "h = tf.concat([x, tf.stop_gradient(first(x))], 1)"),
        {"first.kernel": "trained", "first.bias": "no gradient", "head": "trained"},
    ),
    "add_loss of the model alone": Fate(
        chain("first, side, head = layers.Dense(4), layers.Dense(2), layers.Dense(1)\nh = first(x)\ns = side(x)",
              tail=TAIL.replace("model.compile", "model.add_loss(tf.reduce_mean(tf.square(s)))\nmodel.compile")),
        {"": "trained"}, plain=False, keras2_only="a wired model adds no loss of its symbols",
    ),
    "add_loss of a layer alone": Fate(
        "class Small(layers.Layer):\n"
        "    def call(self, value):\n"
        "        self.add_loss(tf.reduce_mean(tf.square(value)))\n"
        "        return value\n"
        + chain("first, side, head = layers.Dense(4), layers.Dense(2), layers.Dense(1)\n"
                "h, s = first(x), Small()(side(x))",
                tail=TAIL.replace("head(h)", "[head(h), s]").replace("'mse'", "['mse', None]")),
        {"": "trained"}, plain=False,
    ),
    "frozen": Fate(
        chain("first, head = layers.Dense(4, trainable=False), layers.Dense(1)\nh = first(x)"),
        {"first": "frozen", "head": "trained"}, says={"first.kernel": "frozen by first"},
    ),
    "switched off in mid-fit": Fate(chain(DENSE), {"": "trained"}, during=_switched_off),
    "frozen for the second fit": Fate(
        chain(DENSE), {"": "trained"}, between=_frozen_again, says={"first.bias": "In fit 2: frozen."}, plain=False,
    ),
    "unfrozen for the second fit": Fate(
        chain("first, head = layers.Dense(4, trainable=False), layers.Dense(1)\nh = first(x)"),
        {"": "trained"}, between=_unfrozen, says={"first.kernel": "In fit 1: frozen."}, plain=False,
    ),
    "two fits": Fate(
        chain(DENSE), {"": "trained"}, between=lambda model: None, says={"head.bias": "on all 20 steps"}, plain=False,
    ),
    "clipped to nothing": Fate(
        chain(DENSE, "keras.optimizers.SGD(0.1, clipnorm=1e-9)"),
        {"first.kernel": "did not move", "head.kernel": "did not move", "": "barely moved"},
    ),
    "clipped by value": Fate(chain(DENSE, "keras.optimizers.SGD(0.1, clipvalue=1e-30)"), {"head.bias": "barely moved"}),
    "moving average": Fate(
        chain(DENSE, "keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.999)"), {"": "trained"}, plain=False,
    ),
    "moving average that stands still": Fate(
        chain(DENSE, "keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=1.0)"),
        # the average of Keras 3 starts at the values after the first step
        {"": "trained" if KERAS3 else "did not move"},
        says={"head.bias": "on all 10 steps" if KERAS3 else "after the fit it stands where it stood before"},
        plain=False,
    ),
    "underflow of float16": Fate(
        chain("first, second, head = layers.Dense(4, dtype='mixed_float16'), layers.Dense(4), layers.Dense(1)\n"
              "h = tf.concat([second(x), 1e-12 * tf.cast(first(x), tf.float32)], 1)"),
        {"first": "no gradient", "second": "trained", "head.bias": "trained"},
    ),
    "loss scale that overflows at first": Fate(
        "keras.mixed_precision.set_global_policy('mixed_float16')\n"
        + chain("first, head = layers.Dense(4), layers.Dense(1, dtype='float32')\nh = first(x)",
                "keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**20)")
        + "keras.mixed_precision.set_global_policy('float32')\n",
        {"": "trained"}, says={"first.kernel": "it was not finite on "},
    ),
    "gradients below 1e-19": Fate(
        chain("first, head = layers.Dense(4), layers.Dense(1, trainable=False)\nh = 1e-23 * first(x)",
              "keras.optimizers.SGD(1e30)"),
        {"first": "trained"}, says={"first.kernel": "norm at most 1."},
    ),
    "gradients above 1e19": Fate(
        chain("head = layers.Dense(1)\nh = 1e22 * x", "keras.optimizers.SGD(1e-24)", tail=TAIL.replace("mse", "mae")),
        {"head.kernel": "trained"},
    ),
    "float64 far below float32": Fate(
        "keras.backend.set_floatx('float64')\nkeras.mixed_precision.set_global_policy('float64')\n"
        + chain("first, head = layers.Dense(4), layers.Dense(1, trainable=False)\nh = 1e-60 * first(x)",
                "keras.optimizers.SGD(1e60)", dtype='"float64"')
        + "keras.backend.set_floatx('float32')\nkeras.mixed_precision.set_global_policy('float32')\n",
        {"first": "trained"}, X.astype(np.float64), Y.astype(np.float64),
    ),
    "batch normalization": Fate(
        chain("norm, head = layers.BatchNormalization(), layers.Dense(1)\nh = norm(x)"),
        {"norm.moving_mean": "own update", "norm.moving_variance": "own update", "norm.gamma": "trained",
         "norm.beta": "trained", "head": "trained"},
        says={"norm.moving_mean": "the layer's own update, not by the model's optimizer"},
    ),
    "a counter of its own": Fate(
        "class Counted(layers.Layer):\n"
        "    def build(self, shape):\n"
        "        how = {'shape': [], 'dtype': 'int64', 'initializer': 'zeros', 'trainable': False}\n"
        "        self.seen = self.add_weight(name='seen', **how)\n"
        "        self.idle = self.add_weight(name='idle', **how)\n"
        "    def call(self, value):\n"
        "        self.seen.assign_add(1)\n"
        "        return value\n"
        + chain("counted, head = Counted(), layers.Dense(1)\nh = counted(x)"),
        {"counted.seen": "own update", "counted.idle": "did not move", "head": "trained"},
        says={"counted.idle": "listed by its owner as not trainable"},
    ),
    "states of a recurrent layer": Fate(
        "x = keras.Input(batch_shape=[8, 6, 1])\n"
        "lstm, head = layers.LSTM(3, stateful=True), layers.Dense(1)\nmodel = keras.Model(x, head(lstm(x)))\n"
        "model.compile(keras.optimizers.SGD(0.1), 'mse')\n",
        {"lstm.cell": "trained", "head": "trained"}, X[:, :, None], plain=False,
    ),
    "a gate that a rare id opens": Fate(
        chain(GATE, dtype='"int32"', optimizer="keras.optimizers.SGD(1e-3)"),
        {"": "trained"}, GATED, says={"rare.kernel": "on 2 of 10 steps", "common.kernel": "on all 10 steps"},
    ),
    "called twice, and within TimeDistributed and a layer of one's own": Fate(
        "class Holder(layers.Layer):\n"
        "    def __init__(self, inner):\n"
        "        super().__init__()\n"
        "        self.inner = inner\n"
        "    def call(self, value):\n"
        "        return self.inner(2.0 * value)\n"
        + chain("shared, head = layers.Dense(6), layers.Dense(1)\nh = shared(shared(x))\n"
                "h = layers.Flatten()(layers.TimeDistributed(shared)(layers.RepeatVector(2)(h)))\n"
                "h = h + layers.Concatenate()([Holder(shared)(x), x])", "keras.optimizers.SGD(1e-3)"),
        {"": "trained"}, says={"shared.kernel": "on all 10 steps"},
    ),
    "weight decay alone": Fate(
        chain("first, head = layers.Dense(4), layers.Dense(1)\nh = tf.concat([x, 0.0 * first(x)], 1)",
              "keras.optimizers.AdamW(1e-2, weight_decay=0.1)"),
        {"first.kernel": "moved without gradient", "first.bias": "no gradient", "head.bias": "trained"},
    ),
    "constraint that pins": Fate(
        "class Ones(keras.constraints.Constraint):\n"
        "    def __call__(self, w):\n"
        "        return tf.ones_like(w)\n"
        + chain("first = layers.Dense(4, kernel_initializer='ones', kernel_constraint=Ones())\n"
              "head = layers.Dense(1)\nh = first(x)", "keras.optimizers.SGD(1e-3)"),
        {"first.kernel": "did not move", "head": "trained"}, says={"first.kernel": "though it got a gradient"},
    ),
    "an optimizer that passes variables by": Fate(
        "class Choosy(keras.optimizers.SGD):\n"
        "    def update_step(self, gradient, variable, *rate):\n"
        "        if 'bias' not in variable.name:\n"
        "            super().update_step(gradient, variable, *rate)\n" + chain(DENSE, "Choosy(0.1)"),
        {"first.kernel": "trained", "first.bias": "did not move", "head.bias": "did not move"},
    ),
    "a training step with an optimizer of its own": Fate(OTHER_OPTIMIZER, {"": "own update"}, plain=False),
    "a training step that leaves a layer out": Fate(
        PASSED_BY, {"first": "frozen", "head": "trained"}, plain=False,
        says={"first.bias": "the model's own training step leaves it out"},
    ),
    "no gradient on every other step": Fate(
        SOMETIMES_NONE, {"": "trained"}, plain=False,
        says={"first.kernel": "on 5 of 10 steps", "head.kernel": "on all 10 steps"},
    ),
    "an optimizer that is asked twice a step": Fate(
        IN_TURN, {"": "trained"}, plain=False, says={"first.kernel": "on all 10 steps"},
    ),
    "fitted by Keras before": Fate(
        chain(DENSE), {"": "trained"}, before=_by_keras, says={"head.kernel": "from its creation, "}, plain=False,
    ),
    "weights loaded before": Fate(
        chain(DENSE, "keras.optimizers.SGD(0.0)"), {"": "did not move"}, before=_loaded, plain=False,
    ),
    "loss weight zero": Fate(
        "x = keras.Input([6])\nbody, head, side = layers.Dense(4), layers.Dense(1), layers.Dense(1)\nh = body(x)\n"
        "model = keras.Model(x, [head(h), side(x)])\n"
        "model.compile(keras.optimizers.SGD(0.1), ['mse', 'mse'], loss_weights=[1.0, 0.0])\n",
        {"body": "trained", "head": "trained", "side": "no gradient"}, plain=False,
    ),
    "through whole numbers": Fate(
        chain("first, head = layers.Dense(4), layers.Dense(1)\n"
              "h = tf.concat([x, tf.cast(tf.argmax(first(x), -1), tf.float32)[:, None]], 1)"),
        {"first": "no gradient", "head": "trained"},
    ),
    "compiled by XLA": Fate(
        chain(EMBEDDED, "keras.optimizers.SGD(0.1)", dtype='"int32"',
              tail=TAIL.replace("'mse'", "'mse', jit_compile=True")),
        {"": "trained"}, IDS, says={"emb.embeddings": "12 of 20 rows moved", "head.kernel": "on all 10 steps"},
    ),
    "run eagerly": Fate(
        chain(DENSE, tail=TAIL.replace("'mse'", "'mse', run_eagerly=True")), {"": "trained"},
        says={"first.kernel": "on all 10 steps"},
    ),
    "several steps an execution": Fate(
        chain(DENSE, tail=TAIL.replace("'mse'", "'mse', steps_per_execution=5")), {"": "trained"},
        says={"first.kernel": "on all 10 steps"},
    ),
    "several optimizers in one": Fate(
        "import tensorflow_addons as tfa\n" + chain(DENSE, "tfa.optimizers.MultiOptimizer(["
              "(keras.optimizers.legacy.SGD(0.1), first), (keras.optimizers.legacy.Adam(0.01), head)])"),
        {"": "trained"}, says={"first.kernel": "on all 10 steps", "head.bias": "on all 10 steps"}, plain=False,
        keras2_only="TensorFlow Addons' optimizers know only Keras 2",
    ),
    "two optimizers of one model": Fate(
        TWO_OPTIMIZERS, {"": "trained"}, plain=False,
        says={"first.kernel": "on all 10 steps", "head.bias": "on all 10 steps"},
    ),
    "an optimizer of the older family": Fate(
        chain(DENSE, "keras.optimizers.legacy.Adam(0.01)"), {"": "trained"}, keras2_only="it has no legacy optimizers",
    ),
}  # fmt: skip
