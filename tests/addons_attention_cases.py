"""Programs with the attention of ``tfa.seq2seq``, run with TensorFlow Addons and with ours on the same weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow import keras

from addons_cases import BATCH, DEPTH, IDS, TIME, UNITS, Case, built, cell, first_state, numbers, recorded

MEMORY, VALUES, ATTENTION = 5, 4, 2


def memory() -> Any:
    return tf.constant(numbers("memory", BATCH, MEMORY, VALUES))


def ends(kind: str) -> dict[str, Any]:
    return {
        "": {},
        "lengths": {"memory_sequence_length": tf.constant([5, 1, 3])},
        "mask": {"memory_mask": tf.sequence_mask([2, 5, 4], MEMORY)},
    }[kind]


def with_weights(mechanism: Any) -> Any:
    """Set a mechanism's weights, the same for every library, and return it; its memory must have been set once."""
    mechanism([tf.zeros([BATCH, UNITS]), mechanism.initial_state(BATCH, tf.float32)])
    return built(mechanism, UNITS)


def mechanism_of(library: Any, kind: str, normalized: bool, given: dict[str, Any], **more: Any) -> Any:
    """Return a mechanism with its weights, and a memory that was set up with them."""
    option = {"scale" if kind.startswith("Luong") else "normalize": normalized}
    made = getattr(library, f"{kind}Attention")(UNITS, **option, **more)
    made.setup_memory(memory(), **given)
    with_weights(made)
    made.setup_memory(memory(), **given)
    return made


def queried(kind: str, normalized: bool, end: str, **more: Any) -> Case:
    def case(library: Any) -> dict[str, Any]:
        given = ends(end)
        mechanism = mechanism_of(library, kind, normalized, given, **more)
        values, queries = memory(), [tf.constant(numbers(f"query {i}", BATCH, UNITS)) for i in range(3)]

        def run() -> tuple[Any, Any, Any]:
            mechanism.setup_memory(values, **given)
            state = mechanism.initial_state(BATCH, tf.float32)
            outputs = []
            for query in queries:
                alignments, state = mechanism([query, state])
                outputs.append(alignments)
            return outputs, state, tf.constant([mechanism.alignments_size])

        return recorded(run, [mechanism], values, *queries)

    return case


def attended(
    mechanisms: tuple[str, ...],
    sizes: Any,
    output_attention: bool,
    history: bool,
    end: str,
    kind: str = "lstm",
    by_layer: bool = False,
    greedy: bool = False,
    **options: Any,
) -> Case:
    """Return a case that decodes with a cell with attention."""

    def case(library: Any) -> dict[str, Any]:
        given = ends(end)
        made = [mechanism_of(library, name, False, given) for name in mechanisms]
        depth = sum(sizes) if sizes else VALUES * len(made)
        layers = [built(keras.layers.Dense(size, activation="tanh"), UNITS + VALUES) for size in sizes or ()]
        one = len(made) == 1
        settings: dict[str, Any] = {}
        if sizes:
            listed = layers if by_layer else list(sizes)
            settings["attention_layer" if by_layer else "attention_layer_size"] = listed[0] if one else listed
        inner = cell(kind, DEPTH + depth)
        wrapper = library.AttentionWrapper(
            inner, made[0] if one else made, alignment_history=history, output_attention=output_attention, **settings
        )
        state = wrapper.get_initial_state(batch_size=BATCH, dtype=tf.float32)
        wrapper(tf.zeros([BATCH, DEPTH]), wrapper.get_initial_state(batch_size=BATCH, dtype=tf.float32))
        built(wrapper)
        layer = built(keras.layers.Dense(IDS), depth if output_attention else UNITS)
        sampler = library.GreedyEmbeddingSampler() if greedy else library.TrainingSampler()
        decoder = library.BasicDecoder(wrapper, sampler, output_layer=layer, **options)
        values = memory()
        inputs = tf.constant(numbers("table", IDS, DEPTH) if greedy else numbers("inputs", BATCH, TIME, DEPTH))
        asked = {"start_tokens": tf.constant([1, 2, 4]), "end_token": 3} if greedy else {"sequence_length": [4, 2, 3]}

        def run() -> tuple[Any, Any, Any]:
            for mechanism in made:
                mechanism.setup_memory(values, **given)
            cell_state = tf.nest.pack_sequence_as(state.cell_state, tf.nest.flatten(first_state(kind)))
            return decoder(inputs, initial_state=state.clone(cell_state=cell_state), **asked)

        return recorded(run, [wrapper, layer], inputs, values)

    return case


def functions(library: Any) -> dict[str, Any]:
    chances = tf.sigmoid(tf.constant(numbers("chances", BATCH, MEMORY)))
    before = tf.nn.softmax(tf.constant(numbers("before", BATCH, MEMORY)))
    first = tf.one_hot(tf.zeros([BATCH], tf.int32), MEMORY)
    certain = tf.cast(chances > 0.5, tf.float32)
    results = {
        f"{mode} {i}": library.monotonic_attention(chances if mode != "hard" else certain, start, mode)
        for mode in ("recursive", "parallel", "hard")
        for i, start in enumerate((before, first))
    }
    results["hardmax"] = library.hardmax(tf.constant([[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]]))
    results["products"] = library.safe_cumprod(tf.constant([[0.2, 0.0, 1.0]]), axis=1)
    results["products before"] = library.safe_cumprod(chances, axis=1, exclusive=True, reverse=True)
    return {name: value.numpy() for name, value in results.items()}


def with_function(library: Any) -> dict[str, Any]:
    """Run a wrapper with a custom ``attention_fn`` and ``cell_input_fn``."""
    mechanism = mechanism_of(library, "Luong", False, {})

    def twice(mechanism: Any, output: Any, state: Any, layer: Any) -> Any:
        alignments, state = mechanism([output, state])
        return 2 * tf.einsum("bm,bmv->bv", alignments, mechanism.values), alignments, state

    inner = cell("gru", DEPTH + VALUES)
    wrapper = library.AttentionWrapper(
        inner,
        mechanism,
        attention_fn=twice,
        cell_input_fn=lambda inputs, attention: tf.concat([attention, inputs], -1),
        initial_cell_state=first_state("gru"),
    )
    decoder = library.BasicDecoder(wrapper, library.TrainingSampler())
    state = wrapper.get_initial_state(batch_size=BATCH, dtype=tf.float32)
    inputs = tf.constant(numbers("inputs", BATCH, TIME, DEPTH))
    return recorded(lambda: decoder(inputs, initial_state=state), [inner], inputs)


def attention_cases() -> Iterator[tuple[str, Case]]:
    for kind, normalized, end in itertools.product(("Luong", "Bahdanau"), (False, True), ("", "lengths", "mask")):
        for probability in ("softmax", "hardmax"):
            name = f"{kind} {'normalized' * normalized} {end} {probability}"
            yield name, queried(kind, normalized, end, probability_fn=probability)
        for mode in ("recursive", "parallel", "hard"):
            name = f"{kind} monotonic {'normalized' * normalized} {end} {mode}"
            yield name, queried(f"{kind}Monotonic", normalized, end, mode=mode, score_bias_init=0.3)
    for kind, sizes, output_attention, history, end in itertools.product(
        ("Luong", "Bahdanau", "LuongMonotonic"), (None, (ATTENTION,)), (True, False), (False, True), ("", "lengths")
    ):
        name = f"decoding {kind} {sizes} {output_attention} {'history' * history} {end}"
        yield name, attended((kind,), sizes, output_attention, history, end)
    both = ("Luong", "Bahdanau")
    for sizes, history in itertools.product((None, (ATTENTION, 3)), (False, True)):
        yield f"decoding both {sizes} {history}", attended(both, sizes, True, history, "lengths")
    yield "decoding both by layers", attended(both, (ATTENTION, 3), True, True, "", by_layer=True)
    yield "decoding by a layer", attended(("Luong",), (ATTENTION,), True, False, "mask", by_layer=True)
    for kind in ("gru", "stacked"):
        yield f"decoding {kind}", attended(("Bahdanau",), (ATTENTION,), True, True, "lengths", kind=kind)
    for imputed in (False, True):
        options = {"greedy": True, "maximum_iterations": 6, "impute_finished": imputed}
        yield f"decoding greedily {imputed}", attended(("Luong",), (ATTENTION,), True, True, "lengths", **options)
    yield "with functions", with_function
    yield "functions", functions


ATTENTION_CASES = dict(attention_cases())
