"""Objects with a replaced method or an unsupported setting are left to Keras, and the reason names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

import addons as tfa
from comparing import assert_same, values_and_gradients
from s2s_magic import backend
from s2s_magic.acceleration import ACCELERATED, accelerate
from s2s_magic.acceleration.understood import strangeness

pytestmark = pytest.mark.once

ROWS, STEPS, FEATURES, UNITS, CLASSES = 3, 4, 3, 2, 5


def tagger() -> Any:
    """Return a compiled model with every supported kind of recurrent layer, loss and optimizer."""
    x = keras.Input([STEPS, FEATURES])
    h = layers.LSTM(UNITS, return_sequences=True, name="lstm")(x)
    h = layers.GRU(UNITS, return_sequences=True, name="gru")(h)
    h = layers.RNN(
        layers.StackedRNNCells([layers.LSTMCell(UNITS), layers.GRUCell(UNITS, reset_after=False)]),
        return_sequences=True,
        name="rnn",
    )(h)
    h = layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True), name="both")(h)
    model = keras.Model(x, layers.Dense(CLASSES, name="head")(h))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    return model


def decoding() -> Any:
    """Return a model of a decoder only."""
    x, h, c = keras.Input([STEPS, FEATURES]), keras.Input([UNITS]), keras.Input([UNITS])
    decoder = tfa.seq2seq.BasicDecoder(
        layers.LSTMCell(UNITS), tfa.seq2seq.TrainingSampler(), output_layer=layers.Dense(CLASSES), name="decoder"
    )
    return keras.Model([x, h, c], decoder(x, initial_state=[h, c])[0].rnn_output)


OBJECTS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "LSTM": ("tagger", "lstm", lambda m: m.get_layer("lstm")),
    "cell of an LSTM": ("tagger", "lstm", lambda m: m.get_layer("lstm").cell),
    "GRU": ("tagger", "gru", lambda m: m.get_layer("gru")),
    "cell of a GRU": ("tagger", "gru", lambda m: m.get_layer("gru").cell),
    "RNN": ("tagger", "rnn", lambda m: m.get_layer("rnn")),
    "stack of cells": ("tagger", "rnn", lambda m: m.get_layer("rnn").cell),
    "second cell of a stack": ("tagger", "rnn", lambda m: m.get_layer("rnn").cell.cells[1]),
    "Bidirectional": ("tagger", "both", lambda m: m.get_layer("both")),
    "backward half": ("tagger", "both", lambda m: m.get_layer("both").backward_layer),
    "cell of the backward half": ("tagger", "both", lambda m: m.get_layer("both").backward_layer.cell),
    "loss": ("tagger", "loss", lambda m: backend.given_loss(m)),
    "container of losses": ("tagger", "loss", lambda m: backend.loss_container(m)),
    "optimizer": ("tagger", "optimizer", lambda m: m.optimizer),
    "decoder": ("decoding", "decoder", lambda m: m.get_layer("decoder")),
    "cell of a decoder": ("decoding", "decoder", lambda m: m.get_layer("decoder").cell),
    "sampler": ("decoding", "decoder", lambda m: m.get_layer("decoder").sampler),
    "output layer": ("decoding", "decoder", lambda m: m.get_layer("decoder").output_layer),
}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    keras.utils.set_random_seed(2)
    return {"tagger": tagger(), "decoding": decoding()}


def told(model: Any, name: str) -> str:
    with accelerate(model) as found:
        return found[name]


def methods(kind: type) -> Iterator[str]:
    """Yield the names of the methods of a Keras class."""
    for name in dir(kind):
        if not name.startswith("__") and callable(getattr(kind, name)):
            yield name


@pytest.mark.parametrize("title", OBJECTS)
def test_an_object_with_any_method_replaced_is_left_to_keras(models: dict[str, Any], title: str) -> None:
    where, name, find = OBJECTS[title]
    model, thing = models[where], find(models[where])
    assert told(model, name) == ACCELERATED
    replaced = list(methods(type(thing)))
    assert len(replaced) >= 3
    for method in replaced:
        own = getattr(thing, method)
        vars(thing)[method] = lambda *args, own=own, **kwargs: own(*args, **kwargs)
        try:
            assert f"its {method} is overridden" in told(model, name)
        finally:
            del vars(thing)[method]
    assert told(model, name) == ACCELERATED


@pytest.mark.parametrize("title", OBJECTS)
def test_a_subclass_is_left_to_keras_whatever_it_changes(models: dict[str, Any], title: str) -> None:
    where, name, find = OBJECTS[title]
    model, thing = models[where], find(models[where])
    kind = type(thing)
    thing.__class__ = type("Own", (kind,), {"__module__": "__main__"})
    try:
        assert told(model, name) != ACCELERATED
    finally:
        thing.__class__ = kind
    assert told(model, name) == ACCELERATED


@pytest.mark.parametrize("title", OBJECTS)
def test_a_method_put_into_a_class_of_keras_is_seen(models: dict[str, Any], title: str) -> None:
    where, name, find = OBJECTS[title]
    model, kind = models[where], type(find(models[where]))
    for owner in (one for one in kind.__mro__ if one.__module__.partition(".")[0] in ("keras", "tensorflow_addons")):
        own = [key for key, value in vars(owner).items() if callable(value) and not isinstance(value, type)]
        for method in [*own[:2], *(key for key in ("call", "__call__", "step", "update_step", "sample") if key in own)]:
            kept = vars(owner)[method]
            setattr(owner, method, lambda self, *args, **kwargs: None)
            try:
                assert f"{owner.__name__}.{method} is not the one" in str(strangeness(find(model)))
            finally:
                setattr(owner, method, kept)
    assert told(model, name) == ACCELERATED


def changed(value: Any) -> list[Any]:
    """Return other values for a setting."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        return [0.5]
    if value is None:
        return [0.5]
    if callable(value) and not isinstance(value, tf.Module):
        return [keras.activations.relu, lambda a: a]
    return []


SETTINGS = [
    (title, name)
    for title, names in {
        "LSTM": "go_backwards stateful time_major unroll zero_output_for_mask return_runtime activity_regularizer",
        "cell of an LSTM": "activation recurrent_activation use_bias implementation recurrent_dropout",
        "GRU": "go_backwards stateful time_major unroll zero_output_for_mask activity_regularizer",
        "cell of a GRU": "activation recurrent_activation reset_after recurrent_dropout",
        "RNN": "go_backwards stateful time_major unroll zero_output_for_mask",
        "stack of cells": "reverse_state_order",
        "second cell of a stack": "activation recurrent_activation implementation recurrent_dropout",
        "decoder": "impute_finished output_time_major maximum_iterations parallel_iterations swap_memory",
        "sampler": "time_major",
        "output layer": "activation use_bias",
    }.items()
    for name in names.split()
]


@pytest.mark.parametrize(("title", "setting"), SETTINGS)
def test_a_setting_set_to_something_else_gives_keras_numbers_or_is_left_to_keras(
    models: dict[str, Any], title: str, setting: str
) -> None:
    """The outputs of a training call and all gradients agree; what Keras refuses to compute is refused here, too."""
    where, name, find = OBJECTS[title]
    model, thing = models[where], find(models[where])
    if not hasattr(thing, setting):
        pytest.skip(f"this Keras has no {setting}")
    numbers = np.random.default_rng(1)
    inputs = [tf.constant(numbers.normal(size=[ROWS, *i.shape[1:]]), tf.float32) for i in model.inputs]
    kept = getattr(thing, setting)

    def run() -> Any:
        try:
            return None, values_and_gradients(lambda: model(inputs, training=True), model.trainable_weights)
        except Exception as error:
            return type(error), None

    for value in changed(kept):
        setattr(thing, setting, value)
        try:
            refusal, theirs = run()
            with accelerate(model) as found:
                refused, ours = run() if found[name] == ACCELERATED else (refusal, theirs)
        finally:
            setattr(thing, setting, kept)
            for layer in model.layers:
                if getattr(layer, "stateful", False):
                    layer.reset_states()
        assert refused is refusal
        assert_same(ours, theirs, "float32")
    assert told(model, name) == ACCELERATED


@pytest.mark.parametrize(
    "setting", ["beta_1", "beta_2", "epsilon", "amsgrad", "clipnorm", "clipvalue", "global_clipnorm", "weight_decay"]
)
def test_a_setting_of_adam_counts_as_it_does_for_keras_or_leaves_it_to_keras(
    models: dict[str, Any], setting: str
) -> None:
    numbers = np.random.default_rng(1)
    start = numbers.normal(size=[4, 3])
    gradients = [tf.constant(numbers.normal(size=[4, 3]), tf.float32) for _ in range(3)]
    model = models["tagger"]
    for value in (tf.constant(0.5), 0.3, 0.0):
        seen = []
        for accelerated in (False, True):
            optimizer = keras.optimizers.Adam(0.1, **({setting: value} if setting != "amsgrad" else {"amsgrad": True}))
            variable = tf.Variable(start, dtype=tf.float32)
            own, model.optimizer = model.optimizer, optimizer
            try:
                if not accelerated:
                    for gradient in gradients:
                        optimizer.apply_gradients([(gradient, variable)])
                else:
                    with accelerate(model):
                        for gradient in gradients:
                            optimizer.apply_gradients([(gradient, variable)])
            finally:
                model.optimizer = own
            seen.append([variable, *optimizer.variables])
        assert_same(*reversed(seen), "float32")


@pytest.mark.parametrize(
    ("how", "word"),
    [({"run_eagerly": True}, "run_eagerly"), ({"jit_compile": True}, "jit_compile"), ({"loss": "mse"}, "mse")],
)
def test_a_model_that_is_compiled_otherwise_says_why_it_is_left_to_keras(how: dict[str, Any], word: str) -> None:
    model = tagger()
    model.compile(**{"optimizer": "adam", "loss": "sparse_categorical_crossentropy", **how})
    assert word in told(model, "loss")
    assert (word in told(model, "lstm")) == ("loss" not in how)


@pytest.mark.parametrize("method", ["train_step", "compute_loss", "make_train_function", "call"])
def test_a_method_replaced_on_a_model_leaves_its_loss_to_keras(models: dict[str, Any], method: str) -> None:
    model = models["tagger"]
    vars(model)[method] = getattr(model, method)
    try:
        assert method in told(model, "loss")
    finally:
        del vars(model)[method]


def test_a_model_under_a_distribution_strategy_is_left_to_keras() -> None:
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = tagger()
    assert all("distribution" in told(model, name) for name in ("lstm", "loss", "optimizer"))


def test_a_note_of_the_users_on_an_object_changes_nothing(models: dict[str, Any]) -> None:
    model = models["tagger"]
    layer = model.get_layer("lstm")
    layer.my_note = "read this in chapter 3"
    try:
        assert told(model, "lstm") == ACCELERATED
    finally:
        del layer.my_note
