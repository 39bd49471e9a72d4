"""Passing the symbolic memories of a functional model to the attention mechanisms in a decoder's cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from s2s_magic.addons.attention_memory import AttentionMechanism, Held, Memory
from s2s_magic.addons.keras_at_hand import takes

T = TypeVar("T")


def mechanisms_in(cell: Any) -> list[AttentionMechanism]:
    """Return the attention mechanisms of a cell and of the cells in it."""
    inner = [*getattr(cell, "cells", ()), *([cell.cell] if hasattr(cell, "cell") else [])]
    own = list(getattr(cell, "attention_mechanisms", ()))
    return own + [mechanism for one in inner for mechanism in mechanisms_in(one)]


def symbolic(cell: Any) -> list[dict[str, Any]]:
    """Return the symbolic memory of each mechanism in a cell, as arguments of `setup_memory`; empty if it has none."""
    return [mechanism.symbolic_memory for mechanism in mechanisms_in(cell)]


def used(cell: Any, given: list[dict[str, Any]], work: Callable[[], T]) -> T:
    """Return what ``work`` returns while the mechanisms in a cell have the given memories; restore their own after."""
    mechanisms = mechanisms_in(cell)
    before = [mechanism.held for mechanism in mechanisms]
    try:
        for mechanism, memory in zip(mechanisms, given, strict=True):
            if memory:
                mechanism.setup_memory(**memory)
        return work()
    finally:
        for mechanism, held in zip(mechanisms, before, strict=True):
            mechanism.held = held


def holding(mechanisms: list[AttentionMechanism], given: list[Memory], work: Callable[[], T]) -> T:
    """Return what ``work`` returns while mechanisms have prepared memories; restore their own after."""
    before = [mechanism.held for mechanism in mechanisms]
    try:
        for mechanism, memory in zip(mechanisms, given, strict=True):
            mechanism.held = Held(memory)
        return work()
    finally:
        for mechanism, held in zip(mechanisms, before, strict=True):
            mechanism.held = held


def training_argument(layer: Any, training: bool | None) -> dict[str, Any]:
    """Return ``training`` as a keyword argument if the layer's call accepts it, else nothing."""
    return {"training": training} if takes(layer.call, "training") or takes(layer.call, "kwargs") else {}
