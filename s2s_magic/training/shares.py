"""How much of a shared layer's gradient came through each of its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from s2s_magic.ledger import Called, CallShare
from s2s_magic.seq2seq import Seq2Seq
from s2s_magic.training import keras2
from s2s_magic.undoing import Changes


@dataclass(frozen=True)
class Shared:
    """A layer that is called more than once in the model, with its events in the order in which the model runs them."""

    layer: Any
    events: tuple[int, ...]
    variables: dict[str, Any]


def call_shares(seq2seq: Seq2Seq, batch: Sequence[Any]) -> tuple[CallShare, ...]:
    """Split the gradient of each layer that is called more than once by its calls, on one batch.

    Every call of the layer gets its own copy of each variable, ``variable + zeros``, and the gradient with respect to
    those zeros is what came through that call. The parts add up to the whole gradient; ``share`` is a part's norm
    divided by the sum of the parts' norms.

    Parameters
    ----------
    seq2seq
        A model that is compiled.
    batch
        ``(inputs, target)`` or ``(inputs, target, weights)``. The model runs on it as in evaluation, without dropout.

    Returns
    -------
    tuple of CallShare
        Empty when no layer is called more than once.
    """
    parts = gradient_parts(seq2seq, batch)
    shares = []
    for key, by_event in parts.items():
        norms = {event: float(tf.norm(tf.cast(part, tf.float64))) for event, part in by_event.items()}
        total = sum(norms.values())
        shares += [
            CallShare(variable=key, event=event, norm=norm, share=norm / total if total else 0.0)
            for event, norm in sorted(norms.items())
        ]
    return tuple(shares)


def gradient_parts(seq2seq: Seq2Seq, batch: Sequence[Any]) -> dict[str, dict[int, Any]]:
    """Give the gradient's parts by event, for each variable of a layer called more than once; see `call_shares`."""
    shared = shared_layers(seq2seq)
    inputs, target, weights = (*batch, None)[:3]
    model = seq2seq.model
    zeros = {
        (key, event): tf.zeros_like(variable)
        for one in shared
        for key, variable in one.variables.items()
        for event in one.events
    }
    with Changes() as changes, changes, changes, tf.GradientTape() as tape:
        keras2.keep_random_states(changes)
        changes.undo_by(keras2.values_of(keras2.running_state(model)))
        tape.watch(list(zeros.values()))
        counts = [_use_own_copies(changes, one, zeros) for one in shared]
        output = model(inputs, training=False)
        loss = model.compute_loss(inputs, target, output, weights)
    gradients = tape.gradient(loss, list(zeros.values()), unconnected_gradients=tf.UnconnectedGradients.ZERO)
    # A layer that another one calls as well is called more often than the ledger tells, and no call is known by itself.
    known = [one for one, count in zip(shared, counts, strict=True) if count() == len(one.events)]
    told = {key for one in known for key in one.variables}
    parts: dict[str, dict[int, Any]] = {}
    for (key, event), gradient in zip(zeros, gradients, strict=True):
        if key in told:
            parts.setdefault(key, {})[event] = tf.convert_to_tensor(gradient)
    return parts


def shared_layers(seq2seq: Seq2Seq) -> list[Shared]:
    """Find the layers that own weights and are called more than once in the main model."""
    model, ledger = seq2seq.model, seq2seq.ledger
    by_depth = getattr(model, "_nodes_by_depth", {})  # empty for a model that is no graph of layers
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    names = {id(variable): key for key, variable in seq2seq.live.variables.items()}
    found = []
    for key, layer in seq2seq.live.layers.items():
        made = getattr(layer, "_inbound_nodes", [])
        calls = [e.index for e in ledger.events if isinstance(e, Called) and e.object == key and e.in_graph]
        run = [place for node in nodes for place, own in enumerate(made) if own is node]
        variables = {names[id(v)]: v for v in getattr(layer, "trainable_weights", ()) if id(v) in names}
        if len(run) > 1 and len(calls) == len(made) and variables:
            found.append(Shared(layer, tuple(calls[place] for place in run), variables))
    return found


def _use_own_copies(changes: Changes, shared: Shared, zeros: dict[tuple[str, int], Any]) -> Callable[[], int]:
    """Let each call of a layer see its own copies until changes are undone; give what counts the calls."""
    call = shared.layer.call
    key_of = {id(variable): key for key, variable in shared.variables.items()}
    calls = 0

    def with_copies(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > len(shared.events):
            return call(*args, **kwargs)
        event = shared.events[calls - 1]
        with Changes() as for_this_call, for_this_call, for_this_call:
            for holder in shared.layer._flatten_layers():
                for name, value in list(vars(holder).items()):
                    if id(value) in key_of:
                        for_this_call.replace(holder, name, value + zeros[key_of[id(value)], event])
            return call(*args, **kwargs)

    changes.replace(shared.layer, "call", with_copies)
    return lambda: calls
