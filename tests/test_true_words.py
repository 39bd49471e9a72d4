"""What is said of programs as people have them is true: each case is a sentence that was once wrong."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kerases import KERAS3, only_keras3
from s2s_magic import api
from s2s_magic.ledger.findings import find
from s2s_magic.view import report, to_text
from s2s_magic.view.summary import summary
from verdict_models import HEAD, X, Y

NESTED = """\
inner_in = keras.Input([6])
normed = layers.LayerNormalization(name="norm")(inner_in)
base = keras.Model(inner_in, layers.Dense(4, name="deep")(normed), name="base")
x = keras.Input([6])
"""


def traced(code: str) -> Any:
    return api.trace(HEAD + code)


def said(seen: Any, name: str) -> str:
    return " ".join(api.explain(seen, name).sentences)


def findings(seen: Any, kind: str) -> list[str]:
    return [finding.text for finding in seen.ledger.findings if finding.kind == kind]


def test_a_tensor_within_a_called_model_is_not_said_to_feed_an_added_loss() -> None:
    seen = traced(NESTED + "model = keras.Model(x, layers.Dense(1)(base(x)))")
    for name in ("inner_in", "normed"):
        assert "add_loss" not in said(seen, name)
        assert "It is on the wires of base, which model calls in line 9: the gradient" in said(seen, name)


def test_the_input_of_an_inner_model_is_not_said_to_be_the_models() -> None:
    seen = traced(NESTED + "model = keras.Model(x, layers.Dense(1)(base(x)))")
    assert "It is an input of base, declared in line 5" in said(seen, "inner_in")
    assert "Data enter here when base is called" in said(seen, "inner_in")
    assert "It is an input of the model, declared in line 8" in said(seen, "x")


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        ("h = again(first)", ": the same weights, trained by both."),
        ("second = again(first)\nh = again(second)", ": the same weights, trained by all."),
        ("again.trainable = False\nh = again(first)", ": the same weights."),
        ("h = tf.stop_gradient(first) + again(x)", ": the same weights."),
        ("h = again(2 * x)", ": the same weights."),
    ],
)
def test_calls_are_said_to_train_a_layer_if_each_of_them_does(middle: str, words: str) -> None:
    seen = traced(
        "x = keras.Input([6])\nagain = layers.Dense(6)\nfirst = again(x)\n"
        f"{middle}\nmodel = keras.Model(x, layers.Dense(1)(h))\n"
    )
    assert words in said(seen, "first")


def test_a_way_to_an_output_names_that_output_and_no_other() -> None:
    seen = traced(
        "x = keras.Input([6])\ntrunk = layers.Dense(4)(x)\nleft = layers.Dense(1)(trunk)\n"
        "middle = layers.ReLU()(trunk)\nright = layers.Dense(2)(middle)\nmodel = keras.Model(x, [left, right])"
    )
    assert "go on to 1 of the 2 outputs of model: dense_" in said(seen, "middle")
    assert "→ left" not in said(seen, "middle")
    both = said(seen, "trunk")
    assert "go on to the outputs of model" in both
    assert "→ left" in both
    assert "→ right" in both


def test_a_method_that_makes_variables_is_not_counted_as_a_call() -> None:
    seen = traced(
        "x = keras.Input([6])\nhand = layers.Dense(4)\nhand.build([None, 6])\n"
        "model = keras.Model(x, layers.Dense(1)(hand(x)))"
    )
    assert "It is called once: line 8 (x)." in said(seen, "hand")
    assert "It was created in line 7 by hand.build: hand.build([None, 6])." in said(seen, "hand.kernel")
    assert "shared" not in summary(report(seen.ledger))
    assert findings(seen, "shared") == []


@only_keras3("Keras 2 has no LoRA")
def test_lora_is_no_call_and_what_it_freezes_is_no_state_that_the_layer_changes() -> None:
    seen = traced(
        "x = keras.Input([6])\nadapted = layers.Dense(4)\nmodel = keras.Model(x, layers.Dense(1)(adapted(x)))\n"
        "adapted.enable_lora(2)\nmodel.compile('adam', 'mse')"
    )
    assert "It is called once: line 7 (x)." in said(seen, "adapted")
    assert "shared" not in summary(report(seen.ledger))
    assert "by adapted.enable_lora: adapted.enable_lora(2)." in said(seen, "adapted.lora_kernel_a")
    api.fit(seen, "source: X\ntarget: Y", {"X": X, "Y": Y}, progress=lambda shown: None)
    kernel = said(seen, "adapted.kernel")
    assert "Its owner lists it as not trainable: no optimizer changes it" in kernel
    assert "adapted.kernel is listed by its owner as not trainable" in kernel
    assert "changed by the layer" not in kernel


@only_keras3("Keras 2 has no LoRA")
def test_what_is_made_after_the_trace_is_not_said_to_be_older() -> None:
    seen = traced("x = keras.Input([6])\nlate = layers.Dense(4)\nmodel = keras.Model(x, layers.Dense(1)(late(x)))")
    seen.namespace["late"].enable_lora(2)
    seen.model.compile("adam", "mse")
    api.fit(seen, "source: X\ntarget: Y", {"X": X, "Y": Y}, progress=lambda shown: None)
    assert "It was made outside the traced cells." in said(seen, "late.lora_kernel_a")
    row = next(line for line in to_text(report(seen.ledger, training=True)).splitlines() if "lora_kernel_a  " in line)
    assert "elsewhere" in row


UNSEEN = {
    "a lambda": "user = layers.Lambda(lambda t: hidden(t), output_shape=(4,))\n",
    "a layer that says its shape": """\
class User(layers.Layer):
    def build(self, shape):
        self.built = True
    def call(self, t):
        return hidden(t)
    def compute_output_shape(self, shape):
        return (shape[0], 4)
user = User()
""",
}


@pytest.mark.parametrize("built", [True, False] if KERAS3 else [True])
@pytest.mark.parametrize("user", UNSEEN.values(), ids=UNSEEN)
def test_a_layer_used_in_a_call_that_keras_wires_without_running_it_is_untracked(user: str, built: bool) -> None:
    by_hand = "hidden.build([None, 6])\n" if built else ""
    seen = traced(
        f"hidden = layers.Dense(4)\n{by_hand}x = keras.Input([6])\n{user}"
        "model = keras.Model(x, layers.Dense(1)(user(x)))"
    )
    (text,) = findings(seen, "untracked")
    assert text.startswith("hidden (Dense) is untracked: it is used inside user")
    assert "It is never called by the cell itself; user calls it inside" in said(seen, "hidden")
    assert findings(seen, "not in the model") == []


def test_a_model_called_with_data_shares_nothing() -> None:
    seen = traced(
        "x = keras.Input([6])\nmodel = keras.Model(x, layers.Dense(1, name='only')(x))\n"
        "for _ in range(3):\n    model(np.ones([2, 6]))"
    )
    assert "shared" not in summary(report(seen.ledger))


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("base(x)", ""),
        ("base(x) + base(2 * x)", "norm shared by 2 calls and deep shared by 2 calls"),
        ("base(x) + base.layers[-1](x)", "deep shared by 2 calls"),
        ("base(x) + base(2 * x) + base.layers[-1](x)", "deep shared by 3 calls"),
    ],
)
def test_the_calls_that_share_weights_are_those_of_the_model_and_within_models_that_it_calls(
    use: str, words: str
) -> None:
    seen = traced(f"{NESTED}model = keras.Model(x, layers.Dense(1)({use}))")
    line = summary(report(seen.ledger))
    assert words in line
    assert line.count("shared by") == words.count("shared by") + (1 if "3 calls" in words else 0)


def test_a_cell_of_two_layers_is_said_to_be_held_and_called_by_both() -> None:
    seen = traced(
        "x = keras.Input([5, 3])\nunit = layers.GRUCell(4)\nfirst = layers.RNN(unit)(x)\nsecond = layers.RNN(unit)(x)\n"
        "one = layers.RNN(unit)\ntwo = layers.RNN(unit)\nmodel = keras.Model(x, one(x) + two(x))"
    )
    assert "It is held as" in said(seen, "unit")
    assert "one.cell" in said(seen, "unit")
    assert "two.cell" in said(seen, "unit")
    assert "one (line 11) and two (line 11) call it inside." in said(seen, "unit")


def test_a_model_of_operations_alone_is_said_to_find_no_variables() -> None:
    seen = traced("x = keras.Input([6])\nmodel = keras.Model(x, tf.reduce_sum(2 * x, axis=-1))")
    told = " ".join(to_text(report(seen.ledger)).split())
    assert "and finds operations only: no variables." in told
    assert "objects ;" not in told


def test_one_owner_of_two_variables_with_one_name_is_named_once() -> None:
    code = """\
class Twice(layers.Layer):
    def build(self, shape):
        self.one = self.add_weight(name="w", shape=(6, 1))
        self.two = self.add_weight(name="w", shape=(6, 1))
        self.built = True
    def call(self, t):
        return tf.matmul(t, self.one + self.two)
x = keras.Input([6])
twice = Twice()
model = keras.Model(x, twice(x))
"""
    texts = [finding.text for finding in find(traced(code).ledger) if finding.kind == "name"]
    assert [text.partition("; ")[2] for text in texts] == ["twice owns them."]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("h = again(again(x))\n", "Every call uses the same variables, and every call sends its part of the gradient"),
        ("h = again(x)\nlost = again(h)\n", "Every call uses the same variables."),
        ("h = again(again(x))\nagain.trainable = False\n", "Every call uses the same variables."),
    ],
)
def test_every_call_is_said_to_send_gradient_only_where_it_does(code: str, words: str) -> None:
    seen = traced(f"x = keras.Input([6])\nagain = layers.Dense(6)\n{code}model = keras.Model(x, layers.Dense(1)(h))")
    assert words in said(seen, "again")


def test_a_model_is_not_said_to_be_called_by_the_layers_it_holds() -> None:
    seen = traced(
        "x = keras.Input([6])\nwide, last = layers.Dense(4), layers.Dense(1)\nboth = keras.Sequential([wide, last])\n"
        "model = keras.Model(x, last(wide(x)))"
    )
    for name in ("model", "both"):
        assert "call it inside" not in said(seen, name)
        assert "calls it inside" not in said(seen, name)


def test_what_a_training_step_of_its_own_leaves_out_is_not_said_to_be_trained() -> None:
    seen = traced("""\
class Part(keras.Model):
    def train_step(self, data):
        inputs, target = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(inputs, training=True) - target))
        variables = self.layers[-1].trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return {"loss": loss}
x = keras.Input([6])
kept, moved = layers.Dense(4), layers.Dense(1)
h = kept(x)
model = Part(x, moved(h))
model.compile("sgd", "mse")
""")
    assert "Whether the 2 trainable variables of kept are changed in fit is decided by" in said(seen, "h")
    api.fit(seen, "source: X\ntarget: Y", {"X": X, "Y": Y}, progress=lambda shown: None)
    for name in ("kept", "kept.kernel"):
        assert "the next one trains it" not in said(seen, name)
        assert "or the model's own training step leaves it out" in said(seen, name)
    assert "moved.kernel was trained" in said(seen, "moved")


@only_keras3("Keras 2 has no LoRA")
def test_lora_after_a_fit_without_compile_is_found_to_be_ignored_by_the_next_fit() -> None:
    seen = traced(
        "x = keras.Input([6])\nadapted = layers.Dense(4)\nmodel = keras.Model(x, layers.Dense(1)(adapted(x)))\n"
        "model.compile('sgd', 'mse')"
    )
    fit = partial(api.fit, seen, "source: X\ntarget: Y", {"X": X, "Y": Y}, progress=lambda shown: None)
    fit()
    adapted = seen.namespace["adapted"]
    adapted.enable_lora(2)
    before = [adapted._kernel.numpy(), adapted.lora_kernel_a.numpy(), adapted.lora_kernel_b.numpy()]
    with pytest.warns(UserWarning, match="compile"):
        fit()
    after = [adapted._kernel.numpy(), adapted.lora_kernel_a.numpy(), adapted.lora_kernel_b.numpy()]
    assert [bool((one != other).any()) for one, other in zip(before, after, strict=True)] == [True, False, False]
    still, ignored = findings(seen, "changed since compile")
    assert still.startswith("adapted.kernel was trainable when a fit traced the training step of model and is not now.")
    assert "a fit of model still trains it; run model.compile(...) again to freeze it." in still
    assert ignored.startswith(
        "adapted.lora_kernel_a and adapted.lora_kernel_b were not there, or not trainable, when a"
    )
    assert "a fit of model does not train them; run model.compile(...) again to train them." in ignored
    assert "so that a fit still trains it" in said(seen, "adapted.kernel")
    seen.model.compile("sgd", "mse")
    seen.refresh()
    assert findings(seen, "changed since compile") == []


def test_the_graph_that_a_sequential_model_makes_for_itself_is_no_object_of_the_program() -> None:
    seen = traced(
        "chain = keras.Sequential([keras.Input([6]), layers.Dense(4)])\nx = keras.Input([6])\n"
        "model = keras.Model(x, layers.Dense(1)(chain(x)))"
    )
    written = [layer for layer in seen.ledger.layers.values() if layer.class_name not in ("InputLayer", "Dense")]
    assert [layer.name for layer in written] == ["chain", "model"]


HOLDING = """\
class Inner(layers.Layer):
    def __init__(self):
        super().__init__()
        self.one, self.two = layers.Dense(4), layers.Dense(4)
    def call(self, t):
        return self.one(t)
class Outer(layers.Layer):
    def __init__(self, *parts):
        super().__init__()
        self.parts = list(parts)
        self.spare = layers.LSTM(3)
        self.table = layers.Embedding(6, 4)
        self.only_learning = layers.Dropout(0.5)
    def build(self, shape):
        self.table.build(None)
    def call(self, t, training=False):
        t = t if not training else self.only_learning(t)
        return self.parts[0](t) + tf.reduce_sum(self.table.embeddings)
left, right = Inner(), Inner()
outer = Outer(left, right)
x = keras.Input([4])
model = keras.Model(x, outer(x))
"""


def test_what_a_layer_of_its_own_class_holds_and_does_not_call_is_not_said_to_be_called_inside() -> None:
    seen = traced(HOLDING)
    for name in ("left", "left.one"):
        assert "outer calls it inside (line" in said(seen, name)
    for name in ("right", "right.one", "outer.spare", "outer.spare.cell", "outer.table", "left.two"):
        assert "No call of it was seen when outer ran (line" in said(seen, name), name
        assert "call it inside" not in said(seen, name)
    found = {f.about: f.text for f in find(seen.ledger) if f.kind == "never called"}
    assert set(found) == {"right", "left.two", "outer.spare"}
    assert found["outer.spare"] == "outer.spare (LSTM) is held by outer, which ran without calling it: it owns nothing."
    assert found["left.two"] == "left.two (Dense) is held by left, which ran without calling it: it owns nothing."


def test_what_a_later_call_reaches_is_no_longer_said_to_be_passed_over() -> None:
    seen = traced(HOLDING + "outer.parts.reverse()\nagain = keras.Model(x, outer(x))\n")
    assert "outer (line" in said(seen, "right")
    assert set(findings(seen, "never called")).isdisjoint({"right"})
    later = traced(
        "class Late(keras.Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.used, self.of_step = layers.Dense(1), layers.Dense(1)\n"
        "        self.of_step.build((None, 4))\n"
        "    def call(self, t):\n        return self.used(t)\n"
        "    def train_step(self, data):\n        inputs, target = data\n"
        "        with tf.GradientTape() as tape:\n"
        "            loss = tf.reduce_mean((self.used(inputs) + self.of_step(inputs) - target) ** 2)\n"
        "        found = tape.gradient(loss, self.trainable_variables)\n"
        "        self.optimizer.apply_gradients(zip(found, self.trainable_variables))\n"
        "        return {'distance': loss}\n"
        "late = Late()\nlate(tf.zeros([1, 4]))\nlate.compile('sgd')\n"
    )
    assert "No call of it was seen when late ran (line" in said(later, "late.of_step")
    api.fit(later, "source: A\ntarget: B\n", {"A": np.ones((8, 4)), "B": np.ones((8, 1))}, progress=lambda _: None)
    assert "No call of it was seen" not in said(later, "late.of_step")


@pytest.mark.parametrize(
    ("holds", "calls"),
    [
        ("self.part = layers.Dense(4); self.outer = layers.TimeDistributed(self.part)", "self.outer(y)"),
        ("self.part = layers.LSTMCell(4); self.outer = layers.RNN(self.part)", "self.outer(y)"),
        ("self.part = layers.Dense(4); self.outer = keras.Sequential([self.part])", "self.outer(y)"),
        ("self.part = layers.Dense(4); self.outer = tf.function(lambda t: self.part(t))", "self.outer(y)"),
        (
            "self.part = layers.Dense(4)",
            "tf.cond(tf.reduce_sum(y) > 0, lambda: self.part(y), lambda: tf.zeros_like(self.part(y)))",
        ),
    ],
)
def test_a_part_that_another_one_calls_is_not_passed_over(holds: str, calls: str) -> None:
    seen = traced(f"""\
class Holder(layers.Layer):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(3)
        {holds}
    def call(self, t):
        y = self.first(t)
        return {calls}
x = keras.Input([5, 3])
holder = Holder()
model = keras.Model(x, holder(x))
""")
    assert not findings(seen, "never called")
    assert "No call of it was seen" not in said(seen, "holder.part")
