"""Beam searches with the API of ``tfa.seq2seq``, run with TensorFlow Addons and with ours on the same weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from addons_attention_cases import ends, mechanism_of
from addons_cases import BATCH, DEPTH, IDS, UNITS, Case, built, cell, first_state, numbers


def sharp(layer: Any) -> Any:
    """Scale an output layer so that its scores differ widely and beams end at different steps; return it."""
    built(layer, UNITS)
    layer.set_weights([4 * weight for weight in layer.get_weights()])
    return layer


def values(result: Any) -> dict[str, Any]:
    outputs, state, lengths = result
    state = tf.nest.map_structure(lambda v: v.stack() if isinstance(v, tf.TensorArray) else v, state)
    found = {f"outputs {i}": v for i, v in enumerate(tf.nest.flatten(outputs))}
    found |= {f"state {i}": v for i, v in enumerate(tf.nest.flatten(state))}
    return {name: v.numpy() for name, v in (found | {"lengths": lengths}).items()}


def searched(kind: str, width: int, most: int, **options: Any) -> Case:
    def case(library: Any) -> dict[str, Any]:
        table = tf.constant(numbers("table", IDS, DEPTH))
        by_function = options.get("embedding_fn", False)
        settings = {**options, "embedding_fn": (lambda ids: tf.gather(table, ids)) if by_function else None}
        decoder = library.BeamSearchDecoder(
            cell(kind), width, output_layer=sharp(keras.layers.Dense(IDS)), maximum_iterations=most, **settings
        )
        state = library.tile_batch(first_state(kind), width)
        # a stack of cells returns its state as a tuple, and TensorFlow Addons accepts nothing else
        state = tuple(state) if kind == "stacked" else state
        start = tf.constant([1, 2, 4])
        result = decoder(None if by_function else table, start_tokens=start, end_token=3, initial_state=state)
        return values(result)

    return case


def attended(kinds: tuple[str, ...], width: int, history: bool, **options: Any) -> Case:
    def case(library: Any) -> dict[str, Any]:
        table = tf.constant(numbers("table", IDS, DEPTH))
        given = ends("lengths")
        mechanisms = [mechanism_of(library, kind, False, given) for kind in kinds]
        memory = library.tile_batch(mechanisms[0].values, width)
        lengths = library.tile_batch(given["memory_sequence_length"], width)
        for mechanism in mechanisms:
            mechanism.setup_memory(memory, lengths)
        inner = cell("lstm", DEPTH + len(kinds) * memory.shape[-1])
        wrapper = library.AttentionWrapper(
            inner,
            mechanisms if len(kinds) > 1 else mechanisms[0],
            alignment_history=history,
            output_attention=False,
        )
        decoder = library.BeamSearchDecoder(
            wrapper, width, output_layer=sharp(keras.layers.Dense(IDS)), maximum_iterations=5, **options
        )
        state = wrapper.get_initial_state(batch_size=BATCH * width, dtype=tf.float32)
        state = state.clone(cell_state=library.tile_batch(first_state("lstm"), width))
        return values(decoder(table, start_tokens=tf.constant([1, 2, 4]), end_token=3, initial_state=state))

    return case


def trees(library: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    found = {}
    for i in range(8):
        ids, parents = random.integers(0, 9, (6, 3, 4)), random.integers(0, 4, (6, 3, 4))
        ids, parents = tf.constant(ids, tf.int32), tf.constant(parents, tf.int32)
        lengths = tf.constant(random.integers(0, 8, [3]), tf.int32)
        found[f"tree {i}"] = library.gather_tree(ids, parents, lengths, 4)
        each = tf.constant(random.integers(0, 7, (3, 4)), tf.int32)
        array = tf.constant(random.normal(size=(6, 3, 4, 2)), tf.float32)
        found[f"array {i}"] = library.gather_tree_from_array(array, parents, each)
        merged = tf.reshape(array, [6, 12, 2])
        found[f"merged array {i}"] = library.gather_tree_from_array(merged, parents, each)
    tiled = library.tile_batch({"a": tf.constant([[1, 2], [3, 4]]), "b": [tf.constant([5.0, 6.0])]}, 3)
    found |= {f"tiled {i}": v for i, v in enumerate(tf.nest.flatten(tiled))}
    return {name: value.numpy() for name, value in found.items()}


def beam_cases() -> Iterator[tuple[str, Case]]:
    for kind, width, most in itertools.product(("lstm", "gru", "stacked"), (1, 3, 7), (1, 3, 7)):
        yield f"{kind} {width} {most}", searched(kind, width, most)
    for weight in (0.6, 2.0, -1.0):
        yield f"length penalty {weight}", searched("lstm", 4, 7, length_penalty_weight=weight)
    yield "time-major", searched("gru", 3, 5, output_time_major=True)
    yield "by function", searched("gru", 3, 5, embedding_fn=True)
    for kinds, width, history in itertools.product((("Luong",), ("Bahdanau", "Luong")), (1, 3), (False, True)):
        for penalty in (0.0, 0.4):
            name = f"attention {' and '.join(kinds)} {width} {'history' * history} {penalty}"
            yield name, attended(kinds, width, history, coverage_penalty_weight=penalty)
    yield "both penalties", attended(("Luong",), 3, True, coverage_penalty_weight=0.3, length_penalty_weight=0.7)
    yield "history as it is", attended(("Luong",), 3, True, reorder_tensor_arrays=False)
    yield "trees", trees


BEAMS = dict(beam_cases())
