"""Find which layers an object holds, by which attributes, and which of them Keras sees."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from s2s_magic import backend

_PLAIN = frozenset({type(None), bool, int, float, str, threading.local})


def rows(model: Any) -> list[Any]:
    """Return the layers that ``model.summary()`` has a row for."""
    return [part for part in model.layers if backend.is_layer(part)]


def reached(model: Any) -> Iterator[Any]:
    """Yield every layer within a model, including itself."""
    return (layer for layer in backend.flattened(model) if backend.is_layer(layer))


def children(layer: Any) -> list[tuple[str, Any]]:
    """Return (attribute path, layer) for the layers that an object holds, each once, those of public attributes first.

    A functional model holds none: its layers are on its wires. Those of ``Sequential`` and of models that wire
    themselves in their own constructor are numbered.
    """
    if backend.is_functional(layer) and type(layer) in (backend.Functional, backend.Model):
        return []
    found: dict[int, tuple[str, Any]] = {}
    if not isinstance(layer, backend.Sequential):
        for name, value in attributes(layer, public_only=isinstance(layer, backend.Functional)):
            for path, part in _layers_in(value, name):
                if part is not layer:
                    found.setdefault(id(part), (path, part))
    if isinstance(layer, (backend.Functional, backend.Sequential)):
        others = [(f"layers[{number}]", part) for number, part in enumerate(layer.layers)]
    else:  # those that Keras tracks without an attribute path, or only with a deeply nested one
        others = [(part.name, part) for part in tracked(layer)]
    for path, part in others:
        if backend.is_layer(part):
            found.setdefault(id(part), (path, part))
    return list(found.values())


def inner_graph(layer: Any) -> Any:
    """Return the functional model that a `Sequential` of Keras 3 makes for itself and runs; None if there is none."""
    return vars(layer).get("_functional") if isinstance(layer, backend.Sequential) else None


def tracked(layer: Any) -> Iterator[Any]:
    """Yield the layers that Keras counts as directly within a layer, by attributes or on wires."""
    return (part for part in backend.flattened(layer, direct=True) if backend.is_layer(part))


def attributes(layer: Any, *, public_only: bool = False) -> list[tuple[str, Any]]:
    """Return the attributes that can hold user objects, the public ones first."""
    pairs = [
        (name, value)
        for name, value in _held_by(layer).items()
        if type(value) not in _PLAIN and name not in backend.BOOKKEEPING and not (public_only and name.startswith("_"))
    ]
    return sorted(pairs, key=lambda pair: pair[0].startswith("_"))


def _held_by(layer: Any) -> dict[str, Any]:
    """Return an object's attributes by name; on PyTorch, a layer is a module that keeps its parts in dictionaries."""
    held: dict[str, Any] = vars(layer)
    parts = held.get("_modules")
    if not isinstance(parts, dict) or "_parameters" not in held:
        return held
    rest = {name: value for name, value in held.items() if name not in ("_modules", "_parameters", "_buffers")}
    return {**rest, **parts}


def _layers_in(value: Any, path: str, depth: int = 2) -> Iterator[tuple[str, Any]]:
    if backend.is_layer(value):
        yield path, value
    elif depth and isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            yield from _layers_in(part, f"{path}[{number}]", depth - 1)
    elif depth and isinstance(value, dict):
        for key, part in value.items():
            yield from _layers_in(part, f"{path}[{key!r}]", depth - 1)


def unseen(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield (attribute path, layer) for the layers that an object reaches through objects Keras does not look into.

    Keras finds layers in attributes, lists and dictionaries, and inside any layer or `tf.Module`.
    """
    for name, value in attributes(layer):
        for path, part in _opaque_in(value, name):
            for inner, content in vars(part).items():
                yield from _layers_in(content, f"{path}.{inner}")
                for deeper, other in _opaque_in(content, f"{path}.{inner}"):
                    for last, held in vars(other).items():
                        yield from _layers_in(held, f"{deeper}.{last}")


_LIBRARIES = frozenset({
    *("tensorflow", "keras", "tf_keras", "numpy"),
    *("builtins", "collections", "weakref", "functools", "threading"),
})  # fmt: skip


def _opaque_in(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            if not isinstance(part, (list, tuple)):
                yield from _opaque_in(part, f"{path}[{number}]")
    elif (
        hasattr(value, "__dict__")
        and not isinstance(value, (tf.Module, type))
        and type(value).__module__.partition(".")[0] not in _LIBRARIES
    ):
        yield path, value
