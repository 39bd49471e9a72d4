"""Raw observations of a running cell, with live objects in them; `assemble` makes records of them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

from s2s_magic.ledger import Place

Names = list[tuple[str, bool]]  # a name, and whether it is local to a function


@dataclass(eq=False)
class RawTensor:
    """One end of a wire: its data, access to the live tensor, its names in the code, and the event that made it."""

    shape: tuple[int | None, ...] | None
    dtype: str
    get: Callable[[], Any]
    names: Names = field(default_factory=list)
    made_by: RawEvent | None = None
    number: int = 0
    recorded: tuple[int, int] | None = None  # event and output number in an earlier cell's ledger


@dataclass(eq=False)
class RawVariable:
    """A variable, the layer that owns it, and its initial norm; also its initial value, if that is kept.

    ``lister`` is the layer that was last seen to list it as an event ended: its owner, or one that holds it.
    """

    variable: Any
    owner: Any
    size: int
    initializer: str | None = None
    norm: float | None = None
    event: RawEvent | None = None
    start: Any = None
    names: Names = field(default_factory=list)
    trains: bool = False
    lister: Any = None


@dataclass(eq=False)
class RawEvent:
    """A construction or a call; ``via`` names the Keras method, such as ``fit``, that called a layer by itself."""

    kind: Literal["constructed", "called"]
    layer: Any
    place: Place
    outer: Place | None
    via: str | None = None
    call: int = 0
    in_graph: bool = False
    wiring: bool = False
    folded: int = 0
    parts: list[Any] = field(default_factory=list)
    beneath: dict[int, Any] = field(default_factory=dict)  # layers called within it, by identity
    inside: list[Any] = field(default_factory=list)  # those of ``beneath`` that its own layer does not hold
    given: list[Any] = field(default_factory=list)  # variables among its arguments
    inputs: list[RawTensor] = field(default_factory=list)
    outputs: list[RawTensor] = field(default_factory=list)
    ends: list[RawTensor] = field(default_factory=list)
    created: list[RawVariable] = field(default_factory=list)
    listed: list[RawVariable] = field(default_factory=list)
    trainable: int = 0
    targets: list[tuple[ast.expr, bool]] = field(default_factory=list)


class Claims:
    """Names that expressions give to their values.

    A library function such as ``clone_model`` may make several layers and tensors in one expression of the user's. It
    returns the last one, so each takes the name from the one before.
    """

    def __init__(self) -> None:
        self._entry: FrameType | None = None
        self._made: list[tuple[Names, tuple[str, bool]]] = []

    def begin(self, entry: FrameType | None) -> None:
        """Begin the claims of an event within ``entry``, the frame that the user's expression called."""
        if entry is not None and entry is self._entry:
            for names, claim in self._made:
                names.remove(claim)
        self._entry, self._made = entry, []

    def give(self, names: Names, name: str, local: bool) -> None:
        """Give a name, which a later event of the same expression may take over."""
        names.append((name, local))
        self._made.append((names, (name, local)))


def leave_out(event: RawEvent, events: list[RawEvent]) -> None:
    """Remove an event, which is near the end of the list if it is there."""
    for number in range(len(events) - 1, -1, -1):
        if events[number] is event:
            del events[number]
            return
