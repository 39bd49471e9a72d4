"""Render two ledgers side by side, as text and HTML."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from s2s_magic.ledger.compare import Comparison, Held, Pair
from s2s_magic.ledger.words import shape_text
from s2s_magic.view.html import markup
from s2s_magic.view.html.markup import styled, tag
from s2s_magic.view.tables import Table
from s2s_magic.view.text import WIDTH, joined, table


def comparison_text(comparison: Comparison, *, width: int = WIDTH) -> str:
    """Render a comparison as text: the differences in words, then a line for each variable."""
    lines = [f"{comparison.first} and {comparison.second}", ""]
    for said in comparison.sentences:
        lines += textwrap.wrap(said, width, subsequent_indent="    ")
    lines += ["", *table(_variables(comparison), width=width)]
    lines.append(
        f"total: {comparison.first_total:,} in {comparison.first}, {comparison.second_total:,} in {comparison.second}"
    )
    return joined(lines)


def comparison_html(comparison: Comparison) -> str:
    """Render a comparison as an HTML fragment: one row per variable of either."""
    shown = _variables(comparison)
    total = (tag("b", "total"), f"{comparison.first_total:,}", None, f"{comparison.second_total:,}", None, None)
    return styled(
        tag("div", f"{comparison.first} and {comparison.second}", class_="s2s-name", role="heading", aria_level=2),
        tag("ul", *(tag("li", said) for said in comparison.sentences)),
        markup.table(replace(shown, rows=[*shown.rows, total])),
    )


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
