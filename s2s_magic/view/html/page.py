"""A report as self-contained HTML: a fragment for a notebook, or a page. It needs no network and no script.

Stepping is a group of radio buttons and CSS: the arrow keys move through it natively, and ``:has()`` shows what belongs
to the chosen step. A small inline script connects source, wiring and owners where scripts are allowed, and adds buttons
and a filter. Where styles are removed too, as from a notebook that is not trusted, a short page is left: owners,
findings, and the rest folded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from s2s_magic.ledger import Finding
from s2s_magic.view.followed_example import followed_html
from s2s_magic.view.html.fits import training_html
from s2s_magic.view.html.large import brief_owners_html, first_owners_html, large_owners_html, large_steps_html
from s2s_magic.view.html.listing import source_html
from s2s_magic.view.html.markup import Markup, asset, heading, join, tag
from s2s_magic.view.html.packing import packed_html
from s2s_magic.view.html.panels import step_rules
from s2s_magic.view.html.screen import as_json, controls_html, open_if_styled, screen_html, wiring_html
from s2s_magic.view.linked import where
from s2s_magic.view.quizzes import quiz_html
from s2s_magic.view.report import Report
from s2s_magic.view.said_steps import told_html
from s2s_magic.view.summary import summary

if TYPE_CHECKING:
    from s2s_magic.followed import Followed
    from s2s_magic.ledger.question import Question
    from s2s_magic.told import ToldDecoding

LARGE = 300
FINDINGS_SHOWN = 20


def to_html(
    report: Report,
    *,
    page: bool = False,
    number: int = 0,
    told: ToldDecoding | None = None,
    followed: Followed | None = None,
    quiz: Sequence[Question] = (),
    most: int | None = None,
) -> str:
    """Render a report as HTML that needs no network, no kernel and no script.

    Parameters
    ----------
    report
        What to show. To keep the page small, with more than 60 steps only the final wiring is drawn, and with more than
        300 the steps are a folded table.
    page
        Return a whole document instead of a fragment.
    number
        Distinguishes displays of one report in one document: their ids are made of it and of what is shown.
    told, followed
        How an output is said, and an example on the wires: sections of the page, folded.
    quiz
        Questions, likewise.
    most
        The most bytes: a page that has more is packed, and a script opens it. The size is not limited by default.

    Returns
    -------
    str
        HTML in which all the user's names are escaped.
    """
    uid = _uid(report, number)
    small = 0 < len(report.steps) <= LARGE
    screen, things = screen_html(report, uid) if small else (None, {})
    styles = asset("report.css") + (asset("screen.css") + step_rules(report, uid, things) if small else "")
    parts = [
        tag("style", Markup(styles)),
        title_html(report, controls=small and not report.fitted),
        tag("section", open_if_styled("Training", training_html(report))) if report.fitted else None,
        *((brief_owners_html(report), screen) if small else _large(report)),
        findings_html(report),
        None if small else _wiring(report),
        _folded("How an output is said", told_html(told)) if told is not None else None,
        _folded("One example on the wires", followed_html(followed)) if followed is not None else None,
        _folded("Quiz", quiz_html(report.name, quiz, number=number)) if quiz else None,
    ]
    script = tag("script", Markup(f"({asset('report.js')})({uid!r},{as_json(things)});")) if small else None
    fragment = tag("div", *parts, script, class_="s2s", id=uid)
    if most is not None and len(fragment.encode(errors="replace")) > most:
        fragment = packed_html(report, uid, parts, things, _outline(report), large_steps_html(report), most)
    return _page(report, fragment) if page else fragment


def _outline(report: Report) -> list[Markup]:
    """Return what is short of a page: what the model is, its first owners, and its first findings."""
    parts = [tag("style", Markup(asset("report.css"))), title_html(report), first_owners_html(report)]
    return [*parts, findings] if (findings := findings_html(report, rest=False)) else parts


def _folded(title: str, content: str) -> Markup:
    return tag("section", tag("details", tag("summary", title), Markup(content)))


def _uid(report: Report, number: int) -> str:
    shown = f"{report.name} {report.after} {report.fitted} {number} {report.totals} {[c.text for c in report.cells]}"
    return f"s{hashlib.sha256(shown.encode(errors='replace')).hexdigest()[:6]}"


def title_html(report: Report, *, controls: bool = False) -> Markup:
    """Show the model's name, what it is in a line, and its sizes, with a place for the script's buttons."""
    name = tag("div", report.name, class_="s2s-name", role="heading", aria_level=2)
    buttons = controls_html() if controls else None
    sizes = tag("div", " · ".join(report.sizes), class_="s2s-small")
    said = tag("p", summary(report), class_="s2s-summary")
    return join([tag("div", name, sizes, buttons, class_="s2s-title"), said])


def _large(report: Report) -> list[Markup]:
    if not report.steps:
        return [tag("p", "Nothing was recorded.")]
    source = source_html(report)
    return [
        tag("section", heading("Code"), tag("details", tag("summary", "Show the code"), source)),
        tag("section", heading("Steps"), large_steps_html(report)),
        tag("section", heading("Owners"), large_owners_html(report)),
    ]


def findings_html(report: Report, *, rest: bool = True) -> Markup | None:
    """List the findings: the first twenty, and the ``rest`` folded."""
    if not report.findings:
        return None
    items = [
        tag("li", tag("b", finding.kind), f": {finding.text}", _at(report, finding)) for finding in report.findings
    ]
    shown, others = items[:FINDINGS_SHOWN], items[FINDINGS_SHOWN:]
    said = f"{len(others):,} more"
    more = tag("details", tag("summary", said), tag("ul", *others)) if rest else tag("p", said)
    return tag("section", heading("Findings"), tag("ul", *shown), more if others else None)


def _at(report: Report, finding: Finding) -> str:
    return f" ({where(report, [finding.event])})" if finding.event is not None else ""


def _wiring(report: Report) -> Markup:
    return tag("section", heading("Wiring"), wiring_html(report)[1])


def _page(report: Report, fragment: Markup) -> Markup:
    metas = (
        '<meta charset="utf-8"><meta name="generator" content="s2s_magic">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
    )
    title, style = tag("title", f"{report.name}: who owns what"), tag("style", Markup(asset("page.css")))
    body = tag("body", tag("main", fragment))
    return Markup(f'<!DOCTYPE html>\n<html lang="en"><head>{metas}{title}{style}</head>{body}</html>\n')
