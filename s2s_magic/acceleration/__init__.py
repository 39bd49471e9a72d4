"""Running a model's layers on this package's kernels for a while, and taking it back.

The layer objects stay the owners of their weights. For the time of a ``with`` block, those whose type and settings
are understood to the last detail have another way to compute the same numbers: an override in the instance's own
``__dict__``, which configuration, cloning, weights and summaries do not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import tensorflow as tf
from tensorflow import keras

from s2s_magic.acceleration.cells import has_own_call
from s2s_magic.acceleration.decoder import accelerated_decoder, decoder_obstacle, is_decoder
from s2s_magic.acceleration.decoding import accelerated_greedy, greedy_obstacle
from s2s_magic.acceleration.loss import Projections, accelerated_dense, accelerated_loss, loss_obstacle
from s2s_magic.acceleration.optimizer import accelerated_step, optimizer_obstacle
from s2s_magic.acceleration.recurrent import accelerated_recurrent, halves, recurrent_obstacle
from s2s_magic.kernels.loop import UNROLLED

ACCELERATED = "accelerated"


@contextmanager
def accelerate(
    model: Any, fixed_lengths: Mapping[int, int] | None = None, *, write_out: bool = True
) -> Iterator[Mapping[str, str]]:
    """Let a Keras model compute the same numbers faster for the time of a ``with`` block.

    Understood are Keras's LSTM, GRU and RNN over LSTM and GRU cells, plain, stacked or bidirectional; TFA's
    ``BasicDecoder`` with a ``TrainingSampler`` over such cells, whose output layer is taken out of the loop over
    time; sparse categorical cross entropy on the softmax of a dense layer; and Adam. Everything else stays as it is.

    Parameters
    ----------
    model
        A functional Keras model, built by hand or from a spec; it may be compiled before or inside the block.
    fixed_lengths
        By its place in a batch, each column of lengths that holds one number only, and that number: a promise on all
        data the model sees inside the block, checked where it is relied upon.
    write_out
        Write loops of few steps out where the graph knows their number: faster to run, slower to trace.

    Yields
    ------
    Mapping[str, str]
        For each recurrent layer by its name, and for ``loss`` and ``optimizer`` of a compiled model:
        ``"accelerated"``, or why not.
    """
    projections: Projections = {}
    unrolled = UNROLLED if write_out else 0
    found: dict[str, str] = {}
    with ExitStack() as stack:
        # What was traced outside the block must not run inside it, nor the other way round; this is the last thing
        # undone.
        stack.callback(_forget_traces, model)
        _forget_traces(model)
        for layer in _recurrent_layers(model):
            obstacle = _obstacle(layer)
            found[layer.name] = obstacle or ACCELERATED
            if obstacle is None and is_decoder(layer):
                stack.enter_context(accelerated_decoder(layer, fixed_lengths or {}, unrolled))
            elif obstacle is None:
                for part in halves(layer):
                    stack.enter_context(accelerated_recurrent(part, unrolled))
        for layer in _dense_layers(model):
            stack.enter_context(accelerated_dense(layer, projections))
        if getattr(model, "_is_compiled", False):
            found["loss"] = loss_obstacle(model) or ACCELERATED
            found["optimizer"] = optimizer_obstacle(model.optimizer) or ACCELERATED
            if found["loss"] == ACCELERATED:
                stack.enter_context(accelerated_loss(model, projections))
            if found["optimizer"] == ACCELERATED:
                stack.enter_context(accelerated_step(model.optimizer))
        yield found


@contextmanager
def accelerate_greedy(model: Any) -> Iterator[Mapping[str, str]]:
    """Let a decoding model, which is asked for ids and lengths alone, give them faster for a ``with`` block's time.

    Besides what `accelerate` does, a ``BasicDecoder`` with a ``GreedyEmbeddingSampler`` drops rows as they end; behind
    their end, ids are the end id. A function that is traced inside the block stays fast outside.

    Parameters
    ----------
    model
        A functional Keras model.

    Yields
    ------
    Mapping[str, str]
        For each recurrent layer by its name: ``"accelerated"``, or why not.
    """
    with accelerate(model) as kept, ExitStack() as stack:
        found = dict(kept)
        for layer in _recurrent_layers(model):
            if found[layer.name] != ACCELERATED and is_decoder(layer) and not has_own_call(layer):
                obstacle = greedy_obstacle(layer)
                found[layer.name] = obstacle or ACCELERATED
                if obstacle is None:
                    stack.enter_context(accelerated_greedy(layer))
        yield found


def _obstacle(layer: Any) -> str | None:
    if tf.distribute.has_strategy():
        return "under a distribution strategy, layers are left as they are"
    if has_own_call(layer):
        return "its call is overridden on the object, and that override stays"
    return decoder_obstacle(layer) if is_decoder(layer) else recurrent_obstacle(layer)


def _recurrent_layers(model: Any) -> list[Any]:
    """List the layers that go through time, each once; nested models are looked into."""
    found: dict[int, Any] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= {id(inner): inner for inner in _recurrent_layers(layer)}
        elif any(_through_time(part) for part in layer._flatten_layers()):
            found[id(layer)] = layer
    return list(found.values())


def _through_time(layer: Any) -> bool:
    return is_decoder(layer) or isinstance(layer, keras.layers.RNN) or hasattr(layer, "state_size")


def _dense_layers(model: Any) -> list[Any]:
    """List the plain dense layers, those that a decoder holds as well."""
    layers = {id(layer): layer for layer in model._flatten_layers() if type(layer) is keras.layers.Dense}
    return [layer for layer in layers.values() if not has_own_call(layer)]


def _forget_traces(model: Any) -> None:
    for name in ("train_function", "train_tf_function", "test_function", "predict_function"):
        setattr(model, name, None)
