"""A quiz in a real browser: with the mouse, with the keyboard alone, with scripts and without."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import grave
from ledgers import translator_ledger
from s2s_magic.ledger.asking import ask
from s2s_magic.view import report, to_html

pytestmark = pytest.mark.browser

LEDGER = translator_ledger()
QUESTIONS = ask(LEDGER, 5)


@pytest.fixture
def quiz_page(chrome, tmp_path: Path) -> Iterator:
    """Give a function that opens a page with its quiz unfolded."""
    opened = []

    def open_it(*, scripts: bool = True, **options):
        context = chrome.new_context(java_script_enabled=scripts, **options)
        opened.append(context)
        page = context.new_page()
        path = tmp_path / "quiz.html"
        path.write_text(to_html(report(LEDGER), page=True, quiz=QUESTIONS), encoding="utf-8")
        page.goto(path.as_uri())
        assert not page.locator(".s2s-quiz").is_visible()
        page.get_by_text("Quiz", exact=True).click()
        return page

    yield open_it
    for context in opened:
        context.close()


def wait_for_score(page, text: str) -> None:
    """Wait until the score says this: a browser tells of an opened answer a moment later."""
    page.locator(".s2s-score", has_text=text).wait_for()
    assert page.get_by_role("status").inner_text() == text


def answer(page, number: int, *, rightly: bool) -> None:
    """Choose for a question, and open its answer."""
    group = page.locator(".s2s-question").nth(number)
    right = QUESTIONS[number].answer
    group.locator("label").nth(right if rightly else (right + 1) % len(QUESTIONS[number].choices)).click()
    group.locator("summary").click()


@pytest.mark.parametrize("scripts", [True, False])
def test_nothing_tells_the_answer_before_it_is_opened(quiz_page, scripts):
    page = quiz_page(scripts=scripts)
    for number, question in enumerate(QUESTIONS):
        group = page.locator(".s2s-question").nth(number)
        for label in group.locator("label").all():
            label.click()
            assert label.evaluate("e => getComputedStyle(e, '::after').content") in ("none", "normal")
        assert question.why not in group.inner_text()


@pytest.mark.parametrize("scripts", [True, False])
def test_an_opened_answer_says_in_words_whether_the_choice_was_right(quiz_page, scripts):
    page = quiz_page(scripts=scripts)
    answer(page, 0, rightly=True)
    answer(page, 1, rightly=False)
    groups = [page.locator(".s2s-question").nth(number) for number in range(2)]
    assert "✓ You were right." in groups[0].inner_text()
    assert "✗ Not quite." in groups[1].inner_text()
    assert "Not quite" not in groups[0].inner_text()
    for group, question in zip(groups, QUESTIONS, strict=False):
        assert question.why in group.inner_text()
        right = group.locator("label").nth(question.answer)
        assert "right" in right.evaluate("e => getComputedStyle(e, '::after').content")


def test_the_score_counts_each_question_once(quiz_page):
    page = quiz_page()
    wait_for_score(page, "0 right, 5 to go")
    said = ("1 of 1 right, 4 to go", "1 of 2 right, 3 to go", "2 of 3 right, 2 to go", "3 of 4 right, 1 to go")
    for number, text in enumerate((*said, "4 of 5 right")):
        answer(page, number, rightly=number != 1)
        wait_for_score(page, text)
    for _ in range(2):
        page.locator(".s2s-question summary").first.click()
        page.wait_for_timeout(200)
    wait_for_score(page, "4 of 5 right")
    assert page.locator(".s2s-question input:enabled").count() == 0


def test_each_opened_answer_says_how_the_score_stands(quiz_page):
    """A notebook's outputs may be in one long frame, at whose end the score would be out of sight."""
    page = quiz_page()
    for number in range(3):
        answer(page, number, rightly=number != 1)
        page.locator(".s2s-standing").nth(number).wait_for()
    standing = page.locator(".s2s-standing").all_inner_texts()
    assert standing == ["1 of 1 right, 4 to go", "1 of 2 right, 3 to go", "2 of 3 right, 2 to go"]


def test_a_notebook_does_not_get_the_keys_that_choose(quiz_page):
    page = quiz_page()
    page.evaluate("document.addEventListener('keydown', event => { document.title += event.key })")
    choices = page.locator(".s2s-question").first.locator("input")
    choices.first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    assert choices.nth(1).is_checked()
    assert "Arrow" not in page.title()


def test_an_answer_that_is_opened_without_a_choice_is_not_right(quiz_page):
    page = quiz_page()
    page.locator(".s2s-question summary").first.click()
    wait_for_score(page, "0 of 1 right, 4 to go")
    assert "You were right" not in page.locator(".s2s-question").first.inner_text()


def test_the_keyboard_alone_answers(quiz_page):
    page = quiz_page()
    first = page.locator(".s2s-question").first
    first.locator("input").first.focus()
    page.keyboard.press("Space")
    for _ in range(QUESTIONS[0].answer):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_score(page, "1 of 1 right, 4 to go")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 600])
def test_axe_finds_nothing_grave_and_nothing_sticks_out(quiz_page, axe, photograph, scheme, width):
    page = quiz_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    assert grave(page, axe, "html") == []
    answer(page, 0, rightly=True)
    answer(page, 1, rightly=False)
    assert grave(page, axe, "html") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    photograph(page.locator(".s2s-quiz"), f"quiz-{scheme}-{width}")
