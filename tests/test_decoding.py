"""Decoding runs the trained layers, and nothing else, on their own outputs."""

import numpy as np
import pytest

from models import by_hand
from own_output import own_output
from s2s_magic import api
from s2s_magic.decoding import inference_model
from s2s_magic.errors import DecodeError
from s2s_magic.ledger import Called
from shown_decodings import shown

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
X = numbers.integers(3, 12, size=(24, 5))
RAGGED = [numbers.integers(3, 12, size=size).tolist() for size in (3, 1, 6, 3, 2, 6)]
PADDED = "padding: 0\nstart: 1\nend: 2\n"
SPECS = {
    "one embedding, LSTM": "vocab: 12\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\n",
    "two embeddings, GRU": "vocab: {source: 12, target: 12}\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\n",
    "stacked, bidirectional": (
        "vocab: 12\nembed: 4\nencoder: 2 * bidirectional(lstm(4))\ndecoder: 2 * lstm(6)\nbridge: dense\n"
    ),
}


def quiet(progress):
    """Show nothing."""


def fitted(model, source, target, body=""):
    names = {"S": source, "T": target}
    return api.fit(model, f"source: S\ntarget: T\noptimizer: adam(0.01)\nseed: 1\n{body}", names, progress=quiet)


def shaken(model, seed=1):
    """Set a model's weights so that its output differs for each source."""
    random = np.random.default_rng(seed)
    for variable in model.model.weights:
        variable.assign(random.normal(size=variable.shape, scale=2.0 if len(variable.shape) > 1 else 0.3))
    return model


def built(spec, seed=1):
    return shaken(api.build(spec), seed)


def step_by_step(model, rows, length, start, end=None):
    """Decode rows with the training model, feeding back the most probable id."""

    def scores(sources, ids):
        given = [sources, ids, np.full(len(ids), ids.shape[1])]
        return model.model(given[: len(model.model.inputs)])  # plain Keras layers need no lengths

    return own_output(scores, rows, length, start=start, end=end)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_greedy_decoding_is_the_training_model_fed_with_its_own_output(spec):
    model = built(spec)
    expected = step_by_step(model, X[:6], 6, start=0)
    assert api.decode(model, X[:6], max_length=6) == expected
    assert len(set(map(tuple, expected))) > 3, "sources matter"


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_rows_of_any_length_decode_as_each_would_alone_up_to_the_end_id(spec):
    model = built(spec + PADDED)
    model.layers["output_layer"].bias.assign([0, 0, 3] + [0] * 9)  # so that rows end, at different steps
    expected = step_by_step(model, RAGGED, 12, start=1, end=2)
    assert api.decode(model, RAGGED, max_length=12) == expected
    assert [api.decode(model, [row], max_length=12)[0] for row in RAGGED] == expected
    assert len(set(map(len, expected))) > 1


def test_a_model_that_masks_nothing_never_reads_filling():
    model = built(SPECS["one embedding, LSTM"])
    assert api.decode(model, RAGGED, max_length=4) == step_by_step(model, RAGGED, 4, start=0)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_decoding_model_creates_nothing_and_reuses_every_owner(spec):
    model = built(spec + "code: tfa\n")
    api.decode(model, X[:2])
    trained, decoding = model.ledger, model.inference.ledger
    assert decoding.variables.keys() == trained.variables.keys()
    calls = [e for e in decoding.events[len(trained.events) :] if isinstance(e, Called)]
    assert all(call.created == () for call in calls)
    reused = {key for call in calls for key in call.reused}
    assert reused == trained.variables.keys()
    assert {id(v) for v in model.inference.model.weights} == {id(v) for v in model.model.weights}
    assert {decoding.variables[key].owner for key in reused} == {v.owner for v in trained.variables.values()}


def test_the_notebooks_names_stay_as_they_are():
    namespace = {}
    model = api.trace(by_hand(12, 4, 8), namespace)
    before = dict(namespace)
    api.decode(model, X[:2])
    assert namespace.keys() == before.keys()
    assert all(namespace[name] is before[name] for name in before)


def test_a_traced_model_decodes_by_its_own_names():
    model = fitted(shaken(api.trace(by_hand(12, 4, 8))), X, X)
    assert api.decode(model, X[:4]) == step_by_step(model, X[:4], 5, start=0)
    code = inference_model(model).source
    assert "outputs=[memory, carry]" in code
    assert "writer_cell" in code
    assert "GreedyEmbeddingSampler(words)" in code


def test_what_has_no_name_is_reached_by_the_names_there_are():
    code = by_hand(12, 4, 8)
    code = code.replace("writer_cell = keras.layers.LSTMCell(8)\n", "").replace("scores = keras.layers.Dense(12)\n", "")
    code = code.replace("BasicDecoder(writer_cell,", "BasicDecoder(keras.layers.LSTMCell(8),")
    code = code.replace("output_layer=scores", "output_layer=keras.layers.Dense(12)")
    code = code.replace("read, memory, carry = reader(source_vectors)", "states = reader(source_vectors)[1:]")
    code = (
        code.replace("[memory, carry]", "list(states)").replace("words = ", "").replace("keras.layers.Embedding", "E")
    )
    code = code.replace("E(12, 4)\n", "many = [keras.layers.Embedding(12, 4), keras.layers.Embedding(12, 4)]\n", 1)
    code = code.replace("words(source_ids)", "many[0](source_ids)").replace("words(target_ids)", "many[1](target_ids)")
    model = shaken(api.trace(code))
    assert api.decode(model, X[:4], max_length=5) == step_by_step(model, X[:4], 5, start=0)
    source = inference_model(model).source
    assert "writer.cell" in source
    assert "get_layer" in source


def test_layers_between_embedding_and_decoder_run_if_they_look_at_one_position():
    code = by_hand(12, 4, 8).replace(
        "words(target_ids)", "keras.layers.Dropout(0.5)(keras.layers.Dense(4)(words(target_ids)))"
    )
    model = shaken(api.trace(code))
    assert api.decode(model, X[:4], max_length=5) == step_by_step(model, X[:4], 5, start=0)
    code = by_hand(12, 4, 8).replace(
        "words(target_ids)", "keras.layers.LSTM(4, return_sequences=True)(words(target_ids))"
    )
    with pytest.raises(DecodeError, match=r"\(LSTM\) stands between the ids and the decoder"):
        api.decode(api.trace(code), X)


def test_a_name_of_the_users_is_never_taken():
    namespace = {}
    model = api.trace(by_hand(12, 4, 8) + "encoder_model = greedy_decoder = 3\n", namespace)
    api.decode(model, X[:1])
    assert "encoder_model_ = " in model.inference.source
    assert namespace["encoder_model"] == 3


def test_the_length_is_bounded_by_the_spec_else_by_what_was_fitted_else_by_the_source():
    spec = SPECS["one embedding, LSTM"]
    assert len(api.decode(built(spec), X[:1])[0]) == 2 * 5 + 10
    assert len(api.decode(fitted(built(spec), X, X[:, :4]), X[:1])[0]) == 4
    assert len(api.decode(built(spec + "max_length: 3\n"), X[:1])[0]) == 3
    assert len(api.decode(built(spec + "max_length: 3\n"), X[:1], max_length=2)[0]) == 2


@pytest.mark.parametrize("length", [0, -3, 10_000_000, 2.5, True])
def test_a_length_that_cannot_be_is_refused(length):
    model = built(SPECS["one embedding, LSTM"])
    for ask in (lambda: api.decode(model, X[:1], max_length=length), lambda: inference_model(model, max_length=length)):
        with pytest.raises(DecodeError, match=f"max_length is {length}; expected a whole number from 1 to 100000"):
            ask()


def test_texts_come_back_as_texts():
    words = ["abc", "cab", "b", "ca"] * 6
    spec = "vocab: {source: words, target: words}\nembed: 8\nencoder: gru(32)\ndecoder: gru(32)\ntokens: char\n"
    model = api.build(spec, namespace={"words": words})
    fitted(model, words, words, "epochs: 40\nbatch: 8")
    assert api.decode(model, ["abc", "b"]) == ["abc", "b"]
    assert api.decode(model, "ca") == ["ca"]
    with pytest.raises(DecodeError, match="hold no texts"):
        api.decode(model, [[1, 2]])
    assert repr(shown(model, ["abc", "b"], ["x<y", "z"])) == "abc  ->  x<y\nb    ->  z"
    assert "x&lt;y" in shown(model, ["abc"], ["x<y"])._repr_mimebundle_()["text/html"]


def test_tokens_that_the_model_cannot_know_are_said_below_what_was_decoded():
    words = ["abc", "cab"]
    spec = "vocab: {source: words, target: words}\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\ntokens: char\n"
    model = api.build(spec, namespace={"words": words})
    assert repr(shown(model, ["abz<", "zb"], ["a", "b"])) == (
        "abz<  ->  a\nzb    ->  b\nread as unknown, being characters that are not in the vocabulary: z, <"
    )
    assert "vocabulary: z, &lt;" in shown(model, "z<", ["b"])._repr_mimebundle_()["text/html"]
    assert repr(shown(model, np.array(["ab"]), ["b"])) == "ab  ->  b"


def test_ids_of_the_model_that_no_token_was_counted_for_show_as_the_replacement_character():
    sentences = ["a b c", "b a"] * 4
    model = api.build("vocab: 40\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\ntokens: word\n")
    fitted(model, sentences, sentences)
    model.layers["output_layer"].bias.assign(np.eye(40)[30] * 1e3)
    assert api.decode(model, ["a b"], max_length=3) == ["\N{REPLACEMENT CHARACTER} " * 2 + "\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ([[3, 99]], "source 0, position 1 .* is id 99, outside the vocabulary of 12"),
        ([[3], []], "source 1 is empty"),
        (["abc"], "hold text, and model reads ids"),
        ([[1.5]], "row 0, position 0 is 1.5"),
        (7, "is of type int"),
        ([1, 2, 3], r"item 0 is 1; .* one row is \[\[1, 2, 3\]\]"),
    ],
)
def test_sources_that_do_not_fit_are_named(sources, words):
    with pytest.raises(DecodeError, match=words):
        api.decode(built(SPECS["one embedding, LSTM"]), sources)


def test_no_sources_give_no_outputs():
    assert api.decode(built(SPECS["one embedding, LSTM"]), []) == []


def test_a_model_without_a_decoder_is_refused_in_words():
    code = "from tensorflow import keras\nx = keras.Input([3])\nmodel = keras.Model(x, keras.layers.Dense(1)(x))\n"
    with pytest.raises(DecodeError, match="its model has one input and no decoder"):
        api.decode(api.trace(code), [[1]])


def test_a_subclassed_model_is_refused_in_one_line():
    code = (
        "from tensorflow import keras\n"
        "class Coder(keras.Model):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.inner = keras.layers.Dense(2)\n"
        "    def call(self, x):\n"
        "        return self.inner(x)\n"
        "model = Coder()\n"
        "model.build([None, 3])\n"
    )
    with pytest.raises(DecodeError, match=r"^model cannot be decoded: its model is of class Coder, no functional.*$"):
        api.decode(api.trace(code), [[1]])


def test_decoding_again_makes_no_second_model_unless_something_changed():
    model = built(SPECS["one embedding, LSTM"])
    api.decode(model, X[:1])
    first = model.inference
    api.decode(model, X[:7])
    assert model.inference is first
    api.decode(model, X[:1], max_length=2)
    assert model.inference is not first


def test_what_was_learned_since_is_what_decodes():
    model = built(SPECS["one embedding, LSTM"])
    before = api.decode(model, X[:4], max_length=5)
    shaken(model, seed=2)
    assert api.decode(model, X[:4], max_length=5) != before
    assert api.decode(model, X[:4], max_length=5) == step_by_step(model, X[:4], 5, start=0)
