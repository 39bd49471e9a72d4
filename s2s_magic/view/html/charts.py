"""Draw curves over the epochs of all fits, as small multiples in SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from s2s_magic.ledger import Evidence
from s2s_magic.ledger.words import number_text
from s2s_magic.view.escaping import escape
from s2s_magic.view.html.markup import Markup, tag
from s2s_magic.view.report import Report
from s2s_magic.view.wiring.shapes import px

Curve = Sequence[float | None]
WIDTH, HEIGHT = 244, 120
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 24, 24
_DASHES = ("", "5 3", "1.5 3", "8 3 1.5 3", "3 2")
_MEASURES = (
    ("gradient_norm", "gradient norm"),
    ("update_ratio", "update / weight"),
    ("distance", "distance from start"),
)


def chart(title: str, curves: Mapping[str, Curve], *, logarithmic: bool = True, legend: bool = True) -> Markup:
    """Draw curves over the epochs in one accent colour, distinguished by dashes and by names in the legend.

    ``curves`` has one number per epoch for each name; None and, on a logarithmic axis, non-positive numbers are left
    out. A single curve has no legend.
    """
    known = [
        number
        for curve in curves.values()
        for number in curve
        if number is not None and math.isfinite(number) and (number > 0 or not logarithmic)
    ]
    epochs = max((len(curve) for curve in curves.values()), default=0)
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    said = f"{title} over {epochs} epochs: " + "; ".join(_said(name, curve) for name, curve in curves.items())
    legend = legend and len(curves) > 1
    height = HEIGHT + (14 * len(curves) if legend else 0)
    axes, words = _axes(low, high, epochs, logarithmic, empty=not known)
    words.insert(0, _words(LEFT, 14, title, ' font-weight="600"'))
    lines, dots = [], []
    for number, (name, curve) in enumerate(curves.items()):
        dashes = _DASHES[number % len(_DASHES)]
        path, end = _run(curve, low, high, epochs, logarithmic)
        if path:
            lines.append(_path(path, dashes))
            dots.append(_dot(*end, 2.5))
        if legend:
            y = HEIGHT + 14 * number + 6
            lines.append(_path(f"M{LEFT} {y}h26", dashes))
            words.append(_words(LEFT + 32, y + 4, name))
    return Markup(
        f'<svg class="s2s-chart" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" fill="none" style="max-width:100%;height:auto;font-size:11px">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>{axes}"
        f'<g fill="currentColor">{"".join(words)}</g>{_drawn(lines, dots)}</svg>'
    )


def _said(name: str, curve: Curve) -> str:
    known = [number for number in curve if number is not None]
    return f"{name} from {number_text(known[0])} to {number_text(known[-1])}" if known else f"{name} has no numbers"


def _place(number: float, low: float, high: float, logarithmic: bool) -> float:
    """Return the vertical position of a number, in pixels from the top."""
    if logarithmic:
        number, low, high = math.log10(number), math.log10(low), math.log10(high)
    share = (number - low) / (high - low) if high > low else 0.5
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _column(epoch: int, epochs: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (epoch / (epochs - 1) if epochs > 1 else 0.5)


def _run(curve: Curve, low: float, high: float, epochs: int, logarithmic: bool) -> tuple[str, tuple[float, float]]:
    """Return a curve's path, empty if no number of it can be drawn, and where it ends."""
    path, pen = "", "M"
    x, y = 0.0, 0.0
    for epoch, number in enumerate(curve):
        if number is None or not math.isfinite(number) or (logarithmic and number <= 0):
            pen = "M"
            continue
        x, y = _column(epoch, epochs), _place(number, low, high, logarithmic)
        path += f"{pen}{px(x)} {px(y)}"
        pen = "L"
    return path, (x, y)


def _drawn(lines: Sequence[str], dots: Sequence[str] = ()) -> str:
    """Put lines into a group that gives them their colour, with the dots after them."""
    if not lines:
        return ""
    group = '<g stroke="var(--s2s-accent)" stroke-width="1.8" stroke-linejoin="round">'
    return f"{group}{''.join(lines)}</g>{''.join(dots)}"


def _path(path: str, dashes: str) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{path}"{dashed}/>'


def _dot(x: float, y: float, radius: float) -> str:
    return f'<circle cx="{px(x)}" cy="{px(y)}" r="{radius:g}" fill="var(--s2s-accent)"/>'


def _words(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{px(x)}" y="{px(y)}"{more}>{escape(words)}</text>'


def _axes(low: float, high: float, epochs: int, logarithmic: bool, *, empty: bool) -> tuple[str, list[str]]:
    """Draw the axes; return them, and the words that stand at them."""
    floor = HEIGHT - BOTTOM
    ends = {} if empty else {number: _place(number, low, high, logarithmic) for number in (low, high)}
    ticks = "".join(f"M{LEFT - 4} {px(y)}h4" for y in ends.values())
    axes = f'<path d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}{ticks}" stroke="currentColor" stroke-opacity="0.4"/>'
    words = [_words(LEFT, HEIGHT - 8, "epoch 1")]
    if epochs > 1:
        words.append(_words(WIDTH - RIGHT, HEIGHT - 8, str(epochs), ' text-anchor="end"'))
    if empty:
        return axes, [*words, _words(LEFT + 8, (TOP + floor) / 2 + 4, "zero all along")]
    digits = next((digits for digits in range(2, 6) if f"{low:.{digits}g}" != f"{high:.{digits}g}"), 6)
    padded = "#" if digits > 2 and low < high else ""  # 4.600 below 4.605
    for number, y in ends.items():
        words.append(_words(LEFT - 7, y + 4, f"{number:{padded}.{digits}g}".rstrip("."), ' text-anchor="end"'))
    if logarithmic and high > low:
        words.append(_words(LEFT - 7, (TOP + floor) / 2 + 4, "log", ' text-anchor="end" fill-opacity="0.75"'))
    return axes, words


def loss_charts(history: Mapping[str, Curve]) -> list[Markup]:
    """Draw the loss and each metric, with its counterpart on the validation data."""
    names = [name for name in history if not name.startswith("val_")]
    return [
        chart(
            name,
            {twin: history[twin] for twin in (name, f"val_{name}") if twin in history},
            logarithmic="loss" in name,
        )
        for name in names
    ]


def sparkline(curve: Curve) -> Markup:
    """Draw a curve alone, on a logarithmic scale, small enough for a line of text; the numbers stand beside it."""
    known = [number for number in curve if number is not None and math.isfinite(number) and number > 0]
    low, high = (math.log(min(known)), math.log(max(known))) if known else (0.0, 0.0)
    path, pen = "", "M"
    x, y = 0.0, 0.0
    for epoch, number in enumerate(curve):
        if number is None or not math.isfinite(number) or number <= 0:
            pen = "M"
            continue
        x = 3 + 84 * (epoch / (len(curve) - 1) if len(curve) > 1 else 1.0)
        y = 15 - 12 * ((math.log(number) - low) / (high - low) if high > low else 0.5)
        path += f"{pen}{x:.1f} {y:.1f}"
        pen = "L"
    drawn = _drawn([_path(path, "")], [_dot(x, y, 2)]) if path else ""
    return Markup(f'<svg width="90" height="18" viewBox="0 0 90 18" fill="none" aria-hidden="true">{drawn}</svg>')


def owner_charts(report: Report, evidence: Evidence) -> Iterator[tuple[str, list[str], list[Markup]]]:
    """Yield for each owner its name, its variables' names, and charts of gradient norm, update ratio and distance."""
    owned: dict[str, dict[str, str]] = {}
    for key, seen in evidence.variables.items():
        if key in report.variables and seen.distance:
            owned.setdefault(report.variables[key].owner_name, {})[report.variables[key].name] = key
    for owner, variables in owned.items():
        charts = [
            chart(
                said, {name: getattr(evidence.variables[key], measure) for name, key in variables.items()}, legend=False
            )
            for measure, said in _MEASURES
        ]
        yield owner, list(variables), charts


def key_html(names: Sequence[str]) -> Markup:
    """Show which dashes belong to which curve."""
    return tag(
        "ul",
        *(tag("li", Markup(_sample(_DASHES[number % len(_DASHES)])), name) for number, name in enumerate(names)),
        class_="s2s-small",
    )


def _sample(dashes: str) -> str:
    return f'<svg width="26" height="8" aria-hidden="true">{_drawn([_path("M0 4h26", dashes)])}</svg>'
