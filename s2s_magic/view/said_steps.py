"""Show how an output was said: a table of its steps, the beam as a tree in SVG, and the same as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2s_magic.view.escaping import escape
from s2s_magic.view.heat_map import LETTER, alignment_svg, alignment_text, drawn, drawn_width
from s2s_magic.view.html.markup import Markup, join, tag

if TYPE_CHECKING:
    from s2s_magic.told import Branch, Told, ToldDecoding

HIGH = 30
"""The room of a hypothesis in the tree, in pixels."""
DIM = 0.35
"""The opacity of a branch that was cut."""
BAR = 60
"""The length of a bar for a probability of 1, in pixels."""


_WHOLE = "white-space:nowrap;display:inline-block"


def told_html(shown: ToldDecoding) -> str:
    """Return the parts side by side."""
    parts = [tag("div", *_part(part), style="flex:1 1 20em;min-width:0;overflow-x:auto") for part in shown.parts]
    return str(tag("div", *parts, style="display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start"))


def _part(told: Told) -> list[Markup]:
    pieces = [tag("p", tag("b", " ".join(map(drawn, told.source)) or "nothing"), f" becomes {_said(told)}")]
    if told.note:
        pieces.append(tag("p", told.note))
    pieces.append(_table(told))
    if told.compared:
        pieces.append(_neighbours(told))
    if told.tree:
        caption = tag("figcaption", "The beam: a column for each step, the best above; cut branches are pale.")
        pieces.append(tag("figure", Markup(tree_svg(told.tree)), caption, style="margin:8px"))
    for one in told.alignments:
        caption = tag("figcaption", f"What {one.layer} looked at: rows are the output, columns the source.")
        pieces.append(tag("figure", Markup(alignment_svg(one)), caption, style="margin:8px"))
    return pieces


def _said(told: Told) -> str:
    return " ".join(drawn(step.token) for step in told.steps)


def _table(told: Told) -> Markup:
    left = "text-align:left;padding-right:0.8em"
    heads = [tag("th", name, scope="col", style=left) for name in ("step", "said", "probability", "most probable")]
    rows = []
    for number, step in enumerate(told.steps, 1):
        bar = tag(
            "span",
            style=f"display:inline-block;height:0.7em;width:{max(BAR * step.probability, 1):.0f}px;"
            "background:currentColor;opacity:0.6;margin-right:0.5em",
        )
        chances = [f"{drawn(token)} {_percent(chance)}" for token, chance in step.likely]
        likely = join([tag("span", one, style=f"{_WHOLE};margin-right:0.8em") for one in chances])
        cells = [drawn(step.token), tag("span", bar, _percent(step.probability), style=_WHOLE), likely]
        rows.append(tag("tr", tag("th", number, scope="row"), *(tag("td", cell, style=left) for cell in cells)))
    caption = tag("caption", f"What {told.name} said, step by step", style="white-space:nowrap")
    return tag("table", caption, tag("thead", tag("tr", *heads)), tag("tbody", *rows))


def _neighbours(told: Told) -> Markup:
    """Return a table of the training pairs nearest to each step, with the position marked at which they are."""
    left = "text-align:left;padding-right:0.8em;vertical-align:top"
    heads = [tag("th", name, scope="col", style=left) for name in ("step", "said", "distance", "training pair")]
    rows = []
    for number, step in enumerate(told.steps, 1):
        for place, each in enumerate(step.nearest):
            tokens = [drawn(token) for token in each.target]
            target = [tag("mark", token) if at == each.position else token for at, token in enumerate(tokens)]
            pair = [f"row {each.row}: {' '.join(map(drawn, each.source))} → ", *_spaced(target)]
            head = [tag("th", number, scope="row", rowspan=len(step.nearest), style=left)] if not place else []
            said = [tag("td", drawn(step.token), rowspan=len(step.nearest), style=left)] if not place else []
            cells = [tag("td", f"{each.distance:.3f}", style=left), tag("td", *pair, style="text-align:left")]
            rows.append(tag("tr", *head, *said, *cells))
    caption = tag("caption", f"Training pairs in a like state: {told.compared}", style="text-align:left")
    return tag("table", caption, tag("thead", tag("tr", *heads)), tag("tbody", *rows), style="margin-top:0.8em")


def _spaced(pieces: list[Markup | str]) -> list[Markup | str]:
    return [part for piece in pieces for part in (piece, " ")][:-1]


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %" if probability >= 0.0005 or probability == 0 else "< 0.1 %"


def tree_svg(tree: tuple[tuple[Branch, ...], ...]) -> str:
    """Draw the hypotheses of a beam: a column for each step, a line from each to what it continues."""
    widest = max(drawn_width(branch.token) for level in tree for branch in level)
    column = LETTER * max(widest, 6) + 40
    wide, high = column * len(tree), HIGH * max(map(len, tree)) + 8
    lines, texts = [], []
    for step, level in enumerate(tree):
        for place, branch in enumerate(level):
            x, y, dim = column * step + 30, HIGH * place + 14, 1 if branch.kept else DIM
            if branch.parent is not None:
                above = HIGH * branch.parent + 14
                lines.append(
                    f'<line x1="{x - 44}" y1="{above}" x2="{x - 6}" y2="{y}" stroke="currentColor" '
                    f'stroke-opacity="{dim}"/>'
                )
            said = "leads to an output" if branch.kept else "was cut"
            title = f"step {step + 1}, {drawn(branch.token)}: score {branch.score:.3f}; {said}"
            texts.append(
                f'<g opacity="{dim}"><title>{escape(title)}</title>'
                f'<text x="{x}" y="{y + 2}">{escape(drawn(branch.token))}</text>'
                f'<text x="{x}" y="{y + 14}" font-size="10">{branch.score:.2f}</text></g>'
            )
    described = escape(". ".join(tree_lines(tree)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}" font-family="monospace" font-size="13" fill="currentColor">'
        f"<title>The hypotheses of the beam</title><desc>{described}</desc>{''.join(lines)}{''.join(texts)}</svg>"
    )


def tree_lines(tree: tuple[tuple[Branch, ...], ...]) -> list[str]:
    """Return a line for each step: its hypotheses, the best first, those that were cut in brackets."""
    lines = []
    for number, level in enumerate(tree, 1):
        each = [f"{_path(tree, number - 1, place)} {branch.score:.2f}" for place, branch in enumerate(level)]
        marked = [one if branch.kept else f"({one})" for one, branch in zip(each, level, strict=True)]
        lines.append(f"step {number}: {'  '.join(marked)}")
    return lines


def _path(tree: tuple[tuple[Branch, ...], ...], step: int, place: int) -> str:
    """Return the tokens of a hypothesis from the first step on."""
    tokens = []
    here: int | None = place
    while here is not None and step >= 0:
        branch = tree[step][here]
        tokens.append(drawn(branch.token))
        step, here = step - 1, branch.parent
    return " ".join(reversed(tokens))


def told_text(shown: ToldDecoding) -> str:
    """Return the parts one below the other, as lines."""
    return "\n\n".join(_part_text(part) for part in shown.parts)


def _part_text(told: Told) -> str:
    lines = [f"{' '.join(map(drawn, told.source)) or 'nothing'} becomes {_said(told)}", *filter(None, [told.note])]
    wide = max((drawn_width(step.token) for step in told.steps), default=0)
    for number, step in enumerate(told.steps, 1):
        likely = ", ".join(f"{drawn(token)} {_percent(chance)}" for token, chance in step.likely)
        said = drawn(step.token) + " " * (wide - drawn_width(step.token))
        lines.append(f"{number:>4}  {said}  {_percent(step.probability):>7}   of {likely}")
    if told.compared:
        lines += [f"training pairs in a like state, marked where: {told.compared}", *_neighbour_lines(told)]
    if told.tree:
        lines += ["the beam, with cut branches in brackets:", *(f"  {line}" for line in tree_lines(told.tree))]
    return "\n".join([*lines, *(f"\n{alignment_text(one)}" for one in told.alignments)])


def _neighbour_lines(told: Told) -> list[str]:
    lines = []
    for number, step in enumerate(told.steps, 1):
        for place, each in enumerate(step.nearest):
            tokens = [drawn(token) for token in each.target]
            target = [f"[{token}]" if at == each.position else token for at, token in enumerate(tokens)]
            lines.append(
                f"{number if not place else '':>4}  {each.distance:.3f}  row {each.row}: "
                f"{' '.join(map(drawn, each.source))} → {' '.join(target)}"
            )
    return lines
