"""Accelerated fits compared with the same fits by Keras."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

import s2s_magic
from addons import run_plainly
from kerases import KERAS3
from models import by_hand
from s2s_magic import api
from s2s_magic.acceleration import ACCELERATED, accelerate
from s2s_magic.data.batches import Lengths, Shifted, Table, batches
from s2s_magic.data.sequences import Rows
from s2s_magic.kernels import gru

pytestmark = pytest.mark.once


def data(vocab: int, rows: int = 80, ragged: bool = False) -> tuple[list[Any], Any]:
    """Return source, decoder input, lengths and target; the target is the reversed source."""
    numbers = np.random.default_rng(0)
    source = numbers.integers(2, vocab, size=(rows, 6)).astype("int32")
    target = source[:, ::-1].copy()
    lengths = numbers.integers(1, 7, size=rows).astype("int32") if ragged else np.full(rows, 6, "int32")
    for row, length in enumerate(lengths):
        target[row, length:] = 0
    return [source, np.c_[np.ones((rows, 1), "int32"), target[:, :-1]], lengths], target


def hand_written(vocab: int = 20, embed: int = 8, units: int = 32) -> Any:
    names: dict[str, Any] = {}
    keras.utils.set_random_seed(1)  # else it would begin as the tests before it leave the random numbers
    if KERAS3:  # there TensorFlow's functions take symbols in traced cells
        return s2s_magic.trace(by_hand(vocab, embed, units)).model
    run_plainly(by_hand(vocab, embed, units), names)
    return names["model"]


def built() -> Any:
    lines = "vocab: 20\nembed: 8\npadding: 0\nstart: 1\nencoder: gru(16)\ndecoder: gru(16)\ncode: tfa\n"
    return s2s_magic.build(lines).model


def losses(model: Any, steps: int, accelerated: bool, **fit: Any) -> tuple[list[float], dict[str, str]]:
    """Return the loss of every step of a fit, and what was accelerated."""
    seen: list[float] = []
    last = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
    inputs, target = fit.pop("data")
    how = {"batch_size": len(target), "epochs": steps, "verbose": 0, "callbacks": [last], **fit}
    if not accelerated:
        model.fit(inputs, target, **how)
        return seen, {}
    with accelerate(model) as found:
        model.fit(inputs, target, **how)
        return seen, dict(found)


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.002),
    "adam, clipped, decaying": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.002, 10, 0.9), global_clipnorm=0.1, weight_decay=0.01
    ),
    "nadam": lambda: keras.optimizers.Nadam(0.002),
}


@pytest.mark.parametrize("title", OPTIMIZERS)
def test_fifty_steps_of_a_hand_written_model_lose_what_keras_loses(title: str) -> None:
    model = hand_written()
    first = model.get_weights()
    curves, slots = [], []
    for accelerated in (False, True):
        model.set_weights(first)
        model.compile(loss="sparse_categorical_crossentropy", optimizer=OPTIMIZERS[title]())
        curve, found = losses(model, 50, accelerated, data=data(20))
        curves.append(curve)
        slots.append([variable.numpy() for variable in model.optimizer.variables])
    refused = {name for name, why in found.items() if why != "accelerated"}
    assert refused == ({"optimizer"} if title == "nadam" else set())
    assert curves[0][-1] < curves[0][0] - 0.05
    np.testing.assert_allclose(curves[1], curves[0], rtol=0, atol=1e-4)
    for ours, theirs in zip(*reversed(slots), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-3)


def test_fifty_steps_at_full_size_lose_what_keras_loses() -> None:
    """512 units, 100 ids, batches of 32 out of 160 rows, 10 steps in and 15 out, and Adam with default settings."""
    numbers = np.random.default_rng(0)
    source, target = (numbers.integers(100, size=(160, steps)).astype("int32") for steps in (10, 15))
    inputs = [source, np.c_[np.zeros((160, 1), "int32"), target[:, :-1]], np.full(160, 15, "int32")]
    model = hand_written(100, 10, 512)
    first = model.get_weights()
    curves = []
    for accelerated in (False, True):
        model.set_weights(first)
        model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
        steps: list[float] = []
        each = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda _, logs, steps=steps: steps.append(logs["loss"])
        )
        how = {"batch_size": 32, "shuffle": False, "callbacks": [each]}
        losses(model, 10, accelerated, data=(inputs, target), **how)
        # Keras reports the mean since the start of the epoch.
        means = np.array(steps).reshape(10, 5)
        curves.append(np.diff(means * np.arange(1, 6), prepend=0))
    assert curves[0].shape == (10, 5)
    assert curves[0][-1].mean() < curves[0][0].mean() - 0.05
    np.testing.assert_allclose(curves[1], curves[0], rtol=0, atol=1e-4)


def test_one_step_of_adam_moves_every_variable_as_keras_does() -> None:
    model = hand_written()
    first = model.get_weights()
    after = []
    for accelerated in (False, True):
        model.set_weights(first)
        model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(0.01, epsilon=1e-3))
        losses(model, 2, accelerated, data=data(20))
        after.append([w - b for w, b in zip(model.get_weights(), first, strict=True)])
    for ours, theirs in zip(*reversed(after), strict=True):
        assert np.abs(theirs).max() > 0
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max() + 1e-7


LOSSES = {
    "from probabilities": (lambda: "sparse_categorical_crossentropy", {}),
    "sum": (lambda: keras.losses.SparseCategoricalCrossentropy(reduction="sum"), {}),
    "weights of rows": (
        lambda: "sparse_categorical_crossentropy",
        {"sample_weight": np.linspace(0, 2, 80).astype("float32")[(..., None) if KERAS3 else ...]},
    ),
    "weights of positions": (
        lambda: "sparse_categorical_crossentropy",
        {"sample_weight": np.random.default_rng(1).random((80, 6)).astype("float32")},
    ),
}


@pytest.mark.parametrize("title", LOSSES)
def test_losses_and_weights_count_as_they_do_for_keras(title: str) -> None:
    loss, settings = LOSSES[title]
    model = hand_written()
    first = model.get_weights()
    curves = []
    for accelerated in (False, True):
        model.set_weights(first)
        model.compile(loss=loss(), optimizer="adam", metrics=["accuracy"])
        curve, found = losses(model, 3, accelerated, data=data(20), **settings)
        curves.append(curve)
    assert set(found.values()) == {"accelerated"}
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)


def test_the_masked_loss_of_generated_source_is_understood_and_leaves_out_the_same_padding() -> None:
    model = built()
    first = model.get_weights()
    curves = []
    for accelerated in (False, True):
        model.set_weights(first)
        model.compile(loss=model.loss, optimizer="adam")
        curve, found = losses(model, 3, accelerated, data=data(20, ragged=True))
        curves.append(curve)
    assert set(found.values()) == {"accelerated"}
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)


def test_a_loss_of_the_users_own_is_left_alone() -> None:
    model = hand_written()

    def masked_loss(targets: Any, probabilities: Any) -> Any:
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(targets, probabilities)) * 2.0

    model.compile(loss=masked_loss, optimizer="adam")
    with accelerate(model) as found:
        assert "masked_loss" in found["loss"]


def test_evaluation_and_prediction_inside_the_block_are_those_outside() -> None:
    model = hand_written()
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    inputs, target = data(20)
    before = model.evaluate(inputs, target, verbose=0), model.predict(inputs, verbose=0)
    with accelerate(model):
        inside = model.evaluate(inputs, target, verbose=0), model.predict(inputs, verbose=0)
    np.testing.assert_allclose(inside[0], before[0], rtol=1e-5)
    np.testing.assert_allclose(inside[1], before[1], rtol=1e-4, atol=1e-6)


def spying() -> tuple[list[Any], Any]:
    """Return a list, and a metric that notes there the targets of each step that is traced."""
    seen: list[Any] = []

    def spy(y: Any, _: Any) -> Any:
        seen.append(y)
        return tf.zeros([])

    return seen, spy


def step_of(model: Any, table: Table, promised: dict[int, int], write_out: bool = True) -> tuple[Any, list[float]]:
    """Return the graph of an accelerated training step, and the losses of three steps."""
    seen, spy = spying()
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=[spy])
    dataset, _ = batches(table, size=8, epochs=3)
    with accelerate(model, promised, write_out=write_out):
        model.make_train_function()
        rows = iter(dataset)
        losses = [float(model.train_function(rows)["loss"]) for _ in range(3)]
    return seen[0].graph, losses


def loops(graph: Any) -> list[str]:
    """Return the names of the loops in a graph."""
    return [op.name for op in graph.get_operations() if op.type in ("While", "StatelessWhile")]


def test_loops_over_rows_of_one_length_are_written_out_and_lose_the_same() -> None:
    inputs, target = data(20, rows=24)
    columns = (Rows.of(list(inputs[0])), Shifted(1), Lengths())
    table = Table(columns, Rows.of(list(target)))
    model = hand_written()
    first = model.get_weights()
    graph, written_out = step_of(model, table, table.fixed_lengths)
    blocks = loops(graph)
    assert len(blocks) == 1, "over blocks of logits"
    model.set_weights(first)
    graph, looped = step_of(model, table, table.fixed_lengths, write_out=False)
    assert len(loops(graph)) == 1 + 4, "forward and backward, of encoder and decoder"
    np.testing.assert_allclose(written_out, looped, rtol=1e-5)


def test_a_promise_of_lengths_that_does_not_hold_is_an_error_and_no_wrong_number() -> None:
    inputs, target = data(20, rows=24)
    shorter = np.full(24, 4, np.int32)
    columns = (Rows.of(list(inputs[0])), Rows.of(list(inputs[1])), shorter)
    table = Table(columns, Rows.of(list(target[:, :4])))
    model = hand_written()
    assert step_of(model, table, {})[1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="assertion failed"):
        step_of(model, table, {2: 6})


def test_rows_of_one_length_keep_it_in_the_graph_and_only_a_long_fit_writes_its_loops_out() -> None:
    (source, *_), target = data(20, rows=8)
    found = []
    for epochs in (2, 600):
        built = s2s_magic.build("vocab: 20\nembed: 4\nstart: 1\nencoder: lstm(4)\ndecoder: lstm(4)\n")
        seen, spy = spying()
        built.model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=[spy])
        s2s_magic.fit(
            built, f"source: source\ntarget: target\nbatch: 4\nepochs: {epochs}\n", {"source": source, "target": target}
        )
        assert seen[0].shape[1] == 6
        found.append(len(loops(seen[0].graph)))
    assert found == [1 + 4, 1], "over blocks of logits; forward and backward, of encoder and decoder"


def test_layers_after_an_accelerated_one_still_know_how_many_steps_there_are() -> None:
    code = """
from tensorflow import keras
keras.utils.set_random_seed(1)
ids = keras.Input([6], dtype="int32")
states = keras.layers.LSTM(4, return_sequences=True)(keras.layers.Embedding(20, 4)(ids))
scaled = keras.layers.Lambda(lambda values: values * (1.0 / values.shape[1]))(states)
both = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True))(scaled)
chances = keras.layers.Dense(20, activation="softmax")(keras.layers.Flatten()(both))
model = keras.Model(ids, chances)
model.compile("adam", "sparse_categorical_crossentropy")
"""
    rows = np.random.default_rng(0).integers(0, 20, (40, 6))
    losses = []
    for switch in ("on", "off"):
        model = s2s_magic.trace(code, {})
        body = f"source: rows\ntarget: first\nepochs: 2\nseed: 3\naccelerate: {switch}\n"
        s2s_magic.fit(model, body, {"rows": rows, "first": rows[:, 0]})
        losses.append(model.history["loss"])
        said = list(model.evidence.runs[-1].accelerated.values())
        assert said.count("accelerated") == (4 if switch == "on" else 0), "both layers, loss and optimizer"
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def _graphs() -> list[Any]:
    keras.backend.clear_session()
    gc.collect()
    return [each for each in gc.get_objects() if type(each).__name__ == "FuncGraph" and "train_function" in each.name]


@pytest.mark.parametrize("more", ["", "attention: luong\ncode: keras\n", "attention: bahdanau\ninput_feeding: true\n"])
def test_no_graph_of_a_fit_is_kept_when_its_model_is_gone(more: str) -> None:
    def fit() -> None:
        model = api.build(f"vocab: 9\nembed: 3\nencoder: gru(4)\ndecoder: gru(4)\nmax_length: 3\n{more}")
        rows = np.array([[3, 4, 5], [5, 6, 7]])
        api.fit(model, "source: X\ntarget: X\nbatch: 2\n", {"X": rows}, progress=lambda _: None)
        assert ACCELERATED in model.evidence.runs[-1].accelerated.values()

    before = len(_graphs())
    fit()
    assert len(_graphs()) <= before


def test_a_gradient_written_out_can_be_taken_of_a_function_that_was_traced_before() -> None:
    values = [tf.random.stateless_normal(shape, [1, 2]) for shape in ((2, 3, 4), (4, 12), (4, 12), (2, 12))]
    traced = tf.function(lambda *values: gru(*values)[0])
    direct = [gru(*values)[0], *_slopes(lambda *given: gru(*given)[0], values)]
    traced(*values)
    gc.collect()
    for one, other in zip([traced(*values), *_slopes(traced, values)], direct, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def _slopes(function: Any, values: list[Any]) -> list[Any]:
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(tf.square(function(*values)))
    return list(tape.gradient(total, values))
