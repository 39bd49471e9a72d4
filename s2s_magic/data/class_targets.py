"""Targets for a model of a class of its own, whose outputs show only when it is called."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.keras.utils import unpack_x_y_sample_weight

from s2s_magic import backend
from s2s_magic.data.assignment import Part, targets_as_given, training_part, validation_part
from s2s_magic.data.batches import Feed, Stream
from s2s_magic.data.consistency import check_classes, ids_fit
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.losses import compares, needs_target
from s2s_magic.data.reader import Prepared
from s2s_magic.data.table import Table
from s2s_magic.data.values import one_line
from s2s_magic.errors import FitError
from s2s_magic.handle import Seq2Seq

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

_THEIRS = {
    __name__.partition(".")[0],
    "keras",
    "tf_keras",
    "tensorflow",
    "numpy",
    "tree",
    "optree",
    *sys.stdlib_module_names,
}


def check_class_targets(
    seq2seq: Seq2Seq, plan: FitPlan, namespace: Mapping[str, Any], prepared: Prepared, given: Feed
) -> None:
    """Check that targets of class ids have none that the model gives no score, and a validation unlike the training.

    The model is traced on a batch, and nothing is computed. All else about the training's targets Keras finds at the
    first step: see `why_not_compared`.

    Raises
    ------
    DataError
        With the place of the first id in each target that is out of range.
    FitError
        When outputs cannot be held against the validation's targets.
    """
    model, train, held = seq2seq.model, prepared.train, prepared.validation
    if given.first is None or isinstance(train, Stream) or backend.is_wired(model) or not needs_target(model):
        return
    batch, tables = given.first(), [(training_part(plan), train)]
    held_part = validation_part(plan)
    if isinstance(held, Table) and held_part is not None and not held.ragged:
        tables.append((held_part, held))
        rows = tf.nest.map_structure(lambda column: column[: given.size], held.arrays())
        if _types(rows) != _types(batch[: len(rows)]) and (why := why_not_compared(seq2seq, held_part, rows)):
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
            if ids_fit(target.shape[1:], tuple(output.shape[1:])):
                check_classes(desk, asked[number], target, output.shape[-1], loss)
    desk.raise_faults()


def _types(batch: Any) -> Any:
    """Return what is alike in batches that a model takes in the same way."""
    return [None if one is None else (one.shape[1:], one.dtype) for one in tf.nest.flatten(batch)]


def outputs_on(model: Any, inputs: Any) -> Any:
    """Return the types of what a model gives for a batch, in the model's structure; None if it cannot be traced."""
    found: list[Any] = []
    _traced(lambda given: found.append(tf.nest.map_structure(_type, model(given))), inputs)
    return found[0] if found else None


def _traced(call: Callable[..., object], *batch: Any) -> Exception | None:
    """Trace a call with a batch, without computing anything; return the error that it raised."""
    tensors = tf.nest.map_structure(lambda one: tf.constant(one) if isinstance(one, np.ndarray) else one, batch)
    try:
        tf.function(call, autograph=False).get_concrete_function(*tensors)
    except Exception as error:
        return error
    return None


def _type(tensor: Any) -> tf.TensorSpec:
    return tf.TensorSpec(tensor.shape, tensor.dtype)


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


def why_not_compared(seq2seq: Seq2Seq, part: Part, batch: tuple[Any, ...] | None) -> str | None:
    """Say why Keras cannot hold a model's outputs against the targets of a batch; None if it can, or if unknown.

    None too where code of the user's own fails in it: that error is told as it is.
    """
    model = seq2seq.model
    if batch is None or backend.is_wired(model) or not needs_target(model):
        return None
    inputs, target, weights = unpack_x_y_sample_weight(batch)
    outputs = outputs_on(model, inputs)
    if outputs is None or target is None:
        return None

    def compare(inputs: Any, target: Any, weights: Any) -> None:
        given = {"x": inputs, "y": target, "y_pred": model(inputs), "sample_weight": weights}
        model.compute_loss(**given)
        model.compute_metrics(**given)

    error = _traced(compare, inputs, target, weights)
    if error is None or any(_root(frame) not in _THEIRS for frame, _ in traceback.walk_tb(error.__traceback__)):
        return None
    asked, _ = targets_as_given(part)
    named = ", ".join(dict.fromkeys(each.variable for each in asked)) or "these targets"
    gives, given = _told(outputs), _told(target)
    said = f"{seq2seq.name} cannot be trained on {named}: for a batch it gives {gives}, and the target is {given}"
    return f"{said}{_remedy(outputs, target, model.loss, asked)}. Keras says: {one_line(error)}"


def _root(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _told(structure: Any) -> str:
    """Return tensors, or their types, in words, with their shapes."""
    if isinstance(structure, dict):
        return "{" + ", ".join(f"{name}: {_told(each)}" for name, each in structure.items()) + "}"
    if isinstance(structure, list | tuple):
        return f"[{', '.join(map(_told, structure))}]"
    return f"{tuple(structure.shape)} of {tf.as_dtype(structure.dtype).name}"


def _remedy(outputs: Any, target: Any, loss: Any, asked: list[Asked]) -> str:
    """Return what to write where outputs and target, or the losses, are not arranged alike."""
    first = asked[0].variable if asked else "Y"
    if isinstance(outputs, dict):
        if isinstance(loss, dict) and not set(loss) & set(outputs):
            return f"; its loss is compiled for {', '.join(map(str, loss))}, and no output has such a name"
        if not isinstance(target, dict) or set(target) != set(outputs):
            return f"; name a variable for each, 'target: {{{', '.join(f'{name}: {first}' for name in outputs)}}}'"
    elif isinstance(outputs, list | tuple):
        if isinstance(loss, dict):
            return "; its outputs have no names: compile it with a list of losses, or return a dictionary of outputs"
        if not isinstance(target, list | tuple) or len(target) != len(outputs):
            return f"; name a variable for each, 'target: [{', '.join(first for _ in outputs)}]'"
    elif isinstance(loss, dict):
        return "; its one output has no name: compile it with one loss"
    elif isinstance(target, dict | list | tuple):
        return f"; name one variable, 'target: {first}'"
    return ""
