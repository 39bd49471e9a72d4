"""A question about a model as plain data, and what its makers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal

from s2s_magic.ledger.calls import AnyEvent, Called
from s2s_magic.ledger.gradient import Ways, ways
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import Record
from s2s_magic.ledger.words import at_step, one_line

MOST_CHOICES = 4


class Question(Record):
    """A question with its choices, of which exactly one is right.

    Attributes
    ----------
    kind
        What it asks: whether a call ``creates`` variables, which object is the ``owner`` of one, how many there are
        when a layer is called ``again``, what ``states`` bring along, whether a variable is ``trained``, or what
        ``freeze`` would change.
    about
        The name of the layer object that it is about.
    event
        The event that it is about.
    place, source
        Where that is (``line 8 · step 5``), and the expression.
    text
        The question.
    choices
        Two to four answers.
    answer
        The number of the right one, from 0.
    why
        The reason, with lines and steps.
    """

    kind: Literal["creates", "owner", "again", "states", "trained", "freeze"]
    about: str
    event: int
    place: str
    source: str
    text: str
    choices: tuple[str, ...]
    answer: int
    why: str


@dataclass(frozen=True)
class Candidate:
    """A question that may be asked; ``make`` returns None if the records do not decide its answer.

    ``telling`` cases come before the others; ``about`` is the layer object's name.
    """

    telling: bool
    about: str
    make: Callable[[], Question | None]


class Asked:
    """A ledger that is asked about, and the random numbers that order its questions."""

    def __init__(self, ledger: Ledger, random: Random) -> None:
        self.ledger = ledger
        self.random = random
        self.main = ledger.main_model

    @cached_property
    def ways(self) -> Ways | None:
        """The paths of the gradient through the main model."""
        return ways(self.ledger)

    @cached_property
    def remarked(self) -> set[str]:
        """The names of which a finding says that they are shared, tied, frozen, or not trained."""
        kinds = ("shared", "tied", "frozen", "no gradient", "not in the model", "untracked", "changed since compile")
        return {finding.about for finding in self.ledger.findings if finding.kind in kinds}

    @property
    def calls(self) -> Iterator[Called]:
        """The calls that the code made."""
        return (event for event in self.ledger.events if isinstance(event, Called) and event.via is None)

    def question(
        self, kind: str, event: AnyEvent, about: str, text: str, right: str, wrong: Sequence[str], why: Sequence[str]
    ) -> Question | None:
        """Put a question together, its choices in a drawn order; None if nothing wrong is left to choose from."""
        others = [choice for choice in dict.fromkeys(wrong) if choice != right][: MOST_CHOICES - 1]
        if not others:
            return None
        choices = [right, *others]
        self.random.shuffle(choices)
        return Question.model_validate(
            {
                "kind": kind,
                "about": about,
                "event": event.index,
                "place": at_step(event),
                "source": one_line(event.source),
                "text": text,
                "choices": tuple(choices),
                "answer": choices.index(right),
                "why": " ".join(why),
            }
        )
