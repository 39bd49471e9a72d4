"""Which layer objects and which events of two ledgers are the same one in the code."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from s2s_magic.ledger.calls import AnyEvent, Called
from s2s_magic.ledger.records import Layer
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.words import one_line

_AUTOMATIC = re.compile(r"(?P<stem>\w+?)(_\d+)?( \(\d+\w\w\))?")
_STEMS = {"InputLayer": ("input", "kerastensor"), "Functional": ("model", "functional")}
_OF_A_SEQUENTIAL = "_input"
T = TypeVar("T")


def common_names(first: Trace, second: Trace) -> tuple[dict[str, str], dict[str, str]]:
    """Return for each ledger, by layer key, a name that is the same in both where the object is.

    That is its name in the code. A layer without one goes by the name that Keras counts up in each run
    (``dense``, ``dense_1``): those are matched by holder and class, by the expression that made
    them, and then in order.
    """
    names = {key: layer.name for key, layer in first.layers.items()}, {k: v.name for k, v in second.layers.items()}

    def holder_and_class(trace: Trace, key: str) -> tuple[str, str]:
        return names[trace is second][key].rpartition(".")[0], trace.layers[key].class_name

    ways: tuple[Callable[[Trace, str], Hashable], ...] = (
        lambda trace, key: (holder_and_class(trace, key), _made_by(trace, key)),
        holder_and_class,
    )
    counted = [_counted(first, second), _counted(second, first)]
    for depth in sorted({*counted[0].values(), *counted[1].values()}):  # a holder before its parts
        here = [[key for key, deep in each.items() if deep == depth] for each in counted]
        common: tuple[dict[str, str], dict[str, str]] = ({}, {})
        pairs = _pairs((first, here[0]), (second, here[1]), ways)
        for number, pair in enumerate(pairs):
            for own, new, key in zip(names, common, pair, strict=True):
                if key is not None:
                    new[own[key]] = ".".join([*own[key].split(".")[:depth], f"\0{number}"])
        for own, new in zip(names, common, strict=True):
            _rename(own, new, depth + 1)
    return names


def matched_events(first: Trace, second: Trace, names: Sequence[dict[str, str]]) -> dict[int, int]:
    """Match the events of two ledgers, by index: those of one object that have the same wires and text first."""

    def group(trace: Trace, event: AnyEvent) -> str:
        """Return an object's common name; operations are counted up in each ledger."""
        name = names[trace is second][event.object]
        return name.partition("#")[0] if trace.layers[event.object].implicit else name

    def sources(trace: Trace, event: AnyEvent) -> Hashable:
        made = (event_at(trace, wire.from_event) for wire in event.inputs)
        return tuple(
            (group(trace, one) if one is not None else wire.name, wire.output)
            for one, wire in zip(made, event.inputs, strict=True)
        )

    ways: tuple[Callable[[Trace, AnyEvent], Hashable], ...] = (
        lambda trace, event: (event.kind, group(trace, event), sources(trace, event), one_line(event.source)),
        lambda trace, event: (event.kind, group(trace, event), sources(trace, event)),
        lambda trace, event: (event.kind, group(trace, event)),
    )
    left, right = ([e for e in t.events if not isinstance(e, Called) or e.via is None] for t in (first, second))
    pairs = _pairs((first, left), (second, right), ways)
    return {one.index: other.index for one, other in pairs if one is not None and other is not None}


def event_at(trace: Trace, index: int | None) -> AnyEvent | None:
    """Return an event of a ledger, which may be only a part of one; None where it is not there."""
    return trace.events[index] if index is not None and index < len(trace.events) else None


def _pairs(
    one: tuple[Trace, Sequence[T]], other: tuple[Trace, Sequence[T]], ways: Sequence[Callable[[Trace, T], Hashable]]
) -> Iterator[tuple[T | None, T | None]]:
    """Pair what is alike, in order, by the first of ``ways``, then what is left by the next; then the rest alone."""
    (first, left), (second, right) = one, other
    for way in ways:
        waiting: dict[Hashable, deque[int]] = defaultdict(deque)
        for place, thing in enumerate(right):
            waiting[way(second, thing)].append(place)
        taken, alone = set(), []
        for thing in left:
            if alike := waiting[way(first, thing)]:
                taken.add(alike[0])
                yield thing, right[alike.popleft()]
            else:
                alone.append(thing)
        left, right = alone, [thing for place, thing in enumerate(right) if place not in taken]
    yield from ((thing, None) for thing in left)
    yield from ((None, thing) for thing in right)


def _counted(trace: Trace, other: Trace) -> dict[str, int]:
    """Return the layers without a name in the code, by key, and how deep they are held.

    What Keras calls ``dense`` may be the code's ``dense``, which in the other ledger is Keras's ``dense_1``.
    """
    named = {layer.name for layer in other.layers.values() if not _is_counted(layer)}
    found = {key: layer.name for key, layer in trace.layers.items() if _is_counted(layer) and layer.name not in named}
    return {key: name.count(".") for key, name in found.items()}


def _is_counted(layer: Layer) -> bool:
    """Return whether a layer goes by a name that Keras made of its class."""
    name = layer.name.rpartition(".")[2]
    found = _AUTOMATIC.fullmatch(name)
    if found is None or layer.implicit or not name.startswith(layer.keras_name):
        return False
    if layer.kind == "input" and name.endswith(_OF_A_SEQUENTIAL):
        return True
    stems = (layer.class_name, *_STEMS.get(layer.class_name, ()))
    return found["stem"].replace("_", "").lower() in {stem.lower() for stem in stems}


def _made_by(trace: Trace, key: str) -> str | None:
    made = event_at(trace, trace.layers[key].constructed)
    return one_line(made.source) if made is not None else None


def _rename(names: dict[str, str], common: Mapping[str, str], parts: int) -> None:
    """Give objects, and all that goes by their names, the common ones; these have so many ``parts``."""
    for key, name in names.items():
        start = ".".join(name.split(".")[:parts])
        if start in common:
            names[key] = common[start] + name[len(start) :]
