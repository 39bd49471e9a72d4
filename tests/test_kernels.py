"""The kernels give Keras's numbers: outputs, states, every gradient, and gradients of gradients."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow import keras

from s2s_magic.kernels import gru, lstm, projected_cross_entropy
from s2s_magic.kernels import loss as loss_module

EXACT, SINGLE = 1e-10, 1e-5


class Case(NamedTuple):
    """One way to call a layer."""

    kind: str
    batch: int
    steps: int
    features: int
    units: int
    bias: bool
    initial: bool
    lengths: tuple[int, ...] | None
    scattered: bool
    reverse: bool
    sequences: bool
    reset_after: bool
    graph: str
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    batch, steps = draw(st.integers(1, 4)), draw(st.integers(1, 7) | st.just(34))
    lengths = draw(st.none() | st.tuples(*[st.integers(0, steps)] * batch))
    return Case(
        kind=draw(st.sampled_from(["lstm", "gru"])),
        batch=batch,
        steps=steps,
        features=draw(st.integers(1, 5)),
        units=draw(st.integers(1, 6)),
        bias=draw(st.booleans()),
        initial=draw(st.booleans()),
        lengths=lengths,
        scattered=draw(st.booleans()),
        reverse=draw(st.booleans()),
        sequences=draw(st.booleans()),
        reset_after=draw(st.booleans()),
        graph=draw(st.sampled_from(["eager", "steps known", "steps unknown"])),
        seed=draw(st.integers(0, 10_000)),
    )


class Setup:
    """A Keras layer with random weights, and what it is called on."""

    def __init__(self, case: Case, dtype: str) -> None:
        draws = np.random.default_rng(case.seed)
        settings = {"use_bias": case.bias, "return_sequences": case.sequences, "return_state": True, "dtype": dtype}
        settings["recurrent_initializer"] = "zeros"  # an orthogonal matrix cannot be made in bfloat16
        if case.kind == "lstm":
            self.layer = keras.layers.LSTM(case.units, go_backwards=case.reverse, **settings)
        else:
            self.layer = keras.layers.GRU(
                case.units, go_backwards=case.reverse, reset_after=case.reset_after, **settings
            )
        self.case = case
        self.x = tf.constant(draws.normal(size=(case.batch, case.steps, case.features)), dtype)
        self.layer.build(self.x.shape)
        for weight in self.layer.weights:
            weight.assign(draws.normal(size=weight.shape) * 0.7)
        count = 2 if case.kind == "lstm" else 1
        states = [tf.constant(draws.normal(size=(case.batch, case.units)), dtype) for _ in range(count)]
        self.states = states if case.initial else []
        self.mask = None
        if case.lengths is not None:
            self.mask = tf.sequence_mask(case.lengths, case.steps)
            if case.scattered:
                self.mask &= tf.constant(draws.random((case.batch, case.steps)) < 0.7)
        self._upstream = draws.normal(size=(3, case.batch, case.steps, case.units))
        self.sources = [self.x, *self.states, *self.layer.weights]

    def by_keras(self, x: Any, *states: Any) -> list[Any]:
        return list(self.layer(x, mask=self.mask, initial_state=list(states) or None))

    def by_kernel(self, x: Any, *states: Any) -> list[Any]:
        case = self.case
        weights = [tf.convert_to_tensor(weight) for weight in self.layer.weights]
        bias = weights[2] if case.bias else None
        how = {"mask": self.mask, "reverse": case.reverse, "sequences": case.sequences}
        if case.kind == "lstm":
            return list(lstm(x, *weights[:2], bias, states or None, **how))
        start = states[0] if states else None
        return list(gru(x, *weights[:2], bias, start, reset_after=case.reset_after, **how))

    def loss(self, outputs: list[Any]) -> Any:
        total = 0.0
        for output, factors in zip(outputs, self._upstream, strict=False):
            factors = factors if output.shape.rank == 3 else factors[:, 0]
            total += tf.reduce_sum(tf.sin(output) * tf.cast(factors, output.dtype))
        return total

    def outputs_and_gradients(self, layer: Any) -> list[Any]:
        def run(x: Any, *states: Any) -> list[Any]:
            sources = [x, *states]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                outputs = layer(x, *states)
                loss = self.loss(outputs)
            return [*outputs, *tape.gradient(loss, [*sources, *self.layer.weights])]

        if self.case.graph != "eager":
            steps = self.case.steps if self.case.graph == "steps known" else None
            spec = tf.TensorSpec([None, steps, self.case.features], self.x.dtype)
            states = [tf.TensorSpec([None, self.case.units], self.x.dtype) for _ in self.states]
            run = tf.function(run, input_signature=[spec, *states], autograph=False)
        return run(self.x, *self.states)


def assert_near(ours: list[Any], theirs: list[Any], tolerance: float) -> None:
    assert len(ours) == len(theirs)
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        assert one.shape == other.shape, place
        assert np.linalg.norm(one - other) <= tolerance * max(np.linalg.norm(other), 1e-3), place


@settings(max_examples=25, deadline=None, derandomize=True)
@given(case=cases())
def test_a_layer_in_double_precision_equals_keras_in_outputs_states_and_every_gradient(case: Case) -> None:
    setup = Setup(case, "float64")
    ours = setup.outputs_and_gradients(setup.by_kernel)
    assert_near(ours, setup.outputs_and_gradients(setup.by_keras), EXACT)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(case=cases())
def test_a_layer_in_single_precision_equals_keras_to_five_digits(case: Case) -> None:
    setup = Setup(case, "float32")
    ours = setup.outputs_and_gradients(setup.by_kernel)
    assert_near(ours, setup.outputs_and_gradients(setup.by_keras), SINGLE)


PLAIN = Case("lstm", 3, 5, 4, 6, True, True, (5, 2, 0), False, False, True, True, "eager", 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_half_precision_is_as_near_to_double_as_keras_comes(kind: str, dtype: str) -> None:
    exact, half = (Setup(PLAIN._replace(kind=kind), kind_of) for kind_of in ("float64", dtype))
    truth = exact.outputs_and_gradients(exact.by_kernel)
    for ours, theirs, true in zip(
        half.outputs_and_gradients(half.by_kernel), half.outputs_and_gradients(half.by_keras), truth, strict=True
    ):
        assert ours.dtype == theirs.dtype == tf.as_dtype(dtype)
        distances = [np.linalg.norm(np.asarray(value, np.float64) - true) for value in (ours, theirs)]
        assert distances[0] <= 2 * distances[1] + 1e-3 * np.linalg.norm(true)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("kind", ["lstm", "gru", "gru reset before"])
def test_a_gradient_of_a_gradient_equals_that_of_keras(kind: str, graph: bool) -> None:
    setup = Setup(PLAIN._replace(kind=kind[:4].strip(), reset_after=kind != "gru reset before"), "float64")

    def second(layer: Any) -> list[Any]:
        with tf.GradientTape() as outer:
            outer.watch(setup.sources)
            with tf.GradientTape() as inner:
                inner.watch(setup.sources)
                loss = setup.loss(layer(setup.x, *setup.states))
            first = inner.gradient(loss, setup.sources)
            squares = tf.add_n([tf.reduce_sum(gradient**2) for gradient in first])
        return outer.gradient(squares, setup.sources)

    run = tf.function(second, autograph=False) if graph else second
    assert_near(run(setup.by_kernel), run(setup.by_keras), EXACT)


class Rows:
    """What an output layer reads, its weights, labels and what each row counts."""

    def __init__(self, rows: int, units: int, classes: int, bias: bool, dtype: str = "float64") -> None:
        draws = np.random.default_rng(rows)
        self.rows = tf.constant(draws.normal(size=(rows, units)), dtype)
        self.layer = [tf.constant(draws.normal(size=(units, classes)) * 3, dtype)]
        self.layer += [tf.constant(draws.normal(size=classes), dtype)] if bias else []
        self.labels = tf.constant(draws.integers(classes, size=rows))
        self.weights = tf.constant(draws.random(rows) * (draws.random(rows) < 0.7), dtype)
        self.sources = [self.rows, *self.layer]

    def by_kernel(self, rows: Any, kernel: Any, bias: Any = None, **how: Any) -> Any:
        return projected_cross_entropy(rows, kernel, bias, self.labels, self.weights, **how)

    def by_tensorflow(self, rows: Any, kernel: Any, bias: Any = 0.0) -> Any:
        logits = tf.matmul(rows, kernel) + bias
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=self.labels, logits=logits)
        return tf.reduce_sum(losses * self.weights)

    def loss_and_gradients(self, loss: Any, **how: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(self.sources)
            value = tf.sin(loss(*self.sources, **how))
        return [value, *tape.gradient(value, self.sources)]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    rows=st.integers(0, 40),
    units=st.integers(1, 5),
    classes=st.integers(1, 30),
    bias=st.booleans(),
    block=st.sampled_from([1, 1000, 5000, 1 << 20]),
    graph=st.booleans(),
    with_gradient=st.booleans(),
)
def test_cross_entropy_in_blocks_equals_that_on_all_logits_and_so_do_its_gradients(
    rows: int, units: int, classes: int, bias: bool, block: int, graph: bool, with_gradient: bool
) -> None:
    case = Rows(rows, units, classes, bias)
    kept, loss_module.BLOCK_BYTES = loss_module.BLOCK_BYTES, block
    try:
        run = tf.function(case.loss_and_gradients, autograph=False) if graph else case.loss_and_gradients
        ours = run(case.by_kernel, with_gradient=with_gradient)
    finally:
        loss_module.BLOCK_BYTES = kept
    assert_near(ours, case.loss_and_gradients(case.by_tensorflow), EXACT)


def test_cross_entropy_in_single_precision_stands_logits_that_would_overflow() -> None:
    case = Rows(6, 4, 9, True, "float32")
    case.sources = [case.rows * 100, *case.layer]
    ours = case.loss_and_gradients(case.by_kernel)
    assert np.isfinite(ours[0])
    assert_near(ours, case.loss_and_gradients(case.by_tensorflow), SINGLE)


def test_a_gradient_of_the_cross_entropys_gradient_equals_that_on_all_logits() -> None:
    case = Rows(6, 4, 9, True)

    def second(loss: Any) -> list[Any]:
        with tf.GradientTape() as outer:
            outer.watch(case.sources)
            with tf.GradientTape() as inner:
                inner.watch(case.sources)
                value = loss(*case.sources)
            squares = tf.add_n([tf.reduce_sum(first**2) for first in inner.gradient(value, case.sources)])
        return outer.gradient(squares, case.sources)

    assert_near(second(case.by_kernel), second(case.by_tensorflow), EXACT)


def test_a_label_outside_the_classes_is_an_error() -> None:
    case = Rows(6, 4, 9, True)
    case.labels = tf.constant([0, 1, 2, 9, 4, 5], tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError):
        case.by_kernel(*case.sources)
