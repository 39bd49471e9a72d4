"""Inspect and check batches that the user made; they are passed on unchanged."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.assignment import compared_outputs
from s2s_magic.data.batches import Stream
from s2s_magic.data.consistency import check_target_shape
from s2s_magic.data.inputs import inputs_of
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.losses import asks_for_target
from s2s_magic.data.values import Unreadable, asked, is_kind

_EXPECTED = "expected batches of (inputs, targets) or (inputs, targets, weights)"


def streams(desk: Desk) -> tuple[Stream, Stream | None]:
    """Look up the dataset of a fit, and that of its validation if it has one.

    Raises
    ------
    DataError
        When one is not a dataset, has an unknown number of batches, or does not fit the model.
    """
    plan = desk.plan
    train = _stream(desk, Asked("data", plan.data or ""), plan.class_weights)
    held = _stream(desk, Asked("validation", plan.validation), {}) if isinstance(plan.validation, str) else None
    desk.raise_faults()
    assert train is not None
    return train, held


def _stream(desk: Desk, named: Asked, classes: Any) -> Stream | None:
    found = desk.found(*named)
    if found is None:
        return None
    alone = not asks_for_target(desk.seq2seq.model, desk.plan)
    stream: Stream | None = desk.reading(named, lambda: _read(found[0], dict(classes), alone))
    if stream is not None:
        _check(desk, named, stream)
    return stream


def _read(value: Any, classes: dict[int, float], alone: bool) -> Stream:
    if is_kind(value, tf.data.Dataset):
        return _of_dataset(value, classes, alone)
    if is_kind(value, keras.utils.Sequence):
        return _of_sequence(value, classes, alone)
    raise Unreadable(
        f"is of type {type(value).__name__}; expected a tf.data.Dataset or a keras.utils.Sequence: arrays and lists "
        "are named under 'source' and 'target'"
    )


def _of_dataset(dataset: Any, classes: dict[int, float], alone: bool) -> Stream:
    steps = int(dataset.cardinality())
    if steps == tf.data.INFINITE_CARDINALITY:
        raise Unreadable("has no end: give as many batches as an epoch shall have, NAME.take(100)")
    if steps == tf.data.UNKNOWN_CARDINALITY:
        raise Unreadable(
            "does not know how many batches it has: say it, NAME.apply(tf.data.experimental.assert_cardinality(100))"
        )
    return Stream(dataset, steps, _parts(dataset.element_spec, alone), None, classes or None)


def _parts(batch: Any, alone: bool) -> tuple[Any, ...]:
    """Return what a batch is made of; it may be inputs ``alone`` where no loss compares anything with a target."""
    parts = batch if isinstance(batch, tuple) else (batch,)
    if len(parts) not in (2, 3) and not (alone and len(parts) == 1):
        raise Unreadable(f"gives {_form(batch)}; {_EXPECTED}")
    return parts


def _of_sequence(sequence: Any, classes: dict[int, float], alone: bool) -> Stream:
    steps = asked("its __len__()", lambda: len(sequence))
    batch = asked("its first batch", lambda: sequence[0]) if steps else ()
    parts = _parts(batch, alone) if steps else ()
    spec = asked("its first batch", lambda: tf.nest.map_structure(_spec, parts))
    return Stream(sequence, steps, spec, lambda: tf.nest.map_structure(tf.convert_to_tensor, batch), classes or None)


def _spec(value: Any) -> tf.TensorSpec:
    tensor = tf.convert_to_tensor(value)
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def _form(value: Any) -> str:
    return f"tuples of {len(value)}" if isinstance(value, tuple) else f"elements of type {type(value).__name__}"


def _check(desk: Desk, named: Asked, stream: Stream) -> None:
    """Check the declared shapes of the batches against the model."""
    if not stream.steps:
        desk.fault(named.key, f"{named.variable} holds no batches to fit on")
        return
    specs, found = tf.nest.flatten(stream.spec[0]), inputs_of(desk.seq2seq)
    if not backend.is_wired(desk.seq2seq.model):
        return
    if len(specs) != len(found):
        names = ", ".join(i.name for i in found)
        desk.fault(named.key, f"{named.variable} gives {len(specs)} inputs, and the model has {len(found)}: {names}")
        return
    for spec, model_input in zip(specs, found, strict=True):
        shape = spec.shape
        if shape.rank is not None and shape.rank == len(model_input.shape) - 1:
            desk.fault(named.key, f"{named.variable} gives single rows: give batches, {named.variable}.batch(32)")
            return
        if not shape.is_compatible_with(model_input.shape):
            desk.fault(
                named.key,
                f"{named.variable} gives {model_input.name} batches of shape {tuple(shape)}; the input has "
                f"{model_input.shape}",
            )
    outputs, targets = compared_outputs(desk), tf.nest.flatten(stream.spec[1:2])
    if len(outputs) == len(targets) == 1 and targets[0].shape.rank is not None:
        check_target_shape(desk, tuple(targets[0].shape), named, outputs[0])
