"""How fast 2,000 sentences are decoded: by TFA's decoder batch by batch, and by this package's decode.

Run ``python tests/benchmarks/decode_speed.py``. Both sides decode the same sentences greedily with the same layers, and
take turns in one process; every round asserts that they return the same ids. The table shows medians, the median of the
ratios of neighbouring runs, and the same for processor time, which other work on the machine disturbs less.

- TFA: ``BasicDecoder`` with ``GreedyEmbeddingSampler`` in one compiled function, on batches in the given order, each
  padded to its longest sentence and run until its last row has ended;
- s2s_magic: ``s2s_magic.decode``.

With ``--beam 5`` TFA's side is its ``BeamSearchDecoder``, on the same batches; the best hypotheses are compared.

The model is not trained: its weights are drawn from so wide a range that its output differs for each sentence. The bias
of its end id is set so that outputs have the wanted length on average; a few are many times longer.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

from s2s_magic import build, decode
from s2s_magic.decoding import inference_model

PADDING, START, END, LONGEST = 0, 1, 2, 50
SPEC = """\
vocab: {vocab}
embed: 128
encoder: {kind}(256)
decoder: {kind}(256)
padding: 0
start: 1
end: 2
max_length: 50
"""


def sentences(count: int, vocab: int) -> list[list[int]]:
    """Draw sources: many short ones and a few long ones, 4 to 40 ids."""
    draws = np.random.default_rng(0)
    lengths = np.clip(draws.lognormal(np.log(12), 0.6, size=count), 4, 40).astype(int)
    return [draws.integers(3, vocab, size=length).tolist() for length in lengths]


def model_of(vocab: int, kind: str, sources: list[list[int]], wanted: float) -> Any:
    """Build a model whose outputs have about the wanted number of ids."""
    made = build(SPEC.format(vocab=vocab, kind=kind))
    draws = np.random.default_rng(1)
    for weight in made.model.weights:
        width = 1.0 if len(weight.shape) == 1 else 3.0 / np.sqrt(weight.shape[0])
        weight.assign(draws.normal(size=weight.shape, scale=width))
    bias = made.layers["output_layer"].bias
    rest, low, high = bias.numpy(), -20.0, 60.0
    for _ in range(12):
        rest[END] = (low + high) / 2
        bias.assign(rest)
        length = np.mean([len(ids) for ids in decode(made, sources[:150])])
        low, high = (low, rest[END]) if length < wanted else (rest[END], high)
    return made


def padded(rows: list[list[int]]) -> Any:
    """Return rows as one array, each padded to the longest."""
    filled = np.full((len(rows), max(map(len, rows))), PADDING, np.int32)
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return filled


def by_tfa(made: Any, sources: list[list[int]], batch: int) -> Callable[[], list[list[int]]]:
    """Return a function that decodes all sentences by TFA's decoder, batch by batch."""
    model = inference_model(made).model
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
    step = tf.function(lambda ids, start: model([ids, start], training=False), input_signature=signature)

    def run() -> list[list[int]]:
        found = []
        for first in range(0, len(sources), batch):
            filled = padded(sources[first : first + batch])
            ids, lengths = step(filled, np.full(len(filled), START, np.int32))
            for row, length in zip(ids.numpy().tolist(), lengths.numpy(), strict=True):
                found.append([number for number in row[:length] if number != END])
        return found

    return run


def by_tfa_beam(made: Any, sources: list[list[int]], batch: int, width: int) -> Callable[[], list[list[int]]]:
    """Return a function that decodes all sentences by TFA's beam search, batch by batch; rows are the best beams."""
    layers = made.layers
    decoder = tfa.seq2seq.BeamSearchDecoder(
        layers["decoder_cell"],
        width,
        embedding_fn=layers["embeddings"],
        output_layer=layers["output_layer"],
        maximum_iterations=LONGEST,
    )

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def step(ids: Any) -> Any:
        _, *state = layers["encoder"](layers["embeddings"](ids), mask=tf.not_equal(ids, PADDING))
        tiled = tfa.seq2seq.tile_batch(state, width)
        start = tf.fill([tf.shape(ids)[0]], START)
        return decoder(None, start_tokens=start, end_token=END, initial_state=tiled)[0].predicted_ids[:, :, 0]

    def run() -> list[list[int]]:
        found = []
        for first in range(0, len(sources), batch):
            filled = padded(sources[first : first + batch])
            for ids in step(filled).numpy().tolist():
                ids = [*ids, END]
                found.append(ids[: min(ids.index(END), LONGEST)])
        return found

    return run


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of a run, its seconds, and its processor seconds."""
    began, used = time.perf_counter(), time.process_time()
    found = run()
    return found, time.perf_counter() - began, time.process_time() - used


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64, help="sentences a batch of TFA's side")
    parser.add_argument("--vocab", type=int, default=8000)
    parser.add_argument("--kind", choices=["lstm", "gru"], default="lstm")
    parser.add_argument("--ids", type=float, default=12, help="ids a sentence gives on average")
    parser.add_argument("--beam", type=int, default=1, help="the beam's width; 1 for greedy decoding")
    parser.add_argument("--rounds", type=int, default=5, help="runs a side")
    parser.add_argument("--quick", action="store_true", help="300 sentences, two runs a side")
    options = parser.parse_args()
    count, rounds = (300, 2) if options.quick else (options.sentences, options.rounds)
    sources = sentences(count, options.vocab)
    made = model_of(options.vocab, options.kind, sources, options.ids)
    if options.beam > 1:
        theirs = by_tfa_beam(made, sources, options.batch, options.beam)
        sides = {"TFA": theirs, "s2s_magic": lambda: decode(made, sources, beam=options.beam).ids}
    else:
        sides = {"TFA": by_tfa(made, sources, options.batch), "s2s_magic": lambda: decode(made, sources)}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    used: dict[str, list[float]] = {side: [] for side in sides}
    for side in sides.values():
        side()
    for _ in range(rounds):
        said = []
        for name, run in sides.items():
            found, wall, processor = timed(run)
            said.append(found)
            seconds[name].append(wall)
            used[name].append(processor)
        unlike = sum(list(a) != list(b) for a, b in zip(*said, strict=True))
        # sums of logarithms in another order may put two beams of one row in another order
        assert unlike <= (0.01 * count if options.beam > 1 else 0), f"the two sides say different ids for {unlike} rows"
    ids = sum(len(row) + 1 for row in said[0])
    longest = max(map(len, said[0]))
    print(f"{count} sentences, {ids} ids, the longest {longest}, {options.kind}(256), {options.vocab} words")
    print(f"{'side':<12}{'median':>10}{'fastest':>10}{'ids a second':>14}{'ratio':>8}{'of CPU':>8}")
    for name in sides:
        ratio = np.median(np.divide(seconds["TFA"], seconds[name]))
        of_cpu = np.median(np.divide(used["TFA"], used[name]))
        middle = np.median(seconds[name])
        print(
            f"{name:<12}{middle:>8.2f} s{min(seconds[name]):>8.2f} s{ids / middle:>14.0f}{ratio:>8.2f}{of_cpu:>8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
