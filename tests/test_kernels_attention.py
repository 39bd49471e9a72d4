"""Attention on the kernels: additive scores, and a cell with attention, compared with TensorFlow's and Keras's own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow import keras

from comparing import assert_same, values_and_gradients
from s2s_magic import api
from s2s_magic.acceleration import ACCELERATED, accelerate
from s2s_magic.kernels import GruCell, LstmCell, ResetBeforeGruCell, additive_scores, attending

pytestmark = pytest.mark.once


def by_tensorflow(query: Any, key: Any, weights: Any) -> Any:
    return tf.reduce_sum(weights * tf.tanh(query[:, :, None] + key[:, None]), axis=-1)


def made(sizes: tuple[int, int, int, int], dtype: str, seed: int) -> list[Any]:
    rows, queries, keys, depth = sizes
    numbers = np.random.default_rng(seed)
    shapes = ([rows, queries, depth], [rows, keys, depth], [depth])
    return [tf.constant(2 * numbers.normal(size=shape), dtype) for shape in shapes]


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 5), st.integers(1, 6)),
    st.sampled_from(["float64", "float32"]),
    st.integers(0, 99),
)
def test_scores_and_gradients_are_tensorflows(sizes: tuple[int, int, int, int], dtype: str, seed: int) -> None:
    values = made(sizes, dtype, seed)
    shares = tf.constant(np.random.default_rng(seed + 1).normal(size=[*sizes[:3]]), dtype)
    theirs = values_and_gradients(lambda: tf.reduce_sum(shares * by_tensorflow(*values)), values)
    assert_same(values_and_gradients(lambda: tf.reduce_sum(shares * additive_scores(*values)), values), theirs, dtype)


def test_second_derivatives_are_tensorflows() -> None:
    values = made((2, 3, 4, 5), "float64", 1)

    def second(function: Any) -> Any:
        with tf.GradientTape() as outside:
            outside.watch(values)
            with tf.GradientTape() as inside:
                inside.watch(values)
                total = tf.reduce_sum(tf.sin(function(*values)))
            steep = sum(tf.reduce_sum(tf.square(one)) for one in inside.gradient(total, values))
        return outside.gradient(steep, values)

    for ours, theirs in zip(second(additive_scores), second(by_tensorflow), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_the_number_of_steps_stays_known_and_none_is_needed() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 3, 4]), tf.TensorSpec([None, None, 4]), tf.TensorSpec([4])])
    def scores(query: Any, key: Any, weights: Any) -> Any:
        found = additive_scores(query, key, weights)
        assert found.shape.as_list() == [None, 3, None]
        return found

    values = made((2, 3, 5, 4), "float32", 2)
    np.testing.assert_allclose(scores(*values), by_tensorflow(*values), rtol=1e-5, atol=1e-6)


def attentive(**settings: Any) -> Any:
    source, fed = keras.Input([None, 4]), keras.Input([None, 4])
    masked = keras.layers.Masking()
    found = keras.layers.AdditiveAttention(**settings)([masked(fed), masked(source)])
    model = keras.Model([source, fed], keras.layers.Dense(2)(found))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}])
def test_a_fit_on_the_kernel_gives_the_numbers_of_keras(settings: dict[str, Any]) -> None:
    numbers = np.random.default_rng(0)
    source, fed = numbers.normal(size=(8, 6, 4)), numbers.normal(size=(8, 3, 4))
    source[:4, 4:] = 0
    data = ([source, fed], numbers.normal(size=(8, 3, 2)))
    found, said = [], []
    for fast in (False, True):
        keras.utils.set_random_seed(4)
        model = attentive(**settings)
        (layer,) = (one for one in model.layers if isinstance(one, keras.layers.AdditiveAttention))
        with accelerate(model) if fast else nullcontext({}) as told:
            history = model.fit(*data, epochs=3, batch_size=4, shuffle=False, verbose=0)
        said.append(told.get(layer.name))
        assert "_calculate_scores" not in vars(layer)
        found.append([*history.history["loss"], *(float(np.sum(one)) for one in model.get_weights())])
    assert said == [None, ACCELERATED]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


class Doubled(keras.layers.AdditiveAttention):  # type: ignore[misc]
    """One's own scores."""

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        return 2 * super()._calculate_scores(query=query, key=key)


def test_what_is_not_keras_own_layer_is_left_alone() -> None:
    with accelerate(attentive(use_scale=False)) as said:
        assert "use_scale=False is left to Keras" in said.values()
    source = keras.Input([3, 4])
    layer = Doubled()
    model = keras.Model(source, layer([source, source]))
    before = model(np.ones([2, 3, 4]))
    with accelerate(model) as said:
        assert said[layer.name] == "Doubled is a class of one's own"
        np.testing.assert_array_equal(model(np.ones([2, 3, 4])), before)
    layer = keras.layers.AdditiveAttention(dtype="mixed_float16")
    model = keras.Model(source, layer([source, source]))
    with accelerate(model) as said:
        assert said[layer.name] == "it computes in float16"


CELLS = {"lstm": (LstmCell, 4, 1), "gru": (GruCell, 3, 2), "gru that resets before": (ResetBeforeGruCell, 3, 1)}


def cell_with_attention(kind: str, additive: bool, sizes: tuple[int, ...], seed: int) -> tuple[Any, Any, Any]:
    """Return a kernel's cell, all that it and its attention read, and a mask of the memory."""
    rows, steps, features, units, memory, depth, size, attention = sizes
    made, gates, biases = CELLS[kind]
    cell, numbers = made(), np.random.default_rng(seed)

    def normal(*shape: int) -> Any:
        return tf.constant(numbers.normal(size=shape) / 2)

    depth = depth if additive else units
    attended = attending.Attended(
        normal(rows, memory, depth),
        normal(rows, memory, size),
        normal(units + size, attention),
        *([normal(units, depth), normal(depth)] if additive else []),
    )
    bias = normal(*([2] if biases == 2 else []), gates * units)
    states = tuple(normal(rows, units) for _ in range(cell.states))
    weights = normal(features + attention, gates * units), normal(units, gates * units), bias
    given = attending._Given(normal(rows, steps, features), *weights, states, normal(rows, attention), attended)
    mask = tf.constant(numbers.random((rows, memory)) < 0.6)  # of some rows nothing is left
    return cell, given, mask


def totalled(outputs: Any, seed: int) -> Any:
    """Return a number that depends on every output in another way."""
    numbers = np.random.default_rng(seed)
    return tf.add_n([tf.reduce_sum(numbers.normal(size=one.shape) * tf.sin(one)) for one in outputs])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(CELLS)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([32, 0]),
    st.tuples(*(st.integers(1, 4) for _ in range(8))),
    st.integers(0, 99),
)
def test_a_cell_with_attention_has_the_outputs_and_gradients_of_its_plain_loop(
    kind: str, additive: bool, squashed: bool, masked: bool, unrolled: int, sizes: tuple[int, ...], seed: int
) -> None:
    cell, given, mask = cell_with_attention(kind, additive, sizes, seed)
    mask = mask if masked else None

    def ours() -> Any:
        x, *weights, attended = given
        how = {"mask": mask, "squashed": squashed, "unrolled": unrolled}
        output, states, last, _ = attending.attend(cell, x, *weights, attended, **how)
        return totalled([output, *states, last], seed)

    def theirs() -> Any:
        return totalled(attending._plain(cell, given, mask, squashed), seed)

    assert_same(values_and_gradients(ours, given.values), values_and_gradients(theirs, given.values), "float64")


SPEC = "vocab: 12\nembed: 5\nencoder: {cell}(8)\ndecoder: {cell}(8)\nstart: 1\nend: 2\ninput_feeding: true\n"
BODY = "source: S\ntarget: T\nepochs: 3\nbatch: 8\nseed: 1\nvalidation: 0.25\naccelerate: {}\n"
rng = np.random.default_rng(0)
ROWS = [rng.integers(3, 12, size=length).tolist() for length in rng.integers(2, 7, size=32)]
TURNED = [[*row[::-1], 2] for row in ROWS]


def fitted(spec: str, switch: str) -> Any:
    keras.utils.set_random_seed(3)
    model = api.build(spec)
    api.fit(model, BODY.format(switch), {"S": ROWS, "T": TURNED}, progress=lambda _: None)
    return model


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("lstm", "luong"),
        ("gru", "luong(8, scale=true)"),
        ("gru", "bahdanau(5)"),
        ("lstm", "bahdanau(5, normalize=true)"),
    ],
)
def test_a_spec_with_input_feeding_trains_on_the_kernel_as_it_does_without(cell: str, kind: str) -> None:
    spec = f"{SPEC.format(cell=cell)}attention: {kind}\npadding: 0\n"
    fast, plain = fitted(spec, "on"), fitted(spec, "off")
    assert fast.evidence.runs[-1].accelerated["decoder"] == ACCELERATED
    for name, values in plain.history.items():
        np.testing.assert_allclose(fast.history[name], values, rtol=1e-5)
    for one, other in zip(fast.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert not [name for name in vars(fast.live.layers[decoder_of(fast)]) if name == "call"]


def decoder_of(model: Any) -> str:
    return str(next(event.object for event in model.ledger.events if event.layer == "decoder"))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("attention: [luong, luong]", "understood is one attention mechanism with an attention layer"),
        ("attention: luong\nmonotonic: true", "its mechanism is a LuongMonotonicAttention; understood are"),
        ("attention: luong\ndecoder: 2 * lstm(8)\nencoder: 2 * lstm(8)", "understood is attention over one cell"),
        ("attention: luong\ndecoder: lstm(8, dropout=0.2)", "with attention, dropout has a new mask at each step"),
    ],
)
def test_what_the_kernel_does_not_do_is_left_to_the_wrapper_and_told(more: str, why: str) -> None:
    keys = [line.partition(":")[0] for line in more.splitlines()]
    spec = "".join(f"{line}\n" for line in SPEC.format(cell="lstm").splitlines() if line.partition(":")[0] not in keys)
    with accelerate(api.build(f"{spec}{more}\n").model) as said:
        assert [text for text in said.values() if text.startswith(why)]


def test_a_changed_part_of_the_cell_with_attention_is_left_alone() -> None:
    model = api.build(f"{SPEC.format(cell='lstm')}attention: bahdanau\n")
    decoder = model.live.layers[decoder_of(model)]
    wrapper = decoder.cell
    (mechanism,), (layer,) = wrapper.attention_mechanisms, wrapper.attention_layers
    for part, name, value in (
        (wrapper, "output_attention", False),
        (wrapper, "cell_input_fn", lambda x, a: tf.concat([x, a], -1)),
        (mechanism, "probability_fn", lambda scores: tf.nn.softmax(scores)),
        (layer, "activation", tf.nn.relu),
        (mechanism.query_layer, "activation", tf.tanh),
        (mechanism, "call", mechanism.call),
    ):
        usual = getattr(part, name)
        setattr(part, name, value)
        with accelerate(model.model) as said:
            assert said[decoder.name] != ACCELERATED, name
        setattr(part, name, usual) if name != "call" else delattr(part, name)
    with accelerate(model.model) as said:
        assert said[decoder.name] == ACCELERATED
