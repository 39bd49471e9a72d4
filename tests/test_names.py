"""Which object a name refers to when names are rebound, deleted, or only the end of a path."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from s2s_magic import api
from s2s_magic.errors import LookupFailed
from test_roles import traced
from test_trace_ledger import check


def names(seen) -> list[str]:
    return [layer.name for layer in seen.ledger.layers.values() if layer.class_name not in ("InputLayer", "Functional")]


def told(seen, what: str) -> str:
    return " ".join(api.explain(seen, what).sentences)


LOOP = "x = keras.Input([4])\nfor _ in range(3):\n    layer = layers.Dense(4)\n    x = layer(x)\n"


def test_a_name_bound_again_stands_for_the_object_that_has_it_now() -> None:
    seen = traced(LOOP)
    assert names(seen)[:3] == ["layer (1st)", "layer (2nd)", "layer"]
    assert seen.layers["layer"] is seen.namespace["layer"]
    assert not [finding for finding in seen.ledger.findings if finding.kind == "alias"]
    first = told(seen, "layer (1st)")
    assert "layer (1st) owns 2 variables" in first
    assert "The same name was given to other objects too: layer (2nd) (line 7) and layer (line 7)." in first
    assert "layer owns 2 variables" in told(seen, "layer")


def test_an_object_that_a_list_still_has_goes_by_its_place_there() -> None:
    code = LOOP.replace("for", "kept = []\nfor").replace("    x =", "    kept.append(layer)\n    x =")
    seen = traced(code)
    assert names(seen) == ["kept[0]", "kept[1]", "layer"]
    assert [layer.aliases for layer in seen.ledger.layers.values()][-1] == ("kept[2]",)


def test_a_name_that_a_later_cell_binds_again_moves_on_with_all_that_is_named_after_it() -> None:
    first = traced("x = keras.Input([3, 2])\ncoder = layers.LSTM(2)\ny = coder(x)\nmodel = keras.Model(x, y)")
    old = first.ledger.layers
    second = api.trace("coder = layers.LSTM(4)\nz = coder(x)\nmodel = keras.Model(x, z)", first.namespace, before=first)
    assert [second.ledger.layers[key].name for key in old] == ["x", "coder (1st)", "coder (1st).cell", "model (1st)"]
    assert [name for name in names(second) if "(" not in name] == ["coder", "coder.cell"]
    assert {event.layer for event in second.ledger.events} >= {"coder (1st)", "coder", "model (1st)", "model"}
    parts = [part.path for event in second.ledger.events for part in event.parts]
    assert parts == ["coder (1st).cell", "coder.cell"]
    assert second.model is second.namespace["model"]
    check(second_as_traced(second), second.model)
    assert not [finding for finding in second.ledger.findings if finding.kind == "alias"]
    assert "coder.cell owns 3 variables" in told(second, "coder.cell.kernel".rpartition(".")[0])


def second_as_traced(seen):
    from s2s_magic.tracing import Traced

    return Traced(seen.ledger, seen.live, seen.namespace)


def test_objects_that_only_a_function_named_are_told_apart_and_the_bare_name_lists_them() -> None:
    code = (
        "def block(x):\n    inner = layers.Dense(4)\n    return inner(x)\nx = keras.Input([4])\ny = block(block(x))\n"
    )
    seen = traced(code + "model = keras.Model(x, y)")
    assert names(seen) == ["inner (1st)", "inner (2nd)"]
    with pytest.raises(LookupFailed, match=r"'inner' is the end of several names: inner \(1st\) and inner \(2nd\)"):
        told(seen, "inner")


def test_a_deleted_name_and_the_end_of_a_path_are_found() -> None:
    code = (
        "class Own(keras.Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.attention, self.head = layers.Attention(use_scale=True), layers.Dense(2)\n"
        "        self.left, self.right = layers.Dense(2, name='a'), layers.Dense(2, name='b')\n"
        "        self.left.cell, self.right.cell = layers.Dense(2), layers.Dense(2)\n"
        "    def call(self, x):\n        return self.head(self.attention([x, x]))\n"
        "model = Own()\nout = model(tf.ones([2, 3, 4]))\ngone = layers.Dense(3)\ny = gone(tf.ones([1, 2]))\ndel gone"
    )
    seen = traced(code)
    assert told(seen, "attention").startswith("model.attention is an Attention layer object (attention is the same")
    assert "Its owner is model.attention" in told(seen, "attention.scale")
    assert "gone owns 2 variables" in told(seen, "gone")
    with pytest.raises(LookupFailed, match=r"'cell' is the end of several names: model.left.cell and model.right.cell"):
        told(seen, "cell")
    with pytest.raises(LookupFailed, match=r"named 'attentoin'; did you mean"):
        told(seen, "attentoin")


def test_the_numbers_of_a_fit_stay_with_their_objects_when_names_move_on() -> None:
    seen = traced(
        "x = keras.Input([3])\nh = layers.Dense(1)\nmodel = keras.Model(x, h(x))\nmodel.compile('sgd', 'mse')"
    )
    api.fit(seen, "inputs: {x: X}\ntarget: Y", {"X": np.ones([4, 3], "float32"), "Y": np.ones([4, 1], "float32")})
    evidence = seen.evidence
    later = api.trace("h = layers.Dense(1)\n", seen.namespace, before=seen)
    assert later.evidence is evidence
    assert later.ledger.variables["v0"].owner == "h (1st)"
