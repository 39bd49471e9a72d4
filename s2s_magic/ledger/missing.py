"""Say which inputs a model lacks, which calls need them, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_magic.ledger.calls import AnyEvent, Called, Wire
from s2s_magic.ledger.words import at, listing, one_line


def missing_inputs(events: Sequence[AnyEvent], given: Sequence[Wire], missing: Sequence[Wire]) -> str:
    """Say that a model's outputs also depend on the ``missing`` inputs, beside those that it was ``given``."""
    missing = sorted(missing, key=lambda wire: (wire.from_event is None, wire.origin))
    names = [input_name(events, wire) for wire in missing]
    needs = []
    for name, wire in zip(names, missing, strict=True):
        calls = [f"{one_line(call.source)} in {at(call)}" for call in _calls_with(events, wire)]
        if calls:
            needs.append(f"{name} goes into {listing(calls, most=3)}")
    are = "is" if len(names) == 1 else "are"
    wanted = ", ".join([*(input_name(events, wire) for wire in given), *names])
    because = f": {'; '.join(needs)}" if needs else ""
    return (
        f"its outputs also depend on {listing(names)}, which {are} not among its inputs{because}. "
        f"Write inputs=[{wanted}]"
    )


def input_name(events: Sequence[AnyEvent], wire: Wire) -> str:
    """Return the name of an input in the code; if it has none, its layer's."""
    return wire.name or (events[wire.from_event].layer if wire.from_event is not None else "an input made elsewhere")


def _calls_with(events: Sequence[AnyEvent], wire: Wire) -> list[Called]:
    if wire.from_event is None:
        return []
    return [
        event
        for event in events
        if isinstance(event, Called) and any(passed.origin == wire.origin for passed in event.inputs)
    ]
