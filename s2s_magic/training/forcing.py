"""The cross-entropy and the accuracy of the tokens of a target, each after the true ones before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.batches import Stream, Table, batches
from s2s_magic.data.losses import losses_of
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.handle import Seq2Seq
from s2s_magic.training.probabilities import gives_probabilities
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

BATCH = 256


def obstacle_to_forcing(seq2seq: Seq2Seq, table: Table | Stream) -> str | None:
    """Say in words why the tokens of these data cannot be scored; None if they can."""
    if not backend.is_wired(seq2seq.model):
        return f"{seq2seq.name} is no graph of layers, so that its scores of each token are not known"
    outputs = backend.ends(seq2seq.model)[1]
    shape = backend.shape_of(outputs[0])
    if isinstance(table, Stream) or len(outputs) != 1 or shape is None or len(shape) != 3 or _rows(table) is None:
        return f"{seq2seq.name} has no single output of shape (rows, steps, classes) with a target of ids"
    if any(isinstance(column, tf.SparseTensor) for column in table.inputs):
        return f"an input of {seq2seq.name} is sparse: give it as a dense one, tf.sparse.to_dense(...)"
    return None


def forcing(seq2seq: Seq2Seq, plan: FitPlan, table: Table | Stream) -> Callable[[], Numbers]:
    """Return a function that runs the model, as it is then, on a table's rows, without dropout.

    The cross-entropy is that of the model's probabilities (of its logits, if the loss is computed from these). Padding
    counts in nothing: neither what fills up short rows, nor what the model's own mask leaves out. So the exponential of
    the mean is that of the loss that ``Model.evaluate`` gives, if the loss is a plain cross-entropy.

    Parameters
    ----------
    seq2seq, plan, table
        What `s2s_magic.data.reader.prepare` prepared for a plan, without an `obstacle_to_forcing`.

    Returns
    -------
    callable
        Returns an array of shape (rows, 3): the sum of the cross-entropies of each row's tokens, how many of these
        were most probable, and how many there are. The graph is made now, so that nothing is traced later.
    """
    target = _rows(table)
    assert isinstance(table, Table)
    assert target is not None
    numbered = replace(
        table,
        target=target,
        more=(np.arange(len(target), dtype=np.int64),),  # which rows a batch holds
        target_form=None,
        weighted=False,
        weights=(),
        classes=None,
    )
    with Changes() as changes, changes, changes:
        backend.keep_random_states(changes)
        from_logits = _from_logits(seq2seq, plan, table)
        dataset, _ = batches(numbered, size=BATCH)
    lengths = tf.constant(target.lengths)
    inputs, (ids, numbers) = dataset.element_spec

    def run(inputs: Any, ids: Any, numbers: Any) -> Any:
        output = tf.nest.flatten(seq2seq.model(inputs, training=False))[0]
        steps = tf.shape(output)[1]
        # the output stays as it is, as Keras finds the logits behind it; a decoder may stop at the longest row
        ids = tf.pad(ids, [[0, 0], [0, tf.maximum(0, steps - tf.shape(ids)[1])]])[:, :steps]
        real = tf.sequence_mask(tf.gather(lengths, numbers), steps)
        if (mask := backend.mask_of(output)) is not None:
            real &= tf.cast(mask, tf.bool)
        losses = keras.losses.sparse_categorical_crossentropy(ids, output, from_logits=from_logits)
        right = tf.equal(tf.argmax(output, axis=-1, output_type=tf.int32), tf.cast(ids, tf.int32))
        each = tf.stack([tf.cast(losses, tf.float64), tf.cast(right, tf.float64), tf.ones_like(losses, tf.float64)], -1)
        return tf.reduce_sum(tf.where(real[..., None], each, tf.zeros_like(each)), axis=1)

    graph = tf.function(run, input_signature=[inputs, ids, numbers])
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, seq2seq.model)
        backend.skip_gpu_forms(changes)
        graph.get_concrete_function()

    def measured() -> Numbers:
        found = np.zeros((len(target), 3))
        with Changes() as changes, changes, changes:
            backend.keep_as_it_runs(changes, seq2seq.model)
            for inputs, (ids, numbers) in dataset:
                found[numbers.numpy()] = graph(inputs, ids, numbers).numpy()
        return found

    return measured


def _from_logits(seq2seq: Seq2Seq, plan: FitPlan, table: Table) -> bool:
    said = backend.loss_settings(losses_of(seq2seq, plan)[0]).get("from_logits")
    return bool(said) if said is not None else not gives_probabilities(seq2seq, table)


def _rows(table: Table | Stream) -> Rows | None:
    """Return a table's only target as rows of ids; one-hot vectors become ids, and their rows end with the last one."""
    target = table.target
    if isinstance(target, Rows):
        return target if isinstance(table, Table) and not table.more else None
    if not isinstance(target, np.ndarray) or not isinstance(table, Table) or table.more:
        return None
    if target.ndim == 3 and np.isin(target, (0, 1)).all() and (target.sum(-1) <= 1).all():
        filled = target.any(-1)
        lengths = np.where(filled.any(1), target.shape[1] - filled[:, ::-1].argmax(1), 0)
        return Rows.of(list(target.argmax(-1))).cut(lengths)
    if target.ndim == 2 and np.array_equal(target, np.floor(target)):
        return Rows.of(list(target))
    return None
