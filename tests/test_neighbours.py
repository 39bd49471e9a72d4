"""Training pairs in which the decoder is in a state like that of a step, against the layers run by hand."""

import numpy as np
import pytest
import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from tensorflow import keras

from s2s_magic import api
from s2s_magic.completion import candidates
from s2s_magic.decoding import neighbours
from s2s_magic.errors import DecodeError, Seq2SeqError
from s2s_magic.told import Neighbour, SaidStep, Told, ToldDecoding
from s2s_magic.view.said_steps import told_html, told_text
from test_decoding_layers import ONE_HOT, shaken
from test_decoding_written import SAID, TEXTS, without_unknown

pytestmark = pytest.mark.once

SPEC = "vocab: 9\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\npadding: 0\nstart: 1\nend: 2\nmax_length: 5\n"
rng = np.random.default_rng(1)
X = [rng.integers(3, 9, size=rng.integers(1, 6)).tolist() for _ in range(20)]
Y = [rng.integers(3, 9, size=rng.integers(1, 5)).tolist() for _ in range(20)]
SOURCE = [3, 4, 5]


def by_cells(model, source, fed):
    """Run encoder and decoder layers by hand over one row; return h and c after each id that is fed."""
    layers = model.layers
    embed = layers["embeddings"]
    x = embed(np.array([source]))
    numbers = [""] if "encoder" in layers else ["_1", "_2"]
    states = []
    for number in numbers:
        encoder = layers[f"encoder{number}"]
        state = [tf.zeros([1, 6]) for _ in range(2 if "LSTM" in type(encoder).__name__ else 1)]
        outputs = []
        for step in range(len(source)):
            out, state = encoder.cell(x[:, step], state)
            outputs.append(out)
        x = tf.stack(outputs, axis=1)
        states.append(list(state))
    found = []
    for last in fed:
        out = embed(np.array([last]))
        for place, number in enumerate(numbers):
            cell = layers.get(f"decoder_cell{number}") or layers[f"decoder{number}"].cell
            out, state = cell(out, states[place])
            states[place] = list(state)
        found.append(np.concatenate([np.asarray(part)[0] for state in states for part in state]))
    return np.array(found)


def by_the_decoder(model, source, fed):
    """Return the final cell state of the training model's own decoder for each beginning of what is fed."""
    outer = keras.Model(model.model.inputs, tf.nest.flatten(model.namespace["final_state"].cell_state))
    found = []
    for length in range(1, len(fed) + 1):
        made = outer([np.array([source]), np.array([fed[:length]]), np.array([length])])
        found.append(np.concatenate([np.asarray(part)[0] for part in tf.nest.flatten(made)]))
    return np.array(found)


def expected_of(states_of, model, ids, most, pairs=(X, Y)):
    """Return for each step the rows and positions of the nearest pairs, and their distances, by all states at once."""
    unit = lambda rows: rows / np.linalg.norm(rows, axis=-1, keepdims=True)  # noqa: E731
    wanted = unit(states_of(model, SOURCE, [1, *ids[:-1]]))
    best = []
    for row, (source, target) in enumerate(zip(*pairs, strict=True)):
        distances = 1 - wanted @ unit(states_of(model, source, [1, *target])).T
        best.append([(step.min(), row, int(step.argmin())) for step in distances])
    return [sorted(each[step] for each in best)[:most] for step in range(len(ids))]


KINDS = {
    "tfa": (SPEC, by_cells),
    "keras": (SPEC + "code: keras\n", by_cells),
    "attention": (SPEC + "attention: luong\n", by_cells),
    "gru": (SPEC.replace("lstm", "gru"), by_cells),
    "stack": (SPEC.replace("lstm", "2 * lstm"), by_cells),
    "input feeding": (SPEC + "attention: luong\ninput_feeding: true\n", by_the_decoder),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_pairs_are_those_of_the_layers_run_by_hand(kind):
    spec, states_of = KINDS[kind]
    model = shaken(api.build(spec), seed=4)
    (told,) = api.explain(model, decode=SOURCE, among=(X, Y), nearest=4, min_length=3).parts
    ids = [2 if step.token == "end" else int(step.token) for step in told.steps]
    assert len(ids) > 1
    for step, expected in zip(told.steps, expected_of(states_of, model, ids, 4), strict=True):
        assert [(each.row, each.position) for each in step.nearest] == [(row, at) for _, row, at in expected]
        np.testing.assert_allclose([each.distance for each in step.nearest], [d for d, *_ in expected], atol=2e-6)
        for each in step.nearest:
            assert each.source == tuple(map(str, X[each.row]))
            assert each.target == (*map(str, Y[each.row]), "end")


@pytest.fixture(scope="module")
def model():
    return shaken(api.build(SPEC), seed=4)


def test_what_it_says_itself_is_nearest_at_the_same_positions_with_no_distance(model):
    said = api.decode(model, [SOURCE]).ids[0]
    (told,) = api.explain(model, decode=SOURCE, among=([*X, SOURCE], [*Y, said])).parts
    for place, step in enumerate(told.steps):
        assert (step.nearest[0].row, step.nearest[0].position) == (20, place)
        assert step.nearest[0].distance == pytest.approx(0, abs=1e-6)
        assert len(step.nearest) == 3


def test_targets_may_have_start_end_and_padding_of_their_own(model):
    padded = np.zeros([20, 7], int)
    for row, target in enumerate(Y):
        padded[row, : len(target) + 2] = [1, *target, 2]
    plain, with_ids = (api.explain(model, decode=SOURCE, among=(X, each)).parts[0] for each in (Y, padded))
    assert plain == with_ids


def test_only_the_first_pairs_are_compared_and_that_is_said(model, monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_PAIRS", 7)
    (told,) = api.explain(model, decode=SOURCE, among=(X, Y), nearest=50).parts
    assert told.compared.startswith("the nearest of the first 7 of 20 pairs, by the cosine distance")
    assert all(sorted(each.row for each in step.nearest) == list(range(7)) for step in told.steps)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nearest": 3}, "nearest needs the training pairs to look among: a model does not keep what it was fitted on"),
        ({"among": (X, Y), "nearest": 0}, "nearest is 0; expected a whole number of at least 1"),
        ({"among": (X, Y), "nearest": True}, "nearest is True; expected a whole number"),
        ({"among": X}, "among needs two parts, the sources and the targets of the training pairs"),
        ({"among": (X, Y[:-1])}, "among has 20 sources and 19 targets; expected as many of each"),
        ({"among": ([], [])}, "among has no pairs to compare with"),
        ({"among": (X, ["a"] * 20)}, "the targets hold text, and model writes ids"),
        ({"among": (["a"] * 20, Y)}, "the sources hold text, and model reads ids"),
        ({"among": (X, [[99]] * 20)}, "the targets have the id 99 in row 0, and ids are 0 to 8"),
        ({"among": (X, [[-1]] * 20)}, "the targets "),
        ({"among": (X, 3)}, "the targets "),
        ({"among": (object(), Y)}, "the sources "),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(model, options, words):
    with pytest.raises(DecodeError) as caught:
        api.explain(model, decode=SOURCE, **options)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_texts_are_shown_by_their_tokens_with_the_position_marked():
    texts = {"S": ["the cat", "a dog"], "T": ["le chat", "un chien"]}
    spec = "vocab: {source: S, target: T}\nembed: 4\nencoder: gru(6)\ndecoder: gru(6)\ntokens: word\nmax_length: 4\n"
    model = shaken(api.build(spec, namespace=texts), seed=1)
    shown = api.explain(model, decode="the cat", among=(texts["S"], texts["T"]), nearest=1)
    first = shown.parts[0].steps[0].nearest[0]
    assert (first.source, first.target, first.position) == (("the", "cat"), ("le", "chat", "end"), 0)
    assert first.distance == pytest.approx(0, abs=1e-6)
    assert "row 0: the cat → [le] chat end" in told_text(shown)
    assert "the cat → <mark>le</mark> chat end" in told_html(shown)


def test_a_model_that_makes_ids_of_texts_itself_is_compared_by_texts():
    words = ["[start] eins zwei drei vier [end]", "fünf sechs sieben acht"]
    model = without_unknown(shaken(api.trace(TEXTS.format(split="whitespace", vocabulary=words))))
    said = list(api.decode(model, SAID, max_length=6))
    marked = [f"[start] {text} [end]" for text in said]
    (told,) = api.explain(model, decode=SAID[0], among=(SAID, said), nearest=1, max_length=6).parts
    assert told.source == tuple(SAID[0].split())
    assert [(step.nearest[0].row, step.nearest[0].position) for step in told.steps] == [
        (0, place) for place in range(len(told.steps))
    ]
    assert told.steps[0].nearest[0].target == (*said[0].split(), "end")
    (other,) = api.explain(model, decode=SAID[0], among=(SAID, marked), nearest=1, max_length=6).parts
    assert other == told


@pytest.mark.parametrize("vectors", [False, True])
def test_one_hot_vectors_are_compared_as_the_ids_are(vectors):
    model = shaken(api.trace(ONE_HOT))
    ids = rng.integers(7, size=(5, 4))
    said = np.array(list(api.decode(model, ids, max_length=6, start=2)))
    among = (np.eye(7)[ids], np.eye(9)[said]) if vectors else (ids, said.tolist())
    (told,) = api.explain(model, decode=ids[1], among=among, nearest=1, max_length=6).parts
    assert told.steps[0].nearest[0].row == 1
    assert told.steps[0].nearest[0].target == tuple(map(str, said[1]))


def test_any_token_is_shown_as_text():
    near = Neighbour(0, ("<b>", "\n"), ("</mark>", "end"), 0, 0.25)
    told = Told("m", ("<i>",), (SaidStep("x", 0.5, (("x", 0.5),), (near,)),), compared="the nearest of 1 pair")
    page = told_html(ToldDecoding((told,)))
    assert "<b>" not in page.replace("<b>&lt;i&gt;</b>", "")
    assert "<mark>&lt;/mark&gt;</mark>" in page
    assert "0.250" in told_text(ToldDecoding((told,)))


@pytest.fixture
def shell(model):
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    shell.user_ns.update(model=model, X=X, Y=Y)
    yield shell
    shell.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()


def test_the_magic_takes_the_names_of_variables(shell):
    with capture_output() as shown:
        shell.run_line_magic("seq2seq", 'explain model --decode "3 4 5" --among X Y --nearest 2')
    text = shown.outputs[0].data["text/plain"]
    assert "training pairs in a like state, marked where: the nearest of 20 pairs, by the cosine distance" in text
    found = shell.run_line_magic("seq2seq", 'explain model --decode "3 4 5" --among X Y --nearest 2 --return')
    assert [len(step.nearest) for step in found.parts[0].steps] == [2] * len(found.parts[0].steps)
    for typed in ("", "X "):
        assert {"X", "Y"} <= set(
            candidates(f'%seq2seq explain model --decode "3" --among {typed}', lambda: shell.user_ns)
        )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--among X", "argument --among: expected 2 arguments"),
        ("--among X Z", "no notebook variable 'Z'"),
        ('--among "X" Y', "no notebook variable 'X'"),
        ("--nearest 2", "nearest needs the training pairs"),
    ],
)
def test_the_magic_tells_what_is_amiss(shell, line, words):
    with pytest.raises(Seq2SeqError, match=words):
        shell.run_line_magic("seq2seq", f'explain model --decode "3 4 5" {line}')
