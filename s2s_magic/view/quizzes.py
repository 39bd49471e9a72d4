"""Render a quiz: as a page that needs no script, and as text with the answers below."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from s2s_magic.ledger.question import Question
from s2s_magic.ledger.words import counted
from s2s_magic.view.bundles import Display, next_number
from s2s_magic.view.html.markup import Markup, asset, empty, styled, tag
from s2s_magic.view.text import WIDTH, cut, joined

HOW = "One choice is right in each. Choose what you expect, then open the answer."


@dataclass(frozen=True, eq=False, repr=False)
class QuizDisplay(Display):
    """The display of a quiz; ``questions`` are its data."""

    questions: tuple[Question, ...] = ()


def show_quiz(name: str, questions: Sequence[Question]) -> QuizDisplay:
    """Return the display of questions about the model of a name."""
    number = next_number()
    return QuizDisplay(
        lambda: quiz_text(name, questions),
        lambda: styled(_title(name, questions), quiz_html(name, questions, number=number)),
        questions=tuple(questions),
    )


def quiz_text(name: str, questions: Sequence[Question], *, width: int = WIDTH) -> str:
    """Render a quiz as text: the questions, and below them the answers."""
    lines = [f"QUIZ ON {name}: {counted(len(questions), 'question')}. The answers are below."]
    for number, question in enumerate(questions, 1):
        lines += ["", f"{number}. {cut(f'{question.place}: {question.source}', width - 4)}"]
        lines += textwrap.wrap(question.text, width, initial_indent="   ", subsequent_indent="   ")
        for letter, choice in zip(ascii_lowercase, question.choices, strict=False):
            lines += textwrap.wrap(choice, width, initial_indent=f"   {letter}) ", subsequent_indent="      ")
    lines += ["", "ANSWERS"]
    for number, question in enumerate(questions, 1):
        said = f"{number}. {_right(question)}. {question.why}"
        lines += textwrap.wrap(said, width, subsequent_indent="   ")
    return joined(lines)


def quiz_html(name: str, questions: Sequence[Question], *, number: int = 0) -> Markup:
    """Render the questions of a quiz as HTML, to stand in a fragment that has the stylesheet of reports.

    ``number`` distinguishes several quizzes in one document.
    """
    asked = f"{name} {number} {[question.text for question in questions]}"
    uid = f"q{hashlib.sha256(asked.encode(errors='replace')).hexdigest()[:8]}"
    return tag(
        "div",
        tag("style", Markup(asset("quiz.css"))),
        tag("p", HOW),
        *(_question(question, f"{uid}-{place}", place) for place, question in enumerate(questions, 1)),
        tag("p", role="status", class_="s2s-score"),
        tag("script", Markup(f"({asset('quiz.js')})({uid!r});")),
        class_="s2s-quiz",
        id=uid,
    )


def _title(name: str, questions: Sequence[Question]) -> Markup:
    title = tag("div", f"Quiz on {name}", class_="s2s-name", role="heading", aria_level=2)
    return tag("div", title, tag("div", counted(len(questions), "question"), class_="s2s-small"), class_="s2s-title")


def _question(question: Question, uid: str, place: int) -> Markup:
    choices = []
    for number, choice in enumerate(question.choices):
        kind = "s2s-hit" if number == question.answer else "s2s-miss"
        radio = empty("input", type="radio", name=uid, id=f"{uid}-{number}", class_=kind)
        letter = tag("span", f"{ascii_lowercase[number]})", class_="s2s-letter")
        choices.append(
            tag("div", radio, tag("label", letter, " ", choice, for_=f"{uid}-{number}"), class_="s2s-choice")
        )
    verdicts = [
        tag("p", tag("b", f"{sign} {said}"), class_=f"s2s-said s2s-said-{kind}")
        for kind, sign, said in (("hit", "✓", "You were right."), ("miss", "✗", "Not quite."))
    ]
    return tag(
        "fieldset",
        tag("legend", f"{place}. {question.text}"),
        tag("div", question.place, class_="s2s-small"),
        tag("pre", tag("code", question.source), class_="s2s-expression"),
        tag("div", *choices, class_="s2s-choices"),
        tag(
            "details",
            tag("summary", "The answer"),
            *verdicts,
            tag("p", tag("b", _right(question))),
            tag("p", question.why),
        ),
        class_="s2s-question",
    )


def _right(question: Question) -> str:
    return f"{ascii_lowercase[question.answer]}) {question.choices[question.answer]}"
