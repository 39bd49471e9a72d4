"""Before a fit, build a model whose variables are created by its first call, so that the fit can watch them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.batches import Feed
from s2s_magic.data.rehearsing import line_of_users
from s2s_magic.data.values import one_line
from s2s_magic.errors import FitError
from s2s_magic.handle import Seq2Seq
from s2s_magic.tracing import Traced, run
from s2s_magic.undoing import Changes


def build_on(seq2seq: Seq2Seq, given: Feed, seed: int | None) -> None:
    """Build an unbuilt model by calling it, under capture, on one batch of a fit's data.

    The ledger continues with that call, so it records which call created which variable; no notebook name is bound. A
    model without a ``call``, whose training step calls its parts, is left as it is.

    ``seed`` seeds the initial values; None leaves the random states alone.

    Raises
    ------
    FitError
        If the model cannot be called on these data.
    """
    model = seq2seq.model
    if model.built or not backend.has_call(model):
        return
    name = next((n for n, value in seq2seq.namespace.items() if value is model and n.isidentifier()), "model")
    namespace = {**seq2seq.namespace, name: model, "batch": _one_batch(given)}
    with Changes() as changes, changes, changes:
        if seed is not None:
            backend.seed_all(changes, seed)
        traced = run(
            f"{name}(batch)",
            namespace,
            name=seq2seq.name,
            before=Traced(seq2seq.ledger, seq2seq.live, seq2seq.namespace),
            title="on the first batch of the fit",
        )
    if traced.error is not None:
        if isinstance(traced.error, Exception):
            why = f"{one_line(traced.error)}{line_of_users(traced.error)}"
            raise FitError(f"{name} cannot be called on the data of the fit: {why}") from traced.error
        raise traced.error
    seq2seq.ledger, seq2seq.live = traced.ledger, traced.live
    if seq2seq.evidence is not None:
        seq2seq.ledger = seq2seq.ledger.with_training(seq2seq.evidence)


def _one_batch(given: Feed) -> Any:
    """Return the inputs of one batch; one row of zeros if the batches must not be read before the fit."""
    if given.first is not None:
        return given.first()[0]
    inputs = keras.utils.unpack_x_y_sample_weight(given.arguments["x"].element_spec)[0]
    return tf.nest.map_structure(lambda spec: tf.zeros([size or 1 for size in spec.shape], spec.dtype), inputs)
