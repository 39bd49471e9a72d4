"""What differs between two ledgers in owners, calls and wires, in the order of the code."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Literal

from s2s_magic.ledger.calls import AnyEvent, Called, Constructed, Wire
from s2s_magic.ledger.explanation import ownership
from s2s_magic.ledger.matching import common_names, event_at, matched_events
from s2s_magic.ledger.records import Layer, Record, Variable
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.words import at_step, counted, full_name, listing, one_line, shape_text, short_name, with_article

ChangeKind = Literal["came", "went", "changed", "added", "removed", "rewired"]
KINDS: Mapping[ChangeKind, tuple[str, str]] = {
    "came": ("owner", "came"),
    "went": ("owner", "went"),
    "changed": ("owner", "changed"),
    "added": ("call", "added"),
    "removed": ("call", "removed"),
    "rewired": ("call", "rewired"),
}
"""Each kind of change in words: what changed, and how."""


class Change(Record):
    """One difference.

    Attributes
    ----------
    kind
        A layer object ``came``, ``went`` or ``changed``; a call was ``added`` or ``removed``, or it is ``rewired``: its
        inputs come from elsewhere.
    about
        The layer object's name.
    first, second
        Where it is in each ledger (``line 8 · step 5``); None where it is not.
    text
        The difference in words.
    """

    kind: ChangeKind
    about: str
    first: str | None
    second: str | None
    text: str


_Placed = tuple[tuple[int, int, int], Change]


def changes_of(first: Trace, second: Trace) -> tuple[Change, ...]:
    """List what differs; layer objects are matched by name, their calls by wires and expression, then in order."""
    names = common_names(first, second)
    found = [*_owners(first, second, names), *_free_variables(first, second), *_calls(first, second, names)]
    return tuple(change for _, change in sorted(found, key=lambda placed: placed[0]))


def _placed(kind: ChangeKind, about: str, events: Sequence[AnyEvent | None], text: str) -> _Placed:
    """Return a change with its place in the code: that in the second ledger, else that in the first."""
    event = events[1] or events[0]
    order = (event.cell, event.line, event.index) if event is not None else (0, 0, 0)
    places = [at_step(event) if event is not None else None for event in events]
    return order, Change(kind=kind, about=about, first=places[0], second=places[1], text=text)


# -- owners ------------------------------------------------------------------------------------------------------------


def _owners(first: Trace, second: Trace, names: Sequence[dict[str, str]]) -> Iterator[_Placed]:
    was, now = (
        {common: key for key, common in own.items() if not trace.layers[key].implicit}
        for trace, own in zip((first, second), names, strict=True)
    )
    for common, key in was.items():
        if common not in now and not _comes_along(first, key, names[0], now):
            yield _placed("went", first.layers[key].name, (_made(first, key), None), _described(first, key))
    for common, key in now.items():
        name = second.layers[key].name
        if common in was:
            if said := "; ".join(_differing(first, second, was[common], key)):
                yield _placed("changed", name, (_made(first, was[common]), _made(second, key)), said)
        elif not _comes_along(second, key, names[1], was):
            yield _placed("came", name, (None, _made(second, key)), _described(second, key))


def _described(trace: Trace, key: str) -> str:
    layer = trace.layers[key]
    said = f"{with_article(layer.class_name)} layer object"
    return said if layer.kind == "input" else f"{said}; {ownership(trace, key).rstrip('.')}"


def _comes_along(trace: Trace, key: str, names: Mapping[str, str], others: Collection[str]) -> bool:
    """Return whether an object is a part, without a name of its own, of one that comes or goes as well."""
    parent = trace.layers[key].parent
    return parent is not None and names[parent] not in others and names[key].startswith(f"{names[parent]}.")


def _made(trace: Trace, key: str) -> AnyEvent | None:
    """Return the event that made a layer object; for one that is older, that of its holder or its first call."""
    for holder in trace.holders(key):
        if (made := event_at(trace, trace.layers[holder].constructed)) is not None:
            return made
    return next(iter(trace.calls.get(key, ())), None)


def _differing(first: Trace, second: Trace, one: str, other: str) -> Iterator[str]:
    """Say how a layer object is another one: its class, how it is made, what it owns, and whether that is trained."""
    was, now = first.layers[one], second.layers[other]
    if was.class_name != now.class_name:
        yield f"{with_article(now.class_name)}, was {with_article(was.class_name)}"
    sources = [_constructor(trace, layer) for trace, layer in ((first, was), (second, now))]
    if None not in sources and sources[0] != sources[1]:
        yield f"made by {sources[1]}, was {sources[0]}"
    if was.trainable != now.trainable:
        yield f"trainable is {now.trainable}, was {was.trainable}"
    own = [{short_name(v): v for v in trace.owned.get(key, ())} for trace, key in ((first, one), (second, other))]
    yield from _variables(*own)


def _constructor(trace: Trace, layer: Layer) -> str | None:
    """Return the expression that made a layer object; None for one that came with another, or is older."""
    event = event_at(trace, layer.constructed)
    made_it = event is not None and trace.layers[event.object] is layer and not isinstance(event, Called)
    return one_line(event.source) if event is not None and made_it else None


def _variables(was: Mapping[str, Variable], now: Mapping[str, Variable]) -> Iterator[str]:
    for said, there, lacks in (("owns also", now, was), ("no longer owns", was, now)):
        if alone := [f"{name} {shape_text(there[name].shape)}" for name in there if name not in lacks]:
            yield f"{said} {listing(alone)}"
    both = [(name, was[name], now[name]) for name in now if name in was]
    if sizes := [
        f"{name} {shape_text(old.shape)} → {shape_text(new.shape)}" for name, old, new in both if old.shape != new.shape
    ]:
        yield listing(sizes)
    for trains, said in ((False, "no longer trained"), (True, "trained now")):
        if turned := [(name, new) for name, old, new in both if old.trainable != new.trainable == trains]:
            by = {f" ({new.frozen_by}.trainable is False)" for _, new in turned if new.frozen_by is not None}
            verb = "is" if len(turned) == 1 else "are"
            yield f"{listing([name for name, _ in turned])} {verb} {said}{by.pop() if len(by) == 1 else ''}"
    for name, old, new in both:
        if len(old.held_by) != len(new.held_by):
            yield f"{name} is listed by {counted(len(new.held_by), 'layer')}, was by {len(old.held_by)}"


def _free_variables(first: Trace, second: Trace) -> Iterator[_Placed]:
    """Find the variables that no layer owns and only one ledger has."""
    own = [{full_name(v): v for v in trace.variables.values() if v.object is None} for trace in (first, second)]
    for number, trace in enumerate((first, second)):
        for name, variable in own[number].items():
            if name not in own[1 - number]:
                made = event_at(trace, variable.created_by)
                events = (None, made) if number else (made, None)
                said = f"a variable of shape {shape_text(variable.shape)} that no layer owns"
                yield _placed("came" if number else "went", name, events, said)


# -- calls -------------------------------------------------------------------------------------------------------------


def _calls(first: Trace, second: Trace, names: Sequence[dict[str, str]]) -> Iterator[_Placed]:
    matched = matched_events(first, second, names)
    there = set(matched.values())
    taken = {event.index: event for event in second.events if event.index in there}
    for event in first.events:
        if event.index in matched:
            again = taken[matched[event.index]]
            if said := "; ".join(_rewired(first, second, event, again, matched)):
                yield _placed("rewired", again.layer, (event, again), said)
        elif isinstance(event, Called) and event.via is None:
            yield _placed("removed", event.layer, (event, None), one_line(event.source))
    for event in second.events:
        if event.index not in taken and isinstance(event, Called) and event.via is None:
            yield _placed("added", event.layer, (None, event), one_line(event.source))


def _rewired(first: Trace, second: Trace, was: AnyEvent, now: AnyEvent, matched: Mapping[int, int]) -> Iterator[str]:
    pairs = [("takes", was.inputs, now.inputs)]
    if isinstance(was, Constructed) and isinstance(now, Constructed):
        pairs.append(("ends in", was.ends, now.ends))
    for said, old, new in pairs:
        before = [(matched.get(w.from_event, -1), w.output) if w.from_event is not None else w.name for w in old]
        after = [(w.from_event, w.output) if w.from_event is not None else w.name for w in new]
        if before == after:
            continue
        gone = [_wire(first, wire) for wire, place in zip(old, before, strict=True) if place not in after]
        fresh = [_wire(second, wire) for wire, place in zip(new, after, strict=True) if place not in before]
        if not gone and not fresh:
            yield f"{said} {listing([_wire(second, wire) for wire in new])}, in this order"
        for one, other in zip_longest(fresh, gone):
            if one is None:
                yield f"no longer {said} {other}"
            else:
                yield f"{said} {one}, was {other}" if other is not None else f"{said} {one} too"


def _wire(trace: Trace, wire: Wire) -> str:
    event = event_at(trace, wire.from_event)
    if event is None:
        return wire.name or "a tensor from elsewhere"
    named = f"{wire.name} of " if wire.name and wire.name != event.layer else ""
    return f"{named}{event.layer} ({at_step(event)})"
