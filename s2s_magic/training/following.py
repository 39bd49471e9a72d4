"""Follow one example through a model: the values on its wires, and the norms of the gradient on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.batches import feed
from s2s_magic.data.inputs import inputs_of, roles
from s2s_magic.data.reader import prepare
from s2s_magic.errors import FitError
from s2s_magic.followed import Carried, Followed
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Called
from s2s_magic.ledger.words import listing
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.spec import FitPlan

FIRST, FIRST_IDS = 3, 12
"""How many values of a tensor are kept: of numbers, and of ids."""
Place = tuple[int, int]
"""The event that makes a tensor, and the number of that output."""


def follow(seq2seq: Seq2Seq, plan: FitPlan, source: Any, target: Any, *notes: str) -> Followed:
    """Run the training model on one example, without dropout, and return what its wires carry.

    Parameters
    ----------
    seq2seq
        A model that is wired from inputs to outputs (functional).
    plan
        That of a fit whose data are named ``source`` and ``target``.
    source, target
        One row each, as a fit takes several: texts, ids, or arrays.
    *notes
        What a reader should know, such as where the target comes from.

    Raises
    ------
    DataError
        When the example does not fit the model.
    FitError
        When the model has no wires, was not compiled, or takes more than an encoder's and a decoder's input.
    """
    seq2seq.refresh()
    wires = _wires(seq2seq)
    if not wires:
        raise FitError(f"{seq2seq.name} has no wires from inputs to outputs on which an example could be followed")
    if not backend.is_compiled(seq2seq.model):
        raise FitError(f"{seq2seq.name} is not compiled, and so has no loss to follow an example to: compile it first")
    names = [one.name for one in inputs_of(seq2seq)]
    if len(names) > 1 and roles(seq2seq) is None:
        raise FitError(
            f"{seq2seq.name} takes {listing(names)}, and an example to follow is one source and one target: "
            "expected a model with one input, or with an encoder's and a decoder's"
        )
    prepared = prepare(seq2seq, plan, {"source": [source], "target": [target]})
    given = feed(prepared.train, None, size=1)
    assert given.first is not None
    values, gradients, loss = _measured(seq2seq, list(wires.values()), given.first())
    carried = tuple(
        _carried(seq2seq, place, value, gradient)
        for place, value, gradient in zip(wires, values, gradients, strict=True)
    )
    if any(isinstance(event, Called) and event.adds_loss for event in seq2seq.ledger.events):
        notes = (*notes, "the loss is the compiled one, without what layers add to it by themselves")
    return Followed(seq2seq.name, carried, loss, _shown(source), _shown(target), notes, seq2seq.ledger)


def _wires(seq2seq: Seq2Seq) -> dict[Place, Any]:
    """Return the symbolic tensors of the main model, in the order of the events that make them."""
    if not backend.is_wired(seq2seq.model):
        return {}
    inputs, outputs = backend.ends(seq2seq.model)
    inside = {id(tensor) for tensor in (*inputs, *outputs, *backend.tensors_behind(list(outputs)))}
    return {place: tensor for place, tensor in sorted(seq2seq.live.tensors.items()) if id(tensor) in inside}


def _measured(seq2seq: Seq2Seq, wires: Sequence[Any], batch: Sequence[Any]) -> tuple[list[Any], list[Any], float]:
    """Return the values of wires, the gradients of the loss with respect to them, and the loss."""
    model = seq2seq.model
    inputs, target, weights = (*batch, None)[:3]
    ends = list(backend.ends(model)[1])
    probe = keras.Model(model.input, [*ends, *wires])
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, model)
        tape = changes.enter(tf.GradientTape(persistent=True))
        made = list(probe(inputs, training=False))
        outputs, values = made[: len(ends)], made[len(ends) :]
        loss, of_outputs = (
            model.compute_loss(inputs, target, tf.nest.pack_sequence_as(model.output, one), weights)
            # a loss looks for the logits behind probabilities, and then no gradient comes through these
            for one in (outputs, [tf.identity(output) for output in outputs])
        )
    last = set(map(id, ends))
    gradients: list[Any] = [None] * len(values)
    for total, is_last in ((loss, False), (of_outputs, True)):
        places = [n for n, wire in enumerate(wires) if (id(wire) in last) == is_last and values[n].dtype.is_floating]
        for place, gradient in zip(places, tape.gradient(total, [values[n] for n in places]), strict=True):
            gradients[place] = gradient
    return values, gradients, float(loss)


def _carried(seq2seq: Seq2Seq, place: Place, value: Any, gradient: Any) -> Carried:
    event = seq2seq.ledger.events[place[0]]
    numbers = _numbers(value)
    row = numbers.reshape(-1, numbers.shape[-1])[0] if numbers.ndim and numbers.size else numbers.reshape(-1)
    first = row[: FIRST_IDS if numbers.dtype.kind in "biu" else FIRST].tolist()
    back = None if gradient is None else _numbers(gradient)
    return Carried(
        *place,
        name=event.outputs[place[1]].name,
        layer=event.layer,
        line=event.line,
        shape=tuple(numbers.shape),
        dtype=value.dtype.name,
        first=tuple(one.decode(errors="replace") if isinstance(one, bytes) else one for one in first),
        norm=None if numbers.dtype.kind not in "fc" else float(np.linalg.norm(numbers.astype(float))),
        gradient=None if back is None else float(np.linalg.norm(back.astype(float))),
        true=int(numbers.sum()) if numbers.dtype.kind == "b" else None,
    )


def _numbers(value: Any) -> Any:
    """Return a value, which may be ragged, sparse or in a type of TensorFlow's own, as an array."""
    if isinstance(value, tf.RaggedTensor):
        value = value.to_tensor()
    elif isinstance(value, tf.SparseTensor):
        value = tf.sparse.to_dense(value)
    value = tf.convert_to_tensor(value)
    return (tf.cast(value, tf.float32) if value.dtype == tf.bfloat16 else value).numpy()


def _shown(row: Any) -> str:
    """Return one row as it was given, in a line."""
    if isinstance(row, str):
        return row
    shape = np.shape(row)
    if len(shape) == 1 and shape[0]:
        return " ".join(map(str, np.asarray(row).tolist()))
    return f"an array of shape {tuple(shape)}"
