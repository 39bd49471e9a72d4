"""Advice for errors of Keras and TensorFlow Addons that do not say what to do: in the user's names, with code."""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from s2s_magic import backend
from s2s_magic.errors import BuildError
from s2s_magic.ledger import Wire
from s2s_magic.ledger.missing import input_name, missing_inputs
from s2s_magic.ledger.words import at, listing
from s2s_magic.tracing.live import Traced
from s2s_magic.tracing.mixing import mixture_in
from s2s_magic.tracing.models import input_wire

_ATTENTION = """\
class AttentionDecoder(keras.layers.Layer):
    def __init__(self, units, symbols):
        super().__init__()
        self.mechanism = tfa.seq2seq.{mechanism}(units)
        self.cell = tfa.seq2seq.AttentionWrapper(keras.layers.LSTMCell(units), self.mechanism)
        self.decoder = tfa.seq2seq.BasicDecoder(
            self.cell, tfa.seq2seq.TrainingSampler(), output_layer=keras.layers.Dense(symbols)
        )

    def call(self, memory, inputs, lengths):
        self.mechanism(memory, setup_memory=True)
        state = self.cell.get_initial_state(batch_size=tf.shape(inputs)[0], dtype=tf.float32)
        outputs, _, _ = self.decoder(inputs, initial_state=state, sequence_length=lengths)
        return outputs.rnn_output
"""


def advised(traced: Traced) -> BuildError | None:
    """Return an error that says what to change if a cell ended in a known error that does not say so.

    The cell's own error becomes its cause. Return None for every other error.
    """
    error = traced.error
    if error is None:
        return None
    text = _disconnected(traced, error) or _attention(traced, error) or _mixed(traced, error)
    if text is None:
        return None
    advice = BuildError(text)
    advice.__cause__ = error
    advice.__traceback__ = error.__traceback__
    return advice


def _line(traced: Traced, error: BaseException) -> str:
    """Say in which line of the cell an error occurred."""
    found, traceback = "", error.__traceback__
    while traceback is not None:
        cell = traced.live.filenames.get(traceback.tb_frame.f_code.co_filename)
        if cell is not None:
            found = f"cell {cell}, line {traceback.tb_lineno}" if cell > 1 else f"line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def _disconnected(traced: Traced, error: BaseException) -> str | None:
    """Say which inputs a model lacks, which calls need them, and what to write."""
    if (ends := backend.disconnected(error)) is None:
        return None
    given, outputs = ends
    missing = backend.inputs_behind(outputs, given)
    if not missing:
        return _unused(traced, error, given, outputs)
    return f"the model in {_line(traced, error)} cannot be made: " + missing_inputs(
        traced.ledger.events, _wires(traced, given), _wires(traced, missing)
    )


def _unused(traced: Traced, error: BaseException, given: list[Any], outputs: list[Any]) -> str | None:
    """Say which inputs are redundant: Keras accepts redundant inputs only if all of them were made by ``Input``."""
    used = [tensor for tensor in given if backend.leads_to(tensor, outputs, given)]
    events = traced.ledger.events
    unused = [tensor for tensor in given if not any(tensor is one for one in used)]
    idle = [input_name(events, wire) for wire in _wires(traced, unused)]
    if not idle or not used:
        return None
    do = "is among its inputs, and comes" if len(idle) == 1 else "are among its inputs, and come"
    return (
        f"the model in {_line(traced, error)} cannot be made: {listing(idle)} {do} to its outputs through other inputs "
        f"or not at all. Write inputs=[{', '.join(input_name(events, wire) for wire in _wires(traced, used))}]"
    )


def _wires(traced: Traced, tensors: list[Any]) -> list[Wire]:
    made = {id(tensor): place for place, tensor in traced.live.tensors.items()}
    return [input_wire(tensor, made, traced.ledger) for tensor in tensors]


def _attention(traced: Traced, error: BaseException) -> str | None:
    """Say how to use attention in a functional model: inside one layer's ``call``."""
    mechanisms = [layer for layer in traced.live.layers.values() if backend.is_attention(layer)]
    if type(error) is not TypeError or not mechanisms:
        return None
    if not any(words in str(error) for words in ("KerasTensor", "Could not build a TypeSpec")):
        return None
    code = _ATTENTION.format(mechanism=type(mechanisms[-1]).__name__)
    return (
        f"the attention in {_line(traced, error)} cannot be wired with Keras's symbolic tensors (a TypeError): "
        "AttentionWrapper keeps its memory and checks sizes outside Keras's graph. What works is one layer that does "
        "all of it in its call, on real tensors:\n\n"
        f"{code}\n"
        "outputs = AttentionDecoder(units, symbols)(encoder_outputs, decoder_inputs, sequence_lengths)"
    )


def _mixed(traced: Traced, error: BaseException) -> str | None:
    """Say that a failed expression mixes two Kerases, and which of its parts belong to which."""
    ended = traced.ledger.cells[-1].ended
    if ended is None:
        return None
    found = mixture_in(ended.source, ChainMap(*_names(traced, error), traced.namespace))
    if found is None or not found.of_own:
        return None
    return (
        f"{at(ended)} mixes two Kerases: {listing(found.of_other)} of {found.other}, and {listing(found.of_own)} of "
        f"{found.own}, TensorFlow's own. Take all from one: from tensorflow import keras"
    )


def _names(traced: Traced, error: BaseException) -> list[dict[str, Any]]:
    """Return the local namespaces of the cell's functions that an error came through, the innermost first."""
    found: list[dict[str, Any]] = []
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename in traced.live.filenames:
            found.insert(0, dict(traceback.tb_frame.f_locals))
        traceback = traceback.tb_next
    return found
