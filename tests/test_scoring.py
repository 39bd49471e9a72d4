"""Scores of real models: what is decoded and measured, beside Keras's own numbers; faults; what stays unchanged."""

import math
import random as python_random
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell
from sacrebleu.metrics import BLEU

import s2s_magic
from interrupting import interrupted, places
from models import by_hand_in_keras
from plainly import COMPILED, NAMES, TAGGER, traced
from s2s_magic import api
from s2s_magic.completion import candidates
from s2s_magic.errors import DataError, DecodeError, SpecError
from test_decoding import shaken

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0)
X = numbers.integers(3, 12, size=(24, 5))
Y = numbers.integers(3, 12, size=(24, 4))
RAGGED = [numbers.integers(3, 12, size=size).tolist() for size in (3, 1, 6, 3, 2, 6)]
WORDS = ["".join(numbers.choice(list("abcd"), size=size)) for size in numbers.integers(1, 6, 30)]
BACK = [word[::-1] for word in WORDS]
EVERY = "metrics: [exact, bleu, chrf, ter, token_accuracy, perplexity, wer, per]\n"
IDS = "vocab: 12\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\n"
PADDED = IDS + "padding: 0\nstart: 1\nend: 2\n"
LETTERS = (
    "vocab: {source: WORDS, target: BACK}\nembed: 4\nencoder: gru(8)\ndecoder: gru(8)\ntokens: char\nmax_length: 8\n"
)


@cache
def over_ids():
    return shaken(api.build(IDS))


@cache
def over_letters():
    return shaken(api.build(LETTERS, namespace={"WORDS": WORDS, "BACK": BACK}))


def scored(model, body, **names):
    return s2s_magic.score(model, body, names)


def of_ids(body="", model=None, **names):
    return scored(model or over_ids(), f"source: X\ntarget: Y\n{body}", **{"X": X, "Y": Y, **names})


def of_letters(body="", **names):
    return scored(over_letters(), f"source: W\ntarget: B\n{body}", **{"W": WORDS, "B": BACK, **names})


def evaluated(model, source, target, start):
    """Return the loss that Keras gives on rows of one length."""
    given = [source, np.c_[np.full((len(target), 1), start), target[:, :-1]], np.full(len(target), target.shape[1])]
    return model.model.evaluate(given[: len(model.model.inputs)], target, verbose=0)


def test_the_outputs_are_those_of_decode_and_bleu_that_of_sacrebleu_on_them():
    found = of_letters(EVERY)
    assert list(found.outputs) == api.decode(over_letters(), WORDS)
    assert found.scores["bleu"].value == pytest.approx(BLEU().corpus_score(list(found.outputs), [BACK]).score)
    assert "tok:13a" in found.scores["bleu"].signature
    assert found.scores["exact"].value == np.mean([o == b for o, b in zip(found.outputs, BACK, strict=True)])
    assert found.rows == 30
    assert all(one.low <= one.value <= one.high for name, one in found.scores.items() if name in ("exact", "per"))


def test_ids_are_words_that_no_metric_splits_and_this_is_said():
    found = of_ids(EVERY)
    outputs = [" ".join(map(str, row)) for row in api.decode(over_ids(), X)]
    references = [" ".join(map(str, row)) for row in Y]
    assert found.outputs == tuple(api.decode(over_ids(), X))
    expected = BLEU(tokenize="none").corpus_score(outputs, [references])
    assert found.scores["bleu"].value == pytest.approx(expected.score)
    assert "tok:none" in found.scores["bleu"].signature
    assert "each id is a word" in " ".join(found.notes)


@pytest.mark.parametrize("code", [IDS, IDS + "code: keras\n", "traced"], ids=["spec", "keras", "by hand"])
def test_perplexity_is_the_exponential_of_the_loss_that_keras_evaluates(code):
    model = shaken(api.trace(by_hand_in_keras(12, 4, 8)) if code == "traced" else api.build(code))
    if code == "traced":
        model.model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    found = of_ids("metrics: [perplexity, token_accuracy]\n", model)
    loss = np.ravel(evaluated(model, X, Y, start=0))[0]
    assert found.scores["perplexity"].value == pytest.approx(math.exp(loss), rel=1e-5)
    given = [X, np.c_[np.zeros((24, 1)), Y[:, :-1]], np.full(24, 4)][: len(model.model.inputs)]
    right = np.asarray(model.model.predict(given, verbose=0)).argmax(-1) == Y
    assert found.scores["token_accuracy"].value == pytest.approx(right.mean())


def test_logits_have_the_perplexity_of_the_loss_that_reads_them():
    code = by_hand_in_keras(12, 4, 8).replace(', activation="softmax"', "")
    loss = "model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))\n"
    model = shaken(api.trace(code + loss))
    expected = math.exp(evaluated(model, X, Y, start=0))
    assert of_ids("metrics: perplexity\n", model).scores["perplexity"].value == pytest.approx(expected, rel=1e-5)


def test_padding_counts_in_no_token_and_the_end_does():
    """Rows of any lengths, padded: the loss that excludes padding is the mean of each batch, here of one."""
    model = shaken(api.build(PADDED))
    found = of_ids("metrics: [perplexity, token_accuracy]\nworst: 0\n", model, X=RAGGED, Y=RAGGED)
    longest = max(map(len, RAGGED)) + 1
    target = np.array([row + [2] + [0] * (longest - 1 - len(row)) for row in RAGGED])
    source = np.array([row + [0] * (longest - 1 - len(row)) for row in RAGGED])
    lengths = np.array([len(row) + 1 for row in RAGGED])
    given = [source, np.c_[np.full((6, 1), 1), target[:, :-1]], lengths][: len(model.model.inputs)]
    loss, accuracy = model.model.evaluate(given, target, batch_size=6, verbose=0)
    assert found.scores["perplexity"].value == pytest.approx(math.exp(loss), rel=1e-5)
    assert found.scores["token_accuracy"].value == pytest.approx(accuracy, rel=1e-5)


def test_what_the_mask_of_an_embedding_leaves_out_counts_in_no_token():
    code = by_hand_in_keras(12, 4, 8).replace("Embedding(12, 4)", "Embedding(12, 4, mask_zero=True)")
    model = shaken(api.trace(code + "model.compile('adam', 'sparse_categorical_crossentropy')\n"))
    target = Y.copy()
    target[:12, 2:] = 0
    decoder = np.c_[np.full((24, 1), 1), target[:, :-1]]
    decoder[:12, 2:] = 0
    found = of_ids("metrics: perplexity\ninputs: {source_ids: X, target_ids: D}\n", model, Y=target, D=decoder)
    losses = -np.log(np.take_along_axis(model.model.predict([X, decoder], verbose=0), target[..., None], -1))[..., 0]
    expected = math.exp(losses[decoder != 0].mean())
    assert found.scores["perplexity"].value == pytest.approx(expected, rel=1e-4)


def test_of_several_references_each_metric_of_outputs_takes_all_and_those_of_tokens_the_first():
    outputs = [output or "-" for output in api.decode(over_letters(), WORDS)]
    found = scored(over_letters(), "source: W\ntarget: [B, O]\n" + EVERY, W=WORDS, B=BACK, O=outputs)
    alone = of_letters(EVERY)
    assert found.scores["exact"].value >= 1.0 - outputs.count("-") / 30
    assert found.scores["bleu"].signature.startswith("nrefs:2")
    assert found.scores["perplexity"] == alone.scores["perplexity"]
    assert "token_accuracy and perplexity: of the first reference, B" in found.notes
    assert {bad.output for bad in found.worst} <= {""}


def test_an_empty_text_in_a_further_variable_is_no_reference():
    with_none = scored(
        over_letters(), "source: W\ntarget: [B, N]\nmetrics: [bleu, wer, per, exact]", W=WORDS, B=BACK, N=[""] * 30
    )
    alone = of_letters("metrics: [bleu, wer, per, exact]")
    values = [{name: one.value for name, one in each.scores.items()} for each in (with_none, alone)]
    assert values[0] == values[1]


def test_the_worst_outputs_come_first_and_are_wrong():
    found = of_letters("metrics: [chrf, perplexity]\nworst: 5\n")
    assert len(found.worst) == 5
    values = [bad.values["chrf"] for bad in found.worst]
    assert values == sorted(values)
    every = of_letters("metrics: chrf\nworst: 100\n").worst
    assert values[-1] <= min(bad.values["chrf"] for bad in every[5:])
    for bad in found.worst:
        assert (bad.source, bad.output, bad.references) == (WORDS[bad.row], found.outputs[bad.row], (BACK[bad.row],))
        assert "".join(text for kind, text in bad.differences if kind != "missing") == bad.output


def test_the_same_seed_gives_the_same_result_and_options_search_as_those_of_decode():
    once, again = (of_letters(EVERY + "bootstrap: 50\nseed: 3\nbeam: 3\nlength_penalty: 1\n") for _ in range(2))
    assert once.to_dict() == again.to_dict()
    assert list(once.outputs) == api.decode(over_letters(), WORDS, beam=3, length_penalty=1)
    drawn = of_letters("metrics: exact\nsample: true\nseed: 3\nbootstrap: 0\n")
    assert list(drawn.outputs) == api.decode(over_letters(), WORDS, sample=True, seed=3)
    assert drawn.scores["exact"].low is None
    assert "interval" not in repr(drawn)


def state(model):
    """Return all that a score might change."""
    optimizer = model.model.optimizer
    return [
        *(np.array(v) for v in model.model.get_weights()),
        *(np.array(v) for v in (optimizer.variables() if callable(optimizer.variables) else optimizer.variables)),
        repr(model.history),
        repr(model.ledger.to_dict()),
        repr((model.fitted and model.fitted.longest, model.ids, model.tokenizers)),
        np.random.get_state()[1].copy(),
        repr(python_random.getstate()),
    ]


def assert_same(before, after):
    assert [
        number for number, (one, other) in enumerate(zip(before, after, strict=True)) if not np.array_equal(one, other)
    ] == []


def test_a_score_changes_nothing_of_the_model_and_no_random_numbers():
    model = api.build(IDS.replace("gru(8)", "gru(8, dropout=0.5)"))
    names = {"X": X, "Y": Y}
    api.fit(model, "source: X\ntarget: Y\n", names, progress=lambda progress: None)
    api.current_ledger(model)
    tf.random.set_seed(5)
    expected = tf.random.uniform([3]).numpy()
    for search in ("", "sample: true\n", "beam: 2\n"):
        tf.random.set_seed(5)
        before = state(model)
        s2s_magic.score(model, "source: X\ntarget: Y\n" + EVERY + search, names)
        assert_same(before, state(model))
        assert np.array_equal(tf.random.uniform([3]).numpy(), expected)


@pytest.mark.parametrize(
    ("body", "place", "expected"),
    [
        ("source: Xs\ntarget: Y", (1, 9), "there is no variable 'Xs'; did you mean 'X'?"),
        ("source: X\ntarget: [Y, Yy]", (2, 13), "there is no variable 'Yy'; did you mean 'Y'?"),
        ("source: X\ntarget: S", (2, 9), "S has 3 rows, and the source X 24: give a reference for each"),
        ("source: X\ntarget: [Y, S]", (2, 13), "S has 3 rows"),
        ("source: E\ntarget: E", (1, 9), "E holds no rows to score"),
        ("source: X\ntarget: T\nmetrics: exact", (2, 9), "T holds text, and model writes ids: give rows of ids"),
        ("source: T\ntarget: Y\nmetrics: exact", (1, 9), "hold text, and model reads ids"),
        ("source: H\ntarget: Y\nmetrics: exact", (1, 9), "is id 99, outside the vocabulary of 12"),
        ("source: X\ntarget: H", (2, 9), "H for the target: row 0, position 0 (both from 0) is id 99"),
        ("source: X\ntarget: Y\nbeam: 0", (3, 7), "beam is 0; expected a whole number from 1"),
        ("source: X\ntarget: Y\nbeam: 99", (3, 7), "beam is 99; expected at most the 12 symbols"),
        ("source: X\ntarget: Y\nlength_penalty: 1", (3, 17), "with a beam of 1 there is nothing to rank"),
        ("source: X\ntarget: Y\nmax_length: 0", (3, 13), "max_length is 0; expected a whole number"),
        ("source: X\ntarget: Y\nprefix: [99]", (3, 9), "prefix has the id 99"),
        ("source: X\ntarget: Y\nend: no", (3, 6), "model works on ids: expected a whole number"),
        ("source: X\ntarget: Y\nmodel: other", (3, 8), "other"),
    ],
)
def test_a_fault_is_told_with_its_place_and_a_remedy(body, place, expected):
    names = {"X": X, "Y": Y, "S": Y[:3], "E": [], "T": ["a"] * 24, "H": np.full((24, 3), 99)}
    with pytest.raises(DataError) as caught:
        s2s_magic.score(over_ids(), body, names)
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == place
    assert expected in fault.message


@pytest.mark.parametrize(
    ("body", "place", "expected"),
    [
        ("target: Y", (1, 1), "the key 'source' is missing: expected for instance 'source: X'"),
        ("source: X\ntarget: Y\nmetrics: blue", (3, 10), "got 'blue'; did you mean 'bleu'?"),
        ("source: X\ntarget: Y\nmetrics: [exact, exact]", (3, 18), "'exact' stands here a second time"),
        ("source: X\ntarget: []", (2, 9), "an empty list"),
        ("source: X\ntarget: {a: Y}", (2, 9), "expected"),
        ("source: X\ntarget: Y\nbootstrap: -1", (3, 12), "expected a whole number from 0 to 100,000"),
        ("source: X\ntarget: Y\nbeem: 3", (3, 1), "unknown key 'beem'; did you mean 'beam'?"),
        ("source: X\ntarget: Y\nbeam: wide", (3, 7), "expected a number, got 'wide'"),
        ("source: X\ntarget: Y\nprefix: {a: 1}", (3, 9), "expected a text, or ids such as [3, 7]"),
    ],
)
def test_a_body_that_cannot_be_read_is_told_with_its_place(body, place, expected):
    with pytest.raises(SpecError) as caught:
        s2s_magic.score(over_ids(), body, {"X": X, "Y": Y})
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == place
    assert expected in fault.message


def test_a_model_with_weights_that_are_not_numbers_is_scored_and_this_is_said():
    model = api.build(IDS)
    for variable in model.model.weights:
        variable.assign(np.full(variable.shape, np.nan))
    found = of_ids(EVERY, model)
    assert math.isnan(found.scores["perplexity"].value)
    assert "not finite are weights of" in " ".join(found.notes)
    assert found.to_dict()["scores"]["perplexity"]["value"] is None
    assert "not a number" in repr(found)


def test_one_row_and_outputs_cut_before_their_reference_ends_are_scored():
    model = shaken(api.build(PADDED), seed=3)
    found = of_ids(EVERY + "max_length: 1\n", model, X=X[:1], Y=Y[:1])
    assert len(found.outputs[0]) <= 1
    assert found.scores["per"].low == found.scores["per"].value == found.scores["per"].high
    long = of_ids("metrics: exact\nmax_length: 1\nmin_length: 0\n", model)
    assert f"{sum(len(row) == 1 for row in long.outputs)} of 24 outputs did not end by max_length, 1" in " ".join(
        long.notes
    )


def test_empty_outputs_and_empty_references_are_scored():
    model = over_letters()
    with pytest.warns(UserWarning, match="empty"):
        found = scored(model, "source: W\ntarget: B\n" + EVERY, W=["a", "b"], B=["", "ab"])
    assert math.isfinite(found.scores["wer"].value)
    end = api.build(LETTERS, namespace={"WORDS": WORDS, "BACK": BACK})
    for variable in end.model.weights:
        variable.assign(np.zeros(variable.shape))
    bias = end.model.weights[-1]
    bias.assign(np.eye(bias.shape[0])[2] * 9.0)
    found = scored(end, "source: W\ntarget: B\n" + EVERY, W=["a", "b"], B=["a", "ab"])
    assert found.outputs == ("", "")
    assert found.scores["wer"].value == 1.0
    assert "output:     nothing" in repr(found)


OWN_PAIR = """
encoder_model = keras.Model(source_ids, [memory, carry])
h, c, said = keras.Input([8]), keras.Input([8]), keras.Input([None], dtype="int32")
step, *states = writer(words(said), initial_state=[h, c])
decoder_model = keras.Model([said, h, c], [head(step), *states])
model = keras.Model([source_ids, target_ids], [chances, keras.layers.Dense(1)(read)])
model.compile("adam", ["sparse_categorical_crossentropy", None])
"""


def test_where_tokens_cannot_be_scored_their_metrics_are_left_out_unless_asked_for():
    code = by_hand_in_keras(12, 4, 8).replace("return_sequences=True)", "return_sequences=True, return_state=True)")
    code = code.replace("written = writer", "written, *_ = writer").replace("chances = keras", "head = keras")
    code = code.replace("(written)\n", "\nchances = head(written)\n")
    model = shaken(api.trace(code + OWN_PAIR))
    found = of_ids("max_length: 4\n", model)
    assert list(found.scores) == ["exact"]
    assert "no token_accuracy and perplexity: model has no single output" in found.notes[0]
    with pytest.raises(DataError, match=r"line 3, column 18: model has no single output .*: leave out perplexity"):
        of_ids("metrics: [exact, perplexity]\n", model)


def test_an_interrupt_is_raised_again_and_changes_nothing():
    model = shaken(api.build(IDS), seed=4)
    model.model.compile("adam", "sparse_categorical_crossentropy")

    def score():
        return of_ids(EVERY + "bootstrap: 20\n", model)

    for under in ("scoring.py", "scores", "training/forcing.py", "decoding/inference.py"):
        every = places(score, under=under, hits=1, warm=False)
        before = state(model)
        for place in every[:: max(1, len(every) // 4)]:
            outcome = interrupted(score, place, KeyboardInterrupt)
            assert outcome.reached
            assert isinstance(outcome.raised, KeyboardInterrupt)
            assert_same(before, state(model))


@pytest.fixture
def notebook():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    shell.push({"small": over_ids(), "X": X, "Y": Y})
    yield shell
    shell.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()


def test_the_magic_shows_the_scores_or_returns_them(notebook, capsys):
    result = notebook.run_cell("%%seq2seq score small\nsource: X\ntarget: Y\nmetrics: [bleu, exact]")
    result.raise_error()
    assert result.result is None
    assert "scored on 24 rows" in capsys.readouterr().out
    result = notebook.run_cell("%%seq2seq score small --return\nsource: X\ntarget: Y\nmetrics: [bleu, exact]")
    assert list(result.result.scores) == ["bleu", "exact"]
    assert set(result.result._repr_mimebundle_()) == {"text/plain", "text/markdown", "text/html"}
    with pytest.raises(SpecError) as caught:
        notebook.run_cell("%%seq2seq score small\nsource: X\ntarget: Y\nmetrics: blue").raise_error()
    assert caught.value.faults[0].line == 4


def test_the_keys_and_metrics_of_a_body_are_completed(notebook):
    def offered(text):
        return candidates(text, lambda: notebook.user_ns)

    assert {"metrics: ", "bootstrap: ", "beam: "} <= set(offered("%%seq2seq score small\n"))
    assert {"bleu", "per"} <= set(offered("%%seq2seq score small\nmetrics: ["))
    assert "X" in offered("%%seq2seq score small\nsource: ")
    assert list(over_ids().models) == offered("%%seq2seq score small\nmodel: ")


def test_the_tokens_of_a_model_that_cannot_be_decoded_are_scored_without_outputs():
    model = traced(TAGGER + COMPILED)
    scored = s2s_magic.score(model, "source: X\ntarget: Y\nmetrics: [token_accuracy, perplexity]", NAMES)
    loss, accuracy = model.model.evaluate(NAMES["X"], NAMES["Y"], verbose=0), scored.scores["token_accuracy"].value
    assert scored.scores["perplexity"].value == pytest.approx(np.exp(np.ravel(loss)[0]), rel=1e-5)
    guessed = model.model.predict(NAMES["X"], verbose=0).argmax(-1)
    assert accuracy == pytest.approx((guessed == NAMES["Y"]).mean())
    assert scored.outputs == ()
    assert "no outputs: model cannot be decoded" in repr(scored)
    with pytest.raises(DecodeError):
        s2s_magic.score(model, "source: X\ntarget: Y\nmetrics: [exact, perplexity]", NAMES)


def test_a_warning_names_the_score_and_the_line_of_the_body():
    names = {"X": ["ab", "ba"] * 4, "held": ["az"], "wanted": ["az"]}
    model = s2s_magic.build("vocab: X\ntokens: char\nembed: 2\nencoder: gru(2)\ndecoder: gru(2)", namespace=names)
    with pytest.warns(UserWarning, match="not in the vocabulary") as warned:
        s2s_magic.score(model, "source: held\ntarget: wanted\nmetrics: [perplexity]\nbootstrap: 0", names)
    places = [(each.filename, each.lineno) for each in warned if "vocabulary" in str(each.message)]
    assert places == [("score model", 1), ("score model", 2)]
