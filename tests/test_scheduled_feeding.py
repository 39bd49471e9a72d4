"""Scheduled sampling by a spec: the decoder reads drawn ids at a rate that grows while it is trained."""

import math

import numpy as np
import pytest
from tensorflow import keras

from s2s_magic import api
from s2s_magic.errors import SpecError
from s2s_magic.source import Dialect, generate
from s2s_magic.spec import Feeding, parse_spec

pytestmark = pytest.mark.once

BASE = "vocab: 9\nembed: 6\nencoder: lstm(6)\ndecoder: lstm(6)\nstart: 1\nend: 2\nmax_length: 4\n"
FED = f"{BASE}feeding: scheduled(0.5, {{}})\n"
rng = np.random.default_rng(0)
X, Y = rng.integers(3, 9, size=(32, 4)), rng.integers(3, 9, size=(32, 4))
TEACHER = np.c_[np.ones([32, 1], int), Y[:, :-1]]
INPUTS = [X, TEACHER, np.full(32, 4)]
BODY = "source: S\ntarget: T\nepochs: 3\nbatch: 8\nshuffle: false\nseed: 2\nvalidation: 0.25\n"

K = 1.0
for _ in range(50):  # the part of given ids, K / (K + exp(steps / K)), is to be at 1 % after 10 steps
    K = 10 / math.log(99 * K)
RATES = {
    "constant": lambda step: 0.5,
    "linear, steps=10": lambda step: 0.5 * min(1, step / 10),
    "exponential, steps=10": lambda step: 0.5 * (1 - 0.01 ** (step / 10)),
    "inverse_sigmoid, steps=10": lambda step: 0.5 * (1 - K / (K + math.exp(step / K))),
}


def chosen(model, training):
    """Return which ids the decoder read in place of the given ones in a call of the model: -1 where none."""
    decoder = model.live.layers[next(e.object for e in model.ledger.events if e.layer == "decoder")]
    shown = keras.Model(model.model.inputs, model.namespace["final_outputs"].sample_id)
    assert decoder in shown.layers
    return np.asarray(shown(INPUTS, training=training))


@pytest.mark.parametrize("schedule", RATES)
def test_the_rate_grows_with_the_steps_as_the_formula_says(schedule):
    model = api.build(FED.format(schedule))
    rate = model.namespace["feeding_rate"]
    seen = [float(rate(TEACHER[:1], training=True)) for _ in range(13)]
    np.testing.assert_allclose(seen, [RATES[schedule](step) for step in range(13)], atol=1e-5)
    assert float(rate(TEACHER[:1], training=False)) == float(rate(TEACHER[:1])) == 0
    assert float(rate.steps) == 13


@pytest.mark.parametrize("steps", [1, 7, 1000, 10**7])
def test_the_inverse_sigmoid_is_at_99_percent_of_its_rate_after_its_steps(steps):
    k = Feeding(rate=0.5, schedule="inverse_sigmoid", steps=steps).decay
    assert k / (k + math.exp(steps / k)) == pytest.approx(0.01, rel=1e-3)


def test_ids_are_drawn_at_the_rate_from_the_decoders_own_scores_and_only_in_training():
    model = api.build(FED.format("constant").replace("0.5", "0.8"))
    drawn = np.concatenate([chosen(model, True) for _ in range(40)])
    assert (drawn[:, :-1] >= 0).mean() == pytest.approx(0.8, abs=0.03)
    assert set(np.unique(drawn)) <= set(range(-1, 9))
    assert (chosen(model, False) == -1).all()


def test_used_it_is_the_model_without_scheduled_sampling():
    model, plain = api.build(FED.format("linear")), api.build(f"{BASE}code: tfa\n")
    api.fit(model, BODY, {"S": X, "T": Y})
    weights = [value for value in model.model.get_weights() if value.shape]
    plain.model.set_weights(weights)
    np.testing.assert_allclose(np.asarray(model.model(INPUTS)), np.asarray(plain.model(INPUTS)), atol=1e-6)
    assert api.decode(model, X[:5]).ids == api.decode(plain, X[:5]).ids
    assert api.decode(model, X[:5], beam=3).ids == api.decode(plain, X[:5], beam=3).ids


def test_the_rate_is_shown_in_the_progress_and_kept_in_the_evidence():
    model, lines = api.build(FED.format("linear, steps=6")), []
    api.fit(model, BODY, {"S": X, "T": Y}, progress=lambda state: lines.append(str(state)))
    history = model.evidence.history
    assert history["feeding_rate"] == pytest.approx([0.5 / 6, 0.5 * (3 + 4 + 5) / 18, 0.5])
    assert history["val_feeding_rate"] == (0, 0, 0)
    assert "feeding_rate 0.5 " in lines[-1]
    (steps,) = (key for key, v in model.ledger.variables.items() if v.owner == "feeding_rate")
    assert "moved by the layer's own update" in model.evidence.variables[steps].text


def test_the_embedding_that_the_sampler_calls_stays_one_when_saved_and_cloned(tmp_path):
    model = api.build(FED.format("linear, steps=6"))
    api.fit(model, BODY, {"S": X, "T": Y})
    model.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(next(w for w in loaded.weights if tuple(w.shape) == ())) == 9
    cloned = keras.models.clone_model(model.model)
    cloned.set_weights(model.model.get_weights())
    cloned.compile("adam", "sparse_categorical_crossentropy")
    expected = np.asarray(model.model(INPUTS))
    for copy in (loaded, cloned):
        np.testing.assert_allclose(np.asarray(copy(INPUTS)), expected, atol=1e-6)
        (table,) = (layer for layer in copy.layers if isinstance(layer, keras.layers.Embedding))
        (decoder,) = (layer for layer in copy.layers if hasattr(layer, "sampler"))
        assert decoder.sampler.embedding_fn is table
        assert len(copy.weights) == len(model.model.weights)
        copy.fit(INPUTS, Y, verbose=0)
        copy.save(tmp_path / "again.keras")
        again = keras.models.load_model(tmp_path / "again.keras")
        np.testing.assert_allclose(np.asarray(again(INPUTS)), np.asarray(copy(INPUTS)), atol=1e-6)


def test_the_ledger_knows_the_count_and_not_what_the_metric_counts():
    model = api.build(FED.format("linear"))
    assert "feeding_rate owns 1 variable, 1 parameter" in " ".join(api.explain(model, "feeding_rate").sentences)
    assert not [finding.text for finding in model.ledger.findings if "feeding_rate" in finding.text]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("feeding: scheduled", "line 8, column 10: scheduled needs the rate at which it ends, such as scheduled(0.25)"),
        ("feeding: scheduled(1.5)", "line 8, column 20: expected a number above 0 and below 1, got '1.5'"),
        ("feeding: scheduled(0.2, sigmoid)", "line 8, column 25: expected constant, linear, exponential or"),
        ("feeding: scheduled(0.2, linaer)", "did you mean 'linear'?"),
        ("feeding: scheduled(0.2, linear, 9)", "line 8, column 33: scheduled takes further settings by name, such as"),
        ("feeding: scheduled(0.2, steps=0)", "line 8, column 31: expected a whole number from 1 to 10,000,000"),
        ("feeding: teacher", "line 8, column 10: unknown kind 'teacher'; did you mean 'teacher_forcing'?"),
        ("feeding: scheduled(0.2)\ncode: keras", "line 9, column 7: feeding is written with a decoder that runs step"),
        ("feeding: scheduled(0.2)\nlayer_norm: true", "line 9, column 13: 'layer_norm' is written with layers over"),
        ("feeding: scheduled(0.2)\nattention: luong", "leave one of them out, or give 'input_feeding: true' as well"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_remedy(lines, words):
    with pytest.raises(SpecError) as caught:
        parse_spec(f"{BASE}{lines}\n")
    assert words in str(caught.value)


def test_teacher_forcing_is_what_there_is_without_it():
    assert parse_spec(f"{BASE}feeding: teacher_forcing\n").feeding is None


@pytest.mark.parametrize("operations", ["tf", "keras.ops"])
def test_the_source_is_the_golden_file(operations, golden):
    spec = parse_spec(FED.format("inverse_sigmoid") + "attention: luong\ninput_feeding: true\npadding: 0\n")
    golden(f"source/scheduled_{operations}.txt", generate(spec, Dialect("tfa", operations, addons=False)))
