"""Show the code of the cells with every recorded expression marked, so that a step can point at its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from s2s_magic.ledger import Cell, Place
from s2s_magic.view.escaping import escape
from s2s_magic.view.html.markup import UNSTYLED, Markup, frame, join, tag
from s2s_magic.view.report import Report, Step

Spans = dict[tuple[int, int], list[str]]
_Steps = dict[tuple[int, int], dict[tuple[int, int, int, int], list[int]]]
LINES_WHOLE, LINES_AROUND, LINES_NEAR = 24, 8, 3
LETTERS_WHOLE = 48
LINES_MOST, LINES_MARKED = 2000, 200
"""The most lines of a cell that a page shows, and the most lines of an expression that are marked."""


@dataclass(frozen=True)
class _Marking:
    """How expressions are marked: by an attribute with a value for the steps, and with labels that choose the steps."""

    steps: _Steps
    attribute: str
    value: Callable[[Sequence[int]], str]
    uid: str | None = None


def source_html(report: Report, uid: str | None = None) -> Markup:
    """Show the cells' code, line by line, in a frame of its own.

    With the ``uid`` of a page its expressions are marked, and each line has the numbers of its steps, to choose them.
    """
    steps = _by_line(report.steps) if uid is not None else {}
    marking = _Marking(steps, "data-is", lambda indexes: " ".join(f"s{index}" for index in indexes), uid)
    blocks = [tag("div", *_shortened(cell, marking), class_="s2s-cell") for cell in report.cells]
    if len(blocks) > 1:
        titles = [tag("div", f"Cell {cell.number}", class_="s2s-small") for cell in report.cells]
        blocks = [piece for pair in zip(titles, blocks, strict=True) for piece in pair]
    if uid is not None:
        heads = tag("div", tag("span", "line"), tag("span", "step"), class_="s2s-small s2s-columns", hidden=UNSTYLED)
        blocks.insert(0, heads)
    return frame(join(blocks), "The code", "s2s-source s2s-with-steps" if uid is not None else "s2s-source")


def present_source_html(report: Report, step: Step) -> Markup:
    """Show the code around one step's expression, with only that expression marked.

    Only some lines around it are shown: so it is visible without a script, and a long cell does not slow down stepping.
    """
    cell = next((each for each in report.cells if each.number == step.place.cell), None)
    if cell is None:
        return Markup("")
    texts = cell.lines
    around = LINES_AROUND if len(texts) > LINES_WHOLE else len(texts)
    start = max(0, step.place.line - cell.first_line - around)
    end = min(step.place.end_line, step.place.line + LINES_MARKED) - cell.first_line + 1 + around
    before, after = start, max(0, len(texts) - end)
    marking = _Marking(_by_line([step]), "class", lambda _: "s2s-present")
    lines = [_line(cell, texts, number, marking) for number in range(start, len(texts) - after)]
    title = f"Cell {cell.number}" if len(report.cells) > 1 else None
    parts = (
        tag("div", title, class_="s2s-small") if title else None,
        tag("div", f"… {before} lines above", class_="s2s-small s2s-more") if before else None,
        tag("div", *_with_far_lines_apart(lines, step.place, cell.first_line + start), class_="s2s-cell"),
        tag("div", f"… {after} lines below", class_="s2s-small s2s-more") if after else None,
    )
    return frame(join(parts), f"The code, line {step.place.line} marked", "s2s-source")


def _with_far_lines_apart(lines: list[Markup], place: Place, first: int) -> list[Markup]:
    """Group the lines that a narrow window can omit; ``first`` is the number of the first line."""
    near, past = max(0, place.line - first - LINES_NEAR), place.end_line - first + 1 + LINES_NEAR
    return [tag("div", *lines[:near], class_="s2s-far"), *lines[near:past], tag("div", *lines[past:], class_="s2s-far")]


def _by_line(shown: Sequence[Step]) -> _Steps:
    """Group steps by cell and line, then by the place of their expression."""
    steps: _Steps = defaultdict(lambda: defaultdict(list))
    for step in shown:
        for place in (step.place, step.outer) if step.outer else (step.place,):
            key = (place.line, place.column, place.end_line, place.end_column)
            for line in range(place.line, min(place.end_line, place.line + LINES_MARKED) + 1):
                steps[place.cell, line][key].append(step.index)
    return steps


def _shortened(cell: Cell, marking: _Marking) -> list[Markup]:
    """Show a cell's lines; of a very long cell only those around its first expressions."""
    texts = cell.lines
    kept: Iterable[int] = range(len(texts))
    if len(texts) > LINES_MOST:
        near = {0}
        for _, line in sorted(place for place in marking.steps if place[0] == cell.number):
            near.update(range(line - cell.first_line - LINES_AROUND, line - cell.first_line + LINES_AROUND + 1))
            if len(near) > LINES_MOST:
                break
        kept = sorted(near & set(range(len(texts))))
    lines: list[Markup] = []
    shown = 0
    for number in kept:
        lines += _left_out(number - shown)
        lines.append(_line(cell, texts, number, marking))
        shown = number + 1
    return lines + _left_out(len(texts) - shown)


def _left_out(count: int) -> list[Markup]:
    return [tag("div", f"… {count:,} lines", class_="s2s-small s2s-more")] if count else []


def _line(cell: Cell, texts: Sequence[str], place: int, marking: _Marking) -> Markup:
    text, number = texts[place], cell.first_line + place
    spans: Spans = {}
    begun: list[int] = []
    for (first, column, last, end), indexes in marking.steps.get((cell.number, number), {}).items():
        start = column if number == first else len(text) - len(text.lstrip())
        stop = end if number == last else len(text)
        if start < stop:
            spans.setdefault((start, stop), []).append(marking.value(indexes))
        begun += indexes if number == first else []
    shown = tag("code", marked(text, spans, marking.attribute)) if text else Markup("")
    chosen = _step_labels(sorted(set(begun)), marking.uid) if begun and marking.uid is not None else None
    return tag("div", tag("span", number, class_="s2s-gutter"), chosen, shown, class_="s2s-line")


def _step_labels(steps: Sequence[int], uid: str) -> Markup:
    """Show the numbers of a line's steps, each a label that chooses it; of more than two the first and the last."""
    whole = len(steps) < 3
    shown = steps if whole else (steps[0], steps[-1])
    labels = []
    for step in shown:
        until = not whole and step == shown[-1]
        word = tag("span", " to step " if until else " step ", class_="s2s-word")
        style = "s2s-until" if until else None
        labels.append(tag("label", word, str(step), for_=f"{uid}-r{step}", data_is=f"s{step}", class_=style))
    return tag("span", join(labels, between=" "), " ", class_="s2s-of-line")


def marked(text: str, spans: Spans, attribute: str = "class") -> Markup:
    """Put ``<span>`` elements around parts of a line; if two overlap, the later ends where the one around it does."""
    show = _breaking if len(text) > LETTERS_WHOLE else escape
    opened: list[int] = []
    pieces: list[str] = []
    done = 0
    for (start, stop), values in sorted(spans.items(), key=lambda item: (item[0][0], -item[0][1])):
        while opened and opened[-1] <= start:
            pieces.append(f"{show(text[done : opened[-1]])}</span>")
            done = opened.pop()
        pieces.append(f'{show(text[done:start])}<span {attribute}="{escape(" ".join(values))}">')
        done = start
        opened.append(min(stop, opened[-1]) if opened else stop)
    while opened:
        pieces.append(f"{show(text[done : opened[-1]])}</span>")
        done = opened.pop()
    return Markup("".join(pieces) + show(text[done:]))


def _breaking(text: str) -> str:
    """Escape code that may break after an opening parenthesis."""
    return escape(text).replace("(", "(<wbr>")
