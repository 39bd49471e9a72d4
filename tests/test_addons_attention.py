"""The attention of `s2s_magic.addons.seq2seq`, compared with TensorFlow Addons'."""

from __future__ import annotations

import pytest

from addons_attention_cases import ATTENTION_CASES
from addons_golden import HAS_TFA, OTHER_TENSORFLOW, assert_equal, kept, store, stored, theirs


def test_the_values_of_tensorflow_addons_are_stored(request):
    if not request.config.getoption("--update-golden"):
        pytest.skip("run with --update-golden where TensorFlow Addons is")
    store("attention", {name: theirs(ATTENTION_CASES[name]) for name in kept(ATTENTION_CASES, 5)})


@pytest.mark.parametrize("name", ATTENTION_CASES)
@pytest.mark.skipif(not HAS_TFA, reason="TensorFlow Addons is not here")
def test_attention_is_that_of_tensorflow_addons(name):
    assert_equal(ATTENTION_CASES[name], theirs(ATTENTION_CASES[name]))


@pytest.mark.parametrize("name", kept(ATTENTION_CASES, 5))
def test_attention_is_the_stored_one(name):
    assert_equal(ATTENTION_CASES[name], stored("attention", name), within=OTHER_TENSORFLOW)
