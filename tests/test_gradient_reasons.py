"""Why a variable gets no gradient: the place where it ends, compared with a plain tape for the same loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from tensorflow import keras

from kerases import KERAS3, only_keras2
from s2s_magic import api
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.gradient import why_none
from s2s_magic.view import report
from s2s_magic.view.summary import summary

HEAD = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
"""
ONE = "x = keras.Input([6])\nfirst, head = layers.Dense(4), layers.Dense(1)\n"
END = "\nmodel = keras.Model(x, head(h))\nmodel.compile('sgd', 'mse')\n"
TWO = "\nmodel = keras.Model(x, [head(h), {}])\nmodel.compile('sgd', {})\n"


def through(*lines: str) -> str:
    """Return a model in which ``first`` reaches ``head`` only through these lines; ``head`` reads ``x``, too."""
    return ONE + "f = first(x)\n" + "\n".join(lines) + "\nh = tf.concat([x, tf.reshape(b, [-1, 4])], 1)" + END


ADDS_LOSS = """\
class Small(layers.Layer):
    def call(self, value):
        self.add_loss(tf.reduce_mean(tf.square(value)))
        return value
"""
CUSTOM = """\
class Odd(layers.Layer):
    def build(self, shape):
        self.used = self.add_weight(name="used", shape=[6, 4])
        self.lost = self.add_weight(name="lost", shape=[6, 4])
    def call(self, value):
        rounded = tf.round(value @ self.lost)
        return value @ self.used + rounded
x = keras.Input([6])
odd, head = Odd(), layers.Dense(1)
h = odd(x)"""
LOSS_BY_NAME = "{'dense_1': 'mse', 'side': None}" if KERAS3 else "{'dense_1': 'mse'}"

ENDS = "the gradient of the loss ends "
CASES: dict[str, tuple[str, dict[str, str | None]]] = {
    "argmax": (
        through("i = tf.argmax(f, -1)", "b = tf.repeat(tf.cast(i, tf.float32)[:, None], 4, axis=1)"),
        {"first": ENDS + "at tf.math.argmax in line 8, which gives whole numbers", "head": None},
    ),
    "round": (through("b = tf.round(f)"), {"first": ENDS + "at tf.math.round in line 8", "head": None}),
    "sign, whose derivative is zero": (through("b = tf.sign(f)"), {"first": ENDS + "at tf.math.sign in line 8"}),
    "floor": (through("b = tf.floor(f)"), {"first": ENDS + "at tf.math.floor in line 8"}),
    "floor division": (through("b = f // 0.5"), {"first": "in line 8, which has no derivative"}),
    "cast to whole numbers": (
        through("b = tf.cast(tf.cast(f, tf.int32), tf.float32)"),
        {"first": ENDS + "at tf.cast in line 8, which gives whole numbers"},
    ),
    "stop_gradient": (
        through("b = tf.stop_gradient(f)"),
        {"first": ENDS + "at tf.stop_gradient in line 8, which lets none back"},
    ),
    "a comparison": (through("b = tf.cast(f > 0.0, tf.float32)"), {"first": "in line 8, which gives true or false"}),
    "one_hot": (
        through("b = tf.one_hot(tf.argmax(f, -1), 4)"),
        {"first": ENDS + "at tf.math.argmax in line 8, which gives whole numbers"},
    ),
    "numpy_function in a Lambda": (
        through(
            "def doubled(a):",
            "    found = tf.numpy_function(lambda v: 2 * v, [a], tf.float32)",
            "    return tf.ensure_shape(found, [None, 4])",
            "double = layers.Lambda(doubled)", "b = double(f)",
        ),
        {"first": ENDS + "at tf.numpy_function inside double in line 9, into which TensorFlow does not see"},
    ),
    "py_function, which can be differentiated": (
        through(
            "def doubled(a):",
            "    return tf.ensure_shape(tf.py_function(lambda v: 2 * v, [a], tf.float32), [None, 4])",
            "double = layers.Lambda(doubled)", "b = double(f)",
        ),
        {"first": None},
    ),
    "round in a Lambda": (
        through("rounding = layers.Lambda(lambda a: 2.0 * tf.round(a))", "b = rounding(f)"),
        {"first": ENDS + "at tf.round inside rounding in line 8"},
    ),
    "straight through": (
        through("b = f + tf.stop_gradient(tf.round(f) - f)"),
        {"first": None, "head": None},
    ),
    "inside a layer of one's own": (
        CUSTOM + END,
        {"odd.lost": ENDS + "at tf.round inside odd in line 10", "odd.used": None, "head": None},
    ),
    "two ways that end in two places": (
        through("b = tf.round(f) + tf.stop_gradient(f)"),
        {"first": "at tf.math.round in line 8, which has no derivative, or one that is zero everywhere and "
                  "at tf.stop_gradient in line 8, which lets none back"},
    ),
    "an output without a loss": (
        ONE + "side = layers.Dense(2)\nh = first(x)\ns = side(x)" + TWO.format("s", "['mse', None]"),
        {"side": "the output s has no loss", "first": None, "head": None},
    ),
    "an output without a loss, by name": (
        ONE + "side = layers.Dense(2, name='side')\nh = first(x)\ns = side(x)" + TWO.format("s", LOSS_BY_NAME)
        .replace("head(h)", "layers.Dense(1, name='dense_1')(h)"),
        {"side": "the output s has no loss", "first": None},
    ),
    "a loss of weight zero": (
        ONE + "side = layers.Dense(2)\nh = first(x)"
        + TWO.format("side(x)", "['mse', 'mse'], loss_weights=[1.0, 0.0]"),
        {"side": "the loss of output 2 has weight 0", "first": None, "head": None},
    ),
    "rounded before one output, and the other has no loss": (
        ONE + "s = first(x)\nh = tf.round(s)" + TWO.format("s", "['mse', None]"),
        {"first": ENDS + "at tf.math.round in line 8, which has no derivative, or one that is zero everywhere; "
                         "the output s has no loss"},
    ),
    "add_loss is an end of the wires": (
        ONE + "side = layers.Dense(2)\nh = first(x)\ns = side(x)" + END.replace(
            "model.compile", "model.add_loss(tf.reduce_mean(tf.square(s)))\nmodel.compile"),
        {"side": None, "first": None, "head": None},
    ),
    "add_loss alone": (
        ONE + "h = first(x)" + END.replace(
            "model.compile('sgd', 'mse')", "model.add_loss(tf.reduce_mean(tf.square(h)))\nmodel.compile('sgd')"),
        {"first": None, "head": "output 1 has no loss"},
    ),
    "add_loss in a layer behind an end": (
        ADDS_LOSS + through("b = tf.round(Small()(f))"), {"first": None, "head": None},
    ),
    "an activity regularizer behind an end": (
        through("b = tf.round(f)").replace("layers.Dense(4)", "layers.Dense(4, activity_regularizer='l2')"),
        {"first": None, "head": None},
    ),
    "a model within the model": (
        "i = keras.Input([6])\ninner, other = layers.Dense(4), layers.Dense(4)\n"
        "part = keras.Model(i, [inner(i), tf.round(other(i))])\n"
        "x = keras.Input([6])\nhead = layers.Dense(1)\nh = tf.concat(part(x), 1)" + END,
        {"inner": None, "other": ENDS + "at tf.math.round in line 7", "head": None},
    ),
    "an embedding below argmax": (
        "x = keras.Input([6])\nfirst, emb, head = layers.Dense(4), layers.Embedding(4, 3), layers.Dense(1)\n"
        "h = emb(tf.argmax(first(x), -1))" + END,
        {"first": ENDS + "at tf.math.argmax in line 7, which gives whole numbers", "emb": None, "head": None},
    ),
    "rounded twice, in two lines": (
        ONE.replace("first, head = layers.Dense(4)", "first, second, head = layers.Dense(4), layers.Dense(4)")
        + "a = tf.round(first(x))\nb = tf.round(second(x))\nh = a + b" + END,
        {"first": ENDS + "at tf.math.round in line 7, which", "second": ENDS + "at tf.math.round in line 8, which"},
    ),
    "the state of an encoder, rounded": (
        "x = keras.Input([6])\nlstm, head = layers.LSTM(3, return_state=True), layers.Dense(1)\n"
        "out, hidden, carry = lstm(x[:, :, None])\nh = tf.round(hidden) + tf.stop_gradient(carry)" + END,
        {"lstm.cell": "at tf.stop_gradient in line 8, which lets none back", "head": None},
    ),
}  # fmt: skip


BY_THE_MODEL = only_keras2("a wired model adds no loss of its symbols")


def of(found: dict[str, str | None], name: str) -> str | None:
    return found.get(name, found.get(name.rpartition(".")[0]))


def gradients(seen: Any) -> dict[str, bool]:
    """Return, by the ledger's keys, whether a plain tape finds a nonzero gradient of the compiled loss."""
    model = seen.model
    batch = tf.constant(np.random.default_rng(0).normal(size=(16, 6)), tf.float32)
    with tf.GradientTape() as tape:
        output = model(batch, training=True)
        targets = tf.nest.map_structure(lambda tensor: tf.ones_like(tensor) * 0.3, output)
        loss = model.compute_loss(batch, targets, output)
    keys = {id(variable): key for key, variable in seen.live.variables.items()}
    pairs = zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True)
    return {keys[id(v)]: g is not None and bool(np.any(tf.convert_to_tensor(g).numpy())) for v, g in pairs}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[BY_THE_MODEL] if "model.add_loss" in CASES[name][0] else []) for name in CASES]
)
def test_a_reason_is_given_exactly_where_a_tape_finds_no_gradient(name: str) -> None:
    code, expected = CASES[name]
    keras.utils.set_random_seed(2)
    seen = api.trace(HEAD + code)
    said = {key: why_none(seen.ledger, key) for key in seen.ledger.variables}
    assert {key: why is None for key, why in said.items()} == gradients(seen), said
    for key, why in said.items():
        words = of(expected, seen.ledger.variables[key].paths[0])
        assert (why is None) if words is None else (why is not None and words in why), why
    findings = " ".join(finding.text for finding in seen.ledger.findings if finding.kind == "no gradient")
    for why in said.values():
        assert why is None or why in findings
    document = Ledger.from_dict(seen.ledger.to_dict())
    assert {key: why_none(document, key) for key in document.variables} == said
    states = {key: row.state for key, row in report(seen.ledger).variables.items()}
    lost = {"trainable but no gradient", "trained by its regularizer alone"}
    assert {key: state in lost for key, state in states.items()} == {key: why is not None for key, why in said.items()}


def test_the_state_of_an_owner_and_the_first_line_say_what_a_fit_will_not_train() -> None:
    code = ONE.replace("layers.Dense(4)", "layers.Dense(4, kernel_regularizer='l2')") + "f = first(x)"
    shown = report(api.trace(f"{HEAD}{code}\nh = tf.round(f){END}").ledger)
    assert {row.full_name: row.state for row in shown.variables.values()} == {
        "first.kernel": "trained by its regularizer alone",
        "first.bias": "trainable but no gradient",
        "head.kernel": "trainable",
        "head.bias": "trainable",
    }
    assert [line.state for line in shown.tree() if line.row.name == "first"] == ["2 of 2 trainable"]
    assert summary(shown) == (
        "4 variables in 2 owners; 2 trainable (head.kernel and head.bias), 1 trained by its regularizer alone "
        "(first.kernel), 1 trainable but no gradient (first.bias)"
    )
