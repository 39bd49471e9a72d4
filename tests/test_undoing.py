"""Temporary changes are undone, wherever an exception occurs."""

import pytest

from interrupting import interrupted, places
from s2s_magic.undoing import Changes


class Owner:
    """Has a method, and the attributes that tests set."""

    def call(self):
        return "own"


def changed(owner, seen, body=lambda: None):
    with Changes() as changes, changes, changes:
        changes.replace(owner, "call", lambda: "first")
        changes.replace(owner, "call", lambda: "second")
        changes.replace(owner, "kept", 2)
        changes.undo_by(lambda: seen.append(owner.kept))
        body()
        return owner.call(), owner.kept


def test_an_attribute_is_put_back_as_it_was_or_taken_away():
    owner, seen = Owner(), []
    own = owner.__dict__["kept"] = object()
    assert changed(owner, seen) == ("second", 2)
    assert owner.__dict__ == {"kept": own}
    assert owner.call() == "own"
    assert seen == [2], "undone in reverse"


def test_what_the_body_raises_comes_out():
    def fail():
        raise ZeroDivisionError

    owner = Owner()
    with pytest.raises(ZeroDivisionError):
        changed(owner, [], fail)
    assert owner.__dict__ == {}


def test_an_undo_that_fails_keeps_no_other_from_being_done():
    def fail():
        raise ZeroDivisionError

    owner = Owner()
    with pytest.raises(ZeroDivisionError), Changes() as changes, changes:  # noqa: PT012
        changes.replace(owner, "call", None)
        changes.undo_by(fail)
        changes.replace(owner, "kept", None)
    assert owner.__dict__ == {}


@pytest.mark.parametrize("exception", [KeyboardInterrupt, MemoryError])
def test_an_exception_at_any_line_leaves_nothing(exception):
    owner = Owner()

    def call():
        return changed(owner, [])

    found = places(call, under="undoing.py")
    assert {place.function for place in found} >= {"replace", "undo", "undo_by", "_put_back", "__exit__"}
    for place in found:
        outcome = interrupted(call, place, exception)
        assert outcome.reached, place
        assert type(outcome.raised) is exception, place
        assert owner.__dict__ == {}, place


def test_a_second_interrupt_while_the_first_is_cleaned_up_leaves_nothing_either():
    owner = Owner()

    def call():
        waiting = [KeyboardInterrupt()]

        def interrupted_once():
            if waiting:
                raise waiting.pop()

        with Changes() as changes, changes, changes:
            changes.replace(owner, "call", None)
            changes.undo_by(interrupted_once)
            changes.replace(owner, "kept", None)
        return waiting

    def ended():
        with pytest.raises(KeyboardInterrupt):
            call()

    for place in places(ended, under="undoing.py"):
        outcome = interrupted(call, place, KeyboardInterrupt)
        assert isinstance(outcome.raised, KeyboardInterrupt), place
        assert owner.__dict__ == {}, place
