"""Verdicts are correct: they agree with the weights before and after, and with the gradients of a plain tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from bs4 import BeautifulSoup
from tensorflow import keras

from kerases import KERAS3, only_keras2
from s2s_magic import api
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.verdicts import RULES, STRONGEST
from s2s_magic.view import report, to_html, to_text
from s2s_magic.view.evidence_words import told
from verdict_models import FATES, HEAD, OTHER_OPTIMIZER, Fate

pytestmark = pytest.mark.once

BATCH, EPOCHS = 8, 2


def cases(plain: bool = False) -> list[Any]:
    """Return the names of the cases, or of those with Keras's own training step."""
    marks = {name: [only_keras2(fate.keras2_only)] if fate.keras2_only else [] for name, fate in FATES.items()}
    return [pytest.param(name, marks=marks[name]) for name, fate in FATES.items() if fate.plain or not plain]


def quiet(progress: Any) -> None:
    """Show nothing."""


def traced(code: str) -> Any:
    keras.utils.set_random_seed(3)
    return api.trace(HEAD + code)


def fit(seen: Any, fate: Fate, during: Any = None) -> None:
    def show(progress: Any) -> None:
        if during is not None and progress.epoch == 2:
            during(seen)

    body = f"source: S\ntarget: T\nbatch: {BATCH}\nepochs: {EPOCHS}\nshuffle: false\naccelerate: off"
    api.fit(seen, body, {"S": fate.data, "T": fate.target}, progress=show)


def held(seen: Any) -> dict[str, Any]:
    """Return the values of the variables as float64, by the ledger's keys."""
    return {key: np.array(variable.numpy(), np.float64) for key, variable in seen.live.variables.items()}


def names(seen: Any) -> dict[str, str]:
    """Return the ledger's keys by variable name."""
    return {(v.paths or (v.name,))[0]: key for key, v in seen.ledger.variables.items()}


def expected(fate: Fate, name: str) -> str | None:
    found = fate.verdicts
    owner = name.rpartition(".")[0]
    return found.get(name, found.get(owner, found.get("")))


def steps_with_gradient(code: str, fate: Fate) -> dict[str, int]:
    """Train a copy by hand, and count for each variable the steps on which a tape's gradient is finite and nonzero."""
    twin = traced(code)
    model = twin.model
    variables = model.trainable_variables
    keys = {id(getattr(v, "_variable", v)): key for key, v in twin.live.variables.items()}
    counts = {keys[id(getattr(v, "_variable", v))]: 0 for v in variables}
    for _ in range(EPOCHS):
        for start in range(0, len(fate.data), BATCH):
            batch = tf.constant(fate.data[start : start + BATCH])
            with tf.GradientTape() as tape:
                output = model(batch, training=True)
                loss = model.compute_loss(batch, tf.constant(fate.target[start : start + BATCH]), output)
                loss = model.optimizer.scale_loss(loss) if KERAS3 else loss
            if hasattr(model.optimizer, "compute_gradients"):
                pairs = model.optimizer.compute_gradients(loss, variables, tape)
            else:
                pairs = list(zip(tape.gradient(loss, variables), variables, strict=True))
            for gradient, variable in pairs:
                if gradient is not None:
                    exact = np.asarray(tf.convert_to_tensor(gradient), np.float64)
                    counts[keys[id(getattr(variable, "_variable", variable))]] += bool(
                        np.isfinite(exact).all() and exact.any()
                    )
            model.optimizer.apply_gradients(pairs)
    return counts


def fitted_as(fate: Fate) -> tuple[Any, dict[str, Any], list[dict[str, Any]]]:
    """Build and fit a case; return the model, its initial variables, and those before and after each fit."""
    seen = traced(fate.code)
    created = held(seen)
    if fate.before is not None:
        fate.before(seen)
    stood = [held(seen)]
    fit(seen, fate, fate.during)
    stood.append(held(seen))
    if fate.between is not None:
        fate.between(seen)
        fit(seen, fate)
        stood.append(held(seen))
    return seen, created, stood


@pytest.mark.parametrize("name", cases())
def test_a_verdict_is_what_the_weights_say(name: str) -> None:
    fate = FATES[name]
    seen, created, stood = fitted_as(fate)
    evidence = seen.evidence.variables
    said = {name: evidence[key] for name, key in names(seen).items()}
    assert {name: found.verdict for name, found in said.items()} == {
        name: expected(fate, name) or found.verdict for name, found in said.items()
    }, {name: found.text for name, found in said.items()}
    for variable, words in fate.says.items():
        assert words in said[variable].text, said[variable].text
    for key, found in evidence.items():
        assert len(found.fits) == len(stood) - 1
        for before, after, effect in zip(stood[:-1], stood[1:], found.fits, strict=True):
            moved = np.linalg.norm(after[key] - before[key])
            assert effect.moved == pytest.approx(moved, rel=1e-5), found.text
            assert (effect.moved == 0) == np.array_equal(after[key], before[key])
            assert effect.norm_before == pytest.approx(np.linalg.norm(before[key]), rel=1e-5)
            by_rows = seen.ledger.variables[key].owner == "emb" and name != "embedding tied to the output"
            rows = int((after[key] != before[key]).any(axis=1).sum()) if by_rows else None
            assert effect.rows_moved == rows
        measured = any(effect.given or effect.moved for effect in found.fits)
        ends = [np.linalg.norm(stood[-1][key] - created[key]), np.linalg.norm(stood[-1][key])] if measured else []
        assert [*found.distance[-1:], *found.norm[-1:]] == pytest.approx(ends, rel=1e-5)
        assert measured or np.array_equal(stood[-1][key], stood[0][key])
        assert found.since == "creation"
    assert Ledger.from_dict(seen.ledger.to_dict()).training == seen.evidence


@pytest.mark.parametrize("name", cases(plain=True))
def test_the_steps_with_a_gradient_are_those_on_which_a_plain_tape_has_one(name: str) -> None:
    seen, _, _ = fitted_as(FATES[name])
    counts = steps_with_gradient(FATES[name].code, FATES[name])
    assert {key: found.with_gradient for key, found in seen.evidence.variables.items()} == {
        key: counts.get(key, 0) for key in seen.evidence.variables
    }


def test_every_verdict_has_one_rule_a_rank_and_a_model_that_gets_it() -> None:
    verdicts = [rule.verdict for rule in RULES]
    assert sorted(verdicts) == sorted(STRONGEST)
    assert len(set(verdicts)) == len(verdicts)
    met = {verdict for fate in FATES.values() for verdict in fate.verdicts.values()}
    assert met >= set(verdicts) - {"not in the model", "not measured"}, "the two others are met below"


def test_what_lies_outside_the_model_and_what_nobody_measured_are_told_apart() -> None:
    seen = traced(
        "x = keras.Input([6])\nhead, beside = layers.Dense(1), layers.Dense(2)\nbeside(x)\n"
        "model = keras.Model(x, head(x))\nmodel.compile('sgd', 'mse')\n"
    )
    fit(seen, FATES["two fits"])
    said = {name: seen.evidence.variables[key] for name, key in names(seen).items()}
    assert said["head.kernel"].verdict == "trained"
    assert said["beside.kernel"].verdict == "not in the model"
    assert "did not move" in said["beside.kernel"].text
    seen = traced(OTHER_OPTIMIZER.replace("self.trainable_variables", "head.trainable_variables"))
    fit(seen, FATES["two fits"])
    said = {name: seen.evidence.variables[key] for name, key in names(seen).items()}
    assert said["head.kernel"].verdict == "own update"
    assert said["first.kernel"].verdict == "not measured"
    assert "no step was seen on which the model's optimizer applied gradients" in said["first.kernel"].text


def test_a_layer_frozen_between_two_fits_without_compile_is_judged_by_what_the_optimizer_got() -> None:
    seen = traced(FATES["plain gradient descent"].code)
    fit(seen, FATES["plain gradient descent"])
    seen.layers["first"].trainable = False
    before = held(seen)
    fit(seen, FATES["plain gradient descent"])
    after = held(seen)
    found = seen.evidence.variables[names(seen)["first.kernel"]]
    assert not np.array_equal(before[names(seen)["first.kernel"]], after[names(seen)["first.kernel"]])
    assert (found.fits[1].given, found.fits[1].verdict, found.verdict) == (True, "trained", "trained")
    assert "counts from the next compile on" in found.text
    seen.model.compile("sgd", "mse")
    fit(seen, FATES["plain gradient descent"])
    found = seen.evidence.variables[names(seen)["first.kernel"]]
    assert np.array_equal(held(seen)[names(seen)["first.kernel"]], after[names(seen)["first.kernel"]])
    assert (found.fits[2].given, found.fits[2].verdict) == (False, "frozen")
    assert "In fit 3: frozen." in found.text


def test_what_the_cell_itself_fitted_is_told_from_what_a_fit_did_and_distances_count_from_the_creation() -> None:
    code = FATES["plain gradient descent"].code
    created = held(traced(code))
    seen = traced(code + "model.fit(np.ones([8, 6]), np.ones([8, 1]), epochs=3, verbose=0)\n")
    stood = held(seen)
    fit(seen, FATES["plain gradient descent"])
    for key, found in seen.evidence.variables.items():
        assert found.since == "creation"
        assert found.distance[-1] == pytest.approx(np.linalg.norm(held(seen)[key] - created[key]), rel=1e-5)
        assert found.fits[0].moved == pytest.approx(np.linalg.norm(held(seen)[key] - stood[key]), rel=1e-5)
        assert found.fits[0].norm_before == pytest.approx(np.linalg.norm(stood[key]), rel=1e-5)
        assert "from its creation" in found.text


def test_a_variable_that_started_at_zero_is_measured_against_the_size_of_the_others() -> None:
    """Otherwise a bias that starts at zero would have moved by 100% of its size, however little that is."""
    fate = FATES["clipped to nothing"]
    seen = traced(fate.code)
    fit(seen, fate)
    found = seen.evidence.variables[names(seen)["head.bias"]]
    assert found.norm[-1] == pytest.approx(found.distance[-1])
    assert found.verdict == "barely moved"


def test_the_rules_are_told_where_they_are_asked_for_and_under_the_table() -> None:
    fate = FATES["dead ReLU"]
    seen = traced(fate.code)
    assert "was not fitted here yet" in api.explain(seen, "verdicts").sentences[0]
    fit(seen, fate)
    rules = api.explain(seen, "verdicts")
    assert rules.sentences[0] == "Of the variables of model: 3 no gradient and 1 trained."
    assert [verdict for verdict, _ in rules.rows] == [rule.verdict for rule in RULES]
    page = BeautifulSoup(to_html(report(seen.ledger, training=True)), "html.parser")
    assert [term.text for term in page.select("dl.s2s-rules dt")] == [rule.verdict for rule in RULES]
    assert "%seq2seq explain model verdicts" in to_text(report(seen.ledger, training=True))


def test_steps_rows_and_reasons_stand_in_the_training_view() -> None:
    fate = FATES["rows never used"]
    seen = traced(fate.code)
    fit(seen, fate)
    shown = report(seen.ledger, training=True)
    page = BeautifulSoup(to_html(shown), "html.parser")
    table = next(t for t in page.select("table") if "What training did" in t.caption.text)
    cells = {row.th.text: [cell.text for cell in row.select("td")] for row in table.select("tbody tr")}
    heads = [head.text for head in table.select("thead th")][1:]
    found = dict(zip(heads, cells["emb.embeddings"], strict=True))
    assert (found["On steps"], found["Rows moved"], found["Verdict"]) == ("all 10", "12 of 20", "trained")
    assert dict(zip(heads, cells["head.bias"], strict=True))["Rows moved"] == "–"
    assert "12 of 20 rows moved" in to_text(shown)


def test_variables_of_one_fate_have_one_sentence_together() -> None:
    layers = ", ".join(["layers.Dense(4)"] * 8)
    fate = Fate(
        f"base = keras.Sequential([{layers}], name='base')\nbase.trainable = False\nx = keras.Input([6])\n"
        "head = layers.Dense(1)\nmodel = keras.Model(x, head(base(x)))\nmodel.compile('sgd', 'mse')\n",
        {},
    )
    seen = traced(fate.code)
    fit(seen, fate)
    frozen = [line for line in told(report(seen.ledger, training=True), seen.evidence) if "frozen" in line]
    assert len(frozen) == 1
    assert "and 13 more is frozen by base: the optimizer was not given it" in frozen[0]


def test_a_document_of_before_steps_were_counted_still_opens() -> None:
    fate = FATES["plain gradient descent"]
    seen = traced(fate.code)
    fit(seen, fate)
    document = seen.ledger.to_dict()
    for found in document["training"]["variables"].values():
        for name in ("fits", "since", "rows_moved"):
            del found[name]
    for event in document["events"]:
        event.pop("stops", None)
        event.pop("adds_loss", None)
    older = Ledger.from_dict(document)
    assert "trained" in to_text(report(older, training=True))
    assert older.training.variables["v0"].distance == seen.evidence.variables["v0"].distance


def test_steps_and_rows_are_counted_alike_on_faster_kernels() -> None:
    spec = "vocab: 50\nembed: 4\nencoder: lstm(8)\ndecoder: lstm(8)\n"
    rows = np.random.default_rng(0).integers(1, 20, size=(40, 6))
    found = []
    for accelerate in ("off", "on"):
        keras.utils.set_random_seed(1)
        seen = api.build(spec)
        body = f"source: S\ntarget: S\nbatch: 8\nepochs: 2\nshuffle: false\naccelerate: {accelerate}"
        api.fit(seen, body, {"S": rows}, progress=quiet)
        found.append(seen)
    plain, fast = found
    assert plain.evidence.runs[0].accelerated == {}
    assert "accelerated" in fast.evidence.runs[0].accelerated.values()
    for key, expected in plain.evidence.variables.items():
        ours = fast.evidence.variables[key]
        assert (ours.verdict, ours.rows_moved) == (expected.verdict, expected.rows_moved)
        assert [(e.given, e.steps, e.with_gradient) for e in ours.fits] == [
            (e.given, e.steps, e.with_gradient) for e in expected.fits
        ]
    embedded = fast.evidence.variables[names(fast)["embeddings.embeddings"]]
    assert embedded.rows_moved == len({0, *np.unique(rows)})
