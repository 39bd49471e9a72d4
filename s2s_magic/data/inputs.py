"""Describe a model's inputs and outputs, and tell their roles by the wires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tensorflow import keras

from s2s_magic import backend
from s2s_magic.data.table import Form
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Called, anatomy

Role = Literal["encoder", "decoder", "lengths"]

Holds = Literal["numbers", "text", "ragged", "sparse"]
"""What kind of values a symbolic tensor holds."""


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes
    ----------
    name
        The user's name for its tensor, else Keras's.
    keras_name
        Keras's name for it.
    rank
        Number of dimensions, the batch included.
    event
        The event that made it; None for one older than the trace.
    vocabulary
        Number of ids of the embedding it feeds; None where it feeds none.
    shape
        Its shape, the batch included.
    dtype
        Its dtype.
    holds
        Numbers, text, or a ragged or sparse tensor.
    """

    name: str
    keras_name: str
    rank: int
    event: int | None
    vocabulary: int | None
    shape: tuple[int | None, ...] = ()
    dtype: str = "float32"
    holds: Holds = "numbers"


@dataclass(frozen=True)
class ModelOutput:
    """One output of a model.

    Attributes
    ----------
    name
        The user's name for its tensor, else Keras's.
    keras_name
        Keras's name for it: the key of its loss and target.
    shape
        Its shape, the batch included; None where not even the rank is known.
    dtype
        Its dtype.
    holds
        Numbers, or a ragged tensor.
    """

    name: str
    keras_name: str
    shape: tuple[int | None, ...] | None
    dtype: str
    holds: Holds


def inputs_of(seq2seq: Seq2Seq) -> list[ModelInput]:
    """List the inputs of the main model in order; empty for a subclassed model."""
    record, model = seq2seq.ledger.main_model, seq2seq.model
    if not backend.is_wired(model):
        return []
    tensors, found = backend.ends(model)[0], []
    wires = record.inputs if record and len(record.inputs) == len(tensors) else [None] * len(tensors)
    for wire, tensor, keras_name in zip(wires, tensors, backend.input_names(model), strict=True):
        event = wire.from_event if wire else None
        vocabulary = _vocabulary(seq2seq, event)
        name, shape = (wire and wire.name) or keras_name, tuple(tensor.shape)
        dtype = backend.dtype_of(tensor)
        found.append(ModelInput(name, keras_name, len(shape), event, vocabulary, shape, dtype, _holds(tensor)))
    return found


def outputs_of(seq2seq: Seq2Seq) -> list[ModelOutput]:
    """List the outputs of the main model in order; empty for a subclassed model."""
    record, model = seq2seq.ledger.main_model, seq2seq.model
    if not backend.is_wired(model):
        return []
    tensors, found = backend.ends(model)[1], []
    wires = record.outputs if record and len(record.outputs) == len(tensors) else [None] * len(tensors)
    keys = backend.output_keys(model) or backend.output_names(model)
    for wire, tensor, keras_name in zip(wires, tensors, keys, strict=True):
        name = (wire and wire.name) or keras_name
        shape, dtype = backend.shape_of(tensor), backend.dtype_of(tensor)
        found.append(ModelOutput(name, keras_name, shape, dtype, _holds(tensor)))
    return found


def output_form(seq2seq: Seq2Seq, compared: Sequence[ModelOutput]) -> Form:
    """Return the form in which Keras gets these outputs' targets: in order where they are all of them, else by name."""
    model = seq2seq.model
    if backend.output_keys(model) is None and len(compared) == len(backend.ends(model)[1]):
        return Form(alone=len(compared) == 1)
    return Form(names=tuple(output.keras_name for output in compared))


def _holds(tensor: Any) -> Holds:
    layout = backend.layout_of(tensor)
    if layout != "dense":
        return layout
    return "text" if backend.dtype_of(tensor) == "string" else "numbers"


def _vocabulary(seq2seq: Seq2Seq, event: int | None) -> int | None:
    sizes = [
        seq2seq.live.layers[call.object].input_dim
        for call in seq2seq.ledger.events
        if isinstance(call, Called)
        and seq2seq.ledger.kind(call) == "embedding"
        and event is not None
        and any(w.from_event == event for w in call.inputs)
    ]
    return min(sizes, default=None)


def roles(seq2seq: Seq2Seq) -> dict[Role, str] | None:
    """Tell apart the encoder's input, the decoder's input and the lengths (an input with one number per row).

    Returns
    -------
    dict or None
        Input name by role; None when the model is no encoder-decoder of that kind.
    """
    found = inputs_of(seq2seq)
    parts = anatomy.anatomy_of(seq2seq.ledger)
    if parts is None:
        return None
    lengths = [i.name for i in found if i.rank == 1 and i.holds == "numbers"]
    ids = [i for i in found if i.rank == 2 and i.holds == "numbers"]
    by_wire = [i.name for i in ids if i.event in parts.target]
    others = [i.name for i in ids if i.event not in parts.target]
    if len(by_wire) != 1 or len(others) != 1 or len(lengths) + 2 != len(found) or len(lengths) > 1:
        return None
    named: dict[Role, str] = {"encoder": others[0], "decoder": by_wire[0]}
    return {**named, "lengths": lengths[0]} if lengths else named


def feeders(seq2seq: Seq2Seq, output: ModelOutput) -> dict[str, Any]:
    """Return the layers that can turn texts into ids for an output.

    If the decoder's input goes through such a layer, only that one; else all of the program whose vocabularies fit
    the output.

    Returns
    -------
    dict
        Keras's ``TextVectorization`` and ``StringLookup`` layers by their names in the code.
    """
    classes = output.shape[-1] if output.shape else None
    kinds = (keras.layers.TextVectorization, keras.layers.StringLookup)
    layers = seq2seq.live.layers
    found = {
        key: layer
        for key, layer in layers.items()
        if isinstance(layer, kinds) and (classes is None or layer.vocabulary_size() <= classes)
    }
    if (parts := anatomy.anatomy_of(seq2seq.ledger)) is not None:
        found = {key: layer for key, layer in found.items() if key in parts.read} or found
    return {seq2seq.ledger.layers[key].name: layer for key, layer in found.items() if key in seq2seq.ledger.layers}
