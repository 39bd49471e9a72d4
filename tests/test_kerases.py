"""Which Keras is in use: none, an unsupported one, or two in one notebook."""

import configparser
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ledgers import translator_ledger

SHELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
assert shell.run_line_magic("load_ext", "s2s_magic") is None
for cell in CELLS:
    shell.run_cell(cell)
"""
CELLS = ["%%seq2seq trace m\nx = 1", "%%seq2seq build m\nvocab: 9\nembed: 2\nencoder: gru(4)\ndecoder: gru(4)"]
BLOCKING = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in BLOCKED else find(name, path, target)
PathFinder.find_spec = find_spec
"""


def ran(code: str, **variables: str) -> str:
    """Run code in a new process, with no choice of Keras but the given variables; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_tensorflow_the_load_and_each_first_use_say_so_and_a_stored_ledger_is_read_and_shown(tmp_path):
    stored = tmp_path / "ledger.json"
    stored.write_text(json.dumps(translator_ledger().to_dict()), encoding="utf-8")
    shown = ran(
        f"BLOCKED = ['tensorflow', 'keras', 'tf_keras', 'tensorflow_addons']\n{BLOCKING}\nCELLS = {CELLS!r}\n{SHELL}\n"
        "import json\nfrom s2s_magic import Ledger\nfrom s2s_magic.view import report, to_html, to_text\n"
        f"ledger = Ledger.from_dict(json.load(open({str(stored)!r}, encoding='utf-8')))\n"
        "shown = report(ledger, after=5)\nprint(to_text(shown))\nassert '<table' in to_html(shown, page=True)\n"
        "assert not {'tensorflow', 'keras', 'tf_keras'} & {*sys.modules}\n"
    )
    at_load, *said, text = shown.split("\n", 3)
    assert said == [f"SetupError: {at_load}"] * len(CELLS)
    assert at_load.startswith(f"TensorFlow is not installed in this Python 3.{sys.version_info[1]}")
    assert at_load.endswith("by s2s_magic.Ledger.from_dict")
    assert "embeddings" in text
    assert "Traceback" not in text


@pytest.mark.skipif(find_spec("tf_keras") is None, reason="TensorFlow's own Keras here is Keras 2 in any case")
def test_where_tf_keras_is_asked_for_and_missing_the_first_use_says_how_to_install_it():
    said = ran(f"BLOCKED = ['tf_keras']\n{BLOCKING}\nCELLS = {CELLS!r}\n{SHELL}", TF_USE_LEGACY_KERAS="1").splitlines()
    said = [line for line in said if not line.startswith("WARNING:tensorflow:")]
    assert len(said) == 2
    for line in said:
        assert line.startswith("SetupError: TensorFlow finds no Keras: install keras, or where TF_USE_LEGACY_KERAS is ")


def wanted(python: str, *extras: str) -> dict[str, SpecifierSet]:
    """Give what an installation asks for in a Python, with extras: the ranges of versions by name."""
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
    texts = [settings["options"]["install_requires"], *(settings["options.extras_require"][one] for one in extras)]
    lines = [line for text in texts for line in text.splitlines() if line and not line.startswith("#")]
    ranges: dict[str, SpecifierSet] = {}
    for one in map(Requirement, lines):
        if one.marker is None or one.marker.evaluate({"python_version": python}):
            ranges[one.name] = ranges.get(one.name, SpecifierSet()) & one.specifier
    return ranges


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_an_installation_takes_the_tensorflow_that_is_there(python):
    asked = wanted(python, "notebook")
    assert [v for v in ("2.13.1", "2.14.1", "2.15.1", "2.18.1", "2.21.0", "2.22.0") if v in asked["tensorflow"]] == [
        *("2.14.1", "2.15.1", "2.18.1", "2.21.0")
    ]
    assert ("1.23.5" in asked["numpy"], "2.5.5" in asked["numpy"]) == (True, True)
    assert not {"tensorflow-addons", "tf_keras", "typeguard", "keras"} & asked.keys()


@pytest.mark.parametrize(("python", "old"), [("3.10", True), ("3.11", True), ("3.12", False), ("3.13", False)])
def test_tensorflow_addons_and_the_tensorflow_of_its_time_come_when_they_are_asked_for_and_exist(python, old):
    asked = wanted(python, "addons", "test")
    assert ("tensorflow-addons" in asked, "2.15.1" in asked["tensorflow"]) == (old, True)
    assert ("2.16.2" in asked["tensorflow"], "2.1.0" in asked["numpy"], "tf_keras" in asked) == (not old,) * 3


def test_a_python_that_tensorflow_has_no_release_for_gets_none():
    assert not {"tensorflow", "tensorflow-addons", "tf_keras"} & wanted("3.14", "addons", "notebook", "test").keys()


def test_layers_of_tensorflows_own_keras_are_known_as_they_come_whatever_its_package_is_called():
    from tensorflow import keras

    from s2s_magic import backend

    class Own(keras.layers.Dense):
        pass

    holder = keras.layers.Layer()
    holder.loss = keras.losses.MeanSquaredError()
    holder.loss.hidden = keras.layers.Dense(1)
    assert (backend.is_stock(keras.layers.Dense(2)), backend.is_stock(Own(2))) == (True, False)
    assert [*backend.unseen(holder)] == []


OTHER = "import {other}\nfrom tensorflow import keras as own\nx, z = own.Input([3]), {other}.Input([3])\n"


def other_keras():
    """Return the name of a Keras that is installed in addition to TensorFlow's own."""
    from tensorflow import keras

    other = "keras" if keras.Model.__module__.startswith("tf_keras") else "tf_keras"
    return pytest.importorskip(other).__name__


def test_a_layer_of_another_keras_is_told_of_where_nothing_failed():
    other = other_keras()
    from s2s_magic import api

    code = OTHER.format(other=other) + f"lost = {other}.layers.Dense(2)\nmodel = own.Model(x, own.layers.Dense(2)(x))"
    seen = api.trace(code, name="m")
    (found,) = [finding for finding in seen.ledger.findings if finding.kind == "mixed"]
    assert f"z, lost and {other}.layers.Dense in cell 1 are of {other} " in found.text
    assert found.text.endswith("Take all from one: from tensorflow import keras.")
    assert "\n" not in found.text
    assert type(seen.ledger).from_dict(seen.ledger.to_dict()) == seen.ledger


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("own.layers.Dense(2)(z)", r"z of {other} [\d.]+, and own.layers.Dense of"),
        ("own.Sequential([{other}.layers.Dense(2)])", r"{other}.layers.Dense of {other} [\d.]+, and own.Sequential of"),
        ("own.Model(x, own.layers.Dense(1)(x)).compile({other}.optimizers.Adam())", r"{other}.optimizers.Adam of"),
        (
            "def helper(layer, value):\n    return layer(value)\nhelper(own.layers.Dense(2), z)",
            r"value of .* and layer of",
        ),
    ],
)
def test_an_error_where_two_kerases_met_is_told_in_a_line(line, what):
    other = other_keras()
    from s2s_magic import api, backend
    from s2s_magic.errors import BuildError

    if backend.active() == "keras3" and "z" in line.replace("optimizers", ""):
        pytest.skip("Keras 3 takes another Keras's tensor without an error; a finding tells of it")
    with pytest.raises(BuildError, match=what.format(other=other)) as caught:
        api.trace(OTHER.format(other=other) + line.format(other=other))
    assert "mixes two Kerases" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_an_error_within_one_keras_is_left_as_it_is():
    other = other_keras()
    from s2s_magic import api

    with pytest.raises(ValueError, match=r"units.*-1"):
        api.trace(f"{OTHER.format(other=other)}{other}.layers.Dense(-1)(z)")


def test_a_model_is_decoded_with_tensorflows_own_keras_where_another_has_the_name():
    other = other_keras()
    from s2s_magic import api

    seen = api.trace(
        f"import {other} as keras\nfrom tensorflow.keras import Input, Model, layers\n"
        "given, wanted = Input([None], dtype='int32'), Input([None], dtype='int32')\n"
        "_, h, c = layers.LSTM(4, return_state=True)(layers.Embedding(9, 3)(given))\n"
        "written = layers.LSTM(4, return_sequences=True)(layers.Embedding(9, 3)(wanted), initial_state=[h, c])\n"
        "model = Model([given, wanted], layers.Dense(9, activation='softmax')(written))\n"
    )
    (row,) = api.decode(seen, [[1, 2, 3]], start=1, max_length=5)
    assert len(row) == 5
    assert [finding.kind for finding in seen.ledger.findings if finding.kind == "mixed"] == []
