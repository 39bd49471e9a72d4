"""Render two ledgers side by side, as text and HTML."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from s2s_magic.ledger.changes import KINDS, Change
from s2s_magic.ledger.compare import Comparison, Held, Pair
from s2s_magic.ledger.words import shape_text
from s2s_magic.view.html import markup
from s2s_magic.view.html.markup import Markup, styled, tag
from s2s_magic.view.tables import Table
from s2s_magic.view.text import WIDTH, joined, table

MOST_CHANGES = 200
"""So many changes are shown."""


def comparison_text(comparison: Comparison, *, width: int = WIDTH) -> str:
    """Render a comparison as text: the differences in words and in the order of the code, a line for each variable.

    Of two runs of one name, only what changed.
    """
    if comparison.of is not None and not comparison.changes:
        return joined(comparison.sentences)
    lines = [_title(comparison), ""]
    for said in comparison.sentences:
        lines += textwrap.wrap(said, width, subsequent_indent="    ")
    lines += _changes_text(comparison, width)
    if comparison.of is not None:
        return joined(lines)
    lines += ["", *table(_variables(comparison), width=width)]
    lines.append(
        f"total: {comparison.first_total:,} in {comparison.first}, {comparison.second_total:,} in {comparison.second}"
    )
    return joined(lines)


def comparison_html(comparison: Comparison) -> str:
    """Render a comparison as an HTML fragment: what changed, and one row per variable of either."""
    if comparison.of is not None and not comparison.changes:
        return styled(*(tag("p", said) for said in comparison.sentences))
    return styled(
        tag("div", _title(comparison), class_="s2s-name", role="heading", aria_level=2),
        tag("ul", *(tag("li", said) for said in comparison.sentences)),
        _changes_html(comparison),
        _variables_html(comparison) if comparison.of is None else None,
    )


def _title(comparison: Comparison) -> str:
    if comparison.of is not None:
        return f"{comparison.of}: what changed since the run before"
    return f"{comparison.first} and {comparison.second}"


def _changes_text(comparison: Comparison, width: int) -> list[str]:
    if not comparison.changes:
        return []
    lines = ["", "IN THE ORDER OF THE CODE"]
    for change in comparison.changes[:MOST_CHANGES]:
        said = f"{_places(change, comparison)}: {change.about}: {_how(change, comparison)}: {change.text}"
        lines += textwrap.wrap(said, width, subsequent_indent="    ")
    return [*lines, *_left_out(comparison)]


def _changes_html(comparison: Comparison) -> Markup | None:
    if not comparison.changes:
        return None
    rows = [
        (change.about, _how(change, comparison), change.first or "–", change.second or "–", change.text)
        for change in comparison.changes[:MOST_CHANGES]
    ]
    head = ("Object", "Change", f"In {comparison.first}", f"In {comparison.second}", "What")
    return markup.join(
        [
            markup.table(Table("Owners, calls and wires, in the order of the code", head, rows)),
            *(tag("p", said) for said in _left_out(comparison)),
        ]
    )


def _left_out(comparison: Comparison) -> list[str]:
    more = len(comparison.changes) - MOST_CHANGES
    return [f"… and {more:,} more"] if more > 0 else []


def _how(change: Change, comparison: Comparison) -> str:
    """Say how something differs: in time for two runs, else in which of the two it is."""
    noun, verb = KINDS[change.kind]
    alone = {
        "came": comparison.second,
        "added": comparison.second,
        "went": comparison.first,
        "removed": comparison.first,
    }
    if comparison.of is None and change.kind in alone:
        return f"{noun} only in {alone[change.kind]}"
    return f"{noun} {verb}" if comparison.of is not None or change.kind == "rewired" else f"{noun} differs"


def _places(change: Change, comparison: Comparison) -> str:
    places = [place for place in dict.fromkeys((change.second, change.first)) if place is not None]
    if len(places) < 2:
        there = f" in {comparison.first}" if comparison.of is not None and change.second is None else ""
        return "".join([*places, there]) or "outside the traced cells"
    if comparison.of is not None:
        return f"{places[0]}, was {places[1]}"
    return f"{change.first} in {comparison.first} and {change.second} in {comparison.second}"


def _variables_html(comparison: Comparison) -> Markup:
    shown = _variables(comparison)
    total = (tag("b", "total"), f"{comparison.first_total:,}", None, f"{comparison.second_total:,}", None, None)
    return markup.table(replace(shown, rows=[*shown.rows, total]))


def _variables(comparison: Comparison) -> Table:
    first, second = comparison.first, comparison.second
    rows = [
        (pair.full_name, *_sizes(pair.first), *_sizes(pair.second), _verdict(pair, comparison))
        for pair in comparison.pairs
    ]
    head = ("Variable", first, f"Calls in {first}", second, f"Calls in {second}", "Verdict")
    return Table("Variables, by owner", head, rows, right=(1, 2, 3, 4))


def _sizes(held: Held | None) -> tuple[str, str]:
    return (f"{held.params:,}", str(held.calls)) if held else ("–", "–")


def _verdict(pair: Pair, comparison: Comparison) -> str:
    if pair.second is None:
        return f"only {comparison.first}"
    if pair.first is None:
        return f"only {comparison.second}"
    if pair.first.shape != pair.second.shape:
        return f"{shape_text(pair.first.shape)} / {shape_text(pair.second.shape)}"
    return "the same variable" if comparison.one_set and not pair.second.created else "same shape"
