"""Measure how much of a shared variable's gradient came through each of its uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Called, CallShare
from s2s_magic.undoing import Changes

ROUNDING = 1e-3
"""How far the sum of a gradient's parts may differ from the whole, relative to it."""


@dataclass(frozen=True)
class Sharing:
    """A layer object whose calls use variables that other calls use too.

    Attributes
    ----------
    layer
        The object: a layer, or an operation on symbolic tensors.
    events
        Its calls in the main model, in the order in which the model runs them.
    variables
        The shared variables that it uses, by ledger key.
    objects
        Itself, and all layers through which it may reach them.
    """

    layer: Any
    events: tuple[Called, ...]
    variables: Mapping[str, Any]
    objects: tuple[Any, ...]


Part = tuple[str, int]
"""A variable's ledger key, and the index of the event that uses it."""


def call_shares(seq2seq: Seq2Seq, batch: Sequence[Any]) -> tuple[CallShare, ...]:
    """Split the gradient of each variable used by several calls into the part of each call, on one batch.

    Each call gets its own copy of each such variable, ``variable + zeros``; the gradient with respect to those zeros is
    the part that came through that call. The parts sum to the whole gradient; ``share`` is a part's norm divided by the
    sum of the parts' norms.

    Parameters
    ----------
    seq2seq
        A compiled model.
    batch
        ``(inputs, target)`` or ``(inputs, target, weights)``. The model runs on it in inference mode, without dropout.

    Returns
    -------
    tuple of CallShare
        Empty if no variable is used by more than one call.
    """
    parts = gradient_parts(seq2seq, batch)
    shares = []
    for key, by_event in parts.items():
        norms = {event: _norm(part) for event, part in by_event.items()}
        total = sum(norms.values())
        shares += [
            CallShare(variable=key, event=event, norm=norm, share=norm / total if total else 0.0)
            for event, norm in sorted(norms.items())
        ]
    return tuple(shares)


def gradient_parts(seq2seq: Seq2Seq, batch: Sequence[Any]) -> dict[str, dict[int, Any]]:
    """Return the gradient's parts by event, for each variable used by more than one call; see `call_shares`."""
    sharing = shared_uses(seq2seq)
    inputs, target, weights = (*batch, None)[:3]
    model = seq2seq.model
    variables = {key: variable for one in sharing for key, variable in one.variables.items()}
    zeros: dict[Part, Any] = {
        (key, event.index): tf.zeros_like(one.variables[key])
        for one in sharing
        for event in one.events
        for key in _used(event)
        if key in one.variables
    }
    running = _Running()
    with Changes() as changes, changes, changes:
        backend.keep_as_it_runs(changes, model)
        tape = changes.enter(tf.GradientTape())
        tape.watch(list(zeros.values()))
        counts = [_use_own_copies(changes, one, zeros, running) for one in sharing]
        output = model(inputs, training=False)
        loss = model.compute_loss(inputs, target, output, weights)
    sources = [*zeros.values(), *variables.values()]
    gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    found = [tf.convert_to_tensor(gradient) for gradient in gradients]
    # the calls of an object that ran more often than the ledger records cannot be told apart
    untold = {
        key for one, count in zip(sharing, counts, strict=True) for key in one.variables if count() != len(one.events)
    }
    parts: dict[str, dict[int, Any]] = {}
    for (key, event), gradient in zip(zeros, found, strict=False):
        if key not in untold:
            parts.setdefault(key, {})[event] = gradient
    whole = dict(zip(variables, found[len(zeros) :], strict=True))
    return {
        key: by_event
        for key, by_event in parts.items()
        if seq2seq.ledger.variables[key].regularized or _add_up(key, by_event, whole[key], running.copied)
    }


def _add_up(key: str, parts: dict[int, Any], whole: Any, copied: set[Part]) -> bool:
    """Return whether the parts sum to the whole gradient; if just one use got no copy, it is assigned the remainder.

    An object may keep a variable where it cannot be replaced by a copy: in a function, for example.
    """
    rest = whole - tf.add_n(list(parts.values()))
    if _norm(rest) <= ROUNDING * max(_norm(whole), *map(_norm, parts.values())):
        return True
    hidden = [event for event in parts if (key, event) not in copied]
    if len(hidden) == 1:
        parts[hidden[0]] = rest
    return len(hidden) == 1


def _norm(tensor: Any) -> float:
    return float(tf.norm(tf.cast(tensor, tf.float64)))


def shared_uses(seq2seq: Seq2Seq) -> list[Sharing]:
    """Find the calls in the main model that use a trained variable which another of its calls uses too."""
    if not backend.has_call(seq2seq.model):
        return []
    live = seq2seq.live
    trained = {id(backend.bare(variable)) for variable in getattr(seq2seq.model, "trainable_weights", ())}
    keys = {key for key, variable in live.variables.items() if id(backend.bare(variable)) in trained}
    users: dict[str, list[Called]] = defaultdict(list)
    runs = _runs(seq2seq)
    for events in runs.values():
        for event in events:
            for key in keys.intersection(_used(event)):
                users[key].append(event)
    shared = {key for key, events in users.items() if len(events) > 1}
    found = []
    for layer, events in runs.items():
        used = {key: live.variables[key] for event in events for key in _used(event) if key in shared}
        if used:
            inside = dict.fromkeys(key for event in events for key in event.inside)
            objects = [part for key in (layer, *inside) for part in backend.reached(live.layers[key])]
            found.append(Sharing(live.layers[layer], tuple(events), used, tuple(objects)))
    return found


def _used(event: Called) -> tuple[str, ...]:
    return (*event.created, *event.reused)


def _runs(seq2seq: Seq2Seq) -> dict[str, list[Called]]:
    """Return the calls of each object, in the order in which the main model runs them, if all of them were recorded."""
    order = backend.run_order(seq2seq.model)
    found = {}
    for key, layer in seq2seq.live.layers.items():
        calls = [event for event in seq2seq.ledger.calls.get(key, ()) if event.in_graph]
        if len(calls) == backend.nodes(layer):
            found[key] = [calls[number] for number in order.get(id(layer), ())]
    return {key: calls for key, calls in found.items() if calls}


class _Running:
    """The state while the parts are measured.

    Attributes
    ----------
    event
        The index of the running call; calls of other objects within it count as part of it.
    copied
        The uses that got their own copy.
    """

    def __init__(self) -> None:
        self.event: int | None = None
        self.copied: set[Part] = set()


def _use_own_copies(changes: Changes, one: Sharing, zeros: Mapping[Part, Any], running: _Running) -> Callable[[], int]:
    """Let each call of a layer use its own copies until changes are undone; return a function that counts the calls."""
    call = one.layer.call
    key_of = {id(backend.bare(variable)): key for key, variable in one.variables.items()}
    calls = 0

    def copy(value: Any, event: int) -> Any:
        """Return the copy of a shared variable; any other value unchanged."""
        part = key_of.get(id(backend.bare(value)), ""), event
        if part not in zeros:
            return value
        running.copied.add(part)
        numbers = tf.convert_to_tensor(value)  # in the layer's compute dtype
        return numbers + tf.cast(zeros[part], numbers.dtype)

    def with_copies(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if running.event is not None:
            return call(*args, **kwargs)
        calls += 1
        if calls > len(one.events):
            return call(*args, **kwargs)
        event = one.events[calls - 1].index
        with Changes() as for_this_call, for_this_call, for_this_call:
            for_this_call.replace(running, "event", event)
            for holder in one.objects:
                for name, value in list(vars(holder).items()):
                    if id(backend.bare(value)) in key_of:
                        for_this_call.replace(holder, name, copy(value, event))
            if any(id(backend.bare(value)) in key_of for value in tf.nest.flatten([args, kwargs])):
                args, kwargs = tf.nest.map_structure(lambda value: copy(value, event), (args, kwargs))
            return call(*args, **kwargs)

    changes.replace(one.layer, "call", with_copies)
    return lambda: calls
