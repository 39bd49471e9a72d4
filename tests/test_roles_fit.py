"""Several models fitted by this package: each verdict is about the fitted model, and agrees with the weights."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kerases import KERAS3
from s2s_magic import Seq2Seq, api
from s2s_magic.view import report, to_html, to_text
from test_roles import GAN, traced

X = np.random.default_rng(0).random([16, 4]).astype("float32")
DATA: dict[str, Any] = {"X": X, "Y": X[:, :1] > 0.5, "Z": X[:, :2], "ONES": np.ones([16, 1], "float32")}
DATA["Y"] = DATA["Y"].astype("float32")


def fit(seen: Seq2Seq, body: str) -> set[str]:
    """Fit, and return the ledger's names of the variables that really moved."""
    before = {key: variable.numpy() for key, variable in seen.live.variables.items()}
    api.fit(seen, body, DATA, progress=lambda _: None)
    return {
        seen.ledger.variables[key].owner
        for key, variable in seen.live.variables.items()
        if (variable.numpy() != before[key]).any()
    }


def verdicts(seen: Seq2Seq, number: int) -> dict[str, str]:
    """Return the verdicts of one fit by owner."""
    evidence = seen.evidence.variables
    return {v.owner: evidence[key].fits[number - 1].verdict for key, v in seen.ledger.variables.items()}


def told(seen: Seq2Seq, what: str) -> str:
    return " ".join(api.explain(seen, what).sentences)


def test_two_fitted_models_that_share_a_layer_are_judged_each_by_its_own_fit() -> None:
    seen = traced(
        "x = keras.Input([4])\nshared, one, two = layers.Dense(3), layers.Dense(1), layers.Dense(1)\n"
        "first = keras.Model(x, one(shared(x)))\nfirst.compile('sgd', 'mse')\n"
        "second = keras.Model(x, two(shared(x)))\nsecond.compile('sgd', 'mse')\n"
    )
    assert fit(seen, "inputs: {x: X}\ntarget: Y\nmodel: first") == {"shared", "one"}
    assert verdicts(seen, 1) == {"shared": "trained", "one": "trained", "two": "not in the model"}
    assert "two.kernel is not in first: the optimizer was not given it" in told(seen, "two")
    assert fit(seen, "inputs: {x: X}\ntarget: Y") == {"shared", "two"}
    assert verdicts(seen, 1) == {"shared": "trained", "one": "trained", "two": "not in the model"}
    assert verdicts(seen, 2) == {"shared": "trained", "one": "not in the model", "two": "trained"}
    assert "two.kernel was trained" in told(seen, "two")
    assert [run.model for run in seen.evidence.runs] == ["first", "second"]
    assert "fit 2 of second: 1 epoch" in to_text(report(seen.ledger, training=True))
    assert "2 of second" in to_html(report(seen.ledger, training=True), page=True)
    assert "In fit 1 of first: not in the model." in told(seen, "two")
    assert "In fit 2 of second: not in the model." in told(seen, "one")
    assert "It is not part of second: no wire leads from it to the model's outputs; it is part of first." in told(
        seen, "one"
    )
    assert "It is part of second" in told(seen, "shared")
    assert "; so it is of first." in told(seen, "shared")


def test_a_gan_is_said_to_train_each_half_by_its_own_model() -> None:
    seen = traced(GAN)
    discriminator = seen.namespace["discriminator"]
    discriminator.trainable = KERAS3  # which reads the switch when it fits; Keras 2 read it at `compile`
    ledger = api.current_ledger(seen)
    names = {ledger.variables[key].owner for key in ledger.model("discriminator").trained}
    moved = fit(seen, "inputs: {seen: X}\ntarget: Y\nmodel: discriminator")
    assert moved == names
    assert {owner for owner, verdict in verdicts(seen, 1).items() if verdict == "trained"} == names
    discriminator.trainable = False
    moved = fit(seen, "inputs: {noise: Z}\ntarget: ONES")
    assert not moved & names
    after = verdicts(seen, 2)
    assert {owner for owner, verdict in after.items() if verdict == "trained"} == moved
    assert {owner for owner, verdict in after.items() if verdict == "frozen"} == names
    assert "A fit of discriminator trains 4 of its variables, a fit of combined trains none" in told(
        seen, "discriminator"
    )


def test_a_discriminator_that_is_compiled_while_it_is_frozen_says_that_there_is_nothing_to_train() -> None:
    adam = "keras.optimizers.Adam()" if KERAS3 else "keras.optimizers.legacy.Adam()"
    seen = traced(GAN + f"discriminator.compile({adam}, 'binary_crossentropy')\n")
    with pytest.warns(
        UserWarning, match=r"^discriminator has nothing to train: discriminator\.trainable = False freezes"
    ):
        assert fit(seen, "inputs: {seen: X}\ntarget: Y\nmodel: discriminator") == set()
    frozen = [found.text for found in seen.evidence.variables.values() if found.verdict == "frozen"]
    assert len(frozen) == len(seen.namespace["discriminator"].weights)
    assert all("is frozen by discriminator: the optimizer was not given it" in text for text in frozen)


def test_what_a_holder_froze_is_trained_once_it_is_unfrozen_and_compiled_again_in_few_lines() -> None:
    seen = traced(
        "x = keras.Input([4])\nbase = keras.Sequential([layers.Dense(4) for _ in range(10)])\n"
        "model = keras.Model(x, layers.Dense(1)(base(x)))\nbase.trainable = False\nmodel.compile('adam', 'mse')\n"
    )
    body = "inputs: {x: X}\ntarget: Y"
    assert not {owner for owner in fit(seen, body) if owner.startswith("base")}
    (finding,) = [f for f in seen.ledger.findings if f.kind == "frozen"]
    assert finding.text == "base.trainable is False: 20 variables (200 parameters) below it are not trained."
    assert "Fitting, of its 20 variables: 20 frozen." in told(seen, "base")
    assert len(api.explain(seen, "base").sentences) < 10
    seen.namespace["base"].trainable = True
    seen.model.compile("adam", "mse")
    assert not [f for f in api.current_ledger(seen).findings if f.kind in ("frozen", "changed since compile")]
    assert "20 frozen in the fits so far, and trained by the next one" in told(seen, "base")
    assert "base.layers[0].kernel was frozen in the fits so far; the next one trains it." in told(
        seen, "base.layers[0]"
    )
    assert len({owner for owner in fit(seen, body) if owner.startswith("base")}) == 10
    assert "is frozen by base" not in told(seen, "base.layers[0]")
    assert "Fitting, of its 20 variables: 20 trained." in told(seen, "base")
