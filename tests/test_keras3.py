"""Tracing on Keras 3: its operations, TensorFlow functions on its symbolic tensors, variables and copies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from s2s_magic import api, backend

if backend.active() != "keras3":
    pytest.skip("TensorFlow's own Keras here is Keras 2", allow_module_level=True)

from interrupting import interrupted, places
from s2s_magic.ledger import Called

HEAD = "import numpy as np\nimport tensorflow as tf\nimport keras\nfrom keras import layers, ops\n"
TRANSLATOR = """\
source = keras.Input([None], dtype="int32")
target_in = keras.Input([None], dtype="int32")
embeddings = layers.Embedding(50, 8)
encoder = layers.LSTM(16, return_state=True)
_, h, c = encoder(embeddings(source))
decoder = layers.LSTM(16, return_sequences=True)
sequence = decoder(embeddings(target_in), initial_state=[h, c])
output_layer = layers.Dense(50)
probabilities = {softmax}(output_layer(sequence))
model = keras.Model([source, target_in], probabilities)
model.compile("adam", "sparse_categorical_crossentropy")
"""


def traced(code: str) -> Any:
    return api.trace(HEAD + code)


def owners(seen: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for variable in seen.ledger.variables.values():
        found.setdefault(variable.owner, []).append((variable.paths or (variable.name,))[0].rpartition(".")[2])
    return found


def findings(seen: Any, kind: str) -> list[str]:
    return [finding.text for finding in seen.ledger.findings if finding.kind == kind]


@pytest.mark.parametrize("softmax", ["ops.softmax", "tf.nn.softmax", "layers.Softmax()", "keras.activations.softmax"])
def test_an_encoder_decoder_has_its_owners_whatever_makes_its_probabilities(softmax: str) -> None:
    seen = traced(TRANSLATOR.format(softmax=softmax))
    cell = ["kernel", "recurrent_kernel", "bias"]
    assert owners(seen) == {
        "embeddings": ["embeddings"],
        "encoder.cell": cell,
        "decoder.cell": cell,
        "output_layer": ["kernel", "bias"],
    }
    totals = seen.model.count_params()
    assert sum(variable.params for variable in seen.ledger.variables.values()) == totals
    (shared,) = findings(seen, "shared")
    assert shared.startswith("embeddings is called twice")
    last = [event for event in seen.ledger.events if isinstance(event, Called)][-1]
    assert (last.outputs[0].name, last.in_graph) == ("probabilities", True)
    assert "every call sends its part of the gradient" in str(api.explain(seen, "embeddings"))


FUNCTIONS = """
tf.nn.softmax(a); tf.nn.log_softmax(a); tf.nn.relu(a); tf.nn.gelu(a); tf.nn.elu(a); tf.nn.leaky_relu(a, alpha=0.3)
tf.nn.l2_normalize(a, axis=-1); tf.nn.dropout(a, rate=0.0); tf.nn.sigmoid(a); tf.nn.tanh(a); tf.nn.softplus(a)
tf.concat([a, b], axis=-1); tf.stack([a, b], axis=1); tf.add(a, b); tf.subtract(a, b); tf.multiply(a, b)
tf.divide(a, 2.0); tf.maximum(a, b); tf.minimum(a, b); tf.matmul(a, b, transpose_b=True); tf.square(a)
tf.sqrt(tf.abs(a)); tf.exp(a); tf.math.log1p(tf.abs(a)); tf.sign(a); tf.round(a); tf.floor(a); tf.negative(a)
tf.reduce_sum(a, axis=-1); tf.reduce_mean(a, axis=1, keepdims=True); tf.reduce_max(a, axis=-1); tf.argmax(a, axis=-1)
tf.cast(a, tf.float16); tf.expand_dims(a, -1); tf.squeeze(a[:, :1], axis=1); tf.transpose(a, [0, 2, 1])
tf.reshape(a, [-1, 3]); tf.shape(a); tf.zeros_like(a); tf.ones_like(a); tf.where(tf.greater(a, 0.0), a, b)
tf.not_equal(a, 0.0); tf.less(a, b); tf.clip_by_value(a, -1.0, 1.0); tf.tile(a, [1, 2, 1]); tf.reverse(a, axis=[1])
tf.pad(a, [[0, 0], [1, 1], [0, 0]]); tf.gather(a, [0, 2], axis=2); tf.linalg.norm(a, axis=-1); tf.one_hot(ids, 5)
tf.sequence_mask(ids, 4); tf.einsum("btd,bsd->bts", a, b); tf.stop_gradient(a); tf.identity(a); tf.cumsum(a, axis=1)
tf.math.logical_not(tf.equal(a, b)); tf.math.top_k(a, k=2)[0]; tf.range(4) + tf.shape(a)[1]
"""
CALLS = [call.strip() for line in FUNCTIONS.strip().splitlines() for call in line.split(";")]


@pytest.mark.parametrize("call", CALLS)
def test_a_function_of_tensorflow_on_symbols_is_an_operation_of_the_graph(call: str, tmp_path: Any) -> None:
    inputs = "a, b = keras.Input([4, 3]), keras.Input([4, 3])\nids = keras.Input([2], dtype='int32')\n"
    used = [name for name in ("a", "b", "ids") if re.search(rf"\b{name}\b", call)]
    seen = traced(f"{inputs}out = {call}\nmodel = keras.Model([{', '.join(used)}], out)")
    given = dict(zip(("a", "b"), np.random.default_rng(1).normal(size=(2, 2, 4, 3)).astype("float32"), strict=True))
    given["ids"] = np.array([[1, 2], [3, 0]], "int32")
    expected = np.asarray(eval(call, {"tf": tf, **{name: tf.constant(value) for name, value in given.items()}}))
    rows = [given[name] for name in used]
    got = np.asarray(seen.model(rows))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    names = [event.kind for event in seen.ledger.events]
    assert names.count("called") >= 1
    seen.model.save(tmp_path / "model.keras")
    import keras

    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(rows)), got)


def test_there_are_enough_functions_and_each_is_called_what_the_user_called_it() -> None:
    assert len(CALLS) >= 40
    seen = traced("x = keras.Input([3])\ny = tf.nn.softmax(tf.square(x) + 1.0)\nz = ops.exp(y)")
    operations = [record.class_name for record in seen.ledger.layers.values() if record.implicit]
    assert len(operations) == 4
    called = [event.source for event in seen.ledger.events if isinstance(event, Called)]
    assert called == ["tf.square(x)", "tf.square(x) + 1.0", "tf.nn.softmax(tf.square(x) + 1.0)", "ops.exp(y)"]


def test_a_model_with_functions_of_tensorflow_is_fitted_after_the_cell() -> None:
    seen = traced(TRANSLATOR.format(softmax="tf.nn.softmax"))
    source, target = np.ones((4, 5), int), np.ones((4, 6), int)
    before = seen.model.evaluate([source, target], target, verbose=0)
    seen.model.fit([source, target], target, epochs=2, verbose=0)
    assert seen.model.evaluate([source, target], target, verbose=0) < before


def test_a_layer_handed_to_bidirectional_is_a_ghost_and_its_copies_own_the_variables() -> None:
    seen = traced("x = keras.Input([None, 4])\ninner = layers.LSTM(8)\nboth = layers.Bidirectional(inner)\ny = both(x)")
    assert [layer.name for layer in seen.ledger.layers.values() if layer.ghost] == ["inner"]
    assert set(owners(seen)) == {"both.forward_layer.cell", "both.backward_layer.cell"}


def test_seeds_metrics_and_moments_are_no_weights() -> None:
    seen = traced(
        "x = keras.Input([3])\nmean = keras.metrics.Mean()\n"
        "model = keras.Model(x, layers.Dense(2)(layers.Dropout(0.5)(x)))\n"
        "model.compile('adam', 'mse', metrics=['mae'])\nmodel.fit(np.ones([4, 3]), np.ones([4, 2]), verbose=0)"
    )
    assert list(owners(seen).values()) == [["kernel", "bias"]]


def test_a_subclassed_model_owns_by_its_attributes_and_a_bare_tensorflow_variable_is_not_tracked() -> None:
    seen = traced(
        "class Coder(keras.Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.inner = layers.Dense(3)\n        self.steps = [layers.Dense(3), layers.Dense(3)]\n"
        "        self.scale = keras.Variable(1.0)\n        self.bare = tf.Variable(2.0)\n"
        "    def call(self, x):\n        x = self.inner(x)\n        for step in self.steps:\n            x = step(x)\n"
        "        return x * self.scale * self.bare\n"
        "model = Coder()\ny = model(np.ones([2, 4], 'float32'))"
    )
    both = ["kernel", "bias"]
    assert {owner: names for owner, names in owners(seen).items() if owner != "model"} == {
        "model.inner": both, "model.steps[0]": both, "model.steps[1]": both,
    }  # fmt: skip
    assert {path for v in seen.ledger.variables.values() for path in v.paths} >= {"model.scale"}
    (told,) = findings(seen, "untracked")
    assert told.startswith("model.")
    for variable in seen.live.variables.values():
        assert np.isfinite(np.asarray(variable)).all()
    starts = {seen.ledger.variables[key].owner for key in seen.live.starts}
    assert {"model.inner", "model.steps[1]"} <= starts


def test_aliases_ties_and_late_variables() -> None:
    seen = traced("tied = layers.Dense(4)\nalso = tied\nmodel = keras.Sequential([tied, tied.__class__(2)])")
    (record,) = [one for one in seen.ledger.layers.values() if one.name == "tied"]
    assert record.aliases == ("also",)
    assert not seen.ledger.variables
    seen.namespace["model"].compile("sgd", "mse")
    seen.namespace["model"].fit(np.ones([4, 3]), np.ones([4, 2]), verbose=0)
    late = api.current_ledger(seen)
    assert {variable.owner for variable in late.variables.values()} == {"tied", "model.layers[1]"}


def test_a_switch_is_told_as_it_is_and_freezes_what_is_below() -> None:
    seen = traced(TRANSLATOR.format(softmax="ops.softmax") + "encoder.trainable = False\n")
    trains = {variable.owner: variable.trainable for variable in seen.ledger.variables.values()}
    assert trains == {"embeddings": True, "encoder.cell": False, "decoder.cell": True, "output_layer": True}
    seen.namespace["encoder"].trainable = True
    assert all(variable.trainable for variable in api.current_ledger(seen).variables.values())


ELSEWHERE = """
from s2s_magic import api
from s2s_magic.errors import SetupError
code = {code!r}
seen = api.trace(code)
print(sorted((v.owner, v.name, v.shape) for v in seen.ledger.variables.values()))
print(api.explain(seen, "embeddings").model_dump_json())
fit, decode = lambda: api.fit(seen, "source: S\\ntarget: T", {{}}), lambda: api.decode(seen, [[1, 2]])
for refused in (fit, decode) if {refused} else ():
    try:
        refused()
    except SetupError as error:
        print(error)
"""


@pytest.mark.parametrize("other", ["jax", "torch"])
def test_on_another_backend_a_model_is_traced_and_explained_and_a_fit_says_in_a_line_what_it_needs(other: str) -> None:
    if find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    code = TRANSLATOR.format(softmax="ops.softmax").replace("import tensorflow as tf\n", "")
    code = "import keras\nfrom keras import layers, ops\n" + code
    said = [
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE.format(code=code, refused=name == other)],
            env={**os.environ, "KERAS_BACKEND": name, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.splitlines()
        for name in (other, "tensorflow")
    ]
    assert said[0][:2] == said[1][:2]
    needs = f"needs Keras's TensorFlow backend, and this process uses {other}: restart, and set "
    needs += "KERAS_BACKEND=tensorflow in the"
    assert [line.partition(" environment")[0] for line in said[0][2:]] == [f"fitting {needs}", f"decoding {needs}"]


def test_an_interrupt_at_any_line_of_a_trace_takes_every_hook_off_again() -> None:
    import keras
    from tensorflow.python.util import dispatch

    code = HEAD + "x = keras.Input([3])\nboth = layers.Bidirectional(layers.LSTM(2))\ny = tf.square(layers.Dense(2)(x))"
    hooked = [(keras.Layer, name) for name in ("__init__", "__call__", "add_weight", "symbolic_call")]
    hooked += [(keras.Operation, "symbolic_call"), (keras.Variable, "__init__"), (keras.Metric, "add_variable")]
    hooked += [(keras.layers.Bidirectional, "__init__"), (keras.optimizers.Optimizer, "add_variable")]
    before, known = [getattr(*place) for place in hooked], list(dispatch._GLOBAL_DISPATCHERS)

    def trace() -> None:
        api.trace(code, {})

    chosen = [*places(trace, under="backend/", hits=1), *places(trace, under="tracing/patches", hits=2, warm=False)]
    assert len(chosen) > 100
    for place in chosen[:: max(1, len(chosen) // 120)]:
        assert interrupted(trace, place, KeyboardInterrupt).reached, place
        assert [getattr(*place) for place in hooked] == before, place
        assert list(dispatch._GLOBAL_DISPATCHERS) == known, place
        with pytest.raises(ValueError, match="KerasTensor"):
            tf.square(keras.Input([3]))
