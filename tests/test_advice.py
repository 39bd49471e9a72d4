"""Where errors of Keras and TensorFlow Addons do not say what to change, ours do, and their advice works."""

import re

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from IPython.core.interactiveshell import InteractiveShell

from addons_golden import HAS_TFA
from kerases import makes_models_that_lack_inputs, only_keras2
from s2s_magic import api
from s2s_magic.errors import BuildError
from test_roles import full_name, roles, said_trained, traced

BEGINS_ANYWHERE = only_keras2("its models begin at any tensor, and lack no input then")
SEQ2SEQ = """
encoder_inputs, decoder_inputs = keras.Input([None, 3]), keras.Input([None, 4])
_, h, c = layers.LSTM(5, return_state=True)(encoder_inputs)
decoder = layers.LSTM(5, return_sequences=True)
decoded = decoder(
    decoder_inputs, initial_state=[h, c])
head = layers.Dense(2)
outputs = head(decoded)
"""
ATTENTION = """
import tensorflow_addons as tfa
e, d = keras.Input([5, 8]), keras.Input([6, 3])
mechanism = tfa.seq2seq.{mechanism}(4, memory=e)
cell = tfa.seq2seq.AttentionWrapper(layers.LSTMCell(4), mechanism)
decoder = tfa.seq2seq.BasicDecoder(cell, tfa.seq2seq.TrainingSampler(), output_layer=layers.Dense(7))
state = cell.get_initial_state(batch_size=tf.shape(d)[0], dtype=tf.float32)
outputs, _, _ = decoder(d, initial_state=state, sequence_length=tf.fill([tf.shape(d)[0]], 6))
"""


def lacking(code: str, line: int) -> str:
    """Return what is said of a model that lacks inputs: as it is made, or as it is found where Keras makes it."""
    if makes_models_that_lack_inputs():
        (said,) = (found.text for found in traced(code).ledger.findings if found.kind == "missing input")
        return said.removeprefix("model cannot be called: ").removesuffix(".")
    with pytest.raises(BuildError) as caught:
        traced(code)
    assert isinstance(caught.value.__cause__, ValueError)
    assert re.search("Graph disconnected|not connected to", str(caught.value.__cause__))
    return str(caught.value).removeprefix(f"the model in line {line} cannot be made: ")


def test_an_input_that_is_missing_is_named_with_the_call_that_needs_it_and_what_to_write() -> None:
    said = lacking(SEQ2SEQ + "model = keras.Model(encoder_inputs, outputs)", line=13)
    assert said == (
        "its outputs also depend on decoder_inputs, which is not among its inputs: decoder_inputs goes into "
        "decoder(decoder_inputs, initial_state=[h, c]) in line 9. Write inputs=[encoder_inputs, decoder_inputs]"
    )
    fixed = re.search(r"inputs=\[.*\]", said)[0]
    assert traced(SEQ2SEQ + f"model = keras.Model({fixed}, outputs=outputs)").model is not None


def test_all_missing_inputs_are_named_and_those_without_a_name_as_keras_calls_them() -> None:
    code = "a = keras.Input([2])\nb = keras.Input([2])\ny = layers.Add()([a, b, keras.Input([2], name='third')])\n"
    said = lacking(code + "model = keras.Model(a, layers.Dense(1)(y))", line=8)
    assert re.search(r"depend on b and third, which are not among its inputs.*inputs=\[a, b, third\]", said)


WITHIN = """
a, b = keras.Input([2]), keras.Input([2])
h = layers.Dense(3)(a)
y = layers.Add()([layers.Dense(3)(h), layers.Dense(3)(b)])
model = keras.Model({}, y)
"""


@BEGINS_ANYWHERE
@pytest.mark.parametrize(
    ("inputs", "said", "fixed"),
    [
        ("h", r"depend on b, which is not among its inputs: b goes into layers\.Dense\(3\)\(b\) in line 8", "[h, b]"),
        ("[a, h, b]", "a is among its inputs, and comes to its outputs through other inputs or not at all", "[h, b]"),
    ],
)
def test_a_model_that_begins_within_another_says_what_is_missing_or_of_no_use(
    inputs: str, said: str, fixed: str
) -> None:
    with pytest.raises(BuildError, match=rf"^the model in line 9 cannot be made: .*{said}") as caught:
        traced(WITHIN.format(inputs))
    assert str(caught.value).endswith(f"Write inputs={fixed}")
    assert isinstance(caught.value.__cause__, ValueError)
    assert traced(WITHIN.format(fixed)).model is not None


@only_keras2("it makes that model")
def test_in_a_notebook_it_is_one_clean_line_and_a_real_error() -> None:
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "s2s_magic")
        shell.run_cell("from tensorflow import keras\nfrom tensorflow.keras import layers")
        result = shell.run_cell("%%seq2seq trace m\n" + SEQ2SEQ + "model = keras.Model(encoder_inputs, outputs)")
        assert isinstance(result.error_in_exec, BuildError)
        assert "the model in line 10 cannot be made" in str(result.error_in_exec)
        assert [type(event).__name__ for event in shell.user_ns["m"].ledger.events][-1] == "Called"
    finally:
        shell.run_line_magic("unload_ext", "s2s_magic")
        InteractiveShell.clear_instance()


@pytest.mark.skipif(HAS_TFA, reason="TensorFlow Addons cannot wire it, and what is advised for it is tested below")
@pytest.mark.parametrize("mechanism", ["LuongAttention", "BahdanauAttention"])
def test_attention_that_addons_cannot_wire_is_wired_by_ours_and_needs_no_advice(mechanism: str) -> None:
    code = ATTENTION.format(mechanism=mechanism) + "model = keras.Model([e, d], outputs.rnn_output)"
    assert traced(code).model.output.shape[-1] == 7


@pytest.mark.skipif(not HAS_TFA, reason="the attention of ours can be wired")
@pytest.mark.parametrize("mechanism", ["LuongAttention", "BahdanauAttention"])
def test_the_code_that_is_advised_for_attention_runs_and_is_trained(mechanism: str) -> None:
    with pytest.raises(BuildError, match=r"the attention in line 11 cannot be wired") as caught:
        traced(ATTENTION.format(mechanism=mechanism))
    assert isinstance(caught.value.__cause__, TypeError)
    code = str(caught.value).split("\n\n", 1)[1]
    assert f"tfa.seq2seq.{mechanism}(units)" in code
    seen = traced(
        "import tensorflow_addons as tfa\nunits, symbols = 4, 7\nencoder_outputs = keras.Input([5, 8])\n"
        f"decoder_inputs, sequence_lengths = keras.Input([6, 3]), keras.Input([], dtype='int32')\n{code}\n"
        "model = keras.Model([encoder_outputs, decoder_inputs, sequence_lengths], outputs)\n"
        "model.compile('adam', 'mse')"
    )
    random = np.random.default_rng(0)
    data = [random.random([4, 5, 8]), random.random([4, 6, 3]), np.full([4], 6)], random.random([4, 6, 7])
    before = [weight.numpy() for weight in seen.model.weights]
    seen.model.fit(*data, verbose=0)
    moved = {w.name for w, old in zip(seen.model.weights, before, strict=True) if (w.numpy() != old).any()}
    assert moved
    assert moved <= said_trained(seen, "model")


@pytest.mark.parametrize("code", ["1 + 'a'", "raise ValueError('Graph disconnected')", "layers.Dense(-1)"])
def test_every_other_error_is_the_cells_own(code: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        traced(ATTENTION.format(mechanism="LuongAttention").split("cell =")[0] + code)


def test_a_model_with_its_own_train_step_around_two_models_is_the_model() -> None:
    code = """
x = keras.Input([4]); encoder = keras.Model(x, layers.Dense(3)(x))
z = keras.Input([3]); decoder = keras.Model(z, layers.Dense(4)(z))
class Outer(keras.Model):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.decoder(self.encoder(x)) - y) ** 2)
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.trainable_variables))
        return {"loss": loss}
outer = Outer(encoder, decoder)
outer.compile("adam")
"""
    seen = traced(code)
    assert roles(seen) == {"encoder": ("part",), "decoder": ("part",), "outer": ("compiled",)}
    assert seen.model is seen.namespace["outer"]
    assert seen.ledger.totals().total == 31
    before = {full_name(w): w.numpy() for w in seen.model.encoder.weights + seen.model.decoder.weights}
    seen.model.fit(np.random.default_rng(0).random([4, 4]), np.ones([4, 4]), verbose=0)
    weights = seen.model.encoder.weights + seen.model.decoder.weights
    moved = {full_name(w) for w in weights if (w.numpy() != before[full_name(w)]).any()}
    assert moved == said_trained(seen, "outer") == set(before)
    assert "It is part of outer: outer holds it." in " ".join(api.explain(seen, "encoder").sentences)
