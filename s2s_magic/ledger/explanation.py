"""An explanation as plain data, and the sentences shared by those of tensors, layers and variables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from s2s_magic.ledger.records import Record, Variable
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.words import counted, full_name, listing, shape_text

MOST_TOLD = 6


class Explanation(Record):
    """The explanation of one name.

    Attributes
    ----------
    subject
        The requested name.
    kind
        What it is.
    sentences
        The explanation, a sentence or two each, in reading order.
    rows
        Facts for a table: label and value.
    """

    subject: str
    kind: Literal["tensor", "layer", "variable", "name", "rules"]
    sentences: tuple[str, ...]
    rows: tuple[tuple[str, str], ...] = ()


def owned_and_held(trace: Trace, key: str) -> tuple[list[Variable], dict[str, list[Variable]]]:
    """Return the variables that a layer object owns itself, and those it has through others, by owner."""
    held: dict[str, list[Variable]] = {}
    for name in trace.layers[key].own_weights:
        if (variable := trace.variables.get(name)) is not None and variable.object != key:
            held.setdefault(variable.owner, []).append(variable)
    return list(trace.owned.get(key, ())), held


def holding(held: dict[str, list[Variable]]) -> str:
    """Name the owners that an object holds, with their counts: ``decoder_cell (3 variables) and output_layer (2)``."""
    names = [f"{owner} ({len(variables)})" for owner, variables in held.items()]
    if names:
        owner, first = next(iter(held.items()))
        names[0] = f"{owner} ({counted(len(first), 'variable')})"
    return listing(names)


def ownership(trace: Trace, key: str) -> str:
    """Say what a layer object owns itself, and what it holds: every variable has one owner."""
    name = trace.layers[key].name
    own, held = owned_and_held(trace, key)
    size = sum(v.params for variables in held.values() for v in variables)
    if own:
        described = listing([f"{full_name(v)} {shape_text(v.shape)}" for v in own])
        params = sum(v.params for v in own)
        said = f"{name} owns {counted(len(own), 'variable')}, {counted(params, 'parameter')}: {described}."
        return f"{said} It also holds {holding(held)}, {counted(size, 'parameter')} more." if held else said
    if held:
        return f"{name} owns no variables itself: it holds {holding(held)}, {counted(size, 'parameter')}."
    return f"{name} owns no variables."


def measured(trace: Trace, keys: Sequence[str]) -> Iterator[str]:
    """Say what fitting did to some variables: one by one, or as counts if they are many."""
    if trace.training is None:
        return
    main = trace.main_model
    stock = main is not None and main.losses is not None  # a step of the model's own may leave any variable out
    now = set(main.trained or ()) if main is not None and stock else set()
    seen = {key: trace.training.variables[key] for key in keys if key in trace.training.variables}
    thawed = {key for key, each in seen.items() if each.verdict == "frozen" and key in now and key in trace.variables}
    if len(seen) > MOST_TOLD:
        counts = Counter(
            "frozen in the fits so far, and trained by the next one" if key in thawed else each.verdict
            for key, each in seen.items()
        )
        said = listing([f"{count:,} {words}" for words, count in counts.most_common()])
        yield f"Fitting, of its {counted(len(seen), 'variable')}: {said}."
        return
    for key, each in seen.items():
        if key in thawed:
            yield f"{full_name(trace.variables[key])} was frozen in the fits so far; the next one trains it."
        else:
            yield each.text
