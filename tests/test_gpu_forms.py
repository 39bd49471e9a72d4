"""Keras 2 traces each LSTM and GRU once more in a form for a GPU: where there is none, this package leaves that out."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from kerases import only_keras2
from s2s_magic import api, backend
from s2s_magic.undoing import Changes

GPU_FORMS = True
pytestmark = [
    only_keras2("it traces one form"),
    pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU"),
]
SPEC = "vocab: 10\nembed: 4\nencoder: {cell}(6)\ndecoder: {cell}(6)\nstart: 1\nend: 2\npadding: 0\n"
OWN = """
from tensorflow import keras
import tensorflow as tf
x = keras.Input([5, 3])
model = keras.Model(x, keras.layers.LSTM(4)(x))

@tf.function
def run(given):
    return model(given)

graph = run.get_concrete_function(tf.TensorSpec([None, 5, 3])).graph
"""


def forms():
    """Return Keras's module of the forms for a GPU."""
    return __import__(keras.layers.LSTM.__module__.rpartition(".")[0] + ".gru_lstm_utils", fromlist=["*"])


def registered(graph):
    """Return the names of the functions in a graph that are for a GPU."""
    return [each.signature.name for each in graph.as_graph_def().library.function if "gpu" in each.signature.name]


@pytest.fixture
def counted(monkeypatch):
    """The forms that Keras registers, where it would register them."""
    seen = []
    monkeypatch.setattr("s2s_magic.backend.keras2.rnn._register", lambda *args, **kwargs: seen.append(args))
    monkeypatch.setattr(forms(), "function_register", backend.keras2.rnn._register)
    return seen


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_none_is_traced_in_building_fitting_and_decoding(counted, cell):
    rows = np.random.default_rng(0).integers(3, 9, (8, 4))
    model = api.build(SPEC.format(cell=cell))
    api.fit(model, "source: X\ntarget: X\naccelerate: off", {"X": rows}, progress=lambda progress: None)
    api.decode(model, rows[:2])
    assert counted == []
    tf.function(keras.layers.LSTM(4)).get_concrete_function(tf.TensorSpec([None, 5, 3]))
    assert counted, "afterwards, Keras registers them as before"


FIT = """
from tensorflow import keras
keras.utils.set_random_seed(1)
x = keras.Input([None], dtype="int32")
h = keras.layers.Embedding(9, 4, mask_zero=True)(x)
h = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True, dropout=0.2))(h)
model = keras.Model(x, keras.layers.Dense(9, activation="softmax")(keras.layers.GRU(4, return_sequences=True)(h)))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
"""


def test_a_fit_without_them_is_that_of_keras_with_them_to_the_last_bit():
    rows = np.random.default_rng(0).integers(0, 9, (12, 5))
    plain, names = {}, {}
    exec(FIT, plain)
    keras.utils.set_random_seed(2)
    losses = plain["model"].fit(rows, rows, epochs=2, batch_size=4, verbose=0).history
    model = api.trace(FIT, names)
    body = "source: X\ntarget: X\nepochs: 2\nbatch: 4\nseed: 2\naccelerate: off"
    api.fit(model, body, {"X": rows}, progress=lambda progress: None)
    assert {name: list(values) for name, values in model.history.items()} == losses
    for ours, theirs in zip(model.model.get_weights(), plain["model"].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_function_of_the_user_has_both_forms():
    names = {}
    api.trace(OWN, names)
    plain = {}
    exec(OWN, plain)
    assert len(registered(names["graph"])) == len(registered(plain["graph"])) > 0


def test_keras_has_its_function_again_when_the_last_of_several_is_done():
    original = forms().function_register

    def traced(number):
        with Changes() as changes, changes, changes:
            backend.skip_gpu_forms(changes)
            with Changes() as more, more, more:
                backend.skip_gpu_forms(more, only_scratch=bool(number % 2))

    with Changes() as changes, changes, changes:
        backend.skip_gpu_forms(changes)
        traced(0)
        assert forms().function_register is not original
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(traced, range(400)))
    assert forms().function_register is original


def test_what_another_has_put_in_its_place_stays():
    original, other = forms().function_register, lambda *args, **kwargs: None
    with Changes() as changes, changes, changes:
        changes.replace(forms(), "function_register", other)
        api.build(SPEC.format(cell="lstm"))
        assert forms().function_register is other
    assert forms().function_register is original
