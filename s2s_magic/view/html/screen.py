"""Source, wiring and owners side by side, as of one step: pointing at a part of one lights the same in the others."""

from __future__ import annotations

import json

from s2s_magic.errors import SetupError
from s2s_magic.view.html.listing import source_html
from s2s_magic.view.html.markup import UNSTYLED, Markup, frame, heading, join, tag
from s2s_magic.view.html.owners import owners_html
from s2s_magic.view.html.panels import KEY, heads_html, strip_html, tensors_html
from s2s_magic.view.linked import Thing, things_of
from s2s_magic.view.report import Report
from s2s_magic.view.wiring.drawing import Plan, draw, plan_wiring
from s2s_magic.view.wiring.growth import grown_svg

GROWN = 60


def screen_html(report: Report, uid: str) -> tuple[Markup, dict[str, Thing]]:
    """Show a report of at least one step, and return beside it what can be pointed at on it.

    With more than `GROWN` steps only the final wiring is drawn.
    """
    plan, wiring = wiring_html(report)
    panes = tag(
        "div",
        tag("section", heading("Source"), source_html(report, uid), class_="s2s-pane"),
        tag("section", heading("Wiring"), wiring, class_="s2s-pane", hidden=UNSTYLED),
        tag("section", owners_html(report, uid), class_="s2s-pane"),
        class_="s2s-panes",
    )
    said = tag("div", heads_html(report, uid), tag("div", class_="s2s-said", role="status"), class_="s2s-now")
    # under a training's charts the buttons stand with the steps; else in the title, on the same line as the name
    buttons = controls_html() if report.fitted else None
    screen = join(
        [
            buttons,
            strip_html(report, uid),
            said,
            panes,
            tag("p", KEY, class_="s2s-small s2s-key"),
            tensors_html(report, uid),
        ]
    )
    things = things_of(report, plan.graph if plan else None)
    return open_if_styled("Step by step: source, wiring and owners", screen), things


def controls_html() -> Markup:
    """Return the place for the script's buttons."""
    return tag("div", class_="s2s-controls", hidden=UNSTYLED)


def open_if_styled(summary: str, content: Markup) -> Markup:
    """Fold content where a front-end removes styles, which could not show it well; with them it is always open."""
    return tag("details", tag("summary", summary), content, class_="s2s-open")


def wiring_html(report: Report) -> tuple[Plan | None, Markup]:
    """Draw the wiring; without graphlay say so, as where a stored ledger is shown by a browser's Python."""
    try:
        plan = plan_wiring(report.ledger)
    except SetupError as missing:
        return None, tag("p", f"Not shown: {missing}.")
    grown = 0 < len(report.steps) <= GROWN
    svg = grown_svg(plan, report.after) if grown else draw(plan, after=report.after if report.steps else None)
    return plan, frame(Markup(svg), "The wiring")


def as_data(things: dict[str, Thing]) -> dict[str, tuple[str, tuple[int, ...], str]]:
    """Return what can be pointed at as the script takes it: words, steps and marks, by mark."""
    return {mark: (thing.said, thing.steps, " ".join(thing.lights)) for mark, thing in things.items()}


def as_json(things: dict[str, Thing]) -> str:
    """Return the same as JSON that has no end of a script element in it."""
    text = json.dumps(as_data(things), ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
