"""A page within so many bytes: compressed, behind an outline of it that stands where scripts do not run."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence

from s2s_magic.ledger.words import counted
from s2s_magic.view.html.markup import Markup, asset, join, tag
from s2s_magic.view.html.screen import as_data
from s2s_magic.view.linked import Thing
from s2s_magic.view.report import Report
from s2s_magic.view.text import cut

LETTERS = 80
"""So much of a name is left where the rest has no room."""


def packed_html(
    report: Report,
    uid: str,
    page: Sequence[Markup],
    things: dict[str, Thing],
    outline: Sequence[Markup],
    steps: Markup,
    most: int,
) -> Markup:
    """Return a page of at most ``most`` bytes.

    Parameters
    ----------
    report
        What the page shows.
    uid
        The page's id.
    page
        The parts of the page. They are compressed, and a script shows them.
    things
        What can be pointed at on it.
    outline, steps
        What stands there until then. Where not all has room, first the steps are left out, then the page.
    most
        The most bytes, 2,000 or more.
    """
    content = json.dumps([join(page), as_data(things) if things else None], ensure_ascii=False).encode(errors="replace")
    packed = base64.b64encode(zlib.compress(content, 9)).decode()
    start = f"({asset('unpack.js')})({uid!r},{packed!r},{asset('report.js')});"
    whole = tag("code", f"%seq2seq inspect {cut(report.name, LETTERS)} --html FILE")
    steps_said = counted(len(report.steps), "step")
    opens = tag("p", "Source and wiring, step by step, open here where scripts may run. This writes them: ", whole)
    large = tag("p", f"A cell's output has no room for {steps_said}. This writes them: ", whole)
    script = tag("script", Markup(start))
    for parts in ([*outline, steps, opens, script], [*outline, opens, script], [*outline, large]):
        shown = tag("div", *parts, class_="s2s", id=uid)
        if len(shown.encode(errors="replace")) <= most:
            return shown
    return tag("div", tag("b", cut(report.name, LETTERS)), large)
