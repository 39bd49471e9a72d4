"""What a notebook shows: always text, Markdown and HTML, and more if the front-end supports it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any

from s2s_magic.ledger import Ledger
from s2s_magic.ledger.compare import Comparison
from s2s_magic.ledger.curves import Curves
from s2s_magic.ledger.explanation import Explanation
from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.html.markup import Markup, join, tag

if TYPE_CHECKING:
    from s2s_magic.decoded import Alignment
    from s2s_magic.followed import Followed
    from s2s_magic.scored import Scored
    from s2s_magic.told import ToldDecoding
    from s2s_magic.view.report import Report

# Displays of one report in a notebook need different ids; a counter gives the same ids in every run of the notebook.
_NUMBERS = count(1)
MOST, MOST_TEXT = 119_000, 20_000
"""The most bytes that a report takes in a notebook, and the most of them for each of its two texts."""


def next_number() -> int:
    """Return the number of one more display."""
    return next(_NUMBERS)


@dataclass(frozen=True, eq=False)
class Display:
    """Something to show: callables that make its text and HTML when a front-end needs them.

    Attributes
    ----------
    text, html
        Return the two forms that every display has.
    more
        Further forms by MIME type, such as a widget's view.
    markdown
        Returns the Markdown form; the text in a fence by default.
    brief
        Returns the text as a notebook keeps it; by default the whole text.
    """

    text: Callable[[], str]
    html: Callable[[], str]
    more: Mapping[str, Any] = field(default_factory=dict)
    markdown: Callable[[], str] | None = None
    brief: Callable[[], str] | None = None

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Return all forms at once; the front-end picks the best it can show."""
        forms = texts((self.brief or self.text)())
        if self.markdown is not None:
            forms["text/markdown"] = self.markdown()
        return {**forms, "text/html": self.html(), **self.more}


def texts(plain: str, language: str = "text") -> dict[str, str]:
    """Return the forms of a display that are text: for Markdown the same lines, fenced so that columns stay aligned."""
    longest = max((len(ticks) for ticks in re.findall("`{3,}", plain)), default=2)
    fence = "`" * (longest + 1)
    return {"text/plain": plain, "text/markdown": f"{fence}{language}\n{plain.rstrip()}\n{fence}\n"}


def report_display(
    ledger: Ledger, *, after: int | None = None, training: bool = False, width: int | None = None
) -> Display:
    """Return the display of a ledger's report; ``width`` is that of its text, in characters.

    Raises
    ------
    LookupFailed
        If there is no event ``after``.
    """
    from s2s_magic.view import report

    return page_display(report(ledger, after=after, training=training), width=width)


def page_display(shown: Report, *, width: int | None = None) -> Display:
    """Return the display of a report: its text and its page, in a notebook at most `MOST` bytes together."""
    from s2s_magic.view import to_html, to_text
    from s2s_magic.view.markdown import to_markdown
    from s2s_magic.view.text import WIDTH

    number = next_number()
    whole = cache(lambda: to_text(shown, width=width or WIDTH))
    brief = cache(lambda: _shortened(whole(), shown.name))
    markdown = cache(lambda: _shortened(to_markdown(shown), shown.name))
    return Display(
        whole,
        lambda: to_html(shown, number=number, most=MOST - _size(brief()) - _size(markdown())),
        markdown=markdown,
        brief=brief,
    )


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def _shortened(text: str, name: str) -> str:
    """Leave out lines from the middle of a text of more than `MOST_TEXT` bytes: its end has owners and findings."""
    if _size(text) <= MOST_TEXT:
        return text
    lines = text.splitlines()
    first = _within(lines, MOST_TEXT // 2)
    last = _within(lines[:first:-1], MOST_TEXT // 2 - 500)
    whole = f"%seq2seq inspect {in_a_line(name)[:80]} --html FILE"
    left_out = f"… {len(lines) - first - last:,} lines are left out; this writes all: {whole}"
    return "\n".join([*lines[:first], "", left_out, "", *lines[len(lines) - last :]]) + "\n"


def _within(lines: Iterable[str], most: int) -> int:
    """Return how many of the lines are within a number of bytes."""
    return sum(size <= most for size in accumulate(_size(line) + 1 for line in lines))


def show_explanation(explanation: Explanation) -> Display:
    """Return the display of an explanation."""
    from s2s_magic.view.explained import explanation_html, explanation_text

    return Display(lambda: explanation_text(explanation), lambda: explanation_html(explanation))


def show_table(caption: str, head: Sequence[str], table_rows: Sequence[Sequence[str]], below: Sequence[str]) -> Display:
    """Return the display of rows of text whose first cell leads to the others, with lines below.

    An empty first cell stands for the one above it.
    """
    widths = [max(map(len, column)) for column in zip(*table_rows, strict=True)]
    left = "text-align:left"
    heads = [tag("th", name, scope="col", style=left) for name in head]
    rows = [
        tag(
            "tr",
            tag("th", first, scope="row", style=f"{left};font-weight:normal"),
            *(tag("td", cell, style=left) for cell in others),
        )
        for first, *others in table_rows
    ]
    table = tag(
        "table",
        tag("caption", caption, style="white-space:nowrap"),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
    )

    def text() -> str:
        lines = []
        for cells in table_rows:
            first, *others = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
            lines.append(f"{first}  {'->' if cells[0] else '  '}  {'  '.join(others)}".rstrip())
        return "\n".join([*lines, *below])

    return Display(text, lambda: join([table, *(tag("div", line) for line in below)]))


def show_alignments(shown: Sequence[Alignment]) -> Display:
    """Return the display of heat maps, one below the other."""
    from s2s_magic.view.heat_map import alignment_svg, alignment_text

    def page() -> Markup:
        figures = []
        for one in shown:
            caption = tag("figcaption", f"What {one.layer} looked at: rows are the output, columns the source.")
            figures.append(tag("figure", Markup(alignment_svg(one)), caption, style="margin:8px"))
        return join(figures)

    return Display(lambda: "\n\n".join(map(alignment_text, shown)), page)


def show_told(shown: ToldDecoding) -> Display:
    """Return the display of how an output was said."""
    from s2s_magic.view.said_steps import told_html, told_text

    return Display(lambda: told_text(shown), lambda: told_html(shown))


def show_followed(shown: Followed) -> Display:
    """Return the display of an example that was followed through a model."""
    from s2s_magic.view.followed_example import followed_html, followed_text

    return Display(lambda: followed_text(shown), lambda: followed_html(shown))


def show_scored(shown: Scored) -> Display:
    """Return the display of what a model scored."""
    from s2s_magic.view.scored_outputs import scored_html, scored_text

    return Display(lambda: scored_text(shown), lambda: scored_html(shown))


def stacked(first: Display, second: Display) -> Display:
    """Return the display of two, the second below the first."""
    return Display(lambda: f"{first.text()}\n\n{second.text()}", lambda: f"{first.html()}{second.html()}")


def progress_bundle(said: str, part: float | None, curves: Curves, name: str) -> dict[str, str]:
    """Return the forms of a progress display.

    Parameters
    ----------
    said
        The progress in one line.
    part
        The part that is done, from 0 to 1; None when the fit is over.
    curves
        The epochs so far.
    name
        The model's name.
    """
    from s2s_magic.view.going import going_html, going_text

    lines = [said, *(going_text(curves, name) if part is None else ())]
    return {**texts("\n".join(lines)), "text/html": going_html(said, part, curves, name)}


def show_comparison(comparison: Comparison) -> Display:
    """Return the display of two ledgers compared, or of a training model beside its decoding model."""
    from s2s_magic.view.comparison import comparison_html, comparison_text

    return Display(lambda: comparison_text(comparison), lambda: comparison_html(comparison))
