"""Everything that the magics do, from plain Python."""

import subprocess
import sys

import numpy as np
import pytest

import s2s_magic
from models import by_hand
from s2s_magic.errors import FitError, SpecError
from s2s_magic.handle import SpecialIds

SPEC = "tokens: char\nvocab: {source: texts, target: texts}\nembed: 6\nencoder: gru(8)\ndecoder: gru(8)\n"


def test_every_public_name_is_there_and_is_what_it_says():
    assert {name: callable(getattr(s2s_magic, name)) for name in s2s_magic.__all__} == dict.fromkeys(
        s2s_magic.__all__, True
    )
    assert set(s2s_magic.__all__) <= set(dir(s2s_magic))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        s2s_magic.nothing  # noqa: B018


def test_what_a_name_is_bound_to_needs_no_tensorflow_until_it_is_used():
    code = (
        "import s2s_magic.handle, s2s_magic.api, sys; s2s_magic.api.models_in({}); print('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_model_is_built_fitted_decoded_and_explained_without_a_notebook(capsys):
    texts = ["abc", "cab", "bca", "a"] * 8
    model = s2s_magic.build(SPEC, name="copier", namespace={"texts": texts})
    assert s2s_magic.fit(model, "source: texts\ntarget: texts\nepochs: 2\nseed: 1", {"texts": texts}) is model
    assert len(model.history["loss"]) == 2
    decoded = s2s_magic.decode(model, ["abc", "b"])
    assert len(decoded) == 2
    assert all(set(text) <= set("abc�") for text in decoded)
    assert isinstance(s2s_magic.decode(model, "abc")[0], str)
    assert "It holds no weights" in s2s_magic.explain(model, "encoder_embeddings").sentences[0]


def test_the_special_ids_are_those_of_the_spec_or_not_known_yet():
    letters = s2s_magic.build(SPEC + "max_length: 9\n", namespace={"texts": ["ab"]}).ids
    assert (letters.padding, letters.start, letters.end, letters.unknown) == (0, 1, 2, 3)
    assert {side: str(tokens) for side, tokens in letters.tokens.items()} == {"source": "char", "target": "char"}
    bare = s2s_magic.build(SPEC.replace("tokens: char\n", "").replace("texts", "9") + "end: 4\n").ids
    assert bare == SpecialIds(start=0, end=4, added=True)
    assert s2s_magic.trace(by_hand(20, 4, 6)).ids == SpecialIds()


def test_traced_code_leaves_its_names_in_the_namespace_that_is_given():
    namespace = {}
    traced = s2s_magic.trace(by_hand(20, 4, 6), namespace, name="by_hand")
    assert namespace["words"] is traced.layers["words"]
    assert traced.model is namespace["model"]
    again = s2s_magic.trace("twice = words(source_ids)", namespace, name="by_hand", before=traced)
    assert again.ledger.events[-1].reused == traced.ledger.events[4].created


def test_what_the_code_raises_comes_out_unchanged():
    with pytest.raises(KeyError, match="gone"):
        s2s_magic.trace("{}['gone']", {})


def test_there_is_nothing_to_fit_where_the_code_made_no_model():
    traced = s2s_magic.trace("x = 1", {}, name="empty")
    assert traced.model is None
    with pytest.raises(FitError, match="empty has no model"):
        s2s_magic.fit(traced, "source: X\ntarget: X", {"X": np.zeros((2, 2))})


def test_all_faults_of_a_spec_come_at_once():
    with pytest.raises(SpecError) as caught:
        s2s_magic.build("vocab: -1\nembd: 4\nencoder: lsmt(8)\ndecoder: lstm(8)")
    assert [fault.line for fault in caught.value.faults] == [1, 2, 3]


def test_two_models_are_compared():
    small, large = (s2s_magic.build(f"vocab: 9\nembed: {e}\nencoder: gru(4)\ndecoder: gru(4)") for e in (2, 3))
    assert s2s_magic.compare(small, large) != s2s_magic.compare(small, small)
