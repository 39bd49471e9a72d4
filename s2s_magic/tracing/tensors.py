"""The tensors of a traced cell: known by identity, whatever their names."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from s2s_magic import backend
from s2s_magic.tracing.expressions import flatten, leaves
from s2s_magic.tracing.observed import Claims, RawEvent, RawTensor


class Wires:
    """Tensors by identity; Keras's symbolic ones are kept alive so that it stays valid, others weakly referenced."""

    def __init__(self) -> None:
        self._known: dict[int, RawTensor] = {}

    def recall(self, tensor: Any, raw: RawTensor) -> None:
        """Remember a tensor of an earlier cell."""
        self._known[id(tensor)] = raw

    def into(self, value: Any) -> list[RawTensor]:
        """Return the wires among a call's arguments, in order."""
        return [self._wire(leaf) for _, leaf in flatten(value) if backend.is_wire(leaf)]

    def out_of(self, event: RawEvent, result: Any, claims: Claims) -> list[RawTensor]:
        """Return the wires that an event made, and give them the names that its expression's value is bound to."""
        made: list[RawTensor] = []
        for _, leaf in flatten(result):
            if backend.is_tensor(leaf):
                raw = self._remember(leaf)
                raw.made_by, raw.number = event, len(made)
                made.append(raw)
        for target, local in event.targets:
            for name, leaf in leaves(target, result):
                if backend.is_tensor(leaf):
                    claims.give(self._known[id(leaf)].names, name, local)
        return made

    def _wire(self, tensor: Any) -> RawTensor:
        known = self._known.get(id(tensor))
        return known if known is not None and known.get() is tensor else self._remember(tensor)

    def _remember(self, tensor: Any) -> RawTensor:
        get = (lambda: tensor) if backend.is_keras_tensor(tensor) else _reference(tensor)
        raw = self._known[id(tensor)] = RawTensor(backend.shape_of(tensor), backend.dtype_of(tensor), get)
        return raw


def _reference(value: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: None
