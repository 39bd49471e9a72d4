"""The beginning of a fit by several workers: what they cannot do is refused, and all begin with the same state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.batches import Stream, Table
from s2s_magic.data.fingerprints import fingerprint
from s2s_magic.errors import DataError, Fault, FitError
from s2s_magic.handle import Seq2Seq
from s2s_magic.training.accumulating import no_plain, scales_loss
from s2s_magic.training.collectives import check_same, described, of_the_chief, take_from_chief
from s2s_magic.training.loss_parts import count_of
from s2s_magic.training.snapshots import Snapshot, body_of
from s2s_magic.training.together import Together
from s2s_magic.training.workers import Workers

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


def seed_of_all(workers: Workers | None, seed: int) -> int:
    """Return a seed that all workers have: the chief's."""
    return seed if workers is None else int(of_the_chief(workers, [float(seed)], "seed")[0])


def check_shareable(plan: FitPlan) -> None:
    """Refuse a body that several workers cannot train by.

    Raises
    ------
    DataError
        At the place of the key.
    """
    if plan.data is not None:
        said = "batches that you made yourself are not shared out among workers: name 'source' and 'target'"
        raise DataError([Fault(*plan.place_of("data"), said)])


def met(
    workers: Workers,
    seq2seq: Seq2Seq,
    plan: FitPlan,
    train: Table | Stream,
    batch: Any,
    begin: Snapshot | None,
) -> Together:
    """Check that the workers can train a model together, and give it the chief's state on all of them.

    Parameters
    ----------
    workers, seq2seq, plan
        The workers, the compiled model, and the fit's body.
    train, batch
        What is trained on, and the inputs, targets and any weights of a whole batch of it.
    begin
        Where a fit goes on from.

    Raises
    ------
    FitError
        When they cannot; nothing was trained.
    """
    model = seq2seq.model
    obstacle = _obstacle(model, batch)
    if obstacle is not None:
        raise FitError(f"{seq2seq.name} cannot be trained by {workers.count} workers: {obstacle}")
    standing = "" if begin is None else f"{begin[0].taken} {begin[0].seed}"
    check_same(
        workers,
        {
            "the data": fingerprint(train),
            "the body of the fit": f"{body_of(plan)} {plan.epochs}",
            "the checkpoint to go on from": standing,
            "the model": described(model),
        },
    )
    count = count_of(seq2seq.name, model, batch, seq2seq.ids.padding or 0)
    backend.make_metrics(model, batch)
    take_from_chief(workers, backend.state_of(model))
    return Together(workers, model, count, empty=_may_be_empty(workers, plan, train))


def _obstacle(model: Any, batch: Any) -> str | None:
    optimizer = model.optimizer
    if backend.has_own_step(model):
        return f"{type(model).__name__} has a training step of its own"
    if (unknown := no_plain(optimizer)) is not None:
        return unknown
    if scales_loss(optimizer):
        return f"{type(optimizer).__name__} scales the loss; mixed_bfloat16 needs no scale"
    if model.run_eagerly:
        return "it was compiled with run_eagerly=True, and workers exchange numbers within a compiled step"
    if any(isinstance(each, tf.SparseTensor) for each in tf.nest.flatten(batch)):
        return "the rows of a SparseTensor are not shared out"
    if any(shape[0] is not None for each in model.inputs or () if (shape := backend.shape_of(each))):
        return "its inputs have a fixed number of rows"
    stateful = [each for each in backend.reached(model) if isinstance(each, keras.layers.RNN) and each.stateful]
    return f"{stateful[0].name} is stateful, and keeps a state for each row of a batch" if stateful else None


def _may_be_empty(workers: Workers, plan: FitPlan, train: Table | Stream) -> bool:
    """Return whether a worker's part of a batch may have no rows."""
    if not train.fixed_lengths or plan.max_tokens is not None:
        return True
    return plan.batch < workers.count or 0 < train.rows % plan.batch < workers.count
