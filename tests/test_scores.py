"""Metrics of texts, their intervals, and the differences that are shown: no model is needed."""

import json
import math
import os
import subprocess
import sys

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF, TER

from s2s_magic.scored import Bad, Score, Scored
from s2s_magic.scores.differences import closest, differences
from s2s_magic.scores.measures import Compared, measure, of_outputs, of_tokens
from s2s_magic.scores.resampling import intervals

OUTPUTS = ["the cat sat on the mat .", "there is a dog", "", "a b c d e", "it rains today in the north"]
REFERENCES = [
    "the cat sat on a mat .",
    "a dog is there",
    "nothing was said",
    "e d c b a",
    "today it rains in the north",
]
OTHERS = ["a cat was on the mat .", None, "silence", None, "in the north it rains today"]
ONE = Compared(OUTPUTS, [REFERENCES])
TWO = Compared(OUTPUTS, [REFERENCES, OTHERS])
KINDS = {"bleu": BLEU, "chrf": CHRF, "ter": TER}
EVERY = ("exact", "bleu", "chrf", "ter", "wer", "per")
texts = st.lists(st.sampled_from(["a", "b", "c", "."]), max_size=5).map(" ".join)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("compared", [ONE, TWO], ids=["one reference", "two"])
def test_a_metric_of_sacrebleu_has_its_value_and_its_signature(name, compared):
    theirs = KINDS[name]()
    expected = theirs.corpus_score(OUTPUTS, compared.references)
    ours = of_outputs(name, compared)
    assert ours.total == pytest.approx(expected.score)
    assert ours.signature == str(theirs.get_signature())
    one = KINDS[name](**({"effective_order": True} if name == "bleu" else {}))
    for row, output in enumerate(OUTPUTS):
        expected = one.sentence_score(output, compared.of_row(row)).score
        assert ours.of_row(ours.statistics[row]) == pytest.approx(expected)


@pytest.mark.parametrize("name", KINDS)
def test_an_interval_is_that_of_the_bootstrap_of_sacrebleu(name, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    theirs = KINDS[name]()
    expected = theirs.corpus_score(OUTPUTS, ONE.references, n_bootstrap=400)
    told = json.loads(expected.format(width=8, is_json=True, signature=str(theirs.get_signature())))
    ours = of_outputs(name, ONE, 400, 7)
    ((low, high),) = intervals([ours], 400, 7)
    assert (high - low) / 2 == pytest.approx(told["confidence_var"], rel=1e-5)
    assert low <= told["confidence_mean"] <= high
    assert ours.signature == str(theirs.get_signature())


def test_the_word_error_rate_is_that_of_jiwer_where_no_reference_is_empty():
    assert of_outputs("wer", ONE).total == pytest.approx(jiwer.wer(REFERENCES, OUTPUTS))


@pytest.mark.parametrize(("name", "second"), [("wer", "the mat on the dog"), ("per", "dog the on mat the")])
def test_a_rate_takes_the_reference_with_the_lowest_rate(name, second):
    compared = Compared(["the cat on the mat", "a"], [["the mat", "b"], [second, None]])
    expected = [[2, 5], [1, 1]] if name == "wer" else [[1, 5], [1, 1]]
    assert of_outputs(name, compared).statistics.tolist() == expected


def test_the_position_independent_error_rate_does_not_mind_the_order_of_words():
    """As in Popović and Ney, 2007: half of the difference in length and the differences in the count of each word."""
    found = of_outputs("per", ONE)
    rows = [found.of_row(one) for one in found.statistics]
    assert rows == pytest.approx([1 / 7, 0.0, 1.0, 0.0, 0.0])
    vocabulary = {word for text in (*OUTPUTS, *REFERENCES) for word in text.split()}
    total = 0.0
    for output, reference in zip(OUTPUTS, REFERENCES, strict=True):
        said, words = output.split(), reference.split()
        apart = sum(abs(said.count(word) - words.count(word)) for word in vocabulary)
        total += (abs(len(said) - len(words)) + apart) / 2
    assert found.total == pytest.approx(total / sum(len(text.split()) for text in REFERENCES))


def test_an_output_is_exact_if_it_equals_any_of_its_references():
    assert of_outputs("exact", Compared(["a", "b", "c"], [["a", "x", "y"], [None, "b", None]])).total == 2 / 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
def test_every_metric_of_any_texts_is_a_number_and_never_less_without_errors(pairs):
    outputs, references = zip(*pairs, strict=True)
    for one in measure(EVERY, Compared(outputs, [references]), None):
        assert math.isfinite(one.total)
        assert all(math.isfinite(one.of_row(row)) for row in one.statistics)
    for name in ("ter", "wer", "per"):
        assert of_outputs(name, Compared(outputs, [outputs])).total == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
def test_words_in_any_order_are_never_more_errors_than_words_in_order(pairs):
    outputs, references = zip(*pairs, strict=True)
    compared = Compared(outputs, [references])
    assert of_outputs("per", compared).total <= of_outputs("wer", compared).total + 1e-12


def test_outputs_and_references_that_are_all_empty_are_scored():
    found = {one.name: one.total for one in measure(EVERY, Compared(["", ""], [["", ""]]), None)}
    assert (found["exact"], found["ter"], found["wer"], found["per"]) == (1, 0, 0, 0)
    assert of_outputs("wer", Compared(["a", ""], [["", ""]])).total == 1


def test_the_perplexity_is_of_all_tokens_and_of_none_not_a_number():
    statistics = np.array([[2.0, 1, 2], [0.3, 4, 4], [0, 0, 0]])
    perplexity = of_tokens("perplexity", statistics)
    assert perplexity.total == pytest.approx(math.exp(2.3 / 6))
    assert math.isnan(perplexity.of_row(statistics[2]))
    assert of_tokens("token_accuracy", statistics).total == pytest.approx(5 / 6)
    assert of_tokens("perplexity", np.array([[1e5, 0, 1]])).total == math.inf


def test_the_same_seed_gives_the_same_intervals_and_one_row_gives_its_value():
    every = measure(EVERY, ONE, None)
    assert intervals(every, 100, 5) == intervals(every, 100, 5) != intervals(every, 100, 6)
    alone = measure(EVERY, Compared(OUTPUTS[:1], [REFERENCES[:1]]), None)
    assert intervals(alone, 10, 1) == [(one.total, one.total) for one in alone]


def test_an_interval_holds_the_true_rate_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    inside = 0
    for trial in range(100):
        right = random.random(200) < 0.3
        one = of_outputs("exact", Compared(["a"] * 200, [["a" if each else "b" for each in right]]))
        ((low, high),) = intervals([one], 200, trial)
        inside += low <= 0.3 <= high
    assert 88 <= inside <= 100


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12), st.booleans())
def test_the_pieces_of_a_difference_make_up_both_texts(output, reference, by_letter):
    pieces = differences(output, reference, by_letter=by_letter)

    def without(kind):
        return "".join(text for each, text in pieces if each != kind)

    for text, kind in ((output, "missing"), (reference, "added")):
        found, wanted = without(kind), text
        assert (found == wanted) if by_letter else (found.split() == wanted.split())


def test_a_letter_keeps_the_marks_that_combine_with_it():
    assert differences("e\u0301a", "ea", by_letter=True) == (("missing", "e"), ("added", "e\u0301"), ("same", "a"))


def test_the_closest_reference_is_the_one_with_most_words_in_order():
    assert closest("a b c", ["x y", "a b d", "c b a"]) == "a b d"


HOSTILE = '<script>alert("x")</script>\u202e\x1b[31m\nsecond'


def hostile():
    bad = Bad(
        3, HOSTILE, "שלום עולם", (HOSTILE, "你好"), {"exact": 0.0, "perplexity": math.nan}, differences(HOSTILE, "你好")
    )
    scores = {
        "exact": Score(0.5, 0.25, 0.75, "whole outputs", True),
        "perplexity": Score(math.nan, None, None, "", False),
    }
    return Scored("m<i>", 4, scores, (bad,), ("a", [1, 2]), (HOSTILE,))


def test_a_hostile_text_is_escaped_and_every_text_keeps_its_own_direction():
    html, text = hostile().display().html(), repr(hostile())
    assert "<script" not in html
    assert "\u202e" not in html + text
    assert "\x1b" not in html + text
    assert "m&lt;i&gt;" in html
    assert html.count("<bdi>") == 5  # source, output, difference, two references
    assert "[-你好-]" in text
    assert "<del" in html
    assert "<ins" in html
    assert "not a number" in text


def test_scores_become_json_without_numbers_that_json_does_not_have():
    document = json.loads(json.dumps(hostile().to_dict(), allow_nan=False))
    assert document["scores"]["exact"] == {
        "value": 0.5, "low": 0.25, "high": 0.75, "signature": "whole outputs", "higher_is_better": True,
    }  # fmt: skip
    assert document["scores"]["perplexity"]["value"] is None
    assert document["worst"][0]["values"]["perplexity"] is None
    assert document["outputs"] == ["a", [1, 2]]


def test_without_the_libraries_the_metrics_that_need_none_are_told():
    code = (
        "import sys; sys.modules['sacrebleu'] = None; sys.modules['jiwer'] = None\n"
        "from s2s_magic.scores.measures import check_installed\n"
        "check_installed(['exact', 'per', 'perplexity', 'token_accuracy'])\n"
        "try:\n    check_installed(['exact', 'bleu'])\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert found.stdout.startswith("SetupError bleu is computed by sacrebleu, which is not installed")
    assert 'pip install "s2s_magic[scores]"' in found.stdout
