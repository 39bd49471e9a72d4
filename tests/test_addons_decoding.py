"""The samplers, decoders and losses of `s2s_magic.addons.seq2seq`, compared with TensorFlow Addons'."""

from __future__ import annotations

import pytest

from addons_cases import DECODING
from addons_golden import HAS_TFA, OTHER_TENSORFLOW, assert_equal, kept, store, stored, theirs


def test_the_values_of_tensorflow_addons_are_stored(request):
    if not request.config.getoption("--update-golden"):
        pytest.skip("run with --update-golden where TensorFlow Addons is")
    store("decoding", {name: theirs(DECODING[name]) for name in kept(DECODING, 5)})


@pytest.mark.parametrize("name", DECODING)
@pytest.mark.skipif(not HAS_TFA, reason="TensorFlow Addons is not here")
def test_a_decoding_is_that_of_tensorflow_addons(name):
    assert_equal(DECODING[name], theirs(DECODING[name]))


@pytest.mark.parametrize("name", kept(DECODING, 5))
def test_a_decoding_is_the_stored_one(name):
    assert_equal(DECODING[name], stored("decoding", name), within=OTHER_TENSORFLOW)
