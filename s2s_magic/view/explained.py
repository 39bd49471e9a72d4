"""Render an explanation as text and HTML."""

from __future__ import annotations

import textwrap

from s2s_magic.ledger.explanation import Explanation
from s2s_magic.view.html.markup import styled, table, tag
from s2s_magic.view.tables import Table
from s2s_magic.view.text import WIDTH, joined


def explanation_text(explanation: Explanation, *, width: int = WIDTH) -> str:
    """Render an explanation as text: its sentences, then the facts in two columns."""
    lines = [f"{explanation.subject} ({explanation.kind})", ""]
    for said in explanation.sentences:
        lines += textwrap.wrap(said, width)
    if explanation.rows:
        room = max(len(what) for what, _ in explanation.rows)
        lines.append("")
        for what, value in explanation.rows:
            lines += textwrap.wrap(
                value, width, initial_indent=f"{what.ljust(room)}  ", subsequent_indent=" " * (room + 2)
            ) or [what]
    return joined(lines)


def explanation_html(explanation: Explanation) -> str:
    """Render an explanation as an HTML fragment."""
    facts = Table("Facts", ("What", "Value"), explanation.rows)
    title = tag("span", explanation.subject, class_="s2s-name")
    kind = tag("span", explanation.kind, class_="s2s-small")
    return styled(
        tag("div", title, kind, class_="s2s-title", role="heading", aria_level=2),
        *(tag("p", said) for said in explanation.sentences),
        table(facts, class_="s2s-facts") if facts.rows else None,
    )
