"""One drawing of the wiring with every stage of its growth; CSS shows the stage of the chosen step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from s2s_magic.view.wiring.drawing import Plan, badges, parts, sheet
from s2s_magic.view.wiring.shapes import Moment


def grown_svg(plan: Plan, last: int) -> str:
    """Draw a laid-out graph at the steps 0 to ``last`` as one ``<svg>``.

    What exists at steps 3 and 4 only has the classes ``b3 x5 s2s-past``. CSS also puts boxes and wires in focus.
    """
    stages = [stage(plan, step) for step in range(last + 1)]
    shown: dict[str, list[int]] = {}
    for step, drawn in enumerate(stages):
        for part in dict.fromkeys(drawn):
            shown.setdefault(part, []).append(step)
    grown = [(_classes(first, end, last), part) for part in _in_order(stages) for first, end in _runs(shown[part])]
    body = "".join(
        f'<g class="{classes}">{"".join(part for _, part in alike)}</g>'
        for classes, alike in groupby(grown, key=itemgetter(0))
    )
    return sheet(plan, Moment(last, last), body)


def stage(plan: Plan, step: int) -> list[str]:
    """Return the parts to draw at a step, with nothing but its badges in focus."""
    return [*parts(plan, Moment(step, -1)), *badges(plan, Moment(step, step))]


def _in_order(stages: list[list[str]]) -> list[str]:
    """Merge the stages' parts, keeping the drawing order of each stage."""
    merged: list[str] = []
    known: set[str] = set()
    for drawn in reversed(stages):
        place = 0
        for part in drawn:
            if part in known:
                place = merged.index(part) + 1
            else:
                known.add(part)
                merged.insert(place, part)
                place += 1
    return merged


def _runs(steps: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the runs of consecutive steps, each as its first step and the step after its last."""
    first = previous = steps[0]
    for step in steps[1:]:
        if step != previous + 1:
            yield first, previous + 1
            first = step
        previous = step
    yield first, previous + 1


def _classes(first: int, end: int, last: int) -> str:
    return " ".join(([f"b{first}"] if first else []) + ([f"x{end}", "s2s-past"] if end <= last else []))
