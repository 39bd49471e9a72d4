"""Draw a fit while it goes on: its loss, and for each owner the gradient and the size of an update."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from s2s_magic.ledger.curves import Curves
from s2s_magic.ledger.words import abridged, number_text
from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.html.charts import Curve, loss_charts, sparkline
from s2s_magic.view.html.markup import Markup, breakable, join, tag

MOST = 12
"""So many owners are drawn, and so many names of the others written."""
POINTS = 120
"""A longer curve is drawn with about this many of its points."""
CHARTS = 3
"""So many charts of the loss and of metrics are drawn."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_ACCENT = "--s2s-accent:var(--jp-brand-color1,#2f80d0)"
_CELL = "text-align:left;padding:1px 12px 1px 0;font-weight:400;white-space:nowrap"
_NAME = "text-align:left;padding:1px 12px 1px 0;font-weight:600"


def going_html(said: str, part: float | None, curves: Curves, name: str) -> Markup:
    """Show the line of the progress, a bar while the fit goes on, and the epochs so far."""
    bar = None
    if part is not None:
        bar = join([tag("progress", value=f"{part:.4f}", max="1", aria_label="progress of the fit"), " "])
    line = tag("div", bar, tag("span", said))
    if not curves.epochs:
        return line
    values = {name: _thinned(curve) for name, curve in curves.values.items() if name != "learning_rate"}
    charts = loss_charts(values)[:CHARTS]
    drawn = tag("div", *charts, style="display:flex;flex-wrap:wrap;gap:0 12px")
    owners = tag("div", _owners_html(curves, name))
    return tag("div", line, tag("div", drawn, owners, style="display:flex;flex-wrap:wrap;gap:4px 24px"), style=_ACCENT)


def _owners_html(curves: Curves, name: str) -> Markup | None:
    if not curves.owners and not curves.untouched:
        return None
    rows = [
        tag(
            "tr",
            tag("th", breakable(owner), scope="row", style=_NAME),
            *(
                cell
                for series in (curve.gradient, curve.update)
                for cell in (
                    tag("td", sparkline(_thinned(series)), style=_CELL),
                    tag("td", _ends(series), style=_CELL),
                )
            ),
        )
        for owner, curve in list(curves.owners.items())[:MOST]
    ]
    head = tag(
        "tr",
        tag("th", "Owner", scope="col", style=_CELL),
        tag("th", "Gradient norm, first → last epoch", scope="colgroup", colspan="2", style=_CELL),
        tag("th", "Update / weight, first → last epoch", scope="colgroup", colspan="2", style=_CELL),
    )
    caption = tag("caption", "What the fit does to each owner’s variables", style="text-align:left;font-weight:600")
    shown = tag(
        "table",
        caption,
        tag("thead", head),
        tag("tbody", *rows),
        style="border-collapse:collapse;margin:4px 0;color:inherit;font:inherit",
    )
    return join([shown if rows else None, *(tag("div", line) for line in _rest(curves, name))])


def going_text(curves: Curves, name: str, *, width: int = 100) -> Iterator[str]:
    """Yield lines that draw the epochs so far with letters, at most ``width`` wide where names allow it."""
    if not curves.epochs:
        return
    values = {name: curve for name, curve in curves.values.items() if name != "learning_rate"}
    owners = list(curves.owners.items())[:MOST]
    wide = max(len(in_a_line(each)) for each in (*values, *(owner for owner, _ in owners)))
    # two curves a line: each with its two numbers (about 20 letters) and its name (15)
    points = max(8, min(24, (width - wide - 72) // 2))
    for value, curve in values.items():
        yield f"{in_a_line(value):<{wide}}  {_letters(curve, points)}  {_ends(curve)}"
    drawn = [(owner, *(f"{_letters(c, points)} {_ends(c)}" for c in (of.gradient, of.update))) for owner, of in owners]
    across = max((len(gradient) for _, gradient, _ in drawn), default=0)
    for owner, gradient, update in drawn:
        yield f"{in_a_line(owner):<{wide}}  gradient {gradient:<{across}}  update / weight {update}"
    yield from map(in_a_line, _rest(curves, name))


def epoch_text(curves: Curves, epoch: int) -> str:
    """Say in a line what an epoch, counted from 0, did to each owner; the empty string if nothing is trained."""
    parts = [f"{in_a_line(owner)} {number_text(curve.update[epoch])}" for owner, curve in curves.owners.items()]
    return f"update / weight: {abridged(parts, most=MOST)}" if parts else ""


def _rest(curves: Curves, name: str) -> Iterator[str]:
    """Say which owners are not drawn."""
    if len(curves.owners) > MOST:
        yield f"{len(curves.owners) - MOST} more owners: %seq2seq inspect {name} --training"
    if curves.untouched:
        yield f"Not trained by this fit: {abridged(list(curves.untouched), most=MOST)}."


def _ends(curve: Curve) -> str:
    """Write the first and the last number of a curve."""
    known = [number for number in curve if number is not None]
    if not known:
        return "–"
    return number_text(known[0]) if len(known) == 1 else f"{number_text(known[0])} → {number_text(known[-1])}"


def _letters(curve: Curve, points: int) -> str:
    """Draw a curve with blocks on a logarithmic scale; a dot where there is nothing to draw."""
    drawn = _thinned(curve, points)
    known = [math.log(number) for number in drawn if number is not None and math.isfinite(number) and number > 0]
    low, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    letters = []
    for number in drawn:
        if number is None or not math.isfinite(number) or number <= 0:
            letters.append("·")
            continue
        height = (math.log(number) - low) / span if span else 0.5
        letters.append(_BLOCKS[min(int(height * len(_BLOCKS)), len(_BLOCKS) - 1)])
    return "".join(letters)


def _thinned(curve: Curve, points: int = POINTS) -> Sequence[float | None]:
    """Return about ``points`` of a curve's numbers, evenly spaced, with the first and the last."""
    if len(curve) <= points:
        return curve
    return [curve[round(place * (len(curve) - 1) / (points - 1))] for place in range(points)]
