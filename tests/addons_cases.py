"""Programs with the API of ``tfa.seq2seq``, run with TensorFlow Addons and with ours on the same weights.

Each is a function that takes the library and returns arrays by name: outputs, states, lengths, ids and gradients.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

Case = Callable[[Any], dict[str, Any]]
BATCH, TIME, DEPTH, UNITS, IDS = 3, 4, 2, 3, 5


def numbers(name: str, *shape: int) -> Any:
    """Return numbers that depend only on a name."""
    return np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape).astype("float32")


def built(layer: Any, *shape: int | None) -> Any:
    """Build a layer and set its weights, the same for every library and every Keras; return it."""
    if not layer.built:
        layer.build(tuple(shape) if len(shape) > 1 else (None, *shape))
    layer.set_weights([numbers(f"{i}", *w.shape) * 0.7 for i, w in enumerate(layer.weights)])
    return layer


def raw(variables: list[Any]) -> list[Any]:
    """Return the TensorFlow variables behind the variables of any Keras."""
    return [v.value if isinstance(v.value, tf.Variable) else v for v in variables]


def cell(kind: str, depth: int = DEPTH) -> Any:
    single = {"lstm": lambda: keras.layers.LSTMCell(UNITS), "gru": lambda: keras.layers.GRUCell(UNITS)}
    if kind == "stacked":
        made = keras.layers.StackedRNNCells([keras.layers.LSTMCell(UNITS), keras.layers.GRUCell(UNITS)])
        # each cell's weights separately: Keras 2 and Keras 3 list those of a stack in different orders
        for inner, inner_depth in zip(made.cells, (depth, UNITS), strict=True):
            built(inner, inner_depth)
        made.built = True
        return made
    return built(single[kind](), depth)


def first_state(kind: str, batch: int = BATCH) -> Any:
    h, c, other = (tf.constant(numbers(name, batch, UNITS)) for name in ("h", "c", "other"))
    return {"lstm": [h, c], "gru": h, "stacked": [[h, c], other]}[kind]


def recorded(run: Callable[[], tuple[Any, Any, Any]], layers: list[Any], *watched: Any) -> dict[str, Any]:
    """Run a decoding and return its results, with the gradients of a scalar function of all floats in them."""
    with tf.GradientTape() as tape:
        for tensor in watched:
            tape.watch(tensor)
        outputs, state, lengths = run()
        found = {f"outputs {i}": v for i, v in enumerate(tf.nest.flatten(outputs))}
        states = [v.stack() if isinstance(v, tf.TensorArray) else v for v in tf.nest.flatten(state)]
        found |= {f"state {i}": v for i, v in enumerate(states)}
        floats = [v for v in found.values() if v.dtype.is_floating]
        total = tf.add_n([tf.reduce_sum(tf.sin(v * (i + 1))) for i, v in enumerate(floats)])
    sources = [v for layer in layers for v in raw(layer.trainable_weights)] + list(watched)
    gradients = tape.gradient(total, sources, unconnected_gradients="zero")
    found |= {f"gradient {i}": tf.convert_to_tensor(v) for i, v in enumerate(gradients)}
    return {name: v.numpy() for name, v in (found | {"lengths": lengths}).items()}


def training(kind: str, projected: bool, ends: str, **options: Any) -> Case:
    """Return a case of teacher forcing: a cell, with or without an output layer, over sequences of several lengths."""

    def case(library: Any) -> dict[str, Any]:
        inner = cell(kind)
        layer = built(keras.layers.Dense(IDS), UNITS) if projected else None
        time_major = options.get("output_time_major", False)
        decoder = library.BasicDecoder(
            inner, library.TrainingSampler(time_major=time_major), output_layer=layer, **options
        )
        inputs = tf.constant(numbers("inputs", *((TIME, BATCH) if time_major else (BATCH, TIME)), DEPTH))
        given = {
            "all": {},
            "lengths": {"sequence_length": tf.constant([2, 3, 0])},
            "mask": {"mask": tf.sequence_mask([3, 1, 2], TIME)},
        }[ends]
        if time_major and "mask" in given:
            given["mask"] = tf.transpose(given["mask"])
        return recorded(
            lambda: decoder(inputs, initial_state=first_state(kind), **given),
            [*getattr(inner, "cells", [inner]), *([layer] if layer is not None else [])],
            inputs,
        )

    return case


def greedy(kind: str, by_function: bool, **options: Any) -> Case:
    def case(library: Any) -> dict[str, Any]:
        inner, layer = cell(kind), built(keras.layers.Dense(IDS), UNITS)
        table = tf.constant(numbers("table", IDS, DEPTH))
        sampler = library.GreedyEmbeddingSampler((lambda ids: tf.gather(table, ids)) if by_function else None)
        decoder = library.BasicDecoder(inner, sampler, output_layer=layer, **{"maximum_iterations": 6, **options})
        return recorded(
            lambda: decoder(
                None if by_function else table,
                initial_state=first_state(kind),
                start_tokens=tf.constant([1, 2, 4]),
                end_token=3,
            ),
            [*getattr(inner, "cells", [inner]), layer],
            table,
        )

    return case


def sampled(make: Callable[[Any], Any], depth: int = DEPTH, **given: Any) -> Case:
    """Return a case of a random sampler, with all seeds set."""

    def case(library: Any) -> dict[str, Any]:
        inner, layer = cell("lstm", depth), built(keras.layers.Dense(IDS), UNITS)
        tf.random.set_seed(3)
        decoder = library.BasicDecoder(inner, make(library), output_layer=layer, maximum_iterations=6)
        arguments = {name: value() if callable(value) else value for name, value in given.items()}
        inputs = arguments.pop("inputs")
        return recorded(lambda: decoder(inputs, initial_state=first_state("lstm"), **arguments), [inner, layer])

    return case


def written(library: Any) -> dict[str, Any]:
    """Run a decoder with a `CustomSampler`, which consists of the user's functions."""
    inner = cell("gru")
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    sampler = library.CustomSampler(
        initialize_fn=lambda given: (tf.zeros([BATCH], tf.bool), given[:, 0]),
        sample_fn=lambda time, outputs, state: tf.argmax(outputs, -1, output_type=tf.int32),
        next_inputs_fn=lambda time, outputs, state, sample_ids: (
            tf.equal(time, [1, 2, 3]),
            inputs[:, time],
            state,
        ),
    )
    decoder = library.BasicDecoder(inner, sampler, maximum_iterations=5)
    return recorded(lambda: decoder(inputs, initial_state=first_state("gru")), [inner])


def inferred(library: Any) -> dict[str, Any]:
    """Run a decoder with an `InferenceSampler`, whose outputs are the next inputs."""
    inner, layer = cell("gru", IDS), built(keras.layers.Dense(IDS), UNITS)
    sampler = library.InferenceSampler(
        sample_fn=lambda outputs: tf.tanh(outputs),
        sample_shape=[IDS],
        sample_dtype=tf.float32,
        end_fn=lambda ids: ids[:, 0] > 0.7,
        next_inputs_fn=lambda ids: ids * 0.5,
    )
    decoder = library.BasicDecoder(inner, sampler, output_layer=layer, maximum_iterations=5)
    start = tf.constant(numbers("start", BATCH, IDS))
    return recorded(lambda: decoder(start, initial_state=first_state("gru")), [inner, layer], start)


def losses(library: Any) -> dict[str, Any]:
    logits = tf.constant(numbers("logits", BATCH, TIME, IDS))
    targets = tf.constant(np.abs(numbers("targets", BATCH, TIME) * 9).astype("int32") % IDS)
    weights = tf.constant(np.array([[1, 0.5, 0, 0], [2, 1, 1, 1], [1, 0, 3, 0]], "float32"))
    found = {}
    reductions = ("average_across_timesteps", "average_across_batch", "sum_over_timesteps", "sum_over_batch")
    for chosen in ((), (0,), (1,), (0, 1), (2,), (3,), (2, 3)):
        options = {name: i in chosen for i, name in enumerate(reductions)}
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = library.sequence_loss(logits, targets, weights, **options)
        found[f"loss {chosen}"] = loss.numpy()
        found[f"gradient {chosen}"] = tape.gradient(loss, logits).numpy()
    found["as a layer's loss"] = library.SequenceLoss()(targets, logits, weights).numpy()
    dense = tf.one_hot(targets, IDS)
    found["of probabilities"] = library.sequence_loss(logits, dense, weights).numpy()
    found["by another function"] = library.sequence_loss(
        logits,
        targets,
        weights,
        softmax_loss_function=lambda labels, logits: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits * 2),
    ).numpy()
    return found


def _table() -> Any:
    return tf.constant(numbers("table", IDS, DEPTH))


def _inputs() -> Any:
    return tf.constant(numbers("inputs", BATCH, TIME, DEPTH))


def decoding_cases() -> Iterator[tuple[str, Case]]:
    grid = itertools.product(
        ("lstm", "gru", "stacked"), (True, False), ("all", "lengths", "mask"), (False, True), (False, True), (None, 2)
    )
    for kind, projected, ends, time_major, imputed, most in grid:
        name = f"training {kind} {'projected' if projected else 'bare'} {ends}"
        name += " time-major" * time_major + " imputed" * imputed + " at most two" * (most == 2)
        options = {"output_time_major": time_major, "impute_finished": imputed, "maximum_iterations": most}
        yield name, training(kind, projected, ends, **options)
    for kind, by_function, imputed in itertools.product(("lstm", "gru", "stacked"), (False, True), (False, True)):
        yield f"greedy {kind} {by_function} {imputed}", greedy(kind, by_function, impute_finished=imputed)
    start = {"start_tokens": [1, 2, 4], "end_token": 3}
    for temperature in (None, 0.5):
        yield (
            f"drawn at {temperature}",
            sampled(
                lambda s, t=temperature: s.SampleEmbeddingSampler(softmax_temperature=t, seed=5),
                inputs=_table,
                **start,
            ),
        )
    for chance in (0.0, 0.4, 1.0):
        yield (
            f"scheduled ids {chance}",
            sampled(
                lambda s, p=chance: s.ScheduledEmbeddingTrainingSampler(p, seed=1, scheduling_seed=2),
                inputs=_inputs,
                embedding=_table,
                sequence_length=[4, 2, 3],
            ),
        )
        yield (
            f"scheduled outputs {chance}",
            sampled(
                lambda s, p=chance: s.ScheduledOutputTrainingSampler(p, seed=1, next_inputs_fn=lambda x: x[:, :DEPTH]),
                inputs=_inputs,
                sequence_length=[4, 2, 3],
            ),
        )
        yield (
            f"scheduled outputs beside others {chance}",
            sampled(
                lambda s, p=chance: s.ScheduledOutputTrainingSampler(p, seed=1, next_inputs_fn=lambda x: x[:, :DEPTH]),
                depth=2 * DEPTH,
                inputs=_inputs,
                auxiliary_inputs=lambda: _inputs() * 2,
            ),
        )
    yield "written", written
    yield "inferred", inferred
    yield "losses", losses


DECODING = dict(decoding_cases())
