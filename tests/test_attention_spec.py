"""Attention in a spec: the code that is written, its numbers, and what it decodes."""

import math

import numpy as np
import pytest
from tensorflow import keras

from addons import run_plainly
from s2s_magic import api
from s2s_magic.errors import SpecError
from s2s_magic.source import Dialect, generate
from s2s_magic.spec import parse_spec
from s2s_magic.spec.sizes import params_by_owner
from test_decoding import shaken

pytestmark = pytest.mark.once

BASE = "vocab: 9\nembed: 4\n"
PADDED = "padding: 0\nstart: 1\nend: 2\nmax_length: 5\n"
PARTS = {
    "lstm": "encoder: lstm(6)\ndecoder: lstm(6)\n",
    "stacks both ways": "encoder: 2 * bidirectional(gru(3))\ndecoder: 2 * gru(6)\n",
    "a bridge": "encoder: gru(5)\ndecoder: lstm(6)\nbridge: dense\n",
}
KINDS = ("luong", "luong(6, scale=true)", "bahdanau", "bahdanau(5)")
rng = np.random.default_rng(0)
SOURCES = [rng.integers(3, 9, size=size).tolist() for size in (3, 5, 2, 4, 3, 5, 1, 4)]
TARGETS = [row[::-1] for row in SOURCES]
NAMES = {"S": SOURCES, "T": TARGETS}


def text(kind, parts="lstm", more=PADDED):
    return f"{BASE}{PARTS[parts]}attention: {kind}\n{more}"


def owned(model):
    found = {}
    for variable in model.ledger.variables.values():
        owner = "bridge" if variable.owner.startswith("bridge") else variable.owner.partition(".")[0]
        owner = owner.replace("decoder", "decoder_cell")
        found[owner] = found.get(owner, 0) + variable.params
    return found


def fitted(model, epochs=2):
    api.fit(model, f"source: S\ntarget: T\nepochs: {epochs}\nbatch: 4\nseed: 1", NAMES, progress=lambda _: None)
    return model.history["loss"]


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_built_in_the_size_foretold_fitted_and_decoded_as_the_training_model_says(kind, parts):
    model = api.build(text(kind, parts))
    assert owned(model) == params_by_owner(parse_spec(text(kind, parts)))
    assert np.isfinite(fitted(model)).all()
    shaken(model)
    found = api.decode(model, SOURCES, beam=3, n_best=2)
    for source, hypotheses in zip(SOURCES, found.n_best, strict=True):
        for one in hypotheses:
            ids = one.ids if len(one.ids) == 5 else (*one.ids, 2)
            chances = model.model([np.array([source]), np.array([[1, *ids[:-1]]])]).numpy()[0].astype(float)
            expected = sum(math.log(chances[step, number]) for step, number in enumerate(ids))
            assert one.log_probability == pytest.approx(expected, abs=1e-4)
    assert (
        sum(len(event.created) for event in model.inference.ledger.events if event.kind == "called" and event.cell == 2)
        == 0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_not_attended_to(kind):
    model = shaken(api.build(text(kind)))
    source, fed = np.array([[3, 4, 5]]), np.array([[1, 3, 4]])
    wide = np.array([[3, 4, 5, 0, 0]])
    np.testing.assert_allclose(model.model([source, fed]), model.model([wide, fed]), atol=1e-5)


BY_HAND = {
    "luong": """
looked = keras.layers.Attention()([h, read, keras.layers.Dense(6, use_bias=False)(read)])
""",
    "luong(6, scale=true)": """
looked = keras.layers.Attention(use_scale=True)([h, read, keras.layers.Dense(6, use_bias=False)(read)])
""",
    "bahdanau(5)": """
query, memory = keras.layers.Dense(5, use_bias=False), keras.layers.Dense(5, use_bias=False)
looked = keras.layers.AdditiveAttention()([query(h), memory(read)])
""",
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_its_losses_are_those_of_the_same_model_written_by_hand(kind):
    spec = text(kind, more="")
    ours = api.build(spec)
    names = {}
    run_plainly(
        "from tensorflow import keras\n"
        "s, t = keras.Input([None], dtype='int32'), keras.Input([None], dtype='int32')\n"
        "e = keras.layers.Embedding(9, 4)\n"
        "read, a, b = keras.layers.LSTM(6, return_sequences=True, return_state=True)(e(s))\n"
        f"h = keras.layers.LSTM(6, return_sequences=True)(e(t), initial_state=[a, b])\n{BY_HAND[kind]}"
        "joined = keras.layers.Dense(6, activation='tanh', use_bias=False)(keras.layers.Concatenate()([looked, h]))\n"
        "model = keras.Model([s, t], keras.layers.Dense(9, activation='softmax')(joined))\n"
        "model.compile(loss='sparse_categorical_crossentropy', optimizer='adam')\n",
        names,
    )
    theirs = names["model"]
    theirs.set_weights(_in_order(ours.model, theirs))
    x, y = rng.integers(1, 9, size=(16, 4)), rng.integers(1, 9, size=(16, 4))
    fed = np.c_[np.zeros([16, 1], int), y[:, :-1]]
    keras.utils.set_random_seed(2)
    body = "source: S\ntarget: T\nepochs: 3\nbatch: 8\nshuffle: false\n"
    api.fit(ours, body, {"S": x, "T": y}, progress=lambda _: None)
    plainly = theirs.fit([x, fed], y, epochs=3, batch_size=8, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(ours.history["loss"], plainly, rtol=1e-5)


def _in_order(ours, theirs):
    """Return our weights in the order of the other model's, by shape; equal shapes are in order of creation."""
    left = list(ours.get_weights())
    found = []
    for weight in theirs.get_weights():
        place = next(number for number, value in enumerate(left) if value.shape == weight.shape)
        found.append(left.pop(place))
    return found


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            "attention: luong(5)",
            "line 5, column 12: luong multiplies the decoder's outputs, of 6 units, with",
        ),
        ("attention: lung", "line 5, column 12: unknown kind 'lung'; did you mean 'luong'?"),
        ("attention: bahdanau(4, scale=true)", "line 5, column 24: bahdanau has no setting 'scale'"),
        ("attention: luong(0)", "line 5, column 18"),
        ("attention: bahdanau(4)\ncode: tfa", "line 6, column 7: 'attention' is written with Keras's own layers"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_remedy(lines, words):
    with pytest.raises(SpecError) as caught:
        parse_spec(f"{BASE}{PARTS['lstm']}{lines}\n")
    assert words in str(caught.value)


def test_none_is_no_attention():
    assert parse_spec(text("none")).attention == ()


@pytest.mark.parametrize("kind", ["luong(6, scale=true)", "bahdanau(5)"])
def test_the_source_is_the_golden_file(kind, golden):
    dialect = Dialect("keras", "keras.ops", addons=False)
    golden(f"source/attention_{kind.partition('(')[0]}.txt", generate(parse_spec(text(kind)), dialect))


def test_attention_is_explained_with_its_owner():
    model = api.build(text("luong(6, scale=true)"))
    assert "Its owner is attention, the decoder's attention." in " ".join(
        api.explain(model, "attention.scale").sentences
    )
    assert "owns 1 variable" in " ".join(api.explain(model, "memory_layer").sentences)
