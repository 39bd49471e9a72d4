"""Trace a model on a batch, without computing anything, to learn what it gives, or why Keras refuses to train it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.keras.utils import unpack_x_y_sample_weight

from s2s_magic import backend
from s2s_magic.data.assignment import Part, targets_as_given
from s2s_magic.data.lookup import Asked
from s2s_magic.data.losses import needs_target
from s2s_magic.data.values import one_line
from s2s_magic.handle import Seq2Seq
from s2s_magic.undoing import Changes, attributes_of

_OURS = __name__.partition(".")[0]
_THEIRS = {_OURS, "keras", "tf_keras", "tensorflow", "numpy", "tree", "optree", *sys.stdlib_module_names}


def outputs_on(model: Any, inputs: Any) -> Any:
    """Return the types of what a model gives for a batch, in the model's structure; None if it cannot be traced."""
    return _outputs_or_error(model, inputs)[0]


def why_not_trained(seq2seq: Seq2Seq, part: Part, batch: Any) -> str | None:
    """Say why Keras cannot train a model on a batch, or on batches of such types; None if it can, or if unknown.

    That is where it cannot be called on the inputs, or its outputs cannot be held against the targets. None too where
    a loss or a metric of the user's own fails, or code of this package: that error is told as it is.
    """
    model = seq2seq.model
    if not needs_target(model):
        return None
    inputs, target, weights = unpack_x_y_sample_weight(batch)
    outputs, error = _outputs_or_error(model, inputs)
    if error is not None:
        return f"{seq2seq.name} cannot be called on the data of the fit: {one_line(error)}{line_of_users(error)}"

    def compare(inputs: Any, target: Any, weights: Any) -> None:
        given = {"x": inputs, "y": target, "y_pred": model(inputs), "sample_weight": weights}
        model.compute_loss(**given)
        model.compute_metrics(**given)

    error = None if target is None else _failed(model, compare, inputs, target, weights)
    if error is None or not _is_keras_s(error):
        return None
    asked, _ = targets_as_given(part)
    named = ", ".join(dict.fromkeys(each.variable for each in asked)) or "these targets"
    gives, given = _told(outputs), _told(target)
    said = f"{seq2seq.name} cannot be trained on {named}: for a batch it gives {gives}, and the target is {given}"
    return f"{said}{_remedy(outputs, target, model.loss, asked)}. Keras says: {one_line(error)}"


def line_of_users(error: BaseException) -> str:
    """Say which line of a function of the user's an error passed last, as a sentence's end; nothing if none."""
    found = ""
    cause: BaseException | None = error
    while cause is not None:
        for frame, line in traceback.walk_tb(cause.__traceback__):
            code = frame.f_code
            if _root(frame) not in _THEIRS and code.co_name != "<module>" and "autograph" not in code.co_filename:
                found = f" (line {line}, in {code.co_name})"
        cause = cause.__context__
    return found


def _outputs_or_error(model: Any, inputs: Any) -> tuple[Any, Exception | None]:
    found: list[Any] = []
    error = _failed(model, lambda given: found.append(tf.nest.map_structure(_type, model(given))), inputs)
    return (found[0] if found else None), error


def _failed(model: Any, call: Callable[..., object], *batch: Any) -> Exception | None:
    """Trace a call of a model on a batch, or on its types; return the error that it raised.

    Layers are as before then: a trace leaves masks and losses in them, and may make variables.
    """
    tensors = tf.nest.map_structure(lambda one: tf.constant(one) if isinstance(one, np.ndarray) else one, batch)
    with Changes() as changes, changes, changes:
        backend.seed_all(changes, 0)
        for part in {id(each): each for each in (model, *backend.reached(model))}.values():
            changes.undo_by(attributes_of(part))
        return _traced(call, tensors)


def _traced(call: Callable[..., object], tensors: Any) -> Exception | None:
    try:
        tf.function(call, autograph=False).get_concrete_function(*tensors)
    except Exception as error:
        return error
    return None


def _type(tensor: Any) -> tf.TensorSpec:
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _is_keras_s(error: Exception) -> bool:
    """Return whether an error was raised by Keras's code for losses and metrics, called from here."""
    names = [(_root(frame), frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return all(root in _THEIRS and (root != _OURS or name == __name__) for root, name in names)


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
