"""The shapes that the wiring is drawn with, as SVG elements.

Colours are the page's own: everything is drawn in ``currentColor``, except for one accent in the theme's brand colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s2s_magic.view.escaping import escape
from s2s_magic.view.wiring.diagram import MOST_INNER, Inner, Link, Node
from s2s_magic.view.wiring.placement import HEAD, INNER, Box, Point

ACCENT, HALO = "var(--a)", "var(--h)"
COLOURS = (
    "--a:var(--s2s-accent,var(--jp-brand-color1,#1565c0));"
    "--h:var(--s2s-background,var(--jp-layout-color0,var(--vscode-editor-background,Canvas)))"
)
"""The style of a drawing: its one accent, and the colour behind it, under short names."""
PLAIN = 'fill="currentColor"'
SMALL = 'fill="currentColor" fill-opacity="0.8" font-size="11"'
BOLD = 'fill="currentColor" font-weight="700"'
BEHIND = f'paint-order="stroke" stroke="{HALO}" stroke-width="4" stroke-linejoin="round"'
"""An outline in the page's colour, so that text stays legible on top of wires."""


@dataclass(frozen=True)
class Moment:
    """What to show of the graph: events up to ``after``, with ``focus`` highlighted (-1 for none)."""

    after: int
    focus: int

    def has(self, event: int) -> bool:
        """Return whether an event has happened."""
        return event <= self.after


def px(length: float) -> str:
    """Write a length in pixels, to a tenth of one."""
    return f"{round(length, 1):g}"


def text(x: float, y: float, words: str, style: str = PLAIN) -> str:
    """Return a text element with escaped words."""
    return f'<text x="{px(x)}" y="{px(y)}" {style}>{escape(words)}</text>'


def path(steps: str, style: str) -> str:
    """Return a path element."""
    return f'<path d="{steps}" {style}/>'


def rect(x: float, y: float, width: float, height: float, radius: float, style: str) -> str:
    """Return a rectangle with round corners."""
    return f'<rect x="{px(x)}" y="{px(y)}" width="{px(width)}" height="{px(height)}" rx="{radius:g}" {style}/>'


def group(title: str, body: str, style: str = "", mark: str = "") -> str:
    """Group elements under a title, which is escaped; ``mark`` connects them with other parts of a page."""
    return f"<g{marked_by(mark)}{' ' if style else ''}{style}><title>{escape(title)}</title>{body}</g>"


def marked_by(mark: str) -> str:
    """Return the attribute that connects an element with other parts of a page."""
    return f' data-is="{mark}"' if mark else ""


def pen(in_focus: bool, *, width: float, focused: float, faint: float) -> str:
    """Return the style of a line: in focus it has the accent colour and is heavier."""
    colour, width, opacity = (ACCENT, focused, 1.0) if in_focus else ("currentColor", width, faint)
    return f'stroke="{colour}" stroke-width="{width:g}" stroke-opacity="{opacity:g}"'


def fit(words: str, width: float, letter: float = 6.6) -> str:
    """Cut words to a width in pixels; the title beside them has the whole text."""
    most = max(3, int(width / letter))
    return words if len(words) <= most else words[: most - 1] + "…"


def badge(box: Box, words: str) -> str:
    """Put a label on a box's upper edge."""
    plate = rect(box.x - 6, box.y - 13, 12 + 6.2 * len(words), 16, 3, f'fill="{ACCENT}"')
    return plate + text(box.x, box.y - 1, words, f'fill="{HALO}" font-size="10.5" font-weight="700"')


# -- wires -----------------------------------------------------------------------------------------------------------


def wire(link: Link, route: tuple[Point, ...], moment: Moment) -> str:
    """Draw the tensors of a link: up to three as one line each."""
    tensors = [tensor for event, tensor in link.tensors if moment.has(event)]
    in_focus = any(event == moment.focus for event, _ in link.tensors)
    shifts = {1: (0.0,), 2: (-2.5, 2.5), 3: (-4.0, 0.0, 4.0)}.get(len(tensors), (0.0,))
    lines = path("".join(_curve(route, shift) for shift in shifts), "")
    x, y = route[-1]
    head = f"M{px(x)} {px(y)}{'l8 -4v8z' if is_sideways(route) else 'l-4.5 -8h9z'}"
    colour = ACCENT if in_focus else "currentColor"
    kinds = dict.fromkeys(f"{t.name or 'unnamed'} {_shape(t.shape)} {t.dtype}" for t in tensors)
    body = lines + path(head, f'fill="{colour}" stroke-width="0.5"')
    return group(link.title or ", ".join(kinds), body, pen(in_focus, width=1.3, focused=2.6, faint=0.7), link.mark)


def gradients(routes: Sequence[tuple[Point, ...]]) -> str:
    """Draw the gradient's paths back beside wires: dashed, and pointing the other way."""
    lines = "".join(_curve(route, 9) for route in routes)
    heads = []
    for route in routes:
        x, y = route[0]
        heads.append(arrow_back(x, y, up=False) if is_sideways(route) else arrow_back(x + 9, y, up=True))
    dashed = path(lines, f'stroke="{ACCENT}" stroke-width="1.5" stroke-dasharray="4 3"')
    return group("the gradient’s way back", dashed + path("".join(heads), f'fill="{ACCENT}"'))


def arrow_back(x: float, y: float, *, up: bool) -> str:
    """Return the steps that draw the head of a gradient's arrow."""
    return f"M{px(x)} {px(y)}{'l-4 8h8z' if up else 'l8 -4v8z'}"


def _curve(route: tuple[Point, ...], shift: float) -> str:
    """Return the path of a route: straight down through rows, curved between them."""
    (x, y), *rest = route
    steps = [f"M{px(x + shift)} {px(y)}"]
    sideways = is_sideways(route)
    for to_x, to_y in rest:
        if sideways or x == to_x:
            steps.append(f"L{px(to_x + shift)} {px(to_y)}")
        else:
            middle = (y + to_y) / 2
            steps.append(f"C{px(x + shift)} {px(middle)} {px(to_x + shift)} {px(middle)} {px(to_x + shift)} {px(to_y)}")
        x, y = to_x, to_y
    return "".join(steps)


def is_sideways(route: tuple[Point, ...]) -> bool:
    """Return whether a wire leaves its box at the side."""
    return route[0][1] == route[1][1]


def _shape(shape: tuple[int | None, ...] | None) -> str:
    return "(unknown)" if shape is None else "(" + ", ".join("–" if n is None else str(n) for n in shape) + ")"


def tensor_names(link: Link, moment: Moment) -> str:
    """Return the names of a link's tensors, at most two."""
    names = list(dict.fromkeys(t.name for event, t in link.tensors if t.name and moment.has(event)))
    return ", ".join(names[:2]) + (" …" if len(names) > 2 else "")


# -- nodes -----------------------------------------------------------------------------------------------------------


def to_come(box: Box) -> str:
    """Mark the place of a node that does not exist yet, so that the graph does not jump while it grows."""
    dots = 'stroke="currentColor" stroke-opacity="0.25" stroke-dasharray="1 4" stroke-linecap="round"'
    return rect(box.x, box.y, box.width, box.height, 6, dots)


def node(node: Node, box: Box, moment: Moment) -> str:
    """Draw a box with what it holds; a layer not called yet has a dashed frame."""
    parts = []
    if moment.has(node.made):
        parts.append(_frame(node, box, moment))
        parts.append(_pill(node, box) if box.height < HEAD else _heading(node, box, moment))
    for at, inner in enumerate(node.drawn):
        if moment.has(inner.born):
            parts.append(_inner(inner, box, box.y + HEAD + at * INNER, moment))
    if len(node.inner) > MOST_INNER:
        parts.append(text(box.x + 21, box.y + HEAD + MOST_INNER * INNER + 15, _more(node), SMALL))
    return group(_said(node, moment), "".join(parts), mark=node.mark)


def _more(node: Node) -> str:
    return f"and {len(node.inner) - MOST_INNER} more"


def _said(node: Node, moment: Moment) -> str:
    calls = sum(map(moment.has, node.calls))
    called = f"called {calls} times" if calls > 1 else ""
    own, params = node.owned_after(moment.after), node.params_after(moment.after)
    parts = [f"owns {own:,} parameters"] if own else []
    parts += [f"holds {params - own:,} {'more' if own else 'parameters'}"] if params > own else []
    owned = " and ".join(parts) or "owns no variables"
    return ", ".join(filter(None, [f"{node.label}: {node.class_name}", node.part, called, owned]))


def _frame(node: Node, box: Box, moment: Moment) -> str:
    style = (
        f'fill="currentColor" fill-opacity="0.04" {pen(moment.focus in node.events, width=1.2, focused=3, faint=0.6)}'
    )
    if node.kind in ("layer", "block") and not any(map(moment.has, node.calls)):
        style += ' stroke-dasharray="5 4"'
    shape = rect(box.x, box.y, box.width, box.height, box.height / 2 if box.height < HEAD else 6, style)
    if node.kind == "block":
        behind = f"M{px(box.x + 6)} {px(box.y - 4)}H{px(box.x + box.width + 4)}V{px(box.bottom - 6)}"
        shape = path(behind, 'stroke="currentColor" stroke-opacity="0.6" stroke-width="1.2"') + shape
    if node.trainable and node.params_after(moment.after):
        shape += rect(box.x + 4, box.y + 11, 4, box.height - 20, 0, f'fill="{ACCENT}"')
    return shape


def _pill(node: Node, box: Box) -> str:
    if node.kind == "operation":
        return text(box.middle, box.y + 17, fit(node.label, box.width - 16), f'{PLAIN} text-anchor="middle"')
    name = text(box.x + 12, box.y + 17, fit(node.label, box.width - 60, 7.6), BOLD)
    return name + text(box.x + box.width - 12, box.y + 17, node.kind, f'{SMALL} text-anchor="end"')


def _heading(node: Node, box: Box, moment: Moment) -> str:
    calls = sum(map(moment.has, node.calls))
    times = f"×{calls}" if calls > 1 and node.kind != "block" else ""
    params = node.params_after(moment.after)
    owned = f"{params:,}" if params else "owns nothing" if calls else "nothing yet"
    if params and not node.owned_after(moment.after):
        owned = f"holds {owned}"
    if params and not node.trainable:
        owned += " frozen"
    kind = fit(node.class_name, box.width - 30 - 6.2 * len(owned), 6.2)
    lines = text(box.x + 15, box.y + 21, fit(node.label, box.width - 28 - 8 * len(times), 7.6), BOLD)
    if times:
        lines += text(box.x + box.width - 10, box.y + 21, times, f'{BOLD} text-anchor="end"')
    return lines + text(box.x + 15, box.y + 37, f"{kind} · {owned}", SMALL)


def _inner(inner: Inner, box: Box, y: float, moment: Moment) -> str:
    style = f'{PLAIN} fill-opacity="0.05" {pen(inner.born == moment.focus, width=1, focused=2.4, faint=0.45)}'
    words = f"{inner.params:,}" if inner.params and moment.has(inner.owns_from) else ""
    body = rect(box.x + 14, y, box.width - 23, INNER - 5, 4, style)
    body += text(box.x + 21, y + 15, fit(inner.label, box.width - 42 - 6.2 * len(words)), f'{PLAIN} font-size="11.5"')
    if words:
        body += text(box.x + box.width - 16, y + 15, words, f'{PLAIN} font-size="11" text-anchor="end"')
    said = filter(None, [f"{inner.label}: {inner.class_name}", inner.part, f"{inner.params:,} parameters of its own"])
    return group(", ".join(said), body, mark=inner.mark)
