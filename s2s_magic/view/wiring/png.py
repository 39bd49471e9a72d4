"""Save the wiring as a PNG: the same drawing as from `to_svg`, painted by matplotlib."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any
from xml.etree import ElementTree

from s2s_magic.ledger import Ledger
from s2s_magic.undoing import without_warnings
from s2s_magic.view.wiring.drawing import to_svg
from s2s_magic.view.wiring.shapes import ACCENT, HALO

_COLOURS = {"currentColor": "#1f2328", ACCENT: "#1565c0", HALO: "#ffffff"}
_INHERITED = ("stroke", "stroke-width", "stroke-opacity", "fill")
_POINTS_PER_PIXEL = 0.75

Attributes = dict[str, str]


def to_png(
    ledger: Ledger, file: Any, *, after: int | None = None, focus: int | None = None, dots_per_pixel: float = 2.0
) -> None:
    """Paint the wiring of a ledger, dark on white.

    Parameters
    ----------
    ledger
        The records.
    file
        A path or a binary buffer.
    after, focus
        As for `s2s_magic.view.wiring.drawing.to_svg`.
    dots_per_pixel
        Resolution: 2 is sharp on a high-density screen.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = ElementTree.fromstring(to_svg(ledger, after=after, focus=focus))
    width, height = float(drawing.get("width", 1)), float(drawing.get("height", 1))
    figure = Figure(figsize=(width / 100, height / 100), dpi=100 * dots_per_pixel, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for number, (element, style) in enumerate(_drawn(drawing, {"fill": "none", "stroke": "none"})):
        _PAINTERS[element.tag.rpartition("}")[2]](axes, element, style, number)
    buffer: IO[bytes] | str = file
    mark = {"Software": "s2s_magic"}
    # a letter missing from the font is drawn as a box, each with a warning
    without_warnings(UserWarning, canvas.print_png, buffer, metadata=mark)


def _drawn(element: ElementTree.Element, outer: Attributes) -> Iterator[tuple[ElementTree.Element, Attributes]]:
    """Yield every shape and text with its effective style, in drawing order."""
    style = {key: value for key, value in outer.items() if key in _INHERITED} | element.attrib
    if element.tag.rpartition("}")[2] in _PAINTERS:
        yield element, style
    for child in element:
        yield from _drawn(child, style)


def _colour(style: Attributes, part: str) -> Any:
    value = style.get(part, "none")
    if value == "none":
        return "none"
    return _COLOURS[value], float(style.get(f"{part}-opacity", 1))


def _stroke(style: Attributes) -> dict[str, Any]:
    width = float(style.get("stroke-width", 1))
    dashes = [float(n) / width for n in style.get("stroke-dasharray", "").split()]
    return {
        "facecolor": _colour(style, "fill"),
        "edgecolor": _colour(style, "stroke"),
        "linewidth": width * _POINTS_PER_PIXEL,
        "linestyle": (0, tuple(dashes)) if dashes else "solid",
    }


def _rect(axes: Any, element: ElementTree.Element, style: Attributes, order: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = (float(element.get(key, 0)) for key in ("x", "y", "width", "height"))
    rounded = f"round,pad=0,rounding_size={float(element.get('rx', 0)) or 0.01}"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=rounded, zorder=order, **_stroke(style)))


def _path(axes: Any, element: ElementTree.Element, style: Attributes, order: int) -> None:
    from matplotlib.patches import PathPatch

    axes.add_patch(PathPatch(_read_path(element.get("d", "")), zorder=order, **_stroke(style)))


def _read_path(text: str) -> Any:
    """Parse the path commands used in the wiring: M L H V C absolute, l h v relative, and z."""
    from matplotlib.path import Path

    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    x = y = 0.0
    for command, words in re.findall(r"([MLHVClhvz])([^A-Za-z]*)", text):
        numbers = [float(word) for word in re.findall(r"-?[\d.]+", words)]
        if command == "z":
            points.append(points[0])
            codes.append(Path.CLOSEPOLY)
            continue
        if command == "C":
            points.extend(zip(numbers[::2], numbers[1::2], strict=True))
            codes.extend([Path.CURVE4] * 3)
            x, y = points[-1]
            continue
        relative = command.islower()
        across = numbers[0] if command in "MLHlh" else (0.0 if relative else x)
        down = numbers[-1] if command in "MLVlv" else (0.0 if relative else y)
        x, y = (x + across, y + down) if relative else (across, down)
        points.append((x, y))
        codes.append(Path.MOVETO if command == "M" else Path.LINETO)
    return Path(points, codes)


def _text(axes: Any, element: ElementTree.Element, style: Attributes, order: int) -> None:
    from matplotlib.patheffects import withStroke

    text = axes.text(
        float(element.get("x", 0)),
        float(element.get("y", 0)),
        element.text or "",
        fontsize=float(style.get("font-size", 12)) * _POINTS_PER_PIXEL,
        fontweight="bold" if int(style.get("font-weight", 400)) >= 600 else "normal",
        ha={"middle": "center", "end": "right"}.get(style.get("text-anchor", ""), "left"),
        va="baseline",
        color=_colour(style, "fill"),
        zorder=order,
        parse_math=False,
    )
    if "paint-order" in style:
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])


_PAINTERS = {"rect": _rect, "path": _path, "text": _text}
