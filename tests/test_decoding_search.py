"""Beam search, samples and their options on trained models, held against the training model itself and TFA's beam."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell

from addons import seq2seq
from s2s_magic import api
from s2s_magic.decoding.settings import read_settings
from s2s_magic.errors import DecodeError
from test_decoding import built
from test_decoding_written import addons, ended

pytestmark = pytest.mark.once

END, START, LENGTH = 2, 1, 4
SMALL = "vocab: 5\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\nstart: 1\nend: 2\npadding: 0\nmax_length: 4\n"
SPECS = {"tfa": SMALL + "code: tfa\n", "keras": SMALL + "code: keras\n", "gru": SMALL.replace("lstm", "gru")}
SOURCES = [[3, 4], [4, 4, 3], [3]]


@pytest.fixture(scope="module", params=SPECS)
def model(request):
    return built(SPECS[request.param], seed=3)


def log_probabilities(model, source, outputs):
    """Return the log-probability of each sequence of ids, computed by the training model that is fed with them."""
    longest = max(map(len, outputs))
    shown = np.array([[START, *ids, *[0] * (longest - len(ids))] for ids in outputs])
    given = [np.array([source] * len(outputs)), shown[:, :-1], np.array([len(ids) for ids in outputs])]
    said = np.log(model.model(given[: len(model.model.inputs)]).numpy().astype(np.float64))
    return [float(row[np.arange(len(ids)), ids].sum()) for row, ids in zip(said, outputs, strict=True)]


def outputs_of(length):
    """Yield every sequence of ids that ends with the end id or has the full length."""
    for size in range(1, length + 1):
        for ids in itertools.product(range(5), repeat=size):
            if END not in ids[:-1] and (ids[-1] == END or size == length):
                yield ids


def whole(one):
    """Return a hypothesis's ids with its end id, if it has one."""
    return one.ids if len(one.ids) == LENGTH else (*one.ids, END)


def test_every_result_has_the_log_probability_that_the_training_model_gives_it(model):
    for options in ({}, {"beam": 4, "n_best": 4}, {"sample": True, "n_best": 3, "seed": 5}):
        found = api.decode(model, SOURCES, **options)
        for source, hypotheses in zip(SOURCES, found.n_best, strict=True):
            expected = log_probabilities(model, source, [whole(one) for one in hypotheses])
            assert [one.log_probability for one in hypotheses] == pytest.approx(expected, abs=1e-4)
            assert [one.score for one in hypotheses] == [one.log_probability for one in hypotheses]
        assert found.ids == [list(hypotheses[0].ids) for hypotheses in found.n_best] == list(found)


@pytest.mark.usefixtures("beams_of_any_width")
def test_the_most_probable_outputs_of_all_are_among_those_of_a_wide_enough_beam(model):
    """A beam of the vocabulary's width finds the best of all outputs here, and one of all hypotheses, all of them."""
    found = api.decode(model, SOURCES, beam=5, n_best=5)
    greedily, everything = api.decode(model, SOURCES), api.decode(model, SOURCES, beam=341, n_best=20)
    for source, hypotheses, greedy, best in zip(SOURCES, found.n_best, greedily.n_best, everything.n_best, strict=True):
        outputs = list(outputs_of(LENGTH))
        by_chance = dict(zip(outputs, log_probabilities(model, source, outputs), strict=True))
        ranked = sorted(outputs, key=lambda ids: -by_chance[ids])
        assert whole(hypotheses[0]) == ranked[0]
        assert [whole(one) for one in best] == ranked[:20]
        scores = [one.score for one in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] >= greedy[0].score - 1e-6


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_beam_finds_what_the_beam_search_of_tfa_finds(penalty):
    made = built(SPECS["tfa"], seed=3)
    found = api.decode(made, SOURCES[:1], beam=3, n_best=3, **({"length_penalty": penalty} if penalty else {}))
    layers, width = made.layers, 3
    decoder = seq2seq.BeamSearchDecoder(
        layers["decoder_cell"],
        width,
        embedding_fn=layers["embeddings"],
        output_layer=layers["output_layer"],
        length_penalty_weight=penalty,
        maximum_iterations=LENGTH,
    )
    _, h, c = layers["encoder"](layers["embeddings"](np.array(SOURCES[:1])))
    state = seq2seq.tile_batch([h, c], width)
    final, state, _ = decoder(None, start_tokens=tf.constant([START]), end_token=END, initial_state=state)
    theirs = final.predicted_ids.numpy()[0].T.tolist()
    theirs = [tuple(row[: row.index(END)]) if END in row else tuple(row[:LENGTH]) for row in theirs]
    assert {one.ids for one in found.n_best[0]} == set(theirs)
    by_ids = dict(zip(theirs, state.log_probs.numpy()[0], strict=True))
    for one in found.n_best[0]:
        assert one.log_probability == pytest.approx(float(by_ids[one.ids]), abs=1e-4)
        length = len(whole(one))
        assert one.score == pytest.approx(one.log_probability / ((5 + length) / 6) ** penalty, rel=1e-5)


def test_samples_come_as_often_as_their_probabilities_say(model):
    source, count = SOURCES[0], 1000
    drawn = api.decode(model, [source], sample=True, n_best=count, seed=1, max_length=1).n_best[0]
    assert len(drawn) == count
    chances = np.exp(log_probabilities(model, source, [(number,) for number in range(5)])).tolist()
    seen = np.bincount([(*one.ids, END)[0] for one in drawn], minlength=5) / count
    np.testing.assert_allclose(seen, chances, atol=0.05)
    few = api.decode(model, [source], sample=True, n_best=count, seed=1, max_length=1, top_k=2).n_best[0]
    assert {(*one.ids, END)[0] for one in few} == set(np.argsort(chances)[-2:].tolist())
    ranked = np.argsort(chances)[::-1]
    fewest = ranked[: 1 + int(np.searchsorted(np.cumsum(np.array(chances)[ranked]), 0.6))]
    nucleus = api.decode(model, [source], sample=True, n_best=count, seed=1, max_length=1, top_p=0.6).n_best[0]
    assert {(*one.ids, END)[0] for one in nucleus} == set(fewest.tolist())
    cold = api.decode(model, [source], sample=True, n_best=20, seed=1, temperature=0.001).n_best[0]
    assert {one.ids for one in cold} == {api.decode(model, [source]).n_best[0][0].ids}


def test_a_seed_draws_the_same_again_and_none_draws_anew(model):
    def draw(**seed):
        how = {"sample": True, "n_best": 30, "temperature": 5.0}  # else most draws end at once, and may be the same
        return [one.ids for one in api.decode(model, SOURCES[:1], **how, **seed).n_best[0]]

    assert draw(seed=4) == draw(seed=4) != draw(seed=5)
    assert draw() != draw()


@pytest.mark.parametrize("way", [{}, {"beam": 4, "n_best": 4}, {"sample": True, "n_best": 4, "seed": 2}])
def test_limits_hold_in_every_search(model, way):
    for one in itertools.chain(*api.decode(model, SOURCES, min_length=3, **way).n_best):
        assert len(one.ids) >= 3
    for one in itertools.chain(*api.decode(model, SOURCES, no_repeat_ngram=1, **way).n_best):
        assert len(set(one.ids)) == len(one.ids)
    for one in itertools.chain(*api.decode(model, SOURCES, prefix=[4, 0], **way).n_best):
        assert one.ids[:2] == (4, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beam": 6}, "beam is 6; expected at most the 5 symbols of model"),
        ({"beam": 1001}, "beam is 1001; expected a whole number from 1 to 1000"),
        ({"beam": 0}, "beam is 0; expected a whole number from 1 to 1000"),
        ({"beam": True}, "beam is True; expected a whole number"),
        ({"beam": 2, "n_best": 3}, "n_best is 3 and beam 2"),
        ({"length_penalty": 1.0}, "length_penalty has no place here: with a beam of 1 there is nothing to rank"),
        ({"coverage_penalty": 0.2}, "coverage_penalty has no place here: with a beam of 1 there is nothing to rank"),
        ({"coverage_penalty": 0.2, "beam": 2}, "has no attention layer of Keras whose weights could be shown"),
        ({"length_penalty": -1.0, "beam": 2}, "length_penalty is -1.0; expected a number of at least 0"),
        ({"temperature": 0.5}, "temperature has no place here: nothing is drawn without sample"),
        ({"sample": True, "beam": 3}, "beam has no place here: a sampling draws each output by itself"),
        ({"sample": True, "temperature": 0.0}, "temperature is 0.0; expected a number above 0"),
        ({"sample": True, "top_p": 1.5}, "top_p is 1.5; expected a number above 0, at most 1"),
        ({"sample": True, "top_p": math.nan}, "top_p is nan; expected a number"),
        ({"min_length": 4}, "min_length is 4; expected less than max_length, which is 4"),
        ({"prefix": [7]}, "prefix has the id 7, and model has the ids 0 to 4"),
        ({"prefix": "a b"}, "prefix is 'a b'; expected ids, as model works on ids"),
        ({"prefix": [3, 3, 3, 3, 3]}, "prefix has 5 ids, and max_length is 4"),
        ({"beams": 3}, "decoding has no option 'beams'; did you mean 'beam'"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(model, options, words):
    with pytest.raises(DecodeError) as caught:
        api.decode(model, SOURCES, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_texts_have_a_text_as_their_prefix_and_its_unknown_tokens_are_named():
    texts = ["abc", "cab", "bca"] * 4
    spec = "vocab: {source: T, target: T}\nembed: 8\nencoder: gru(16)\ndecoder: gru(16)\ntokens: char\n"
    reader = api.build(spec, namespace={"T": texts})
    api.fit(reader, "source: T\ntarget: T\nepochs: 2", {"T": texts}, progress=lambda _: None)
    assert [text[:2] for text in api.decode(reader, texts[:3], prefix="ca")] == ["ca"] * 3
    found = api.decode(reader, "abc", beam=3, n_best=2, prefix="b")
    assert [one.output[0] for one in found.n_best[0]] == ["b", "b"]
    assert found.text == [found.n_best[0][0].output]
    with pytest.raises(DecodeError, match="prefix has x, not in the vocabulary of model"):
        api.decode(reader, "abc", prefix="ax")


def test_the_magic_takes_the_options_and_shows_the_scores(capsys):
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "s2s_magic")
        shell.run_cell("%config Seq2SeqMagics.display = 'text'\n")
        shell.user_ns["m"] = built(SMALL, seed=3)
        capsys.readouterr()
        shell.run_cell('%seq2seq decode m "3 4" --beam 3 --n-best 2 --length-penalty 1 --prefix 4')
        lines = capsys.readouterr().out.strip().splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("3 4  ->  4")
        assert lines[1].startswith("         4")
        assert all(float(line.split()[-1]) < 0 for line in lines)
        found = shell.run_line_magic("seq2seq", 'decode m "3 4" --sample --n-best 2 --seed 3 --top-k 3 --return')
        assert len(found.n_best[0]) == 2
        html = found._repr_mimebundle_()["text/html"]
        assert ["score" in html, html.count("<tr>")] == [True, 3]
        wrong = shell.run_cell('%seq2seq decode m "3 4" --temperature 2')
        assert isinstance(wrong.error_in_exec, DecodeError)
    finally:
        shell.run_line_magic("unload_ext", "s2s_magic")
        InteractiveShell.clear_instance()


def test_a_decoder_of_the_users_own_gives_ids_alone_and_is_searched_in_its_own_way_only():
    own = ended(api.trace(addons()))
    sources = [[3, 4, 5], [6, 7, 8]]
    found = api.decode(own, sources)
    assert found.scores == [None, None]
    with pytest.raises(DecodeError, match=r"decoded by the code's own drawn, .* cannot be searched in another way"):
        api.decode(own, sources, beam=2)


def test_the_defaults_are_the_greedy_search():
    assert read_settings({}).is_greedy
    assert read_settings({"beam": 1, "n_best": 1}).is_greedy
    assert not read_settings({"beam": 2}).is_greedy
