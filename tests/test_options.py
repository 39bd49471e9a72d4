"""Parsing the line of a magic."""

import pytest

from s2s_magic.errors import UsageError
from s2s_magic.line_words import Quoted
from s2s_magic.options import HelpShown, help_text, parse_line
from s2s_magic.verbs import CELL_VERBS, VERBS, flags_of, prefix


def read(line, has_body=False):
    return parse_line(line, has_body=has_body)


def test_a_quoted_word_is_text_and_a_bare_word_is_a_name():
    _, options = read('decode dates "July 14, 1789"')
    assert options.source == "July 14, 1789"
    assert isinstance(options.source, Quoted)
    _, options = read("decode dates held_back --max-length 12")
    assert (options.source, options.max_length) == ("held_back", 12)
    assert not isinstance(options.source, Quoted)


def test_a_quoted_word_is_text_even_where_it_looks_like_an_option():
    _, options = read('decode dates "--return" --max-length 3')
    assert (options.source, options.wanted, options.max_length) == ("--return", False, 3)


@pytest.mark.parametrize(
    ("line", "has_body", "expected"),
    [
        ("inspct m", False, "unknown verb 'inspct'; did you mean 'inspect'?"),
        ("inspect m --aftr 3", False, "unknown option '--aftr'; did you mean '--after'?"),
        ("inspect m --aft 3", False, "unknown option '--aft'; did you mean '--after'?"),
        ("inspect m --after 3 --after 4", False, "--after is given twice"),
        ("inspect m --training --training", False, "--training is given twice"),
        ("inspect m --after x", False, "invalid int value: 'x'"),
        ("inspect", False, "required: NAME"),
        ("build 3x", True, "'3x' is not a name that Python can bind"),
        ("build class", True, "'class' is not a name"),
        ("fit m", False, "needs a cell body"),
        ("inspect m", True, "takes no cell body"),
        ("list m", False, "unrecognized arguments: m"),
        ('decode m "open', False, "a quotation mark is not closed"),
    ],
)
def test_a_wrong_line_says_what_is_wrong_and_the_nearest_right_thing(line, has_body, expected):
    with pytest.raises(UsageError) as caught:
        read(line, has_body)
    assert expected in str(caught.value)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_real_help_with_an_example(verb):
    with pytest.raises(HelpShown) as shown:
        read(f"{verb} --help", has_body=verb in CELL_VERBS)
    text = str(shown.value)
    assert "example:" in text
    assert f"{prefix(verb)} {verb}" in text
    assert all(flag in text for flag in flags_of(verb))
    told = ("padding:" in text, "epochs:" in text, "bootstrap:" in text)
    assert told == (verb == "build", verb == "fit", verb == "score")


def test_the_overview_has_every_verb():
    assert all(f"{prefix(verb)} {verb}" in help_text() for verb in VERBS)


def test_a_line_without_a_verb_gets_a_short_guide_whose_lines_can_be_parsed():
    with pytest.raises(HelpShown) as shown:
        read("")
    guide = str(shown.value)
    assert len(guide.splitlines()) <= 24
    assert max(map(len, guide.splitlines())) <= 100
    lines = [line.strip().split("  ")[0] for line in guide.splitlines() if line.strip().startswith("%")]
    assert len(lines) == 6
    for line in lines:
        read(line.lstrip("%").removeprefix("seq2seq "), has_body=line.startswith("%%"))
