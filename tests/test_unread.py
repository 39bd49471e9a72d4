"""Weights that a layer of the user's own has and its call does not read, compared with what changing them changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tensorflow import keras

from s2s_magic import api
from s2s_magic.ledger.gradient import why_none
from s2s_magic.ledger.words import full_name
from s2s_magic.view import report
from s2s_magic.view.summary import summary

pytestmark = pytest.mark.once

CODE = """\
import tensorflow as tf
from tensorflow import keras
L = keras.layers
class Block(L.Layer):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.part, self.other = L.Dense(3), L.Dense(3)
    def build(self, shape):
        self.one = self.add_weight(shape=(3,), initializer="ones", name="one")
        self.two = self.add_weight(shape=(3,), initializer="ones", name="two")
        self.part.build((None, 3))
    def call(self, x{training}):
        {call}
x = keras.Input([3])
block = Block({settings})
model = keras.Model(x, L.Dense(1)({given}))
model.compile("sgd", "mse")
"""
READ = {
    "both": "return x * self.one + self.two",
    "one": "return x * self.one",
    "none": "return x + 1.0",
    "a part": "return self.part(x)",
    "another part": "return self.other(x)",
    "the kernel of a part": "return tf.matmul(x, tf.convert_to_tensor(self.part.kernel))",
    "more when training": "return x * self.one * self.two if training else x * self.one",
    "in a branch": "return tf.cond(tf.reduce_sum(x) > 0, lambda: x * self.one, lambda: x + self.two)",
    "in a loop": "return tf.while_loop(lambda i, t: i < 2, lambda i, t: (i + 1, t * self.one), [tf.constant(0), x])[1]",
    "row by row": "return tf.map_fn(lambda t: t + self.two, x)",
    "in a function": "return tf.function(lambda t: t * self.two)(x)",
    "computed again": "return tf.recompute_grad(lambda t: t * tf.convert_to_tensor(self.one))(x)",
    "gathered": "return x + tf.gather(tf.convert_to_tensor(self.one), [0, 1, 2])",
    "as whole numbers": "return x + tf.cast(tf.cast(tf.convert_to_tensor(self.one), 'int32'), x.dtype)",
    "in an added loss": "self.add_loss(tf.reduce_sum(tf.convert_to_tensor(self.two) ** 2)); return x * self.one",
}
IN_FLOAT32 = {"the kernel of a part", "in a loop", "row by row", "computed again", "in an added loss"}
SETTINGS = {"float32": "", "float64": "dtype='float64'", "float16": "dtype='mixed_float16'"}


def made(read: str, dtype: str = "float32", given: str = "block(x)") -> Any:
    keras.utils.set_random_seed(1)
    training = ", training=False" if "training" in read else ""
    return api.trace(CODE.format(call=READ[read], settings=SETTINGS[dtype], training=training, given=given))


def results(model: Any) -> list[Any]:
    """Return what a model gives and adds to its loss when it is trained, for rows of both signs."""
    rows = np.random.default_rng(0).uniform(0.5, 2, size=(6, 3)).astype("float32")
    found = []
    for part in (rows, -rows):
        found += [np.asarray(model(part, training=True)), *map(np.asarray, model.losses)]
    return found


@pytest.mark.parametrize("given", ["block(x)", "block(block(x))"])
@pytest.mark.parametrize(
    ("read", "dtype"),
    [(read, dtype) for read in READ for dtype in SETTINGS if dtype == "float32" or read not in IN_FLOAT32],
)
def test_what_is_said_not_to_be_read_changes_nothing_and_all_else_something(read: str, dtype: str, given: str) -> None:
    seen = made(read, dtype, given)
    ledger = api.current_ledger(seen)
    said, still = set(), set()
    before = results(seen.model)
    for key, variable in seen.ledger.variables.items():
        why = why_none(ledger, key)
        if why is not None and why.startswith("not read inside block (line"):
            said.add(full_name(variable))
        live = seen.live.variables[key]
        kept = np.asarray(live)
        live.assign(kept + 1.5)
        if all(np.array_equal(one, other) for one, other in zip(before, results(seen.model), strict=True)):
            still.add(full_name(variable))
        live.assign(kept)
    assert said == still
    shown = {row.key: row.steps for row in report(ledger).variables.values()}
    assert {full_name(ledger.variables[key]) for key, steps in shown.items() if not steps} == still


def test_a_fit_agrees_with_what_was_said_before_it() -> None:
    seen = made("one")
    texts = [finding.text for finding in api.current_ledger(seen).findings if finding.kind == "no gradient"]
    assert sorted(texts) == [
        "block.part.kernel and block.part.bias are in model and trainable, but no gradient comes back to them: not "
        "read inside block (line 16). A fit does not train them.",
        "block.two is in model and trainable, but no gradient comes back to it: not read inside block (line 16). A fit "
        "does not train it.",
    ]
    shown = report(api.current_ledger(seen))
    states = {row.full_name: row.state for row in shown.variables.values()}
    assert states["block.two"] == states["block.part.bias"] == "trainable but never read"
    assert states["block.one"] == "trainable"
    assert summary(shown) == "6 variables in 3 owners; 3 trainable, 3 trainable but never read"
    said = " ".join(api.explain(seen, "block.two").sentences)
    assert "No gradient of the loss comes back to it: not read inside block (line 16)." in said
    rows = np.ones((8, 3), "float32")
    api.fit(seen, "source: X\ntarget: Y\n", {"X": rows, "Y": rows[:, :1]}, progress=lambda _: None)
    verdicts = {
        full_name(seen.ledger.variables[key]): found.verdict for key, found in seen.ledger.training.variables.items()
    }
    assert verdicts.pop("block.one") == "trained"
    assert {verdicts[name] for name in ("block.two", "block.part.kernel", "block.part.bias")} == {"no gradient"}
    said = " ".join(api.explain(seen, "block.two").sentences)
    assert "not read inside block (line 16)" in said
