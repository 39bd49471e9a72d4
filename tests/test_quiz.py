"""Every answer of a quiz is what the real model says of itself; and quizzes are well chosen and shown."""

import re
from collections import Counter
from functools import lru_cache

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledgers import Sketch, large_ledger, translator_ledger
from s2s_magic.errors import LookupFailed
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.asking import ask
from s2s_magic.view.quizzes import quiz_text, show_quiz

pytest.importorskip("tensorflow")

from measured_models import counted_calls, direct_owners, is_there, numbers, switches_restored, thawed, with_gradient
from models import by_hand, by_hand_in_keras, ran, zoo
from test_trace_random import START, STEPS, line

pytestmark = pytest.mark.once

ALL = 10_000

ODD = """\
from tensorflow import keras
import tensorflow as tf
x = keras.Input([4])
lost = keras.layers.Dense(3)
nowhere = lost(x)
cut = keras.layers.Dense(4)
stopped = tf.stop_gradient(cut(x))
norm = keras.layers.BatchNormalization()
normed = norm(stopped)
frozen = keras.layers.Dense(4, trainable=False)
cold = frozen(normed)
last = keras.layers.Dense(2)
y = last(cold)
again = last(cold * 2.0)
model = keras.Model(x, [y, again])
"""


@lru_cache(1)
def seen_of(code):
    return ran(code)


def said(question) -> str:
    return question.choices[question.answer]


def questions_of(seen, *kinds, seeds=(0,)):
    if not seen.ledger.variables:
        return []
    asked = [question for seed in seeds for question in ask(seen.ledger, ALL, seed)]
    return [question for question in asked if question.kind in kinds]


def real(seen, name):
    """Return the real layer object of a name in a ledger."""
    return next(seen.live.layers[key] for key, layer in seen.ledger.layers.items() if layer.name == name)


def variable_named(seen, name):
    return next(
        seen.live.variables[key]
        for key, v in seen.ledger.variables.items()
        if f"{v.owner}.{v.paths[0].rpartition('.')[2]}" == name
    )


def check_creates(code) -> None:
    seen = seen_of(code)
    written = [
        event.index
        for event in seen.ledger.events
        if event.kind == "called" and event.via is None and not seen.ledger.layers[event.object].implicit
    ]
    measured = dict(zip(written, counted_calls(code), strict=True))
    for question in questions_of(seen, "creates"):
        before, after = measured.get(question.event, (0, 0))  # an operation is no layer, and has no weights
        expected = "Yes:" if after > before else "No: it uses" if before else "No: it neither"
        assert said(question).startswith(expected), (question, before, after)
        counts = re.findall(r"\d+", said(question))
        assert counts == ([str(after - before or before)] if after else []), (question, before, after)


def check_owners(code) -> None:
    seen = seen_of(code)
    layers = [layer for layer in seen.live.layers.values() if hasattr(layer, "_flatten_layers")]
    for question in questions_of(seen, "owner", seeds=(0, 1)):
        short, shape = re.search(r"creates the variable (\w+) (\(.*?\))\. Which", question.text).groups()
        created = seen.ledger.events[question.event].created
        alike = [
            seen.live.variables[key]
            for key in created
            if seen.ledger.variables[key].paths[:1] and seen.ledger.variables[key].paths[0].endswith(f".{short}")
        ]
        alike = [variable for variable in alike if str(tuple(variable.shape)) == shape]
        (variable,) = alike
        owners = direct_owners(variable, layers)
        assert [real(seen, said(question).rpartition(",")[0])] == owners[:1], question
        wrong = [choice.rpartition(",")[0] for choice in question.choices if choice != said(question)]
        named = {layer.name for layer in seen.ledger.layers.values()} - {
            one.name for one in seen.ledger.events[question.event].outputs
        }
        assert not [name for name in wrong if name in named and is_there(real(seen, name), owners)], question


def check_counts(code) -> None:
    seen = seen_of(code)
    for question in questions_of(seen, "again"):
        assert int(said(question).partition(":")[0]) == len(real(seen, question.about).weights)


def check_states(code) -> None:
    seen = seen_of(code)
    for question in questions_of(seen, "states"):
        used = real(seen, seen.ledger.events[question.event].layer).weights
        assert not [one for one in real(seen, question.about).weights if is_there(one, used)]
        assert said(question).startswith(f"{len(used)} variable")


def check_trained(code) -> None:
    seen = seen_of(code)
    model = seen.live.models[seen.ledger.main_model.name]
    listed, reached = list(model.trainable_weights), with_gradient(model)
    weights = list(model.weights)
    meant = thawed(model)
    for question in questions_of(seen, "trained"):
        variable = variable_named(seen, re.search(r"train (.*)\?", question.text)[1])
        if not is_there(variable, weights):
            expected = "No: the model does not have it"
        elif not is_there(variable, meant):
            expected = "No: its owner lists it as not trainable"
        elif not is_there(variable, listed):
            expected = "No: it is frozen"
        else:
            expected = "Yes" if is_there(variable, reached) else "No: no gradient"
        assert said(question).startswith(expected), (question, code)


def moved_by_a_fit(model) -> list:
    """Fit a model for a step, and return the variables that are others then."""
    before = model.get_weights()
    given = np.random.default_rng(1).normal(size=(8, 4)).astype("float32")
    model.fit(given, [np.ones([8, *out.shape[1:]]) for out in model.outputs], epochs=1, verbose=0)
    after = model.get_weights()
    return [one for one, was, now in zip(model.weights, before, after, strict=True) if not np.array_equal(was, now)]


def check_frozen(code) -> None:
    seen = seen_of(code)
    keys = {layer.name: key for key, layer in seen.ledger.layers.items()}
    for question in questions_of(seen, "freeze"):
        model = seen.live.models[seen.ledger.main_model.name]
        every = len(model.trainable_weights)
        with switches_restored(model):
            seen.live.layers[keys[question.about]].trainable = False
            left, params = len(model.trainable_weights), numbers(model.trainable_weights)
        assert len(model.trainable_weights) == every
        assert said(question) == (f"{left} of {every}" if left else "none"), question
        assert f" trains {every} variable" in question.text
        assert f"Left: {left} of {every} variable{'s' * (every > 1)}, {params:,} of" in question.why


CHECKS = (check_creates, check_owners, check_counts, check_states, check_trained, check_frozen)
TOLD = {
    "by hand": by_hand(20, 4, 8),
    "in Keras": by_hand_in_keras(20, 4, 8),
    "GRU": by_hand(20, 4, 8, "GRU"),
    "odd": ODD,
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("title", TOLD)
def test_every_answer_about_an_encoder_decoder_is_what_the_real_one_says(check, title):
    check(TOLD[title])


FITTED = "model.compile(keras.optimizers.SGD(0.5), ['mse', 'mse'])\n"
COMPILED = {
    "as it is": FITTED,
    "switched off after compile": f"{FITTED}last.trainable = False\n",
    "switched on after compile": f"last.trainable = False\n{FITTED}last.trainable = True\n",
    "one output without a loss": "model.compile(keras.optimizers.SGD(0.5), ['mse', None])\n",
}


@pytest.mark.parametrize("title", COMPILED)
def test_a_fit_moves_the_variables_that_a_quiz_says_it_trains_and_no_others(title):
    code = ODD.replace("trainable=False", "trainable=True").replace(
        "tf.stop_gradient", "keras.layers.Activation('tanh')"
    )
    seen = ran(code + COMPILED[title])
    asked = {said(question)[:3]: [] for question in questions_of(seen, "trained")}
    for question in questions_of(seen, "trained"):
        asked[said(question)[:3]].append(variable_named(seen, re.search(r"train (.*)\?", question.text)[1]))
    moved = moved_by_a_fit(seen.namespace["model"])
    state = [variable for variable in moved if "moving" in variable.name]
    assert asked["Yes"]
    assert [variable.name for variable in asked["Yes"] if not is_there(variable, moved)] == []
    stayed = asked.get("No:", [])
    assert [v.name for v in stayed if is_there(v, moved) and not is_there(v, state)] == []


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=STEPS)
def test_every_answer_about_a_random_model_is_what_the_real_one_says(steps):
    code = "\n".join([START, *map(line, [("new", "dense", 0), *steps]), "model = keras.Model(x, ends[-2:])"])
    for check in CHECKS:
        check(code)


@pytest.mark.parametrize("title", [title for title in zoo() if title != "by hand"])
def test_what_a_switch_would_leave_is_what_is_left_of_every_kind_of_model(title):
    check_frozen(zoo()[title])
    check_owners(zoo()[title])


# -- which questions are asked -----------------------------------------------------------------------------------------


def test_a_quiz_is_the_same_for_a_seed_and_another_for_another():
    ledger = translator_ledger()
    assert ask(ledger, 5, 3) == ask(Ledger.from_dict(ledger.to_dict()), 5, 3)
    assert len({ask(ledger, 5, seed) for seed in range(8)}) > 4


@pytest.mark.parametrize("count", range(1, 14))
def test_each_kind_is_asked_once_before_any_is_asked_again(count):
    seen = seen_of(TOLD["by hand"])
    for seed in range(5):
        asked = ask(seen.ledger, count, seed)
        kinds = Counter(question.kind for question in asked)
        assert len(asked) == count
        assert len(kinds) == min(count, 6)
        assert [question.event for question in asked] == sorted(question.event for question in asked)
        assert len({(question.text, question.event) for question in asked}) == count


@pytest.mark.parametrize("seed", range(5))
def test_the_telling_cases_come_first(seed):
    asked = {question.kind: question for question in ask(seen_of(TOLD["by hand"]).ledger, 6, seed)}
    assert asked["creates"].source in ("words(target_ids)", "tf.nn.softmax(written.rnn_output)")
    assert asked["owner"].about in ("writer_cell", "scores", "reader.cell")
    assert asked["again"].about == "words"
    assert asked["states"].about == "reader"
    assert asked["freeze"].about in ("words", "reader", "writer")


@pytest.mark.parametrize("kind", ["frozen", "no gradient"])
def test_what_stays_untrained_is_asked_about_first(kind):
    seen = ran(ODD.replace(", trainable=False" if kind == "no gradient" else "tf.stop_gradient", ""))
    ways = {"frozen": "frozen", "no gradient": "cut"}
    asked = {q.about for seed in range(12) for q in ask(seen.ledger, 6, seed) if q.kind == "trained"}
    assert ways[kind] in asked


@pytest.mark.parametrize("title", TOLD)
def test_every_question_has_two_to_four_different_choices_and_says_where_it_is(title):
    for seed in range(3):
        for question in ask(seen_of(TOLD[title]).ledger, ALL, seed):
            assert 2 <= len(question.choices) <= 4
            assert len(set(question.choices)) == len(question.choices)
            assert 0 <= question.answer < len(question.choices)
            assert re.fullmatch(r"line \d+ · step \d+", question.place)
            assert question.text.endswith("?")
            assert question.why.endswith(".")


def test_the_right_choice_stands_at_every_place():
    ledger = translator_ledger()
    assert {question.answer for seed in range(20) for question in ask(ledger, 6, seed)} == {0, 1, 2, 3}


def test_a_reason_names_the_lines_and_steps_of_the_calls():
    (again,) = (q for q in ask(translator_ledger(), 6, 0) if q.kind == "again")
    assert "line 6 · step 4 and line 7 · step 5" in again.why
    assert "embeddings owns 1 variable, 1,000 parameters" in again.why


@pytest.mark.parametrize("count", [0, -3])
def test_a_quiz_has_at_least_a_question(count):
    with pytest.raises(LookupFailed, match="at least 1 question"):
        ask(translator_ledger(), count)


def test_a_ledger_without_layers_has_nothing_to_ask_about():
    with pytest.raises(LookupFailed, match="empty has nothing to ask about"):
        ask(Sketch("empty", "pass\n").ledger())


def test_a_large_ledger_is_asked_about_in_a_moment():
    import time

    ledger = large_ledger(1000, 8000)
    began = time.perf_counter()
    assert len(ask(ledger, 5, 1)) == 5
    assert time.perf_counter() - began < 10


# -- how it is shown ---------------------------------------------------------------------------------------------------


def test_the_text_has_the_answers_below_the_questions():
    asked = ask(translator_ledger(), 5)
    text = quiz_text("translator", asked)
    questions, answers = text.split("ANSWERS\n")
    assert max(map(len, text.splitlines())) <= 100
    for number, question in enumerate(asked, 1):
        assert f"{number}. {question.place}" in questions
        assert f"{number}. {'abcd'[question.answer]}) {question.choices[question.answer]}"[:60] in answers
        assert question.why not in " ".join(questions.split())


def test_the_page_has_a_group_of_radio_buttons_and_a_closed_answer_for_each_question():
    from test_view_html import Strict

    display = show_quiz("translator", ask(translator_ledger(), 6))
    html = display.html()
    Strict().feed(html)
    page = BeautifulSoup(html, "html.parser")
    groups = page.find_all("fieldset")
    assert len(groups) == len(display.questions) == 6
    for group, question in zip(groups, display.questions, strict=True):
        assert question.text in group.legend.get_text()
        radios = group.find_all("input", type="radio")
        assert len({radio["name"] for radio in radios}) == 1
        labels = [group.find("label", attrs={"for": radio["id"]}).get_text() for radio in radios]
        assert [label.partition(") ")[2] for label in labels] == list(question.choices)
        (hit,) = (n for n, radio in enumerate(radios) if "s2s-hit" in radio["class"])
        assert hit == question.answer
        assert not group.details.has_attr("open")
        assert question.why in group.details.get_text()
    assert not page.find_all(["img", "link", "iframe", "form"])
    assert "url(" not in html
    assert repr(display) == quiz_text("translator", display.questions)


def test_two_quizzes_in_one_notebook_have_different_ids():
    first, second = (show_quiz("translator", ask(translator_ledger(), 5)).html() for _ in range(2))
    ids = [{each["id"] for each in BeautifulSoup(one, "html.parser").find_all(id=True)} for one in (first, second)]
    assert not ids[0] & ids[1]


@settings(max_examples=15, deadline=None)
@given(name=st.text(min_size=1, max_size=12))
def test_any_name_shows_as_text(name):
    from test_view_html import renamed

    ledger = renamed(translator_ledger(), f"<img src=x>{name}</script>")
    page = BeautifulSoup(show_quiz(f"<b>{name}", ask(ledger, 6)).html(), "html.parser")
    assert not page.find_all("img")
    assert len(page.find_all("script")) == 1
