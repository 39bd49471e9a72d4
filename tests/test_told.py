"""Telling how an output is said: its probabilities, the tree of a beam, and two outputs side by side."""

import math

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from s2s_magic import api
from s2s_magic.decoded import Alignment
from s2s_magic.errors import DecodeError
from s2s_magic.told import Branch, SaidStep, Told, ToldDecoding
from s2s_magic.view.said_steps import told_html, told_text
from test_decoding import shaken

pytestmark = pytest.mark.once

SPEC = "vocab: 9\nembed: 4\nencoder: lstm(6)\ndecoder: lstm(6)\npadding: 0\nstart: 1\nend: 2\nmax_length: 5\n"
SOURCE = [3, 4, 5]


@pytest.fixture(scope="module", params=["attention: luong", "attention: luong\ninput_feeding: true", ""])
def model(request):
    return shaken(api.build(f"{SPEC}{request.param}\n"), seed=4)


def chances(model, source, fed):
    """Return what the training model says after each id that it is fed."""
    inputs = [np.array([source]), np.array([fed]), np.array([len(fed)])][: len(model.model.inputs)]
    return np.asarray(model.model(inputs), float)[0]


def number(token):
    return 2 if token == "end" else int(token)


@pytest.mark.parametrize("options", [{}, {"beam": 3, "n_best": 2}, {"beam": 2, "length_penalty": 1.0}])
def test_the_probabilities_are_those_of_the_training_model(model, options):
    (told,) = api.explain(model, decode=SOURCE, likely=3, **options).parts
    ids = [number(step.token) for step in told.steps]
    best = api.decode(model, [SOURCE], **options).ids[0]
    assert ids == [*best, 2][:5]
    expected = chances(model, SOURCE, [1, *ids[:-1]])
    for step, said, row in zip(told.steps, ids, expected, strict=True):
        assert step.probability == pytest.approx(row[said], abs=1e-5)
        assert [number(token) for token, _ in step.likely] == np.argsort(-row)[:3].tolist()
        np.testing.assert_allclose([chance for _, chance in step.likely], np.sort(row)[::-1][:3], atol=1e-5)
    assert told.source == ("3", "4", "5")
    assert len(told.alignments) == (1 if "attention" in model.source else 0)


def test_the_tree_has_the_hypotheses_of_each_step_and_marks_those_that_are_returned(model):
    (told,) = api.explain(model, decode=SOURCE, beam=3, n_best=2).parts
    paths: list[list[tuple[int, ...]]] = []
    for level in told.tree:
        assert 1 <= len(level) <= 3
        assert [branch.score for branch in level] == sorted((branch.score for branch in level), reverse=True)
        before = paths[-1] if paths else [()]
        paths.append([(*before[branch.parent or 0], number(branch.token)) for branch in level])
        for branch, ids in zip(level, paths[-1], strict=True):
            rows = chances(model, SOURCE, [1, *ids[:-1]])
            expected = sum(math.log(row[said]) for row, said in zip(rows, ids, strict=True))
            assert branch.score == pytest.approx(expected, abs=1e-4)
    found = [(*one.ids, 2)[:5] for one in api.decode(model, [SOURCE], beam=3, n_best=2).n_best[0]]
    for level, ids in zip(told.tree, paths, strict=True):
        for branch, path in zip(level, ids, strict=True):
            assert branch.kept == any(one[: len(path)] == path for one in found)
    assert any(found[0] == path for ids in paths for path in ids)


def test_another_source_and_a_prefix_are_told_side_by_side(model):
    plain, other = api.explain(model, decode=SOURCE, instead=[3, 4, 6]).parts
    assert (plain.source, other.source) == (("3", "4", "5"), ("3", "4", "6"))
    free, forced = api.explain(model, decode=SOURCE, prefix=[7]).parts
    assert free == plain
    assert forced.steps[0].token == "7"
    assert forced.note == "begins with 7"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"likely": 0}, "likely is 0; expected a whole number of at least 1"),
        ({"sample": True}, "leave 'sample' out"),
        ({"beem": 2}, "decoding has no option 'beem'; did you mean 'beam'?"),
    ],
)
def test_what_cannot_be_told_is_one_line(model, options, words):
    with pytest.raises(DecodeError) as caught:
        api.explain(model, decode=SOURCE, **options)
    assert words in str(caught.value)


def test_the_magic_tells_it_and_says_what_is_missing(model, capsys):
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    shell.user_ns["told_model"] = model
    result = shell.run_cell('told = %seq2seq explain told_model --decode "3 4 5" --instead "3 4 6" --beam 2 --return')
    assert result.success
    assert [part.source for part in shell.user_ns["told"].parts] == [("3", "4", "5"), ("3", "4", "6")]
    capsys.readouterr()
    shell.run_cell("%seq2seq explain told_model --decode '3 4 5' --likely 2")
    assert "3 4 5 becomes" in capsys.readouterr().out
    for line, words in {
        "explain told_model": "expected WHAT, --decode SOURCE or --follow SOURCE",
        "explain told_model embeddings --decode '3 4'": "give WHAT or --decode SOURCE, not both",
        "explain told_model --decode x": "no notebook variable 'x'",
    }.items():
        shell.run_cell(f"%seq2seq {line}")
        said = capsys.readouterr()
        assert words in said.out + said.err


TOLD = ToldDecoding((
    Told(
        "model",
        ("<", "\u05d0", "\u4e16"),
        (
            SaidStep("\u4e16", 0.75, (("\u4e16", 0.75), ("<b>", 0.2499), ("x", 0.0001))),
            SaidStep("end", 1.0, (("end", 1.0), ("x", 0.0))),
        ),
        (
            (Branch("\u4e16", -0.29, None, True), Branch("<b>", -1.39, None, False)),
            (Branch("end", -0.29, 0, True), Branch("x", -5.0, 1, False)),
        ),
        (Alignment("attention", ("<", "\u05d0", "\u4e16"), ("\u4e16", "end"), ((0.1, 0.2, 0.7), (1.0, 0.0, 0.0))),),
        "begins with \u4e16",
    ),
))  # fmt: skip


def test_it_is_shown_without_script_in_letters_of_any_kind(golden):
    page, text = told_html(TOLD), told_text(TOLD)
    golden("told.txt", text + "\n")
    assert "<script" not in page
    assert "<b>\u4e16" not in page
    assert page.count("<svg") == 2
    assert "&lt;b&gt;" in page
    assert "step 1, &lt;b&gt;: score -1.390; was cut" in page
    for words in ("75.0 %", "25.0 %", "&lt; 0.1 %", "begins with \u4e16"):
        assert words in page
