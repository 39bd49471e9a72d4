"""Decoding models that return more than scores, and refusing those that take more than a source and ids."""

import runpy

import numpy as np
import pytest

from own_output import own_output
from s2s_magic import api
from s2s_magic.decoding.telling import tell
from s2s_magic.errors import DecodeError
from shown_decodings import shown
from test_decoding_layers import BEGIN, X

pytestmark = pytest.mark.once

LOSS = "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
TRANSLATOR = """
import tensorflow as tf
from tensorflow import keras

L = keras.layers
keras.utils.set_random_seed(SEED)

class Translator(keras.Model):
    \"\"\"An encoder and a decoder as one class, with more than its scores to tell.\"\"\"

    def __init__(self):
        super().__init__()
        self.words, self.others = L.Embedding(20, 8), L.Embedding(12, 8, embeddings_initializer="normal")
        self.reader = L.GRU(8, return_sequences=True, return_state=True)
        self.writer = L.GRU(8, return_sequences=True)
        self.attention, self.wide, self.scores = L.Attention(), L.Dense(12), L.Dense(12, kernel_initializer="normal")

    def call(self, inputs):
        source, target = inputs
        read, state = self.reader(self.words(source))
        written = self.writer(self.others(target), initial_state=state)
        seen, weights = self.attention([written, read], return_attention_scores=True)
        scores = 30 * self.scores(tf.concat([written, seen], -1))
        return RETURNED

translator = Translator()
COMPILED
"""
D = np.c_[np.zeros(len(X), int), X[:, :-1]]
RETURNED = {
    "scores and weights": ("scores, weights", "", "[0]"),
    "weights first, in a list": ("[weights, scores]", "", "[1]"),
    "states, by name": ("{'states': written, 'logits': scores}", "", "logits"),
    "within": ("{'logits': scores, 'more': (written, [weights, state])}", "", "logits"),
    "the ids too": ("tf.argmax(scores, -1), scores", "", "[1]"),
    "a loss by name": (
        "{'logits': scores, 'wide': self.wide(written)}",
        f"translator.compile('adam', loss={{'logits': {LOSS}}})",
        "logits",
    ),
    "a loss in order": (
        "self.wide(written), scores",
        f"translator.compile('adam', loss=[None, {LOSS}])",
        "[1]",
    ),
    "scores of a loss that are fewer than the ids": (
        "{'states': self.wide(written), 'logits': scores[:, :, :9]}",
        f"translator.compile('adam', loss={{'logits': {LOSS}}})",
        "logits",
    ),
}


def at(value, place):
    """Return what a name, or an index in brackets, leads to."""
    return value[int(place[1:-1]) if place.startswith("[") else place]


def fed(model, place, rows=X[:5], length=6):
    """Feed a model with its own most probable ids."""
    return own_output(lambda sources, ids: at(model.model((sources, ids)), place), rows, length)


def translator(returned, compiled="", place="[0]"):
    """Return a model whose outputs differ, once it was called."""
    for seed in range(20):
        code = TRANSLATOR.replace("RETURNED", returned).replace("COMPILED", compiled).replace("SEED", str(seed))
        model = api.trace(code, name="translator")
        expected = fed(model, place)
        if len({tuple(row) for row in expected}) > 2:
            return model, expected
    raise AssertionError("all sources are answered alike, whatever the weights")


@pytest.mark.parametrize("case", RETURNED)
def test_a_class_that_returns_more_than_scores_is_decoded_by_its_scores(case):
    returned, compiled, place = RETURNED[case]
    model, expected = translator(returned, compiled, place)
    decoded = api.decode(model, X[:5], max_length=6)
    assert decoded == expected
    assert f"its scores are its output {place}" in repr(shown(model, X[:5], decoded))
    best = api.decode(model, X[:2], max_length=6, beam=3, n_best=2).n_best
    assert all(row[0].log_probability >= row[1].log_probability for row in best)


@pytest.mark.parametrize("case", ["states, by name", "within", "a loss in order"])
def test_the_generated_code_runs_by_itself_and_takes_the_same_output(case, tmp_path):
    model, expected = translator(*RETURNED[case])
    api.decode(model, X[:5], max_length=6)
    program = tmp_path / "program.py"
    program.write_text(f"{model.source}\n{model.inference.source}", encoding="utf-8")
    made = runpy.run_path(str(program))  # with the seed of the model's code, and so its weights
    said = made["decode_ids"](np.array(X[:5], np.int32), np.zeros(5, np.int32))
    assert np.asarray(said).tolist() == expected


def test_a_fit_by_names_tells_the_scores():
    model = api.trace(
        TRANSLATOR.replace("RETURNED", "{'wide': self.wide(written), 'logits': scores}")
        .replace("COMPILED", f"translator.compile('adam', loss={{'logits': {LOSS}}})")
        .replace("SEED", "1"),
        name="translator",
    )
    api.fit(model, "inputs: [X, D]\ntarget: {logits: X}\nepochs: 1", {"X": X, "D": D}, progress=lambda _: None)
    assert api.decode(model, X[:5], max_length=6) == fed(model, "logits")


@pytest.mark.parametrize(
    ("returned", "compiled", "words"),
    [
        (
            "{'logits': scores, 'probabilities': tf.nn.softmax(scores)}",
            "",
            r"its scores may be logits \(\.\.\., \.\.\., 12\) or probabilities \(\.\.\., \.\.\., 12\), and neither its "
            "loss nor the number of 12 ids that it reads tells; compile it with a loss for the scores",
        ),
        ("scores[:, :, :9], written", "", r"its scores may be \[0\] \(\.\.\., \.\.\., 9\) or \[1\] .* of 12 ids"),
        (
            "{'logits': scores, 'wide': self.wide(written)}",
            f"translator.compile('adam', loss={{'logits': {LOSS}, 'wide': {LOSS}}})",
            "its scores may be logits .* or wide",
        ),
        (
            "{'logits': scores, 'state': state}",
            "translator.compile('adam', loss={'state': 'mse'})",
            "its loss leaves out logits .*, and compares no other scores",
        ),
        ("weights", "", "no functional model with wires"),
        ("read, self.others(target)", "", "none of its outputs has scores .* that depend on source and on ids"),
        # it looks ahead, and the states behind it do not: they are not taken in its place
        ("written, scores + tf.reduce_mean(scores, axis=1, keepdims=True)", "", "no functional model with wires"),
    ],
)
def test_where_several_outputs_may_be_scores_they_are_named_and_none_is_taken(returned, compiled, words):
    code = TRANSLATOR.replace("RETURNED", returned).replace("COMPILED", compiled).replace("SEED", "1")
    model = api.trace(code, name="translator")
    model.model((X, D))
    with pytest.raises(DecodeError, match=words) as refused:
        api.decode(model, X[:2])
    assert "\n" not in str(refused.value)


ATTENDING = (
    BEGIN
    + "written = L.LSTM(6, return_sequences=True)(written, initial_state=[h, c])\n"
    + "look = L.Attention()\nseen, weights = look([written, read], return_attention_scores=True)\n"
    + "scores = L.Dense(12, name='scores')(L.Concatenate()([written, seen]))\n"
)
CAUSAL = BEGIN + "written = L.Conv1D(6, 3, padding='causal')(written)\n"
CAUSAL += "written = written + L.Attention()([written, read])\nscores = L.Dense(12, name='scores')(written)\n"
FUNCTIONAL = {
    "weights of attention": ATTENDING + "model = keras.Model([source, target], [scores, weights])\n",
    "the encoder's last state": ATTENDING + "model = keras.Model([source, target], [h, scores])\n",
    "states": ATTENDING + "model = keras.Model([source, target], [written, scores])\n",
    "by name": ATTENDING + "model = keras.Model([source, target], {'answer': scores, 'states': written})\n",
    "of convolutions": CAUSAL + "model = keras.Model([source, target], [written, scores])\n",
    "a loss by name": (
        CAUSAL
        + "tags = L.Dense(12, name='tags')(written)\nmodel = keras.Model([source, target], [tags, scores])\n"
        + "model.compile('adam', loss={'scores': 'mse'})\n"
    ),
    "a third input that the scores are not made from": (
        CAUSAL
        + "more = keras.Input([6])\ntags = L.Dense(12)(written + more[:, None])\n"
        + "model = keras.Model([source, more, target], [tags, scores])\n"
        + "model.compile('adam', loss=[None, 'mse'])\n"
    ),
}


@pytest.mark.parametrize("code", FUNCTIONAL.values(), ids=FUNCTIONAL)
def test_a_functional_model_of_several_outputs_is_decoded_by_its_scores(code):
    model = api.trace("from tensorflow import keras\nkeras.utils.set_random_seed(3)\n" + code)
    generator = np.random.default_rng(5)
    model.model.set_weights([generator.normal(size=weight.shape) for weight in model.model.get_weights()])
    alone = api.trace("model = keras.Model([source, target], scores)\n", model.namespace)
    expected = own(alone, X[:5], 6)
    assert len({tuple(row) for row in expected}) > 1
    decoded = api.decode(model, X[:5], max_length=6)
    assert decoded == expected
    assert "its scores are its output scores" in repr(shown(model, X[:5], decoded))
    assert len(api.decode(model, X[:5], max_length=6, beam=12, n_best=1)) == 5


def test_what_attention_looked_at_is_shown_of_a_model_that_returns_it():
    model = api.trace(FUNCTIONAL["weights of attention"])
    (alignment,) = (found := api.decode(model, X[:1], max_length=4)).alignments[0]
    weights = np.asarray(model.model([X[:1], np.array([[0, *found.ids[0][:3]]])])[1])[0]
    np.testing.assert_allclose(alignment.weights[:4], weights, atol=1e-5)
    assert len(api.decode(model, X[:2], max_length=4, beam=3, coverage_penalty=1.0)) == 2


def test_a_class_has_no_state_by_which_training_pairs_are_near():
    model, _ = translator(*RETURNED["states, by name"])
    with pytest.raises(DecodeError, match="its decoder has no recurrent layer, and so no state to compare"):
        tell(model, X[0], among=(X, X), nearest=1, max_length=3)


def own(model, rows, length):
    found = []
    for row in rows:
        ids = [0]
        while len(ids) <= length:
            ids.append(int(np.asarray(model.model([np.array([row]), np.array([ids])]))[0, -1].argmax()))
        found.append(ids[1:])
    return found


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            CAUSAL.replace("written = L.Conv", "n = keras.Input([], dtype='int32', name='lengths')\n"
                           "written = written + L.Reshape([1, 1])(L.Dense(1)(L.Reshape([1])(n)))\nwritten = L.Conv")
            + "model = keras.Model([source, target, n], scores)\n",
            "it has 3 inputs, source, target and n, and what n holds while decoding is unknown",
        ),
        (
            CAUSAL.replace("written = L.Conv", "segments = keras.Input([None], dtype='int32')\n"
                           "written = written + words(segments)\nwritten = L.Conv")
            + "model = keras.Model([source, segments, target], scores)\n",
            "it has 3 inputs, source, segments and target, and what the third, beside a source and the ids",
        ),
    ],
)  # fmt: skip
def test_a_third_input_is_named_as_the_obstacle(code, words):
    with pytest.raises(DecodeError, match=words):
        api.decode(api.trace(code), X[:2])


def test_a_third_input_of_a_class_is_named_as_the_obstacle():
    code = TRANSLATOR.replace("source, target = inputs", "source, target, n = inputs").replace("RETURNED", "scores")
    model = api.trace(code.replace("COMPILED", "").replace("SEED", "1"), name="translator")
    model.model((X, D, np.full(len(X), 5)))
    with pytest.raises(DecodeError, match=r"it has 3 inputs, .*inputs\[2\], and what inputs\[2\] holds while decoding"):
        api.decode(model, X[:2])


def test_a_model_that_says_all_at_once_is_decoded_by_the_output_that_has_a_loss():
    code = (
        "from tensorflow import keras\nL = keras.layers\nkeras.utils.set_random_seed(1)\n"
        "source = keras.Input([5], dtype='int32')\n"
        "read = L.GRU(6)(L.Embedding(12, 6)(source))\n"
        "written = L.GRU(6, return_sequences=True)(L.RepeatVector(5)(read))\n"
        "scores = L.Dense(12, name='scores')(written)\nmodel = keras.Model(source, [written, scores])\n"
    )
    with pytest.raises(DecodeError, match=r"its scores may be written .* or scores"):
        api.decode(api.trace(code), X[:3])
    model = api.trace(code + "model.compile('adam', loss={'scores': 'mse'})\n")
    expected = np.asarray(model.model(X[:3])[1]).argmax(-1).tolist()
    assert api.decode(model, X[:3]) == expected
