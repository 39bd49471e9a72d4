"""Show what a model scored: its metrics as a table, and the worst outputs with what differs from the reference."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.html.markup import Markup, join, styled, tag
from s2s_magic.view.html.markup import table as html_table
from s2s_magic.view.tables import Table
from s2s_magic.view.text import joined
from s2s_magic.view.text import table as text_table

if TYPE_CHECKING:
    from s2s_magic.scored import Bad, Scored

FRACTIONS = ("exact", "token_accuracy", "wer", "per")
"""The metrics that are shown in percent."""
HEAD = ("Metric", "Score", "95 % interval", "Better", "How")
MARKS = {"same": ("", ""), "missing": ("[-", "-]"), "added": ("{+", "+}")}
"""What stands around a piece in text, as wdiff has it."""
MEANING = "[-missing-] is what the reference has and the output lacks, {+added+} what the output has instead."
MEANING_HTML = "Struck through is what the reference has and the output lacks, underlined what the output has instead."
MOST_LETTERS = 2_000
"""The most letters of a text that are shown."""


def scored_text(shown: Scored) -> str:
    """Return the metrics and the worst outputs as lines."""
    table = _table(shown)
    told = [name for name in table.head if name != "How"]
    table = replace(table, head=told, rows=table.columns(*told))
    how = [f"{name}: {one.signature}" for name, one in shown.scores.items()]
    lines = [_title(shown), "", *text_table(table), "", *how, *shown.notes]
    if shown.worst:
        lines += ["", f"{_worst(shown)}. {MEANING}"]
    for bad in shown.worst:
        marked = "".join(f"{MARKS[kind][0]}{text}{MARKS[kind][1]}" for kind, text in bad.differences)
        lines += [
            "",
            f"row {bad.row}: {_values(bad)}",
            f"  source:     {_cut(bad.source)}",
            f"  output:     {_cut(bad.output) or 'nothing'}",
            *(f"  reference:  {_cut(one) or 'nothing'}" for one in bad.references),
            f"  difference: {_cut(marked) or 'nothing'}",
        ]
    return joined(lines)


def scored_html(shown: Scored) -> str:
    """Return the metrics and the worst outputs as an HTML fragment."""
    table = _table(shown)
    rows = [[*map(_unbroken, numbers), _signature(signature)] for *numbers, signature in table.rows]
    parts: list[Markup] = [html_table(replace(table, rows=rows)), *(tag("p", note) for note in shown.notes)]
    if shown.worst:
        parts += [_worst_table(shown), tag("p", MEANING_HTML)]
    return str(styled(*parts))


def _unbroken(cell: object) -> str:
    """Return a number with what belongs to it on one line, however narrow the table is."""
    return str(cell).replace(" ", "\u00a0")


def _signature(signature: object) -> Markup:
    """Allow line breaks between the parts of a signature, which a narrow table needs."""
    return join(re.findall(r"[^|]*[|]?", str(signature))[:-1], between="<wbr>")


def _title(shown: Scored) -> str:
    return f"{shown.name}, scored on {shown.rows:,} row{'' if shown.rows == 1 else 's'}"


def _worst(shown: Scored) -> str:
    return "The worst output" if len(shown.worst) == 1 else f"The {len(shown.worst)} worst outputs"


def _table(shown: Scored) -> Table:
    rows = [
        (
            name,
            number(name, one.value),
            "" if one.low is None or one.high is None else f"{number(name, one.low)} to {number(name, one.high)}",
            "higher" if one.higher_is_better else "lower",
            one.signature,
        )
        for name, one in shown.scores.items()
    ]
    table = Table(_title(shown), HEAD, rows, right=(1,))
    if any(row[2] for row in rows):
        return table
    without = [name for name in HEAD if not name.startswith("95")]
    return replace(table, head=without, rows=table.columns(*without))


def number(name: str, value: float) -> str:
    """Return a metric as it is shown: fractions in percent."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if name in FRACTIONS:
        return f"{100 * value:.1f} %"
    return f"{value:.4g}" if name == "perplexity" else f"{value:.1f}"


def _values(bad: Bad) -> str:
    return ", ".join(f"{name} {number(name, value)}" for name, value in bad.values.items())


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}… ({len(text):,} letters)"


def _worst_table(shown: Scored) -> Markup:
    rows = [
        (
            bad.row,
            _text(bad.source),
            _text(bad.output),
            _difference(bad),
            join(tag("div", _text(one)) for one in bad.references),
            _values(bad),
        )
        for bad in shown.worst
    ]
    return html_table(Table(_worst(shown), ("Row", "Source", "Output", "Difference", "Reference", "Scores"), rows))


def _text(text: str) -> Markup:
    """Return a user's text, which has a direction of its own whatever stands around it."""
    return tag("bdi", in_a_line(_cut(text))) if text else tag("i", "nothing")


def _difference(bad: Bad) -> Markup:
    """Return the output with what it lacks struck through and what it has instead underlined."""
    kinds = {"missing": ("del", "missing: "), "added": ("ins", "added: ")}
    pieces: list[Markup | str] = []
    left = MOST_LETTERS
    for kind, text in bad.differences:
        shown = in_a_line(text[:left])
        left -= len(shown)
        if kind in kinds:
            name, said = kinds[kind]
            # a blank alone would be struck through invisibly
            visible = shown if shown.strip() else "␣" * len(shown)
            pieces.append(tag(name, visible, title=f"{said}{visible}"))
        else:
            pieces.append(shown)
        if left <= 0:
            pieces.append("…")
            break
    return tag("bdi", join(pieces)) if pieces else tag("i", "nothing")
