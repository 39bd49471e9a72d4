"""Following the wires of a Keras model back."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic.tracing import keras2

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def inputs_behind(tensor: Any) -> list[Any]:
    """List the inputs that a symbolic tensor comes from, each once."""
    return list({id(made): made for made in keras2.sources([tensor], ())}.values())


def calls_behind(tensor: Any) -> list[Call]:
    """List the calls between a symbolic tensor and the inputs, the last one first: layer, arguments, settings."""
    made = {keras2.history(one)[:2]: one for one in _behind(tensor)}
    return [(layer, *keras2.call_of(one)) for (layer, _), one in made.items() if not keras2.is_input(layer)]


def _behind(tensor: Any) -> list[Any]:
    found: dict[int, Any] = {}
    waiting = [tensor]
    while waiting:
        here = waiting.pop()
        if id(here) not in found:
            found[id(here)] = here
            waiting += [leaf for leaf in tf.nest.flatten(keras2.call_of(here)) if keras2.is_keras_tensor(leaf)]
    return list(found.values())
