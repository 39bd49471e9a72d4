"""Questions about a model, chosen from all that its ledger can answer: predict, and then read why."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from s2s_magic.errors import LookupFailed
from s2s_magic.ledger.asking_calls import on_calls_again, on_creating, on_owners, on_states
from s2s_magic.ledger.asking_training import on_freezing, on_training
from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.question import Asked, Candidate, Question

_KINDS = (on_creating, on_owners, on_freezing, on_training, on_calls_again, on_states)


def ask(ledger: Ledger, questions: int = 5, seed: int = 0) -> tuple[Question, ...]:
    """Make questions about a ledger: the same for the same ledger and seed.

    Each kind of question is asked once before any is asked a second time, and of each kind the telling cases come
    first: shared layers, operations without variables, states that are passed on, what is frozen or gets no gradient,
    cells that own what a decoder's call creates.

    Parameters
    ----------
    ledger
        The records.
    questions
        How many to make at most; a small model has fewer.
    seed
        Which of the equally telling ones, and in which order their choices stand.

    Returns
    -------
    tuple of Question
        In the order of the code that they are about.

    Raises
    ------
    LookupFailed
        When the ledger has nothing to ask about, or ``questions`` is less than 1.
    """
    if questions < 1:
        raise LookupFailed(f"a quiz has at least 1 question, got {questions}")
    asked = Asked(ledger, Random(seed))
    waiting = [_in_order(asked, make(asked)) for make in _KINDS]
    found: list[Question] = []
    seen: set[str] = set()
    while any(waiting) and len(found) < questions:
        for candidates in waiting:
            question = _next(candidates, seen) if len(found) < questions else None
            if question is not None:
                found.append(question)
                seen.add(question.about)
    if not found:
        raise LookupFailed(f"{ledger.name} has nothing to ask about: no layer with variables was called")
    return tuple(sorted(found, key=lambda question: question.event))


def _in_order(asked: Asked, candidates: Iterator[Candidate]) -> list[Candidate]:
    """Return the candidates with the telling ones first, those alike in a drawn order."""
    drawn = [(not candidate.telling, asked.random.random(), candidate) for candidate in candidates]
    return [candidate for *_, candidate in sorted(drawn, key=lambda each: each[:2])]


def _next(candidates: list[Candidate], seen: set[str]) -> Question | None:
    """Take the first candidate that makes a question, among equally telling ones one about another layer if any."""
    while candidates:
        first = candidates[0].telling
        alike = (n for n, each in enumerate(candidates) if each.telling == first and each.about not in seen)
        if (question := candidates.pop(next(alike, 0)).make()) is not None:
            return question
    return None
