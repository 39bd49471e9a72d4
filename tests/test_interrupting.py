"""The helper that interrupts the package at any line works."""

import pytest

from interrupting import PACKAGE, interrupted, places
from s2s_magic.errors import UsageError, nearest
from s2s_magic.options import parse_line, words


def test_every_line_that_runs_is_a_place_and_each_can_be_interrupted():
    def call():
        return parse_line("inspect m --after 3", has_body=False)

    found = places(call)
    source = (PACKAGE / "options.py").read_text().split("\n")
    texts = {source[place.line - 1].strip() for place in found if place.file == "options.py"}
    assert {
        "given = words(line)",
        "return verb, read",
        "lexer = shlex.shlex(line, posix=False, punctuation_chars=False)",
    } <= texts
    assert len(found) > 40
    assert any(place.hit > 1 for place in found)
    for exception in (KeyboardInterrupt, MemoryError):
        for place in found:
            outcome = interrupted(call, place, exception)
            assert outcome.reached
            assert type(outcome.raised) is exception, place
    assert call()[0] == "inspect"


def test_a_handler_and_the_way_out_of_it_are_places_too():
    def call():
        with pytest.raises(UsageError):
            words('"not closed')

    lines = {place.line for place in places(call, under="options.py")}
    source = (PACKAGE / "options.py").read_text().split("\n")
    assert any("except ValueError" in source[line - 1] for line in lines)


def test_a_place_that_is_not_reached_is_told_from_one_that_is():
    (first, *_) = places(lambda: nearest("a", ["b"]))
    outcome = interrupted(lambda: 7, first)
    assert (outcome.reached, outcome.raised, outcome.value) == (False, None, 7)
