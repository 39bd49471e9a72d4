"""Several models over the same layers: which one is chosen, what role each has, and what its fit would train."""

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from IPython.core.interactiveshell import InteractiveShell
from tensorflow import keras

from kerases import KERAS3
from s2s_magic import Ledger, Seq2Seq, api
from s2s_magic.completion import candidates
from s2s_magic.errors import DataError, LookupFailed
from s2s_magic.tracing import Traced
from s2s_magic.view import to_svg
from test_trace_ledger import IMPORTS, check

TUTORIAL = """
units = 5
encoder_inputs = keras.Input([None, 7])
encoder = layers.LSTM(units, return_state=True)
_, state_h, state_c = encoder(encoder_inputs)
decoder_inputs = keras.Input([None, 6])
decoder_lstm = layers.LSTM(units, return_sequences=True, return_state=True)
decoded, _, _ = decoder_lstm(decoder_inputs, initial_state=[state_h, state_c])
decoder_dense = layers.Dense(6, activation="softmax")
training_model = keras.Model([encoder_inputs, decoder_inputs], decoder_dense(decoded))
{compile}
encoder_model = keras.Model(encoder_inputs, [state_h, state_c])
held_h, held_c = keras.Input([units]), keras.Input([units])
step, next_h, next_c = decoder_lstm(decoder_inputs, initial_state=[held_h, held_c])
decoder_model = keras.Model([decoder_inputs, held_h, held_c], [decoder_dense(step), next_h, next_c])
"""
COMPILE = 'training_model.compile("rmsprop", "categorical_crossentropy")'
GAN = """
noise = keras.Input([2])
generator = keras.Model(noise, layers.Dense(4)(noise))
seen = keras.Input([4])
discriminator = keras.Model(seen, layers.Dense(1, activation="sigmoid")(layers.Dense(3)(seen)))
discriminator.compile("adam", "binary_crossentropy")
discriminator.trainable = False
combined = keras.Model(noise, discriminator(generator(noise)))
combined.compile("adam", "binary_crossentropy")
"""


def traced(code: str, **more: Any) -> Seq2Seq:
    return api.trace(IMPORTS + code, {}, name="m", **more)


def roles(seen: Seq2Seq) -> dict[str, tuple[str, ...]]:
    return {record.name: record.roles for record in api.current_ledger(seen).models}


def full_name(variable: Any) -> str:
    """Return a variable's name, with its layer's."""
    return str(variable.path if KERAS3 else variable.name)


def really_trained(model: Any, *data: Any) -> set[str]:
    """Fit a model by Keras, and return the names of the weights that moved."""
    names = list(map(full_name, model.weights))
    before = model.get_weights()
    model.fit(*data, epochs=2, verbose=0)
    pairs = zip(names, before, model.get_weights(), strict=True)
    return {name for name, started, ended in pairs if (started != ended).any()}


def said_trained(seen: Seq2Seq, name: str) -> set[str]:
    ledger = api.current_ledger(seen)
    return {full_name(seen.live.variables[key]) for key in ledger.model(name).trained}


@pytest.mark.parametrize("compiled", [True, False])
def test_the_training_model_is_meant_though_inference_models_were_made_after_it(compiled: bool) -> None:
    seen = traced(TUTORIAL.format(compile=COMPILE if compiled else ""))
    assert roles(seen) == {
        "training_model": ("compiled",) if compiled else (),
        "encoder_model": ("inference",),
        "decoder_model": ("inference",),
    }
    assert seen.model is seen.namespace["training_model"]
    assert list(seen.models) == ["training_model", "encoder_model", "decoder_model"]
    assert seen.ledger.main_model.name == "training_model"
    check(Traced(seen.ledger, seen.live, seen.namespace), seen.model)


def test_a_model_compiled_or_fitted_in_another_cell_is_found_without_a_hook_on_that_cell() -> None:
    seen = traced(
        "x = keras.Input([3])\none = keras.Model(x, layers.Dense(1)(x))\ntwo = keras.Model(x, layers.Dense(1)(x))"
    )
    one, two = seen.namespace["one"], seen.namespace["two"]
    assert (seen.model, roles(seen)) == (two, {"one": (), "two": ()})
    one.compile("sgd", "mse")
    assert (roles(seen), seen.model) == ({"one": ("compiled",), "two": ()}, one)
    two.compile("sgd", "mse")
    assert (roles(seen)["two"], seen.model) == (("compiled",), two)
    one.compile(one.optimizer, "mse")
    assert (roles(seen)["one"], seen.model) == (("compiled",), one)
    two.train_on_batch(np.ones([2, 3]), np.ones([2, 1]))
    assert (roles(seen)["two"], seen.model) == (("compiled", "fitted"), one)
    two.compile(keras.optimizers.Adam(), "mse", steps_per_execution="auto")
    two.compile("sgd", "mse", steps_per_execution="auto")
    assert (roles(seen)["two"], seen.model) == (("compiled", "fitted"), two)


def test_a_discriminator_is_frozen_for_the_combined_model_alone() -> None:
    seen = traced(GAN)
    assert roles(seen) == {"generator": ("part",), "discriminator": ("compiled", "part"), "combined": ("compiled",)}
    assert seen.model is seen.namespace["combined"]
    check(Traced(seen.ledger, seen.live, seen.namespace), seen.model)
    space, random = seen.namespace, np.random.default_rng(0)
    noise, fakes, ones = random.random([8, 2]), random.random([8, 4]), np.ones([8, 1])
    trained = {name: said_trained(seen, name) for name in ("discriminator", "combined")}
    assert trained["discriminator"] == really_trained(space["discriminator"], fakes, ones)
    assert (trained["discriminator"] == set()) is KERAS3, "Keras 3 reads the switch when it fits"
    assert trained["combined"] == really_trained(space["combined"], noise, ones) != set()
    assert not trained["discriminator"] & trained["combined"]
    api.current_ledger(seen)
    assert seen.ledger.totals().trainable == 12
    with seen.chosen("discriminator") as chosen:
        assert chosen is space["discriminator"] is seen.model
        assert seen.ledger.totals().total == 19
    assert seen.model is space["combined"]


def test_the_trained_variables_are_those_that_keras_trains_whatever_was_switched_since_compile() -> None:
    code = "x = keras.Input([3])\ninner = keras.Sequential([layers.Dense(4), layers.Dense(4)])\n"
    code += "head = layers.Dense(1)\nmodel = keras.Model(x, head(inner(x)))\nmodel.compile('adam', 'mse')"
    data = np.random.default_rng(0).random([8, 3]), np.ones([8, 1])
    switches = ["inner.trainable = False", "inner.layers[0].trainable = False", "model.trainable = False", "pass"]
    for before in switches:
        for after in [*switches, "inner.trainable = True", "model.trainable = True"]:
            seen = traced(code.replace("model.compile", f"{before}\nmodel.compile") + f"\n{after}")
            assert said_trained(seen, "model") == really_trained(seen.model, *data), (before, after)
            assert seen.ledger.totals().trainable == sum(int(np.prod(w.shape)) for w in seen.model.trainable_weights)


def test_roles_stand_in_the_json_document_and_documents_without_them_are_read() -> None:
    seen = traced(GAN)
    document = seen.ledger.to_dict()
    assert [(m["name"], m["roles"], m["compiled"]) for m in document["models"]] == [
        ("generator", ["part"], None),
        ("discriminator", ["compiled", "part"], 1),
        ("combined", ["compiled"], 2),
    ]
    assert Ledger.from_dict(document) == seen.ledger
    for model in document["models"]:
        for key in ("roles", "compiled", "trained", "changed", "unknown"):
            del model[key]
    old = Ledger.from_dict(document)
    assert (old.main_model.name, old.main_model.trained) == ("combined", None)
    with seen.chosen("generator"):
        kept = Ledger.from_dict(seen.ledger.to_dict())
        assert (kept.chosen, kept.main_model.name, kept.totals().total) == ("generator", "generator", 12)


def test_a_fit_trains_the_model_that_it_names_and_refuses_an_unknown_one_at_its_place() -> None:
    code = "x = keras.Input([3], name='x')\na, b = layers.Dense(2), layers.Dense(2)\n"
    code += "one = keras.Model(x, a(x))\ntwo = keras.Model(x, b(x))\n"
    seen = traced(code + "one.compile('sgd', 'mse')\ntwo.compile('sgd', 'mse')")
    data = {"X": np.ones([8, 3], "float32"), "Y": np.ones([8, 2], "float32")}
    body = "inputs: {x: X}\ntarget: Y\nmodel: "
    before = [v.numpy() for v in (*seen.layers["a"].weights, *seen.layers["b"].weights)]
    with pytest.raises(DataError, match=r"line 4, column 8: no model 'onee'; known are one \(compiled\) and two"):
        api.fit(seen, body + "onee", data, first_line=2)
    api.fit(seen, body + "one", data)
    after = [v.numpy() for v in (*seen.layers["a"].weights, *seen.layers["b"].weights)]
    assert [bool((old != new).any()) for old, new in zip(before, after, strict=True)] == [True, True, False, False]
    assert seen.model is seen.namespace["two"]
    assert roles(seen) == {"one": ("compiled", "fitted"), "two": ("compiled",)}


def test_models_are_found_by_name_by_keras_name_and_by_an_unambiguous_end() -> None:
    seen = traced(
        "class Pair: pass\npair = Pair()\nx = keras.Input([3])\n"
        "pair.first = keras.Model(x, layers.Dense(1)(x), name='Uno')\npair.second = keras.Model(x, layers.Dense(1)(x))"
    )
    assert [seen.ledger.model(name).name for name in ("pair.first", "first", "Uno")] == ["pair.first"] * 3
    with pytest.raises(LookupFailed, match=r"no model 'secund'; known are pair.first and pair.second; did you mean"):
        seen.ledger.model("secund")


SEQUENTIAL = """
x = keras.Input([4]); encoder = keras.Model(x, layers.Dense(3)(x))
z = keras.Input([5, 3]); decoder = keras.Model(z, layers.LSTM(4)(z))
repeat = layers.RepeatVector(5)
model = keras.Sequential([encoder, repeat, decoder])
model.compile("adam", "mse")
"""


def test_a_sequential_of_models_has_its_wires() -> None:
    seen = traced(SEQUENTIAL)
    record = seen.ledger.main_model
    names = {key: layer.name for key, layer in seen.ledger.layers.items()}
    assert [(names[link.source], names.get(link.target)) for link in record.links][1:] == [
        ("encoder", "repeat"),
        ("repeat", "decoder"),
        ("decoder", None),
    ]
    drawn = to_svg(seen.ledger)
    (wires,) = re.findall("<desc>(.*?)</desc>", drawn)
    for wire in ("encoder → repeat", "repeat → decoder", "decoder → output"):
        assert wire in wires
    said = " ".join(api.explain(seen, "repeat").sentences)
    assert "The cell does not call it; model does, after encoder and before decoder." in said
    assert Ledger.from_dict(seen.ledger.to_dict()) == seen.ledger
    check(Traced(seen.ledger, seen.live, seen.namespace), seen.model)


def test_a_sequential_that_its_first_fit_builds_has_its_wires_after_it() -> None:
    seen = traced(
        "one, two = layers.Dense(3), layers.Dense(1)\nmodel = keras.Sequential([one, two])\nmodel.compile('sgd', 'mse')"
    )
    assert not seen.ledger.main_model.links
    seen.model.fit(np.ones([4, 2]), np.ones([4, 1]), verbose=0)
    api.current_ledger(seen)
    assert "one → two" in to_svg(seen.ledger)
    assert "two → output" in to_svg(seen.ledger)


@pytest.fixture(scope="module")
def notebook():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "s2s_magic")
    shell.run_cell("import numpy as np\nfrom tensorflow import keras\nfrom tensorflow.keras import layers")
    shell.run_cell("%%seq2seq trace tutorial" + TUTORIAL.format(compile=COMPILE)).raise_error()
    yield shell
    shell.run_line_magic("unload_ext", "s2s_magic")
    InteractiveShell.clear_instance()


def test_another_model_is_named_on_inspect_explain_and_code_lines(notebook, capsys) -> None:
    def run(line: str) -> Any:
        result = notebook.run_cell(line)
        result.raise_error()
        return result.result

    run("%seq2seq inspect tutorial")
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "training_model (compiled) is the model that is meant. The code also made encoder_model (inference) and "
        "decoder_model (inference). --model NAME, or model: NAME in a fit, means another."
    ) in shown
    ledger = run("one = %seq2seq inspect tutorial --model encoder_model --return\none")
    assert ledger.main_model.name == "encoder_model"
    assert ledger.totals().total == notebook.user_ns["encoder_model"].count_params()
    assert notebook.user_ns["tutorial"].ledger.main_model.name == "training_model"
    told = run("told = %seq2seq explain tutorial decoder_dense --model encoder_model --return\ntold")
    assert "It is not part of encoder_model" in " ".join(told.sentences)
    code = run("code = %seq2seq code tutorial --model encoder_model --return\ncode")
    assert code.rstrip().endswith("encoder_model = keras.Model(encoder_inputs, [state_h, state_c])")
    space: dict[str, Any] = {}
    exec(IMPORTS + code, space)
    assert space["encoder_model"].count_params() == ledger.totals().total
    with pytest.raises(LookupFailed, match=r"no model 'encoder_modle'; known are training_model .*; did you mean"):
        run("%seq2seq inspect tutorial --model encoder_modle")


def test_models_are_offered_where_one_can_be_named(notebook) -> None:
    names = ["training_model", "encoder_model", "decoder_model"]
    for line in ("%seq2seq inspect tutorial --model ", "%%seq2seq fit tutorial\nmodel: "):
        assert candidates(line, lambda: notebook.user_ns) == names
