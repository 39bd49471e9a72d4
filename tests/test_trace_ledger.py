"""The ledgers of models with different structures; their sums are always consistent."""

from typing import Any

import numpy as np
import pytest

from addons import run_plainly
from kerases import KERAS3
from ledgers import CODE
from models import by_hand, ran, zoo

pytest.importorskip("tensorflow")

from s2s_magic.ledger import Called, Constructed, Ledger
from s2s_magic.tracing import Traced, refresh, run

IMPORTS = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
"""


def traced(code: str, **more: Any) -> Traced:
    seen = run(IMPORTS + code, {}, **more)
    if seen.error is not None:
        raise seen.error
    return seen


def numbers(variables: Any) -> int:
    return sum(int(np.prod(v.shape)) for v in variables)


def check(seen: Traced, model: Any) -> None:
    """Assert the invariants of a ledger."""
    ledger = seen.ledger
    assert [event.index for event in ledger.events] == list(range(len(ledger.events)))
    made: list[str] = []
    for event in ledger.events:
        made += (
            event.created if isinstance(event, Called) else [k for k in event.owns if _born(ledger, k) == event.index]
        )
        assert all(wire.from_event is None or wire.from_event < event.index for wire in event.inputs)
        sent = [wire for wire in event.inputs if wire.from_event is not None]
        made_there = [ledger.events[wire.from_event].outputs[wire.output] for wire in sent]
        assert [(t.name, t.shape, t.dtype) for t in made_there] == [(w.name, w.shape, w.dtype) for w in sent]
    assert len(made) == len(set(made)), "two events created the same variable"
    listed = {key: ledger.events[v.created_by] for key, v in ledger.variables.items() if v.created_by is not None}
    # an object that Keras 3 does not let list a tf.Variable owns none of it
    owned_by_none = {
        key for key, event in listed.items() if not (ledger.variables[key].tracked or isinstance(event, Called))
    }
    assert set(made) == set(listed) - owned_by_none
    names = [layer.name for layer in ledger.layers.values()]
    assert len(names) == len(set(names)), "two layers have one name"
    owned = [variable for variable in ledger.variables.values() if variable.object is not None]
    assert [v.owner for v in owned] == [ledger.layers[v.object].name for v in owned]
    tracked = {key: variable for key, variable in ledger.variables.items() if variable.tracked}
    assert [key for key, v in tracked.items() if not len(set(v.paths)) == len(v.paths) >= 1] == []
    of_maker = {key: v for key, v in tracked.items() if key in ledger.layers[v.object].own_weights}
    assert [key for key, v in of_maker.items() if not v.paths[0].startswith(v.owner + ".")] == []
    for key, variable in ledger.variables.items():
        assert variable.params == int(np.prod(seen.live.variables[key].shape))
    name = ledger.main_model.name if ledger.main_model else ""
    assert seen.live.models[name] is model
    created = sum(v.params for v in ledger.variables.values() if name in v.in_models and v.created_by is not None)
    totals = ledger.totals()
    own = numbers(v for v in ledger_own(seen, name))
    assert created == model.count_params() == totals.total
    assert totals.row_sum - totals.shared == totals.total
    counted = [layer.count_params() if layer.built else 0 for layer in model.layers]
    assert totals.row_sum == sum(counted) + own
    assert totals.trainable == numbers(model.trainable_weights)
    document = ledger.to_dict()
    assert Ledger.from_dict(document).to_dict() == document
    for layer in document["layers"].values():
        del layer["kind"]
    assert Ledger.from_dict(document).to_dict() == ledger.to_dict(), "a document of before has no kinds"


def ledger_own(seen: Traced, name: str) -> list[Any]:
    """Return the variables that a model owns itself; no row of its summary has them."""
    key = next(key for key, layer in seen.ledger.layers.items() if layer.name == name)
    return [seen.live.variables[k] for k, v in seen.ledger.variables.items() if v.object == key and name in v.in_models]


def _born(ledger: Ledger, key: str) -> int | None:
    return ledger.variables[key].created_by


@pytest.mark.parametrize("title", zoo())
def test_every_variable_has_one_event_and_one_owner_and_the_sums_come_out(title: str) -> None:
    seen = ran(zoo()[title])
    check(seen, seen.namespace["model"])
    assert refresh(seen.ledger, seen.live) == seen.ledger


def test_an_encoder_decoder_of_named_parts_has_each_of_them_in_the_ledger_where_it_was_made() -> None:
    namespace: dict[str, Any] = {}
    run_plainly("import tensorflow as tf\nimport tensorflow_addons as tfa\nfrom tensorflow import keras", namespace)
    seen = run(CODE, namespace, name="translator", first_line=3)
    assert seen.error is None
    check(seen, namespace["model"])
    shown = [
        (e.index, e.kind, e.line, e.layer, tuple(o.name for o in e.outputs), tuple(w.from_event for w in e.inputs))
        for e in seen.ledger.events
    ]
    assert shown == [
        (0, "constructed", 3, "encoder_inputs", ("encoder_inputs",), ()),
        (1, "constructed", 4, "decoder_inputs", ("decoder_inputs",), ()),
        (2, "constructed", 5, "sequence_lengths", ("sequence_lengths",), ()),
        (3, "constructed", 6, "embeddings", (), ()),
        (4, "called", 7, "embeddings", ("encoder_embeddings",), (0,)),
        (5, "called", 8, "embeddings", ("decoder_embeddings",), (1,)),
        (6, "constructed", 9, "encoder", (), ()),
        (7, "called", 10, "encoder", ("encoder_outputs", "state_h", "state_c"), (4,)),
        (8, "constructed", 13, "decoder_cell", (), ()),
        (9, "constructed", 14, "output_layer", (), ()),
        (10, "constructed", 15, "decoder", (), ()),
        (
            11, "called", 16, "decoder",
            ("final_outputs.rnn_output", "final_outputs.sample_id", "final_state[0]", "final_state[1]",
             "final_sequence_lengths"),
            (5, 7, 7, 2),
        ),
        (12, "called", 18, "tf.nn.softmax", ("Y_proba",), (11,)),
        (13, "constructed", 19, "model", (), (0, 1, 2)),
    ]  # fmt: skip
    first, second = seen.ledger.events[4:6]
    assert first.source == "embeddings(encoder_inputs)"
    assert (first.column, first.end_line, first.end_column) == (21, 7, 47)
    assert (first.call, first.created, first.reused, first.trainable_params) == (1, ("v0",), (), 1000)
    assert (second.call, second.created, second.reused, second.trainable_params) == (2, (), ("v0",), 1000)
    owners = {v.owner: [] for v in seen.ledger.variables.values()}
    for variable in seen.ledger.variables.values():
        owners[variable.owner].append(variable.params)
    assert owners == {
        "embeddings": [1000],
        "encoder.cell": [20480, 1048576, 2048],
        "decoder_cell": [20480, 1048576, 2048],
        "output_layer": [51200, 100],
    }
    cell = next(layer for layer in seen.ledger.layers.values() if layer.name == "decoder_cell")
    assert (seen.ledger.layers[cell.parent].name, cell.attribute, cell.held_by) == (
        "decoder",
        "cell",
        ("decoder.cell",),
    )
    assert seen.ledger.totals().model_dump() == {
        "row_sum": 2194508,
        "shared": 0,
        "trainable": 2194508,
        "total": 2194508,
        "outside": 0,
    }
    assert "basic_decoder" in seen.ledger.variables["v4"].name
    assert [wire.name for wire in seen.ledger.main_model.outputs] == ["Y_proba"]


def test_a_layer_handed_to_bidirectional_is_a_ghost() -> None:
    ledger = run(zoo()["bidirectional"], {}).ledger
    ghosts = [layer.name for layer in ledger.layers.values() if layer.ghost]
    assert ghosts == ["inner"]
    assert {v.owner for v in ledger.variables.values()} == {"both.forward_layer.cell", "both.backward_layer.cell"}


def test_a_cell_that_stands_twice_in_a_stack_is_one_owner() -> None:
    ledger = run(zoo()["one cell twice"], {}).ledger
    assert len(ledger.variables) == 3
    assert {v.owner for v in ledger.variables.values()} == {"cell"}


def test_tied_layers_reuse_what_the_embedding_created() -> None:
    ledger = run(zoo()["tied output"], {}).ledger
    calls = [event for event in ledger.events if isinstance(event, Called)]
    assert [(call.created, call.reused) for call in calls] == [(("v0",), ()), ((), ("v0",)), ((), ("v0",))]
    assert ledger.variables["v0"].paths == ("table.embeddings", "tied.table.embeddings", "tied_kernel.kernel")
    assert ledger.totals().model_dump() == {"row_sum": 120, "shared": 80, "trainable": 40, "total": 40, "outside": 0}


def test_freezing_names_the_outermost_switch_that_is_off() -> None:
    frozen = run(zoo()["frozen"], {}).ledger
    assert {v.frozen_by for v in frozen.variables.values() if v.owner.startswith("base.")} == {"base"}
    cell = run(zoo()["frozen cell"], {}).ledger
    assert {(v.trainable, v.frozen_by) for v in cell.variables.values()} == {(False, "cell")}
    assert [e.trainable_params for e in cell.events if isinstance(e, Called)] == [0]


def test_refresh_sees_what_was_frozen_after_the_cell_and_keeps_the_events() -> None:
    seen = ran(by_hand(20, 4, 8))
    seen.namespace["writer_cell"].trainable = False
    after = refresh(seen.ledger, seen.live)
    assert after.events == seen.ledger.events
    assert {v.frozen_by for v in after.variables.values() if v.owner == "writer_cell"} == {"writer_cell"}
    assert {v.trainable for v in after.variables.values() if v.owner == "scores"} == {True}
    assert after.totals().trainable == numbers(seen.namespace["model"].trainable_weights)


def test_refresh_takes_in_variables_that_a_later_fit_made() -> None:
    seen = traced("model = keras.Sequential([layers.Dense(2)])\nmodel.compile('sgd', 'mse')")
    assert not seen.ledger.variables
    assert (seen.ledger.main_model.roles, seen.ledger.main_model.total) == (("compiled",), 0)
    seen.namespace["model"].fit(np.ones([4, 3]), np.ones([4, 2]), verbose=0)
    after = refresh(seen.ledger, seen.live)
    assert {(v.owner, v.created_by) for v in after.variables.values()} == {("model.layers[0]", None)}
    assert after.main_model.total == 8


def test_what_fit_does_is_one_event_where_variables_came_of_it_and_none_else() -> None:
    ledger = run(zoo()["sequential built by fit"], {}).ledger
    called = [event for event in ledger.events if isinstance(event, Called)]
    assert [(e.layer, e.via, e.call, len(e.created)) for e in called] == [("model", "fit", 0, 4)]
    ledger = traced(
        "x = keras.Input([3])\nmodel = keras.Model(x, layers.Dense(2)(x))\n"
        "model.compile('adam', 'mse', metrics=['mae'])\n"
        "for _ in range(2):\n    model.fit(np.ones([4, 3]), np.ones([4, 2]), verbose=0)\n"
        "model.predict(np.ones([4, 3]), verbose=0)\nmodel.evaluate(np.ones([4, 3]), np.ones([4, 2]), verbose=0)\n"
    ).ledger
    assert [event.kind for event in ledger.events] == ["constructed", "constructed", "called", "constructed"]
    assert len(ledger.variables) == 2, "optimizer and metric variables are no part of the model"


def test_batch_statistics_are_variables_that_are_not_trained_and_not_frozen() -> None:
    ledger = run(zoo()["sequential inside"], {}).ledger
    moving = [v for v in ledger.variables.values() if "moving" in v.name]
    assert [(v.trainable, v.frozen_by, v.tracked) for v in moving] == [(False, None, True)] * 2


def test_a_recurrent_state_is_kept_as_untracked() -> None:
    ledger = run(zoo()["stateful"], {}).ledger
    assert [(v.owner, v.tracked, v.in_models) for v in ledger.variables.values()][-1] == ("recurrent", False, ())


def test_a_closures_layer_is_untracked_by_the_model_but_still_owns_its_variables() -> None:
    ledger = traced(
        "table = layers.Embedding(5, 3)\ntable.build(None)\nids = keras.Input([None], dtype='int32')\n"
        "class Hidden(layers.Layer):\n"
        "    def __init__(self, f):\n        super().__init__()\n        self.f = f\n"
        "    def call(self, x):\n        return self.f(x)\n"
        "model = keras.Model(ids, Hidden(lambda x: table(x))(ids))\n"
    ).ledger
    (variable,) = ledger.variables.values()
    assert (variable.owner, variable.in_models, variable.tracked) == ("table", (), False)
    assert [(f.kind, f.about) for f in ledger.findings] == [("untracked", "table"), ("nothing to train", "model")]
    assert next((e.layer, e.via) for e in ledger.events if isinstance(e, Called)) == ("table", "build")


def test_the_users_own_variable_has_its_name_until_a_layer_lists_it() -> None:
    variable = "keras.Variable" if KERAS3 else "tf.Variable"  # a layer of Keras 3 lists Keras's alone
    seen = traced(
        "class Kept(layers.Layer):\n    def call(self, x):\n        return x\n"
        f"free = tf.Variable([1.0, 2.0])\nheld = {variable}(3.0)\nd = Kept()\nd.w = held\n"
        "d(tf.ones([1]))\n"
    )
    free, held = seen.ledger.variables.values()
    assert (free.owner, free.object, free.tracked, free.created_by) == ("free", None, False, None)
    assert (held.owner, held.paths, held.created_by) == ("d", ("d.w",), 0)


def test_layers_of_an_earlier_untraced_cell_have_no_construction_and_known_variables() -> None:
    namespace: dict[str, Any] = {}
    exec(IMPORTS + "old = layers.LSTM(3)\nold(tf.ones([1, 2, 4]))", namespace)
    seen = run("x = keras.Input([2, 4])\ny = old(x)\nmodel = keras.Model(x, y)\n", namespace)
    old = next(layer for layer in seen.ledger.layers.values() if layer.name == "old")
    assert (old.constructed, old.own_weights) == (None, ("v0", "v1", "v2"))
    assert seen.ledger.events[1].reused == ("v0", "v1", "v2")
    assert {(v.owner, v.created_by) for v in seen.ledger.variables.values()} == {("old.cell", None)}


def test_a_ledger_goes_on_in_a_later_cell() -> None:
    first = traced(
        "x = keras.Input([4])\nshared = layers.Dense(3)\ny = shared(x)\ndef again(v):\n    return shared(v)\n"
    )
    second = run(
        "z = again(x)\nlast = layers.Dense(2)\nmodel = keras.Model(x, last(z))\n", first.namespace, before=first
    )
    assert second.error is None
    check(second, first.namespace["model"])
    assert second.ledger.events[:3] == first.ledger.events
    call = second.ledger.events[3]
    assert (call.layer, call.call, call.cell, call.line, call.outer.cell, call.outer.source) == (
        "shared", 2, 1, 9, 2, "again(x)",
    )  # fmt: skip
    assert (call.reused, call.inputs[0].from_event, call.outputs[0].name) == (("v0", "v1"), 0, "z")
    assert [cell.number for cell in second.ledger.cells] == [1, 2]
    assert second.ledger.layers["L1"].name == "shared"


def test_names_come_from_code_then_namespace_then_the_holder_then_keras() -> None:
    ledger = traced(
        "class Bag: pass\n"
        "bag = Bag()\nbag.inner = layers.Dense(1)\n"
        "def make():\n    return layers.Dense(1)\n"
        "pair = {'left': make(), 'right': [make()]}\n"
        "first = again = layers.Dense(1)\n"
        "one, two = layers.Dense(1), layers.LSTM(2)\n"
        "layers.Dense(1, name='keras_name')\n"
        "for _ in range(2):\n    looped = layers.Dense(1)\n"
        "def inside():\n    local = layers.Dense(1)\ninside()\n"
        "(walrus := layers.Dense(1))\n"
    ).ledger
    assert [layer.name for layer in ledger.layers.values()] == [
        "bag.inner", "pair['left']", "pair['right'][0]", "first", "one", "two", "two.cell", "keras_name",
        "looped (1st)", "looped", "local", "walrus",
    ]  # fmt: skip
    assert next(layer.aliases for layer in ledger.layers.values() if layer.name == "first") == ("again",)


def test_tensors_are_named_by_what_the_code_unpacks_them_into() -> None:
    ledger = traced(
        "x = keras.Input([3, 2])\n"
        "out, *states = layers.LSTM(2, return_state=True)(x)\n"
        "several = layers.LSTM(2, return_state=True)(x)\n"
        "kept = [layers.Dense(1)(x)]\n"
        "a = b = layers.Dense(1)(x)\n"
        "flag = True\n"
        "chosen = layers.Dense(1)(x) if flag else x\n"
    ).ledger
    names = [tuple(o.name for o in e.outputs) for e in ledger.events if isinstance(e, Called)]
    assert names == [
        ("out", "states[0]", "states[1]"),
        ("several[0]", "several[1]", "several[2]"),
        ("kept[0]",),
        ("a",),
        ("chosen",),
    ]


def test_numbers_through_a_layer_are_a_call_with_data() -> None:
    seen = traced("d = layers.Dense(3)\nnumbers = np.ones([2, 4], 'float32')\ny = d(numbers)\n")
    ledger, kernel = seen.ledger, seen.namespace["d"].kernel.numpy()
    call = ledger.events[1]
    assert (call.phase, call.in_graph, call.inputs[0].name, call.inputs[0].shape) == ("data", False, "numbers", (2, 4))
    assert ledger.variables["v0"].initial_norm == pytest.approx(float(np.linalg.norm(kernel)))


def test_what_a_library_function_returns_takes_the_name() -> None:
    seen = run(zoo()["cloned"], {})
    assert [model.name for model in seen.ledger.models] == ["original", "model"]


def test_parts_are_listed_under_the_event_that_made_them() -> None:
    ledger = run(zoo()["subclassed"], {}).ledger
    made = next(e for e in ledger.events if isinstance(e, Constructed))
    assert [part.path for part in made.parts] == ["model.inner", "model.steps[0]", "model.steps[1]"]
    ledger = run(zoo()["subclassed layer"], {}).ledger
    assert [part.path for e in ledger.events if isinstance(e, Called) for part in e.parts] == ["affine.inner"]


def test_clearing_the_session_in_the_cell_changes_nothing() -> None:
    seen = traced("keras.backend.clear_session()\nx = keras.Input([4])\nmodel = keras.Model(x, layers.Dense(2)(x))\n")
    check(seen, seen.namespace["model"])
