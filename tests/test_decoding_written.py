"""Inference models in the user's code are used for decoding, and models that read texts return texts."""

import numpy as np
import pytest
import tensorflow as tf

from models import by_hand
from s2s_magic import api
from s2s_magic.decoding import inference_model
from s2s_magic.errors import DecodeError
from shown_decodings import shown
from test_decoding import step_by_step as by_training_decoder
from test_decoding_layers import BEGIN, shaken, step_by_step

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
X = numbers.integers(1, 12, size=(16, 5))

TRAINED = (
    BEGIN
    + "writer = L.GRU(6, return_sequences=True, return_state=True)\nwritten, _ = writer(written, h)\n"
    + (
        "scores = L.Dense(12, activation='softmax')\n"
        "model = keras.Model([source, target], scores(written))\nmodel.compile('sgd', 'mse')\n"
    )
)
PAIR = """
encoder_model = keras.Model(source, h)
state = keras.Input([6])
one, after = writer(words(target), initial_state=state)
decoder_model = keras.Model({inputs}, {outputs})
"""


def pair(inputs="[target, state]", outputs="[scores(one), after]"):
    return TRAINED + PAIR.format(inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(
    ("code", "own"),
    [
        (pair(), True),
        (pair(inputs="[state, target]"), True),
        (pair(outputs="[scores(one)[:, -1], after]"), True),
        (pair(outputs="scores(one)"), False),
        (pair(outputs="[scores(one), after, one]"), False),
        (pair() + "other = keras.Model([target, state], [L.Dense(12)(one), after])\n", True),
    ],
    ids=[
        "as it is",
        "state first",
        "scores of one step",
        "no state comes out",
        "more comes out",
        "one with an untrained head beside it",
    ],
)
def test_a_pair_is_what_takes_and_gives_states_over_trained_layers_alone(code, own):
    model = shaken(api.trace(code))
    assert api.decode(model, X[:5], max_length=6) == step_by_step(model, X[:5], 6)
    said = repr(shown(model, X[:1], [[1]]))
    assert ("decoded by the code's own pair of models, encoder_model and" in said) is own
    assert model.inference.ledger.variables.keys() == model.ledger.variables.keys()


def test_the_pair_is_run_and_not_a_copy_of_it():
    code = pair(outputs="[scores(one)[..., ::-1], after]")  # reverses the scores of the training model
    model = shaken(api.trace(code))
    turned = [11]
    state = model.namespace["encoder_model"](X[:1])
    for _ in range(4):
        chances, state = model.namespace["decoder_model"]([tf.constant([turned[-1:]]), state])
        turned.append(int(chances.numpy()[0, -1].argmax()))
    assert api.decode(model, X[:1], max_length=4, start=11) == [turned[1:]]
    assert turned[1:] != step_by_step(model, X[:1], 4, start=11)[0]
    assert "decoder_model([last[:, tf.newaxis], state_1]" in model.inference.source


ADDONS = (
    by_hand(12, 4, 8)
    + """
drawn = tfa.seq2seq.BasicDecoder(writer_cell, tfa.seq2seq.{sampler}, output_layer=scores{settings})
{begin}
said, _, _ = drawn(None, initial_state=[memory, carry], start_tokens=start, end_token={end})
"""
)
FILLED = "start = tf.fill(tf.shape(source_ids)[:1], 3)"
GIVEN = "start = keras.Input([], dtype='int32')"


def addons(sampler="GreedyEmbeddingSampler(words)", begin=FILLED, settings=", maximum_iterations=6", end=5):
    return ADDONS.format(sampler=sampler, begin=begin, settings=settings, end=end)


def ended(model, **settings):
    """Set a model's weights so that some rows end early."""
    for seed in range(30):
        lengths = [len(row) for row in api.decode(shaken(model, seed), X[:6], **settings)]
        if len(set(lengths)) > 1 and max(lengths) > 2:
            return model
    raise AssertionError("all rows are of one length, whatever the weights")


@pytest.mark.parametrize("begin", [FILLED, GIVEN], ids=["starts of its own", "starts as an input"])
def test_a_decoder_of_addons_for_inference_decodes_with_its_own_ends(begin):
    start = {"start": 3} if begin == GIVEN else {}
    model = ended(api.trace(addons(begin=begin)), **start)
    expected = by_training_decoder(model, X[:6], 6, start=3, end=5)
    assert api.decode(model, X[:6], **start) == expected
    assert len(set(map(len, expected))) > 1
    assert api.decode(model, X[:6], max_length=2, **start) == [row[:2] for row in expected]
    assert "decoded by the code's own drawn, which has a GreedyEmbeddingSampler" in repr(shown(model, X[:1], [[1]]))
    with pytest.raises(DecodeError, match="model gives rows of 6 ids; max_length can only be smaller"):
        api.decode(model, X, max_length=7, **start)
    with pytest.raises(DecodeError, match="--end has no place there"):
        api.decode(model, X, end=3, **start)


def test_a_model_made_with_a_sampler_of_inference_alone_decodes_by_it():
    code = addons() + "model = keras.Model(source_ids, said.sample_id)\n"
    model = ended(api.trace(code.replace("model = keras.Model([source_ids, target_ids, target_lengths], chances)", "")))
    ids = model.model.predict(X[:6], verbose=0).tolist()
    assert api.decode(model, X[:6]) == [row[: row.index(5)] if 5 in row else row for row in ids]


def test_a_decoder_that_may_run_for_ever_is_refused_and_one_over_other_layers_is_not_taken():
    with pytest.raises(DecodeError, match="drawn has no maximum_iterations and may run for ever; give it one"):
        api.decode(api.trace(addons(settings="")), X)
    model = shaken(
        api.trace(
            addons().replace(
                "BasicDecoder(writer_cell, tfa.seq2seq.Greedy",
                "BasicDecoder(keras.layers.LSTMCell(8), tfa.seq2seq.Greedy",
            )
        )
    )
    assert api.decode(model, X[:4], max_length=5) == by_training_decoder(model, X[:4], 5, start=0)
    assert "GreedyEmbeddingSampler(words)" in inference_model(model).source


def test_a_decoder_trained_with_scheduled_sampling_is_made_greedy():
    code = by_hand(12, 4, 8).replace("TrainingSampler()", "ScheduledEmbeddingTrainingSampler(0.0, words)")
    model = shaken(api.trace(code))
    assert api.decode(model, X[:4], max_length=5) == by_training_decoder(model, X[:4], 5, start=0)


TEXTS = """
import tensorflow as tf
from tensorflow import keras

L = keras.layers
heard = L.TextVectorization(12, output_mode="int")
heard.adapt(["one two three four", "five six seven"])
spoken = L.TextVectorization(12, standardize=None, split="{split}")
spoken.adapt({vocabulary})
source = keras.Input([], dtype=tf.string)
target = keras.Input([], dtype=tf.string)
state = L.GRU(6)(L.Embedding(12, 4)(heard(source)))
written = L.GRU(6, return_sequences=True)(L.Embedding(12, 4)(spoken(target)), initial_state=state)
model = keras.Model([source, target], L.Dense(12)(written))
"""
SAID = ["one two", "five six seven", "three", "seven one two four", "four four"]


def by_training_model(model, text, length, begin, end, between=" "):
    """Decode with the training model, feeding back its own words."""
    vocabulary = model.layers["spoken"].get_vocabulary()
    words = []
    while len(words) < length:
        scores = model.model([np.array([text]), np.array([between.join([begin, *words])])]).numpy()
        words.append(vocabulary[int(scores[0, len(words)].argmax())])
        if words[-1] == end:
            return between.join(words[:-1])
    return between.join(words)


def without_unknown(model):
    """Keep a model from returning padding or an unknown word, which could not be fed back."""
    bias = model.model.layers[-1].bias
    bias.assign([-1e3, -1e3, *[0.0] * 10])
    return model


def test_texts_come_back_from_a_model_that_reads_texts():
    vocabulary = ["[start] eins zwei drei vier [end]", "fünf sechs sieben acht"]
    model = api.trace(TEXTS.format(split="whitespace", vocabulary=vocabulary))
    for seed in range(30):
        without_unknown(shaken(model, seed))
        expected = [by_training_model(model, text, 6, "[start]", "[end]") for text in SAID]
        if len(set(expected)) > 2 and len(set(map(len, expected))) > 1:
            break
    assert api.decode(model, SAID, max_length=6) == expected
    assert api.decode(model, np.array(SAID)[:2], max_length=6) == expected[:2]
    assert api.decode(model, SAID[0], max_length=6) == expected[:1]
    assert len(set(expected)) > 2
    again = [by_training_model(model, text, 6, "acht", "zwei") for text in SAID]
    assert api.decode(model, SAID, max_length=6, start="acht", end="zwei") == again
    with pytest.raises(DecodeError, match="--start is 'achd', which is not in the vocabulary; did you mean 'acht'"):
        api.decode(model, SAID, start="achd")
    with pytest.raises(DecodeError, match="the sources hold no texts, and model reads texts"):
        api.decode(model, [[1, 2]])


def test_letters_come_back_joined_and_a_start_that_nothing_shows_is_asked_for():
    model = without_unknown(shaken(api.trace(TEXTS.format(split="character", vocabulary=["<abcdefgh>"]))))
    with pytest.raises(DecodeError, match=r"its vocabulary has no \[start\]: --start gives the word"):
        api.decode(model, SAID)
    expected = [by_training_model(model, text, 6, "<", ">", between="") for text in SAID]
    assert api.decode(model, SAID, max_length=6, start="<", end=">") == expected
    assert all(" " not in text for text in expected)
