"""Draw what attention looked at: an SVG that needs no script, lines of text, and a Matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from s2s_magic.view.escaping import escape, in_a_line

if TYPE_CHECKING:
    from s2s_magic.decoded import Alignment

SIDE = 22
"""The side of a square, in pixels."""
LETTER = 8
"""The room of a letter, in pixels; a wide one takes two."""
SHADES = " ░▒▓█"


def alignment_svg(shown: Alignment) -> str:
    """Draw a heat map: a column for each token of the source, a row for each of the output, dark where it looked."""
    left = 12 + LETTER * max((drawn_width(token) for token in shown.target), default=0)
    longest = max((drawn_width(token) for token in shown.source), default=0)
    flat = LETTER * longest <= SIDE  # tokens of a letter or two stand upright
    top = 24 if flat else 12 + LETTER * longest
    wide, high = left + SIDE * len(shown.source) + 4, top + SIDE * len(shown.target) + 4
    parts = []
    for place, token in enumerate(shown.source):
        across, up = left + SIDE * place + SIDE / 2, top - 6
        how = 'text-anchor="middle"' if flat else f'transform="rotate(-90 {across + 4} {up})"'
        parts.append(f'<text x="{across if flat else across + 4}" y="{up}" {how}>{escape(drawn(token))}</text>')
    for place, token in enumerate(shown.target):
        y = top + SIDE * place + SIDE / 2 + 4
        parts.append(f'<text x="{left - 6}" y="{y}" text-anchor="end">{escape(drawn(token))}</text>')
    for row, (token, weights) in enumerate(zip(shown.target, shown.weights, strict=True)):
        for column, (read, weight) in enumerate(zip(shown.source, weights, strict=True)):
            told = escape(f"{drawn(token)} looks at {drawn(read)}: {weight:.2f}")
            parts.append(
                f'<rect x="{left + SIDE * column}" y="{top + SIDE * row}" width="{SIDE}" height="{SIDE}" '
                f'fill="currentColor" fill-opacity="{weight:.3f}" stroke="currentColor" stroke-opacity="0.25">'
                f"<title>{told}</title></rect>"
            )
    title = escape(f"What {shown.layer} looked at")
    described = escape(" ".join(alignment_sentences(shown)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}" font-family="monospace" font-size="13" fill="currentColor">'
        f"<title>{title}</title><desc>{described}</desc>{''.join(parts)}</svg>"
    )


def alignment_sentences(shown: Alignment) -> list[str]:
    """Say for each token of the output which token of the source weighed most."""
    said = []
    for token, weights in zip(shown.target, shown.weights, strict=True):
        most = max(range(len(weights)), key=weights.__getitem__, default=None)
        if most is not None:
            said.append(f"{drawn(token)} looks most at {drawn(shown.source[most])} ({weights[most]:.2f}).")
    return said


def alignment_text(shown: Alignment) -> str:
    """Draw the heat map with letters: a line for each token of the output."""
    wide = max((drawn_width(token) for token in shown.target), default=0)
    lines = [f"what {shown.layer} looked at, in {' '.join(map(drawn, shown.source))}:"]
    for token, weights in zip(shown.target, shown.weights, strict=True):
        cells = "".join(SHADES[min(int(weight * len(SHADES)), len(SHADES) - 1)] * 2 for weight in weights)
        lines.append(f"{drawn(token)}{' ' * (wide - drawn_width(token))}  |{cells}|")
    return "\n".join(lines)


def alignment_figure(shown: Alignment) -> Any:
    """Draw the heat map with Matplotlib; return the figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 0.3 * len(shown.source), 1.2 + 0.3 * len(shown.target)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shown.weights, cmap="Greys", vmin=0.0, vmax=1.0, aspect="equal")
    axes.set_xticks(range(len(shown.source)), [drawn(token) for token in shown.source], rotation=90)
    axes.set_yticks(range(len(shown.target)), [drawn(token) for token in shown.target])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("source")
    axes.set_ylabel("output")
    figure.colorbar(picture, ax=axes, label=f"weight in {shown.layer}")
    return figure


def drawn(token: str) -> str:
    """Return a token as it is drawn, on one line; a blank one is visible."""
    return in_a_line(token) if token.strip() else "␣"


def drawn_width(token: str) -> int:
    """Return how many letters wide a token is drawn; a wide letter counts twice."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in drawn(token))
