"""The line that a reader of a report sees first."""

import pytest

from ledgers import translator_ledger
from s2s_magic import api
from s2s_magic.ledger import Ledger
from s2s_magic.view import report
from s2s_magic.view.summary import summary


def of_code(code):
    return summary(report(api.trace(f"from tensorflow import keras\n{code}", {}).ledger))


def test_it_counts_variables_and_owners_and_says_what_calls_share():
    said = summary(report(translator_ledger()))
    assert said == "9 variables in 4 owners; all trainable; embeddings shared by 2 calls"


def test_before_a_variable_is_made_there_is_none():
    assert summary(report(translator_ledger(), after=3)) == "no variables yet"
    assert summary(report(translator_ledger(), after=4)) == "1 variable in 1 owner; trainable"
    assert summary(report(Ledger("nothing"))) == "no variables"


def test_after_a_fit_it_tells_the_verdicts_and_names_the_odd_ones():
    said = summary(report(translator_ledger(training=True), training=True))
    assert said.split("; ")[1] == "8 trained, 1 did not move (encoder.cell.bias)"
    assert summary(report(translator_ledger(training=True), after=5)).endswith(
        "trainable; embeddings shared by 2 calls"
    )


@pytest.mark.parametrize("training", [False, True])
def test_it_is_the_same_whether_or_not_the_page_opens_with_the_training(training):
    with_it = translator_ledger(training=True)
    assert summary(report(with_it, training=training)) == summary(report(with_it))


def test_what_is_frozen_is_told_by_who_froze_it():
    code = (
        "x = keras.Input([3])\nfirst = keras.layers.Dense(4)\nfirst.trainable = False\n"
        "y = keras.layers.Dense(2)(first(x))\nmodel = keras.Model(x, y)\n"
    )
    said = of_code(code)
    assert "4 variables in 2 owners; 2 frozen by first (first.kernel and first.bias), 2 trainable" in said


def test_one_owner_called_in_a_loop_is_shared():
    code = "x = keras.Input([3])\ny = x\nsame = keras.layers.Dense(3)\nfor _ in range(4):\n    y = same(y)\n"
    assert (
        of_code(f"{code}model = keras.Model(x, y)") == "2 variables in 1 owner; all trainable; same shared by 4 calls"
    )
