"""Stream the files of a fit: their ids go into a temporary file once, and each epoch is read from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.assignment import Part, named_targets
from s2s_magic.data.batches import Stream
from s2s_magic.data.batching import Room
from s2s_magic.data.corpus import Corpus
from s2s_magic.data.costs import check_room, limit_of, steps_in
from s2s_magic.data.drawn_rows import batch_of
from s2s_magic.data.encoding import Encoded, encoded
from s2s_magic.data.inputs import Role
from s2s_magic.data.lookup import Desk
from s2s_magic.data.pools import Pools
from s2s_magic.data.selection import files_named
from s2s_magic.data.sequences import Rows
from s2s_magic.data.sides import arranged, count_tokens
from s2s_magic.data.table import Shifted, Table
from s2s_magic.data.token_batches import drawn_seed
from s2s_magic.data.values import Unknown
from s2s_magic.spec.references import is_file
from s2s_magic.undoing import Changes

LARGE = 100_000_000
"""Bytes of files from which a fit streams them unless told otherwise."""
PACKED = 4
"""How often a packed file's size its content is taken to have."""
Told = Callable[[int], object]
"""Receives how many pairs were read so far."""


def streams_files(desk: Desk, known: Mapping[Role, str] | None, part: Part) -> bool:
    """Return whether a fit streams its files; note a fault if it is to and cannot."""
    plan = desk.plan
    if plan.streaming is False:
        return False
    files = [name for name in (plan.source, plan.target) if isinstance(name, str) and is_file(name)]
    others = [key for key in ("inputs", "decoder_input", "lengths", "weights", "class_weights") if key in plan.given]
    tokens = desk.seq2seq.ids.tokens
    said = ""
    if len(files) < 2:
        said = "only files are streamed: 'source' and 'target' name one each, or a column of one"
    elif others:
        said = f"'{others[0]}' and 'streaming' do not go together: what stands beside each row is held in memory"
    elif known is None or {"source", "target"} - set(tokens):
        said = f"{desk.seq2seq.name} does not read texts by 'tokens' of a spec: only these are streamed"
    if said:
        if plan.streaming:
            desk.fault("streaming", said)
        return False
    return plan.streaming is True or size_of(files, desk.namespace) > LARGE


def size_of(names: Sequence[str], namespace: Mapping[str, Any]) -> int:
    """Return about how many bytes of text are in files, each counted once; 0 if one is not there."""
    try:
        files = {file for name in names for file in files_named(name, namespace)}
        return sum(os.path.getsize(file) * (PACKED if file.endswith(".gz") else 1) for file in files)
    except (Unknown, OSError):  # reported where they are read
        return 0


def names_files(part: Part) -> bool:
    """Return whether the source and the target of a validation are files."""
    return part.source is not None and is_file(part.source.variable) and is_file(str(part.target))


def check_small(desk: Desk, part: Part) -> None:
    """Note a fault in a validation that is held in memory and is too large for that."""
    names = [name for name in (part.source and part.source.variable, part.target) if isinstance(name, str)]
    size = size_of([name for name in names if is_file(name)], desk.namespace)
    if size > LARGE:
        what = f"{size / 1e6:,.0f} MB, and at most {LARGE / 1e6:,.0f} MB of texts are decoded after each epoch"
        desk.fault("validate_with", f"{' and '.join(names)} are {what}: name a smaller validation")
        desk.raise_faults()


def corpus_of(desk: Desk, part: Part) -> Corpus:
    """Return the files of a fit or of its validation; note a fault for each that is not there."""
    pairs, _ = named_targets(desk, part)
    desk.raise_faults()
    assert part.source is not None
    corpus = Corpus(desk, part.source, pairs[0][1])
    for asked in (corpus.source, corpus.target):
        try:
            files_named(asked.variable, desk.namespace)
        except Unknown as error:
            desk.fault(asked.key, str(error), error.__cause__)
    desk.raise_faults()
    return corpus


def streamed(changes: Changes, desk: Desk, known: Mapping[Role, str], part: Part, told: Told) -> Encoded:
    """Read the files of a fit: check every line, count the vocabularies if none are known, and keep the ids.

    Parameters
    ----------
    changes
        The temporary file of the ids is removed when they are undone.
    desk, known, part
        Where faults are noted, the inputs' names by role, and what names the files.
    told
        Receives how many pairs were read so far.
    """
    corpus = corpus_of(desk, part)
    training = part.key == ""
    if training:
        sides = {"source": corpus.source, "target": corpus.target}
        count_tokens(
            desk,
            {
                side: (asked, lambda place=place: (pair[place].text for pair in corpus.pairs()))  # type: ignore[misc]
                for place, (side, asked) in enumerate(sides.items())
            },
        )
        if not corpus.skips:
            corpus.tell()
        desk.raise_faults()
    found = encoded(changes, desk, corpus, told)
    desk.raise_faults()
    source, target = (Rows.of([np.zeros(length, np.int32)]) for length in found.longest)
    table = arranged(desk, known, source, target, Shifted(0), named_targets(desk, part)[1])
    room, most = _room(desk, found), int(found.longest.max())
    rows = min(room.rows or found.spool.rows, max(1, (room.ids or most) // most), found.spool.rows)
    asked = corpus.source if len(source.values) > len(target.values) else corpus.target
    check_room(desk, asked, steps_in(desk.seq2seq, table, np.zeros(1, np.int64)), rows, most)
    desk.raise_faults()
    return found


def stream_of(
    desk: Desk, known: Mapping[Role, str], part: Part, found: Encoded, numbers: tuple[int, int], *, start: int
) -> Stream:
    """Return the batches of the pairs with these numbers, the first and the one after the last."""
    plan = desk.plan
    room = _room(desk, found)
    training = part.key == ""
    shuffle = training and plan.shuffle
    pools = Pools.of(found.spool, *numbers, room, sort=shuffle or not training, shuffle=shuffle)
    example = Rows.of([[0], [0, 0]])  # of different lengths, as the pairs are
    table = arranged(desk, known, example, example, Shifted(start), named_targets(desk, part)[1])

    def begun_at(skip: int) -> Any:
        seed = drawn_seed() if plan.seed is None and shuffle else plan.seed or 0
        return dataset_of(table, pools, seed, plan.epochs, skip)

    if training:
        return Stream(
            None,
            pools.steps,
            (),
            None,
            begun_at=begun_at,
            rows=pools.rows,
            seen=pools.seen,
            content=found.spool.checksum,
        )
    return Stream(dataset_of(table, pools, 0, 1), pools.steps, (), None)


def _room(desk: Desk, found: Encoded) -> Room:
    """Return what a batch has room for; one with a row that is much longer than most holds no more ids than others."""
    plan = desk.plan
    return (
        Room(plan.batch, plan.batch * limit_of(found.usual)) if plan.max_tokens is None else Room(ids=plan.max_tokens)
    )


def dataset_of(table: Table, pools: Pools, seed: int, epochs: int, skip: int = 0) -> Any:
    """Return the batches of some epochs, one after another, as `batches` gives those of a table."""

    def generated() -> Iterator[tuple[Any, ...]]:
        for source, target in pools.batches(seed, epochs, skip):
            yield source.values, source.splits, target.values, target.splits

    one = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.int64))
    dataset = tf.data.Dataset.from_generator(generated, output_signature=(*one, *one))
    shifted = {"input": table.inputs, "target": table.targets}

    def batch(source: Any, source_splits: Any, target: Any, target_splits: Any) -> Any:
        rows = {
            "source": tf.RaggedTensor.from_row_splits(source, source_splits, validate=False),
            "target": tf.RaggedTensor.from_row_splits(target, target_splits, validate=False),
        }
        data = {f"{kind} {n}": rows["source" if kind == "input" else "target"] for kind in shifted for n in range(3)}
        data["lengths"] = tf.cast(target_splits[1:] - target_splits[:-1], tf.int32)
        return batch_of(table, tf.range(tf.shape(source_splits)[0] - 1), data)

    dataset = dataset.map(batch, num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    count = pools.steps * epochs - skip
    dataset = dataset.with_options(options).apply(tf.data.experimental.assert_cardinality(count))
    return dataset.prefetch(tf.data.AUTOTUNE)
