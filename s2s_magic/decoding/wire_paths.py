"""Following the wires of a Keras model back."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from s2s_magic import backend

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def inputs_behind(tensor: Any) -> list[Any]:
    """List the inputs that a symbolic tensor comes from, each once."""
    return list({id(made): made for made in backend.sources([tensor], ())}.values())


def calls_behind(tensor: Any) -> list[Call]:
    """List the calls between a symbolic tensor and the inputs, the last one first: layer, arguments, settings."""
    made = {backend.history(one)[:2]: one for one in _behind(tensor)}
    return [(layer, *backend.call_of(one)) for (layer, _), one in made.items() if not backend.is_input(layer)]


def _behind(tensor: Any) -> list[Any]:
    found: dict[int, Any] = {}
    waiting = [tensor]
    while waiting:
        here = waiting.pop()
        if id(here) not in found:
            found[id(here)] = here
            waiting += [leaf for leaf in tf.nest.flatten(backend.call_of(here)) if backend.is_keras_tensor(leaf)]
    return list(found.values())
