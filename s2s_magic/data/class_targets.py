"""Targets for a model of a class of its own, whose outputs show only when it is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from s2s_magic.data.assignment import targets_as_given, training_part, validation_part
from s2s_magic.data.batches import Feed, Stream
from s2s_magic.data.consistency import check_classes, ids_fit
from s2s_magic.data.lookup import Desk
from s2s_magic.data.losses import compares, needs_target
from s2s_magic.data.reader import Prepared
from s2s_magic.data.rehearsing import outputs_on, why_not_trained
from s2s_magic.data.table import Table
from s2s_magic.errors import FitError
from s2s_magic.handle import Seq2Seq

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan


def check_class_targets(
    seq2seq: Seq2Seq, plan: FitPlan, namespace: Mapping[str, Any], prepared: Prepared, given: Feed
) -> None:
    """Check that targets of class ids have none that the model gives no score, and a validation unlike the training.

    The model is traced on a batch, and nothing is computed. All else about the training's targets Keras finds at the
    first step: see `why_not_trained`.

    Raises
    ------
    DataError
        With the place of the first id in each target that is out of range.
    FitError
        When outputs cannot be held against the validation's targets.
    """
    model, train, held = seq2seq.model, prepared.train, prepared.validation
    if isinstance(train, Stream) or train.input_form is None or given.first is None or not needs_target(model):
        return  # with a form, the data were arranged as named, for their outputs were not known
    batch, tables = given.first(), [(training_part(plan), train)]
    held_part = validation_part(plan)
    if isinstance(held, Table) and held_part is not None and not held.ragged:
        tables.append((held_part, held))
        rows = tf.nest.map_structure(lambda column: column[: given.size], held.arrays())
        if _types(rows) != _types(batch[: len(rows)]) and (why := why_not_trained(seq2seq, held_part, rows)):
            raise FitError(why)
    if all(compares(loss) != "ids" for loss in tf.nest.flatten(model.loss)):
        return
    desk, outputs = Desk(seq2seq, plan, namespace), outputs_on(model, batch[0])
    for part, table in tables:
        asked, form = targets_as_given(part)
        for number, output, loss in _compared(outputs, model.loss, form.names, len(table.targets)):
            target = table.targets[number]
            if compares(loss) != "ids" or not isinstance(target, np.ndarray) or not output.shape.rank:
                continue
            key, name = asked[number]
            if target.dtype == object:
                desk.fault(key, f"{name} holds text, and numbers are expected")
            elif ids_fit(target.shape[1:], tuple(output.shape[1:])):
                check_classes(desk, asked[number], target, output.shape[-1], loss)
            else:
                shapes = f"{name} has shape {target.shape}, and what the model gives (None, {str(output.shape[1:])[1:]}"
                desk.fault(key, f"{shapes}; its loss takes one id for each position")
    desk.raise_faults()


def _types(batch: Any) -> Any:
    """Return what is alike in batches that a model takes in the same way."""
    return [None if one is None else (one.shape[1:], one.dtype) for one in tf.nest.flatten(batch)]


def _compared(
    outputs: Any, loss: Any, names: tuple[str, ...] | None, targets: int
) -> Iterator[tuple[int, tf.TensorSpec, Any]]:
    """Yield the number of each target, the output that it is held against, and the loss; nothing where unclear."""
    if isinstance(outputs, tf.TensorSpec) and targets == 1 and names is None:
        yield 0, outputs, loss[0] if isinstance(loss, list | tuple) and loss else loss
    elif isinstance(outputs, list | tuple) and names is None and targets == len(outputs):
        for number, output in enumerate(outputs):
            if isinstance(output, tf.TensorSpec) and not isinstance(loss, dict):
                yield number, output, loss[number] if isinstance(loss, list | tuple) else loss
    elif isinstance(outputs, dict) and names is not None:
        for number, name in enumerate(names):
            if isinstance(outputs.get(name), tf.TensorSpec) and not isinstance(loss, list | tuple):
                yield number, outputs[name], loss.get(name) if isinstance(loss, dict) else loss
