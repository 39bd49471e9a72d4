"""What attention looked at while an output was said: its numbers, and its pictures."""

import io
import itertools
import math

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from s2s_magic import api
from s2s_magic.decoded import Alignment
from s2s_magic.errors import DecodeError
from test_attention_spec import PADDED, PARTS, SOURCES, text
from test_decoding import shaken
from test_decoding_written import TEXTS

pytestmark = pytest.mark.once

WEIGHTS = ((0.9, 0.1, 0.0), (0.2, 0.3, 0.5), (0.0, 0.0, 1.0))
HEBREW = Alignment("attention", ("שלום", " ", "世界"), ("hello", "<b>", "end"), WEIGHTS)


def softmax(values):
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def by_hand(model, source, fed, kind):
    """Compute the weights with NumPy, from what the layers before the attention give."""
    layers = model.layers
    read, *state = layers["encoder"](layers["embeddings"](np.array([source])))
    said = layers["decoder"](layers["embeddings"](np.array([fed])), initial_state=state)
    keys = layers["memory_layer"](read).numpy()[0]
    if kind == "luong":
        return softmax(said.numpy()[0] @ keys.T)
    query = layers["query_layer"](said).numpy()[0]
    scale = layers["attention"].get_weights()[0]
    return softmax((np.tanh(query[:, None] + keys[None]) * scale).sum(axis=-1))


@pytest.mark.parametrize("kind", ["luong", "bahdanau"])
def test_weights_are_those_that_can_be_computed_by_hand(kind):
    model = shaken(api.build(text(kind)))
    found = api.decode(model, SOURCES)
    for source, ids, (alignment,) in zip(SOURCES, found.ids, found.alignments, strict=True):
        fed = [1, *ids] if len(ids) < 5 else [1, *ids[:-1]]
        np.testing.assert_allclose(alignment.weights, by_hand(model, source, fed, kind), atol=1e-4)
        assert alignment.layer == "attention"
        assert alignment.source == tuple(map(str, source))
        assert alignment.target == (*map(str, ids), *(["end"] if len(ids) < 5 else []))


@pytest.mark.parametrize("more", ["", "input_feeding: true\n"])
def test_many_sources_are_looked_at_together_as_they_are_alone(more):
    model = shaken(api.build(text("luong", more=PADDED + more)))
    sources = [SOURCES[number % len(SOURCES)][: 2 + number % 3] for number in range(150)]
    together = api.decode(model, sources)
    alone = {}
    for source, ids, (found,) in zip(sources, together.ids, together.alignments, strict=True):
        if (key := tuple(source)) not in alone:
            alone[key] = api.decode(model, [source]).alignments[0][0]
        assert (found.source, found.target) == (alone[key].source, alone[key].target)
        assert found.source == tuple(map(str, source))
        assert len(found.weights) == len(ids) + (len(ids) < 5)
        np.testing.assert_allclose(found.weights, alone[key].weights, atol=1e-5)


def covered(model, source, ids, kind, longest):
    """Return the coverage of a source by an output: the weights are those of all its steps, that of the end too."""
    fed = [1, *ids] if len(ids) < longest else [1, *ids[:-1]]
    return np.log(np.minimum(np.asarray(by_hand(model, source, fed, kind)).sum(axis=0), 1)).sum()


@pytest.mark.parametrize("kind", ["luong", "bahdanau"])
def test_outputs_of_a_beam_are_ranked_by_what_attention_covered(kind):
    model = shaken(api.build(text(kind)))
    plain = api.decode(model, SOURCES, beam=4, n_best=4, length_penalty=1.0)
    for weight in (0.2, 5.0):
        found = api.decode(model, SOURCES, beam=4, n_best=3, length_penalty=1.0, coverage_penalty=weight)
        for source, before, after in zip(SOURCES, plain.n_best, found.n_best, strict=True):
            ended = sorted(one.score + weight * covered(model, source, one.ids, kind, 5) for one in before)
            scores = [one.score for one in after]
            assert scores == sorted(scores, reverse=True)
            assert all(one >= other - 1e-3 for one, other in zip(scores, ended[::-1], strict=False))
            for one in after:
                length = min(len(one.ids) + 1, 5)
                wanted = one.log_probability / ((5 + length) / 6) + weight * covered(model, source, one.ids, kind, 5)
                assert one.score == pytest.approx(wanted, abs=1e-3)
    reranked = api.decode(model, SOURCES, beam=4, length_penalty=1.0, coverage_penalty=5.0)
    assert reranked.ids != [row[0].ids for row in plain.n_best]


def all_outputs(model, source, kind, longest):
    """Return each output of a model of 4 ids: its length, log-probability and coverage, by the training model."""
    found = {}
    for size in range(longest + 1):
        for ids in itertools.product((0, 1, 3), repeat=size):
            said = ids if size == longest else (*ids, 2)
            chances = model.model([np.array([source]), np.array([[1, *said[:-1]]])]).numpy()[0].astype(float)
            total = sum(math.log(chances[step, number]) for step, number in enumerate(said))
            found[ids] = len(said), total, covered(model, source, ids, kind, longest)
    return found


OF_4 = "start: 1\nend: 2\nmax_length: 3\n"


@pytest.mark.usefixtures("beams_of_any_width")
@pytest.mark.parametrize("kind", ["luong", "bahdanau"])
def test_a_beam_of_all_hypotheses_finds_the_best_covered_of_all_outputs(kind):
    model = shaken(api.build(text(kind, more=OF_4).replace("vocab: 9", "vocab: 4")))
    sources = [[3, 0, 1, 3], [0, 0, 3]]
    everything = [all_outputs(model, source, kind, 3) for source in sources]
    for penalty, weight in itertools.product((0.0, 1.0), (0.3, 4.0)):
        found = api.decode(model, sources, beam=40, n_best=6, length_penalty=penalty, coverage_penalty=weight)
        for outputs, hypotheses in zip(everything, found.n_best, strict=True):
            rated = {
                ids: total / ((5 + length) / 6) ** penalty + weight * coverage
                for ids, (length, total, coverage) in outputs.items()
            }
            best = sorted(rated, key=rated.get, reverse=True)[:6]
            assert [one.ids for one in hypotheses] == best
            np.testing.assert_allclose([one.score for one in hypotheses], [rated[ids] for ids in best], atol=1e-3)


def test_an_output_that_left_the_beam_is_found_by_its_coverage():
    model = shaken(api.build(text("luong")), 2)
    kept = api.decode(model, SOURCES, beam=3, n_best=3).n_best
    found = api.decode(model, SOURCES, beam=3, coverage_penalty=1.0).n_best
    assert any(one.ids not in [each.ids for each in row] for (one,), row in zip(found, kept, strict=True))


def test_without_an_end_id_a_beam_is_ranked_by_coverage_too():
    model = shaken(api.build(text("luong", more="start: 1\nmax_length: 3\n").replace("vocab: 9", "vocab: 4")))
    assert all(len(ids) == 3 for ids in api.decode(model, [[3, 0, 1], [0, 0, 3]], beam=4, coverage_penalty=2.0))


def test_looking_leaves_the_layers_as_they_are():
    model = shaken(api.build(text("luong(6, scale=true)", "stacks both ways")))
    found = api.decode(model, SOURCES[:2])
    uses = {name: len(layer._inbound_nodes) for name, layer in model.layers.items()}
    assert len(found.alignments) == 2
    assert {name: len(layer._inbound_nodes) for name, layer in model.layers.items()} == uses


HEADS = """
from tensorflow import keras
L = keras.layers
s, t = keras.Input([None], dtype="int32"), keras.Input([None], dtype="int32")
emb = L.Embedding(9, 6)
read, h, c = L.LSTM(6, return_sequences=True, return_state=True)(emb(s))
said = L.LSTM(6, return_sequences=True)(emb(t), initial_state=[h, c])
look = L.MultiHeadAttention(2, 3)
both = L.Concatenate()([look(said, read), said])
model = keras.Model([s, t], L.Dense(9, activation="softmax")(both))
model.compile("adam", "sparse_categorical_crossentropy")
"""


def test_the_mean_of_several_heads_is_shown():
    model = shaken(api.trace(HEADS))
    ((alignment,),) = api.decode(model, [[3, 4, 5]], max_length=4, start=1).alignments
    weights = np.array(alignment.weights)
    assert alignment.layer == "look"
    assert weights.shape == (4, 3)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


def test_a_model_without_attention_says_so():
    model = api.build(f"vocab: 9\nembed: 4\n{PARTS['lstm']}code: keras\n")
    with pytest.raises(DecodeError, match="model has no attention layer of Keras whose weights could be shown"):
        _ = api.decode(model, [[3, 4]]).alignments


def test_a_model_that_reads_texts_itself_says_that_they_cannot_be_shown():
    code = TEXTS.format(split="whitespace", vocabulary=["[start] eins zwei [end]"])
    code = code.replace("state = L.GRU(6)(", "read, state = L.GRU(6, return_sequences=True, return_state=True)(")
    code = code.replace("L.Dense(12)(written)", "L.Dense(12)(L.Attention()([written, read]))")
    found = api.decode(api.trace(code), ["one two"], max_length=3)
    with pytest.raises(DecodeError, match="can be shown for a model of two inputs, sources and ids"):
        _ = found.alignments


def test_pictures_have_all_tokens_in_every_form():
    bundle = HEBREW._repr_mimebundle_()
    page = bundle["text/html"]
    assert page.count("<rect") == 9
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "hello looks most at שלום (0.90)." in page
    lines = bundle["text/plain"].splitlines()
    assert lines[0].startswith("what attention looked at, in שלום")
    assert [line.split("|")[1][-2:] for line in lines[1:]] == ["  ", "▒▒", "██"]
    written = io.BytesIO()
    HEBREW.figure().savefig(written, format="svg")
    assert b"<svg" in written.getvalue()


def test_the_magic_shows_them_below_the_outputs(capsys):
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "s2s_magic")
        shell.user_ns["m"] = shaken(api.build(text("bahdanau")))
        capsys.readouterr()
        shell.run_cell('%seq2seq decode m "3 4 5" --alignments')
        shown = capsys.readouterr().out
        assert shown.startswith("3 4 5  ->")
        assert "what attention looked at, in 3 4 5:" in shown
    finally:
        shell.run_line_magic("unload_ext", "s2s_magic")
        InteractiveShell.clear_instance()


def test_tokens_that_would_break_a_line_are_drawn_on_one():
    odd = Alignment("attention", ("\n", "a"), (" ",), ((0.5, 0.5),))
    lines = odd._repr_mimebundle_()["text/plain"].splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("␣  |")
