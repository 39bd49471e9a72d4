"""Running a model's layers on this package's kernels temporarily.

The layer objects continue to own their weights. Within a ``with`` block, layers whose type and settings are fully
understood compute the same numbers faster, through a method override in the instance's own ``__dict__``.
Configuration, cloning, weights and summaries do not see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic import backend
from s2s_magic.acceleration.additive_attention import accelerate_attention, additive_attentions, attention_obstacle
from s2s_magic.acceleration.cross_entropy import Projections, accelerate_loss, loss_obstacle, note_projections
from s2s_magic.acceleration.decoder import accelerate_decoder, decoder_obstacle, is_decoder
from s2s_magic.acceleration.optimizer import accelerate_step, optimizer_obstacle
from s2s_magic.acceleration.recurrent import accelerate_recurrent, halves, recurrent_obstacle
from s2s_magic.acceleration.understood import strangeness
from s2s_magic.kernels.scan import UNROLLED
from s2s_magic.undoing import Changes

ACCELERATED = "accelerated"


@contextmanager
def accelerate(
    model: Any, fixed_lengths: Mapping[int, int] | None = None, *, write_out: bool = True
) -> Iterator[Mapping[str, str]]:
    """Make a Keras model compute the same numbers faster within a ``with`` block.

    Supported are Keras's LSTM, GRU and RNN over LSTM and GRU cells, plain, stacked or bidirectional; over such cells
    TFA's ``BasicDecoder`` with a ``TrainingSampler``, or with a ``ScheduledEmbeddingTrainingSampler`` of an
    ``Embedding``, whose output layer is moved out of the time loop; the scores of Keras's ``AdditiveAttention``; sparse
    categorical cross-entropy on the softmax of a dense layer; and Adam.
    Everything else is left unchanged.

    Parameters
    ----------
    model
        A functional Keras model, built by hand or from a spec; it may be compiled before or inside the block.
    fixed_lengths
        Columns of lengths that are constant: from a column's index in the batch to its one value. This must hold for
        all data that the model sees within the block; it is checked where it is used.
    write_out
        Unroll loops with few steps where their number is statically known: faster to run, slower to trace.

    Yields
    ------
    Mapping[str, str]
        For each recurrent layer and additive attention by name, and for ``loss`` and ``optimizer`` of a compiled model:
        ``"accelerated"``, or the reason why not.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}")
    >>> with s2s_magic.accelerate(model.model) as found:
    ...     sorted(set(found.values()))
    ['accelerated'...]
    """
    with Changes() as changes, changes, changes:
        yield put_on_kernels(changes, model, fixed_lengths, write_out=write_out)


def put_on_kernels(
    changes: Changes, model: Any, fixed_lengths: Mapping[int, int] | None = None, *, write_out: bool = True
) -> Mapping[str, str]:
    """Make a Keras model compute the same numbers faster until the changes are undone; see `accelerate`."""
    projections: Projections = {}
    unrolled = UNROLLED if write_out else 0
    found: dict[str, str] = {}
    whole = model_obstacle(model)
    # Graphs traced earlier do not use the kernels, and graphs traced on the kernels must not outlive the changes.
    backend.set_traces_aside(changes, model)
    for layer in recurrent_layers(model):
        obstacle = whole or _obstacle(layer)
        found[layer.name] = obstacle or ACCELERATED
        if obstacle is None and is_decoder(layer):
            accelerate_decoder(changes, layer, fixed_lengths or {}, unrolled)
        elif obstacle is None:
            for part in halves(layer):
                accelerate_recurrent(changes, part, unrolled)
    for layer in additive_attentions(model):
        found[layer.name] = whole or attention_obstacle(layer) or ACCELERATED
        if found[layer.name] == ACCELERATED:
            accelerate_attention(changes, layer)
    if backend.is_compiled(model):
        found["loss"] = whole or loss_obstacle(model) or ACCELERATED
        found["optimizer"] = whole or optimizer_obstacle(model.optimizer) or ACCELERATED
        if found["loss"] == ACCELERATED:
            for layer in _dense_layers(model):
                note_projections(changes, layer, projections)
            accelerate_loss(changes, model, projections)
        if found["optimizer"] == ACCELERATED:
            accelerate_step(changes, model.optimizer)
    return found


def model_obstacle(model: Any) -> str | None:
    """Return why nothing in a model can run on the kernels, whatever its layers; None if there is no such reason."""
    if tf.distribute.has_strategy() or model.distribute_strategy is not tf.distribute.get_strategy():
        return "under a distribution strategy, everything is left as it is"
    if backend.is_compiled(model) and model.run_eagerly:
        return "with run_eagerly=True each operation runs by itself, as Keras writes it"
    if backend.is_compiled(model) and backend.compiles_by_xla(model):
        return "with jit_compile=True XLA compiles Keras's own operations"
    return None


def _obstacle(layer: Any) -> str | None:
    return decoder_obstacle(layer) if is_decoder(layer) else recurrent_obstacle(layer)


def recurrent_layers(model: Any) -> list[Any]:
    """Return the layers that loop over time, each once, including those in nested models."""
    found: dict[int, Any] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= {id(inner): inner for inner in recurrent_layers(layer)}
        elif any(_through_time(part) for part in backend.reached(layer)):
            found[id(layer)] = layer
    return list(found.values())


def _through_time(layer: Any) -> bool:
    return is_decoder(layer) or isinstance(layer, keras.layers.RNN) or backend.declares(layer, "state_size")


def _dense_layers(model: Any) -> list[Any]:
    """Return the unmodified dense layers, including those that a decoder holds."""
    layers = {id(layer): layer for layer in backend.reached(model) if type(layer) is keras.layers.Dense}
    plain = (layer for layer in layers.values() if not getattr(layer, "quantization_mode", None))
    return [layer for layer in plain if strangeness(layer) is None]
