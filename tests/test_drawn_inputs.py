"""Scheduled sampling on the kernels, compared with the decoder's own loop that draws the same ids."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

import addons
from comparing import assert_same, values_and_gradients
from s2s_magic import api
from s2s_magic.acceleration import ACCELERATED, accelerate
from s2s_magic.addons import seq2seq as ours

pytestmark = pytest.mark.once

IDS, STEPS, ROWS = 7, 5, 6
rng = np.random.default_rng(3)
X, Y = (tf.constant(rng.integers(1, IDS, size=(ROWS, STEPS)), tf.int32) for _ in "xy")
LENGTHS = tf.constant([5, 4, 2, 0, 1, 3])
CELLS = {
    "lstm": lambda: layers.LSTMCell(4),
    "gru": lambda: layers.GRUCell(4),
    "gru that resets before": lambda: layers.GRUCell(4, reset_after=False),
    "stack": lambda: layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(3)]),
}


@pytest.fixture
def double() -> Iterator[None]:
    """Compute in float64: what differs by more than its rounding is another number."""
    keras.mixed_precision.set_global_policy("float64")
    yield
    keras.mixed_precision.set_global_policy("float32")


def sampler_of(module: Any, rate: float, embedding: Any) -> Any:
    return module.ScheduledEmbeddingTrainingSampler(rate, embedding_fn=embedding, seed=3, scheduling_seed=4)


def scheduled(module: Any, cell: str = "lstm", rate: float = 0.5, *, lengths: bool = False, **more: Any) -> Any:
    """Return a model with a decoder that draws, and that starts at what an encoder leaves."""
    keras.utils.set_random_seed(1)
    source, given = keras.Input([None], dtype="int32"), keras.Input([None], dtype="int32")
    embedding = layers.Embedding(IDS, 3)
    inside = CELLS[cell]()
    _, *states = layers.RNN(CELLS[cell](), return_state=True)(embedding(source))
    decoder = module.BasicDecoder(inside, sampler_of(module, rate, embedding), layers.Dense(IDS), **more)
    state = states if len(states) > 1 else states[0]
    inputs = [source, given]
    passed = {"initial_state": state if cell != "stack" else (tuple(states[0]), states[1])}
    if lengths:
        inputs.append(keras.Input([], dtype="int32"))
        passed["sequence_length"] = inputs[-1]
    outputs, last, ended = decoder(embedding(given), **passed)
    return keras.Model(inputs, [outputs.rnn_output, outputs.sample_id, last, ended])


def attending(kind: str, cell: str, rate: float, *, lengths: bool = False) -> Any:
    """Return a model with a decoder that draws, over a cell with attention."""
    keras.utils.set_random_seed(1)
    source, given = keras.Input([STEPS], dtype="int32"), keras.Input([None], dtype="int32")
    embedding = layers.Embedding(IDS, 3)
    memory = layers.LSTM(4, return_sequences=True)(embedding(source))
    mechanism = getattr(ours, kind)(4, memory=memory)
    wrapper = ours.AttentionWrapper(CELLS[cell](), mechanism, attention_layer_size=4)
    decoder = ours.BasicDecoder(wrapper, sampler_of(ours, rate, embedding), layers.Dense(IDS))
    ends = keras.Input([], dtype="int32") if lengths else None
    outputs, last, ended = decoder(embedding(given), sequence_length=ends)
    inputs = [source, given, *([] if ends is None else [ends])]
    return keras.Model(inputs, [outputs.rnn_output, outputs.sample_id, *tf.nest.flatten(last), ended])


def check(model: Any, inputs: list[Any]) -> list[Any]:
    """Compare outputs, drawn ids, states and gradients, eagerly and in a graph; return those of the decoder's loop."""

    def run() -> Any:
        keras.utils.set_random_seed(9)
        return values_and_gradients(lambda: model(inputs, training=True), model.trainable_variables)

    theirs = run()
    with accelerate(model) as said:
        assert set(said.values()) == {ACCELERATED}, said
        assert_same(run(), theirs, "float64")
    keras.utils.set_random_seed(9)
    in_a_graph = tf.function(lambda: model(inputs, training=True))()
    with accelerate(model):
        keras.utils.set_random_seed(9)
        assert_same(tf.function(lambda: model(inputs, training=True))(), in_a_graph, "float64")
    outputs: list[Any] = theirs[0]
    return outputs


MODULES = {"at hand": lambda: addons.seq2seq, "ours": lambda: ours}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(("cell", "rate"), [*((cell, 0.6) for cell in CELLS), ("lstm", 0.0), ("lstm", 1.0)])
def test_a_decoder_that_draws_gives_the_same_on_the_kernels(module: str, cell: str, rate: float) -> None:
    outputs = check(scheduled(MODULES[module](), cell, rate), [X, Y])
    drawn = np.asarray(outputs[1])[:, :-1] >= 0
    assert drawn.mean() == pytest.approx(rate, abs=0.25)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("module", "impute"), [("at hand", False), ("ours", False), ("ours", True)])
def test_rows_end_where_they_end_in_the_decoders_loop(module: str, impute: bool) -> None:
    model = scheduled(MODULES[module](), "lstm", 0.6, lengths=True, impute_finished=impute)
    for lengths in (LENGTHS, LENGTHS // 2, tf.zeros_like(LENGTHS)):
        check(model, [X, Y, lengths])


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("kind", "cell"), list(product(["LuongAttention", "BahdanauAttention"], ["lstm", "gru"])))
def test_a_cell_with_attention_draws_too(kind: str, cell: str) -> None:
    drawn = np.asarray(check(attending(kind, cell, 0.6), [X, Y])[1])[:, :-1] >= 0
    assert drawn.mean() == pytest.approx(0.6, abs=0.25)


@pytest.mark.usefixtures("double")
def test_with_attention_rows_end_where_they_end_in_the_decoders_loop() -> None:
    model = attending("LuongAttention", "lstm", 0.6, lengths=True)
    for lengths in (LENGTHS, LENGTHS // 2, tf.zeros_like(LENGTHS)):
        check(model, [X, Y, lengths])


SPEC = "{{vocab: 9, embed: 6, encoder: {0}(6), decoder: {0}(6), start: 1, end: 2, max_length: 4{1}}}"
SOURCE, TARGET = rng.integers(3, 9, size=(32, 4)), rng.integers(3, 9, size=(32, 4))
BODY = "source: S\ntarget: T\nepochs: 4\nbatch: 8\nseed: 2\nvalidation: 0.25\naccelerate: {}\n"


@pytest.mark.parametrize(
    ("cell", "more"), [("gru", ""), ("lstm", ", attention: luong"), ("gru", ", attention: bahdanau(5)")]
)
def test_a_fit_with_scheduled_sampling_is_that_of_the_loop(cell: str, more: str) -> None:
    feeding = f", input_feeding: true{more}" if more else ""
    fits = []
    for switch in ("on", "off"):
        keras.utils.set_random_seed(4)
        model = api.build(SPEC.format(cell, f"{feeding}, feeding: 'scheduled(0.7, linear, steps=6)'"))
        model.live.layers[decoder_of(model)].sampler.seed = 5
        model.live.layers[decoder_of(model)].sampler.scheduling_seed = 6
        api.fit(model, BODY.format(switch), {"S": SOURCE, "T": TARGET}, progress=lambda _: None)
        fits.append(model)
    fast, plain = fits
    assert fast.evidence.runs[-1].accelerated["decoder"] == ACCELERATED
    for name, values in plain.history.items():
        np.testing.assert_allclose(fast.history[name], values, rtol=2e-5, err_msg=name)
    for one, other in zip(fast.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def decoder_of(model: Any) -> str:
    return str(next(event.object for event in model.ledger.events if event.layer == "decoder"))


class Mine(layers.Embedding):  # type: ignore[misc]
    """One's own."""


@pytest.mark.parametrize(
    ("embedding", "cell", "why"),
    [
        (lambda ids: tf.one_hot(ids, 3), "lstm", "its sampler maps ids to inputs by a function"),
        (Mine(IDS, 3), "lstm", "its sampler maps ids to inputs by a function"),
        (layers.Embedding(IDS, 3), "dropped", "with scheduled sampling, dropout has to be the same"),
    ],
)
def test_what_would_not_be_the_same_is_left_to_the_decoder(
    embedding: Any, cell: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CELLS, "dropped", lambda: layers.LSTMCell(4, dropout=0.5))
    given = keras.Input([None, 3])
    decoder = ours.BasicDecoder(CELLS[cell](), sampler_of(ours, 0.5, embedding), layers.Dense(IDS))
    model = keras.Model(given, decoder(given)[0].rnn_output)
    with accelerate(model) as said:
        assert [text for text in said.values() if text.startswith(why)]
