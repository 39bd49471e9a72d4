"""What specs say of layers and losses beside the recurrent parts: their code, their numbers, their owners."""

import math

import numpy as np
import pytest

from addons import run_plainly
from kerases import KERAS3
from s2s_magic import api
from s2s_magic.errors import SpecError
from s2s_magic.source import Dialect, generate
from s2s_magic.spec import parse_spec
from s2s_magic.spec.parts import Dropout
from spec_grid import check, grid

pytestmark = pytest.mark.once

BASE = "vocab: 9\nembed: 6\nencoder: lstm(6)\ndecoder: lstm(6)\nstart: 1\nend: 2\nmax_length: 4\n"
STACKS = BASE.replace("lstm(6)", "2 * lstm(6)")
GRUS = BASE.replace("lstm(6)", "gru(6)")
rng = np.random.default_rng(0)
X, Y = rng.integers(3, 9, size=(16, 4)), rng.integers(3, 9, size=(16, 4))
FED = np.c_[np.ones([16, 1], int), Y[:, :-1]]
DATA = {"S": X, "T": Y}
BODY = "source: S\ntarget: T\nepochs: 3\nbatch: 8\nshuffle: false\nseed: 2\n"

HAND = """
import tensorflow as tf
from tensorflow import keras
L = keras.layers
s, t = keras.Input([None], dtype='int32'), keras.Input([None], dtype='int32')
embed = L.Embedding(9, 6)
e, d = embed(s), embed(t)
"""
END = "model = keras.Model([s, t], L.Dense(9, activation='softmax')(h))\n"
COMPILE = "model.compile(loss='sparse_categorical_crossentropy', optimizer='adam')\n"
ENCODE = "read, *state = L.LSTM(6, return_state=True)(e)\n"
DECODE = "h = L.LSTM(6, return_sequences=True)(d, initial_state=state)\n"
BY_HAND = {
    "residual": (
        STACKS + "residual: true\n",
        "a, *one = L.LSTM(6, return_sequences=True, return_state=True)(e)\n"
        "_, *two = L.LSTM(6, return_state=True)(a)\n"
        "h = L.LSTM(6, return_sequences=True)(d, initial_state=one)\n"
        "h = L.Add()([h, L.LSTM(6, return_sequences=True)(h, initial_state=two)])\n" + END + COMPILE,
    ),
    "layer norm": (
        STACKS + "layer_norm: true\n",
        "a, *one = L.LSTM(6, return_sequences=True, return_state=True)(e)\n"
        "_, *two = L.LSTM(6, return_state=True)(L.LayerNormalization()(a))\n"
        "h = L.LayerNormalization()(L.LSTM(6, return_sequences=True)(d, initial_state=one))\n"
        "h = L.LayerNormalization()(L.LSTM(6, return_sequences=True)(h, initial_state=two))\n" + END + COMPILE,
    ),
    "tied output": (
        BASE + "tie_output: true\n",
        ENCODE + DECODE + "class Tied(L.Layer):\n"
        "    def __init__(self, other):\n"
        "        super().__init__()\n"
        "        self.other = other\n"
        "    def call(self, x):\n"
        "        return tf.nn.softmax(tf.einsum('btu,vu->btv', x, tf.convert_to_tensor(self.other.embeddings)))\n"
        "model = keras.Model([s, t], Tied(embed)(h))\n" + COMPILE,
    ),
    "label smoothing": (
        BASE + "label_smoothing: 0.2\n",
        ENCODE + DECODE + END + "def loss(y, p):\n"
        "    right = keras.losses.sparse_categorical_crossentropy(y, p)\n"
        "    return 0.8 * right - 0.2 * tf.reduce_mean(tf.math.log(p), axis=-1)\n"
        "model.compile(loss=loss, optimizer='adam')\n",
    ),
    "a frozen embedding": (
        BASE + "freeze: embeddings\n",
        "embed.trainable = False\n" + ENCODE + DECODE + END + COMPILE,
    ),
    "a frozen decoder": (
        BASE + "freeze: [decoder]\n",
        ENCODE + DECODE + END + "[l for l in model.layers if isinstance(l, L.LSTM)][1].trainable = False\n" + COMPILE,
    ),
    "a bridge": (
        BASE.replace("decoder: lstm", "decoder: gru") + "bridge: dense\n",
        ENCODE + "both = L.Dense(6)(L.Concatenate()(state))\n"
        "h = L.GRU(6, return_sequences=True)(d, initial_state=both)\n" + END + COMPILE,
    ),
    "gru": (
        GRUS,
        "_, state = L.GRU(6, return_state=True)(e)\n"
        "h = L.GRU(6, return_sequences=True)(d, initial_state=state)\n" + END + COMPILE,
    ),
}


def as_created(model):
    """Return a model's variables in the order of their creation."""

    def number(variable):
        held = variable.value if KERAS3 else variable
        return int(held._unique_id.rpartition("_")[2])

    return sorted(model.weights, key=number)


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_are_those_of_the_same_model_written_by_hand(name):
    spec, code = BY_HAND[name]
    ours, names = api.build(f"{spec}code: keras\n".replace("end: 2\n", "")), {}
    run_plainly(HAND + code, names)
    theirs = names["model"]
    for mine, other in zip(as_created(ours.model), as_created(theirs), strict=True):
        other.assign(np.array(mine))
    api.fit(ours, BODY, DATA, progress=lambda _: None)
    plainly = theirs.fit([X, FED], Y, epochs=3, batch_size=8, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(ours.history["loss"], plainly, rtol=1e-5)


def test_padding_is_left_out_of_a_smoothed_loss():
    model = api.build(f"{BASE}padding: 0\nlabel_smoothing: 0.2\ncode: keras\n")
    targets = np.array([[3, 4, 0, 0], [5, 6, 7, 2]])
    chances = np.asarray(model.model([X[:2], FED[:2]]), float)
    expected = []
    for row, part in zip(targets, chances, strict=True):
        expected += [
            -0.8 * math.log(p[number]) - 0.2 * np.log(p).mean() for number, p in zip(row, part, strict=True) if number
        ]
    found = model.model.evaluate([X[:2], FED[:2]], targets, verbose=0)[0]
    assert found == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("text", ["0.3", "{embeddings: 0.3}", "{outputs: 0.3}"])
def test_dropout_zeroes_what_it_says_in_training_alone(text):
    model = api.build(f"{BASE}dropout: {text}\n")
    parts = {"embeddings": "embedding_dropout", "outputs": "output_dropout"}
    rates = {part: model.namespace[name].rate for part, name in parts.items() if name in model.namespace}
    assert Dropout(**rates) == parse_spec(f"{BASE}dropout: {text}\n").dropout
    still = [np.asarray(model.model([X, FED])) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moving = [np.asarray(model.model([X, FED], training=True)) for _ in range(2)]
    assert np.abs(moving[0] - moving[1]).max() > 0


def test_a_tied_output_has_one_owner_that_is_called_three_times():
    model = api.build(f"{BASE}tie_output: true\n")
    said = " ".join(api.explain(model, "embeddings").sentences)
    assert "embeddings owns 1 variable, 54 parameters: embeddings.embeddings (9, 6). It is called 3 times" in said
    assert "output_layer" not in said
    assert not [name for name in model.namespace if name.startswith("output_layer")]
    apart = api.build(f"{BASE}tie_output: true\n".replace("vocab: 9", "vocab: {source: 8, target: 9}"))
    said = " ".join(api.explain(apart, "target_embeddings").sentences)
    assert "It is called twice" in said


def test_a_frozen_part_is_told_as_frozen_and_stays_as_it_was():
    model = api.build(f"{BASE}freeze: [embeddings, output]\n")
    before = [np.array(variable) for variable in model.namespace["embeddings"].weights]
    api.fit(model, BODY, DATA, progress=lambda _: None)
    for old, now in zip(before, model.namespace["embeddings"].weights, strict=True):
        np.testing.assert_array_equal(old, np.array(now))
    assert "embeddings.trainable is False" in " ".join(finding.text for finding in model.ledger.findings)
    assert "not trained" in " ".join(api.explain(model, "output_layer").sentences)


@pytest.mark.slow
@pytest.mark.parametrize("text", [*grid(60, 1)[::20], *grid(60, 2)[5::30]])
def test_specs_of_a_grid_are_built_fitted_decoded_and_saved(text, tmp_path):
    check(text, tmp_path)


def test_any_two_settings_meet_in_the_grid():
    texts = grid(240)
    assert len(set(texts)) == 240
    for key in ("attention", "residual", "layer_norm", "dropout", "tie_output", "label_smoothing", "freeze", "bridge"):
        for other in ("gru", "2 *", "bidirectional", "padding", "{source", "attention", "residual", "tie_output"):
            assert any(f"\n{key}:" in text and other in text for text in texts), (key, other)
    for key in ("freeze", "tie_output", "attention", "input_feeding", "feeding", "bridge"):
        for other in ("vocab: B", "vocab: {source: S"):
            assert any(f"\n{key}:" in text and other in text and "init:" in text for text in texts), (key, other)
    for key in ("monotonic", "input_feeding", "feeding"):
        for other in ("gru", "2 *", "bidirectional", "padding", "{source", "normalize", "[luong", "freeze", "bridge"):
            assert any(f"\n{key}:" in text and other in text for text in texts), (key, other)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("residual: true", "line 8, column 11: a layer adds what it reads from the second layer on"),
        ("tie_output: true\nembed: 5", "line 8, column 13: the table of the embeddings, of size 5, is multiplied with"),
        ("freeze: [attention]", "line 8, column 10: there is no attention to freeze: give 'attention: luong'"),
        ("freeze: [encoder, bridge]", "line 8, column 19: there is no bridge with weights to freeze"),
        ("freeze: output\ntie_output: true", "line 8, column 9: with 'tie_output', the output layer has the weights"),
        ("freeze: [embeddings, encoder, decoder, output]", "line 8, column 9: every part is frozen"),
        ("freeze: embedings", "line 8, column 9: expected embeddings, encoder, bridge, decoder, attention or output"),
        ("dropout: 1", "line 8, column 10"),
        ("dropout: {outputs: 2}", "line 8, column 20"),
        ("dropout: {output: 0.2}", "line 8, column 11: unknown place of dropout 'output'; did you mean 'outputs'?"),
        ("label_smoothing: 1.0", "line 8, column 18"),
        ("dropout: 0.2\ncode: tfa", "line 9, column 7: 'dropout' is written with Keras's own layers"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_remedy(lines, words):
    base = BASE.replace("embed: 6\n", "") + "" if "embed:" in lines else BASE
    text = f"{base}{lines}\n" if base is BASE else f"embed: 5\n{base}{lines.partition(chr(10))[0]}\n"
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    assert words in str(caught.value)


WHOLE = """\
vocab: 30
embed: 12
encoder: 2 * bidirectional(lstm(6))
decoder: 2 * lstm(12)
attention: luong(12, scale=true)
residual: true
layer_norm: true
dropout: 0.2
tie_output: true
label_smoothing: 0.1
freeze: [encoder]
padding: 0
start: 1
end: 2
"""


@pytest.mark.parametrize("operations", ["tf", "keras.ops"])
def test_the_source_is_the_golden_file(operations, golden):
    golden(f"source/layers_{operations}.txt", generate(parse_spec(WHOLE), Dialect("keras", operations, addons=False)))


def test_a_layer_of_the_users_own_says_that_it_treats_each_position_separately():
    code = HAND + ENCODE + DECODE + (
        "class Scaled(L.Layer):\n"
        "    {line}\n"
        "    def call(self, x, by=1.0):\n"
        "        return x * by\n"
        "h = Scaled()(h, by=0.5)\n"
    ) + END + COMPILE  # fmt: skip
    code = code.replace("from tensorflow import keras", "import keras") if KERAS3 else code
    unsaid = api.trace(code.format(line="pass"))
    found = api.decode(unsaid, [[3, 4, 5]], max_length=3)
    assert len(found[0]) == 3
    assert "again at each step" in unsaid.inference.notes[0]
    model = api.trace(code.format(line="by_position = True"))
    found = api.decode(model, [[3, 4, 5]], max_length=3, beam=2).n_best[0][0]
    chances = np.asarray(model.model([np.array([[3, 4, 5]]), np.array([[0, *found.ids[:2]]])]), float)[0]
    expected = sum(math.log(chances[step, number]) for step, number in enumerate(found.ids))
    assert found.log_probability == pytest.approx(expected, abs=1e-4)
