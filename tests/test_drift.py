"""What a fit would do that the present switches do not say: found in the ledger, and compared with what Keras does."""

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from tensorflow import keras

from kerases import KERAS3, only_keras2
from s2s_magic import Ledger, Seq2Seq, api
from s2s_magic.errors import FitError
from s2s_magic.handle import drift, nothing_to_train
from s2s_magic.ledger import Finding
from s2s_magic.view import report, to_html, to_svg, to_text
from test_roles import GAN, full_name, really_trained, traced

AT_COMPILE = only_keras2("it reads the switches when a fit traces its step, see test_keras3_fit")
TAGGER = """
x = keras.Input([6], dtype="int32")
emb, lstm, head = layers.Embedding(20, 8), layers.LSTM(8, return_sequences=True), layers.Dense(20)
model = keras.Model(x, head(lstm(emb(x))))
{before}
model.compile("adam", "mse")
{after}
"""
DATA = np.ones([8, 6]), np.ones([8, 6, 20])


def tagger(before: str = "", after: str = "") -> Seq2Seq:
    return traced(TAGGER.format(before=before, after=after))


def of(seen: Seq2Seq, kind: str) -> list[Finding]:
    """Return the findings of one kind that inspect shows; those of a fit must be among them."""
    found = [finding for finding in api.current_ledger(seen).findings if finding.kind == kind]
    assert [finding for finding in drift(seen) if finding.kind == kind] == found
    return found


def names(seen: Seq2Seq, layer: str) -> set[str]:
    return {weight.name for weight in seen.layers[layer].weights}


@AT_COMPILE
def test_a_layer_frozen_after_compile_is_still_trained_and_compile_again_freezes_it() -> None:
    seen = tagger(after="lstm.trainable = False")
    (finding,) = of(seen, "changed since compile")
    assert finding.about == "lstm"
    assert finding.text == (
        "lstm.trainable was True when model was compiled (line 10) and is False now. Keras looks at compile time: "
        "a fit of model still trains 3 variables of lstm (544 parameters); run model.compile(...) again to freeze them."
    )
    assert not [f for f in seen.ledger.findings if f.kind == "frozen"]
    assert names(seen, "lstm") <= really_trained(seen.model, *DATA)
    assert of(seen, "changed since compile") == [finding]
    seen.model.compile("adam", "mse")
    assert not drift(seen)
    assert [f.about for f in seen.ledger.findings if f.kind == "frozen"] == ["lstm"]
    assert not names(seen, "lstm") & really_trained(seen.model, *DATA)


@AT_COMPILE
def test_a_layer_unfrozen_after_compile_is_still_frozen_and_its_optimizer_is_too_small_after_a_fit() -> None:
    seen = tagger(before="lstm.trainable = False", after="lstm.trainable = True")
    (finding,) = of(seen, "changed since compile")
    assert "a fit of model still does not train 3 variables of lstm" in finding.text
    assert finding.text.endswith("run model.compile(...) again to train them.")
    assert not names(seen, "lstm") & really_trained(seen.model, *DATA)
    (finding,) = of(seen, "changed since compile")
    assert finding.text.endswith(
        "run model.compile(...) again with a new optimizer (Adam has no place for them) to train them."
    )
    seen.model.compile(seen.model.optimizer, "mse")
    (finding,) = of(seen, "not in the optimizer")
    assert finding.text.startswith("The Adam that model is compiled with was made for other variables: it has no place")
    assert "lstm.cell.kernel" in finding.text
    with pytest.raises(ValueError if KERAS3 else KeyError):
        seen.model.fit(*DATA, verbose=0)
    seen.model.compile("adam", "mse")
    assert not drift(seen)
    assert names(seen, "lstm") <= really_trained(seen.model, *DATA)


@AT_COMPILE
def test_explanations_and_states_of_variables_go_by_what_compile_saw() -> None:
    def said(seen: Seq2Seq) -> str:
        return " ".join(api.explain(seen, "lstm.cell.kernel").sentences)

    def states(seen: Seq2Seq) -> set[str]:
        rows = report(api.current_ledger(seen)).variables.values()
        return {row.state for row in rows if row.owner_name == "lstm.cell"}

    frozen = tagger(after="lstm.trainable = False")
    assert "so that a fit still trains it until it is compiled again" in said(frozen)
    assert states(frozen) == {"trained until compiled again"}
    thawed = tagger(before="lstm.trainable = False", after="lstm.trainable = True")
    assert "so that a fit leaves it as it is until it is compiled again" in said(thawed)
    assert states(thawed) == {"frozen until compiled again"}
    assert "It is frozen by lstm.trainable = False." in said(tagger(before="lstm.trainable = False"))
    assert "Its owner lists it as trainable." in said(tagger())


def fitted(seen: Seq2Seq, more: str = "") -> None:
    data = {"X": DATA[0].astype("int32"), "Y": DATA[1].astype("float32")}
    api.fit(seen, f"inputs: {{x: X}}\ntarget: Y\n{more}", data, progress=lambda _: None)


def test_a_fit_that_would_stop_at_its_first_step_is_refused_before_it_and_changes_nothing() -> None:
    seen = tagger(before="lstm.trainable = False")
    fitted(seen)
    seen.layers["lstm"].trainable = True
    seen.model.compile(seen.model.optimizer, "mse")
    before = [weight.numpy() for weight in seen.model.weights]
    optimizer, evidence = seen.model.optimizer, seen.evidence
    with pytest.raises(FitError, match=r"made for other variables: it has no place for lstm\.cell\.kernel"):
        fitted(seen)
    assert all((weight.numpy() == old).all() for weight, old in zip(seen.model.weights, before, strict=True))
    assert (seen.model.optimizer, seen.evidence) == (optimizer, evidence)
    fitted(seen, "optimizer: sgd(0.1)")
    assert {run.steps for run in seen.evidence.runs} == {1}


def test_a_fit_with_nothing_to_train_says_so_before_it() -> None:
    seen = tagger(before="model.trainable = False")
    with pytest.warns(UserWarning, match=r"model has nothing to train: model\.trainable = False freezes 6 variables"):
        fitted(seen)
    assert {evidence.verdict for evidence in seen.evidence.variables.values()} == {"frozen"}


def test_what_a_training_step_of_the_models_own_gives_its_optimizer_is_not_guessed() -> None:
    code = TAGGER.replace(
        "model = keras.Model(",
        "class Own(keras.Model):\n    def train_step(self, data):\n"
        "        with tf.GradientTape() as tape:\n            loss = tf.reduce_mean(self(data[0]) ** 2)\n"
        "        (grad,) = tape.gradient(loss, [head.kernel])\n"
        "        self.optimizer.apply_gradients([(grad, head.kernel)])\n        return {{'loss': loss}}\n"
        "model = Own(",
    )
    seen = traced(code.format(before="", after=""))
    assert really_trained(seen.model, *DATA) == {full_name(seen.layers["head"].kernel)}
    assert not drift(seen)
    assert really_trained(seen.model, *DATA) == {full_name(seen.layers["head"].kernel)}


@AT_COMPILE
@pytest.mark.parametrize("accelerate", ["on", "off"])
@pytest.mark.parametrize(
    "switches", [("", "lstm.trainable = False"), ("lstm.trainable = False", "lstm.trainable = True")]
)
def test_a_fit_of_ours_trains_what_the_ledger_says_and_keras_trains(switches: tuple[str, str], accelerate: str) -> None:
    ours = tagger(*switches)
    expected = {ours.ledger.variables[key].owner for key in ours.ledger.main_model.trained}
    before = {key: variable.numpy() for key, variable in ours.live.variables.items()}
    with pytest.warns(UserWarning, match=r"lstm\.trainable was (True|False) when model was compiled"):
        fitted(ours, f"accelerate: {accelerate}")
    variables = ours.live.variables.items()
    moved = {ours.ledger.variables[key].owner for key, v in variables if (v.numpy() != before[key]).any()}
    assert moved == expected
    assert ours.layers["lstm"].trainable is ("True" in switches[1])
    assert of(ours, "changed since compile")


def test_an_optimizer_of_another_model_is_found_before_keras_stops_at_its_first_step() -> None:
    code = "x = keras.Input([3])\none = keras.Model(x, layers.Dense(2)(x))\ntwo = keras.Model(x, layers.Dense(2)(x))\n"
    code += "one.compile('adam', 'mse')\none.fit(tf.ones([4, 3]), tf.ones([4, 2]), verbose=0)\n"
    seen = traced(code + "two.compile(one.optimizer, 'mse')")
    (finding,) = of(seen, "not in the optimizer")
    assert finding.about == "two"
    with pytest.raises(ValueError if KERAS3 else KeyError):
        seen.model.fit(np.ones([4, 3]), np.ones([4, 2]), verbose=0)


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param("keras.optimizers.legacy.Adam()", marks=only_keras2("it has no legacy optimizers")),
        "keras.optimizers.SGD()",
    ],
)
def test_an_optimizer_that_takes_what_it_gets_is_no_finding(optimizer: str) -> None:
    seen = tagger()
    seen.model.compile(eval(optimizer, seen.namespace), "mse")
    assert not drift(seen)
    really_trained(seen.model, *DATA)
    assert not drift(seen)


@AT_COMPILE
def test_a_switch_of_a_holder_is_one_finding_and_not_one_for_each_layer_below() -> None:
    code = "x = keras.Input([3])\nbase = keras.Sequential([layers.Dense(4) for _ in range(9)])\n"
    code += "model = keras.Model(x, layers.Dense(1)(base(x)))\nmodel.compile('adam', 'mse')\nbase.trainable = False"
    seen = traced(code)
    (finding,) = of(seen, "changed since compile")
    assert (finding.about, "18 variables of base" in finding.text) == ("base", True)
    seen.namespace["base"].trainable = True
    assert not drift(seen)
    seen.namespace["model"].trainable = False
    assert [f.about for f in of(seen, "changed since compile")] == ["model"]


@AT_COMPILE
def test_what_is_frozen_for_one_model_and_trained_by_another_is_said_for_each_and_is_no_drift() -> None:
    seen = traced(GAN)
    assert not drift(seen)
    assert [(f.about, f.text) for f in seen.ledger.findings if f.kind in ("frozen", "changed since compile")] == [
        (
            "discriminator",
            "discriminator.trainable is False for combined only: a fit of combined leaves the 4 variables "
            "(19 parameters) below it as they are, and a fit of discriminator, compiled while it was True, "
            "trains them.",
        )
    ]
    with seen.chosen("discriminator"):
        assert not drift(seen)
    seen.namespace["discriminator"].trainable = True
    (finding,) = of(seen, "changed since compile")
    assert "a fit of combined still does not train 4 variables of discriminator" in finding.text


@AT_COMPILE
def test_a_model_with_nothing_to_train_says_who_froze_it() -> None:
    seen = tagger(before="emb.trainable = lstm.trainable = False; head.trainable = False")
    found = nothing_to_train(seen)
    assert found in of(seen, "nothing to train")
    assert found.text == (
        "model has nothing to train: emb.trainable = False freezes 1 variable; lstm.trainable = False freezes "
        "3 variables; head.trainable = False freezes 2 variables."
    )
    assert really_trained(seen.model, *DATA) == set()
    seen = tagger(before="model.trainable = False", after="model.trainable = True")
    assert nothing_to_train(seen).text.endswith("all of them were frozen when it was compiled: compile it again.")
    assert really_trained(seen.model, *DATA) == set()
    assert nothing_to_train(tagger()) is None


@pytest.mark.parametrize("made", ["keras.Sequential([L.Embedding(9, 4), L.Dense(9)])", "Scorer()"])
def test_a_model_that_will_make_its_variables_at_its_first_call_has_something_to_train(made):
    code = (
        "class Scorer(keras.Model):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.words, self.scores = L.Embedding(9, 4), L.Dense(9)\n"
        "    def call(self, x):\n"
        "        return self.scores(self.words(x))\n"
        f"model = {made}\n"
        "model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))\n"
    )
    seen = traced(f"L = layers\n{code}")
    assert of(seen, "nothing to train") == []
    rows = np.ones([8, 3], int)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        api.fit(seen, "source: X\ntarget: X\nepochs: 1\n", {"X": rows}, progress=lambda _: None)
    assert [str(one.message) for one in told if "nothing to train" in str(one.message)] == []
    assert of(seen, "nothing to train") == []


def test_an_output_behind_which_all_is_frozen_cannot_improve() -> None:
    code = "x = keras.Input([3])\nbase, one, two = layers.Dense(4), layers.Dense(1), layers.Dense(1)\nh = base(x)\n"
    code += "first, second = one(h), two(h)\nmodel = keras.Model(x, [first, second])\n"
    code += "base.trainable = one.trainable = False\nmodel.compile('adam', 'mse')"
    seen = traced(code)
    (finding,) = of(seen, "frozen output")
    assert finding.about == "first"
    assert "Everything on the wires to first is frozen by base and one" in finding.text
    before = seen.model.predict(np.ones([4, 3]), verbose=0)
    seen.model.fit(np.ones([4, 3]), [np.ones([4, 1]), np.ones([4, 1])], verbose=0)
    after = seen.model.predict(np.ones([4, 3]), verbose=0)
    assert [bool((a != b).any()) for a, b in zip(before, after, strict=True)] == [False, True]


def test_drift_is_read_again_from_a_document_and_old_documents_have_none() -> None:
    seen = tagger(after="lstm.trainable = False")
    document: dict[str, Any] = seen.ledger.to_dict()
    assert Ledger.from_dict(document).findings == seen.ledger.findings
    del document["models"][0]["trained"], document["models"][0]["changed"]
    assert "changed since compile" not in {f.kind for f in Ledger.from_dict(document).findings}


def test_a_loss_scaled_optimizer_is_asked_for_the_one_inside() -> None:
    policy = "keras.mixed_precision.set_global_policy"
    try:
        seen = traced(f"{policy}('mixed_float16')\n" + TAGGER.format(before="lstm.trainable = False", after=""))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert "LossScale" in seen.ledger.main_model.optimizer
    assert not drift(seen)
    really_trained(seen.model, *DATA)
    assert not drift(seen)
    seen.layers["lstm"].trainable = True
    seen.model.compile(seen.model.optimizer, "mse")
    assert [f.kind for f in drift(seen)] == ["not in the optimizer"]


def test_a_document_without_any_of_the_newer_keys_is_read_and_drawn() -> None:
    document: dict[str, Any] = traced(GAN).ledger.to_dict()
    newer = {
        "models": ("links", "roles", "compiled", "trained", "listed", "changed", "optimizer", "unknown"),
        "layers": ("unseen_in", "unseen_as"),
        "events": ("inside",),
    }
    for part, keys in newer.items():
        records = document[part].values() if isinstance(document[part], dict) else document[part]
        for record in records:
            for key in keys:
                record.pop(key, None)
    old = Ledger.from_dict(document)
    assert old.main_model.name == "combined"
    assert not {f.kind for f in old.findings} & {"changed since compile", "not in the optimizer", "nothing to train"}
    assert [f.text for f in old.findings if f.kind == "frozen"] == [
        "discriminator.trainable is False: 4 variables (19 parameters) below it are not trained."
    ]
    for render in (to_text, lambda seen: to_html(seen, page=True)):
        assert "discriminator" in render(report(old))
    assert "generator" in to_svg(old)
