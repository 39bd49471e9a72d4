"""Interrupting this package at a chosen line, as Ctrl-C or a lack of memory would that comes just then.

`places` runs a call and lists the lines of the package that it runs through. `interrupted` runs the call again and
raises an exception as one of those lines begins, also where it stands in a ``finally`` block, an ``__exit__`` or the
way out of a ``with``. Code that TensorFlow rewrites, and lines of other packages, are not among the places; nor are the
turns of a comprehension from Python 3.12 on. There it is a part of its function, and an exception that a trace function
raises in it passes by every ``with`` around it; one raised by a signal does not.

    for place in places(fit):
        outcome = interrupted(fit, place, KeyboardInterrupt)
        assert outcome.reached and isinstance(outcome.raised, KeyboardInterrupt), place
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import s2s_magic

PACKAGE = Path(s2s_magic.__file__).parent


@dataclass(frozen=True, order=True)
class Place:
    """A line of the package, and which of its runs is meant, counted from 1.

    ``file`` is relative to the package's folder. A line with ``with`` runs once more on the way out of its block, and
    one with ``for`` once more for each turn.
    """

    file: str
    line: int
    function: str
    hit: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}, run {self.hit}"


@dataclass(frozen=True)
class Outcome:
    """How a call ended: whether the place was reached, and what was raised or given back."""

    reached: bool
    raised: BaseException | None
    value: Any


def places(call: Callable[[], object], *, under: str = "", hits: int = 2, warm: bool = True) -> list[Place]:
    """List the lines of the package that a call runs through, in the order of their first run.

    Parameters
    ----------
    call
        Must come to its end: where it is to fail, it catches what it raises.
    under
        Only files whose path in the package begins so, such as ``tracing/``; all by default.
    hits
        How many runs of each line to list: its first ones and its last.
    warm
        Run the call once before, so that what is imported or kept at the first use is not among the places.
    """
    if warm:
        call()
    runs: Counter[tuple[str, int, str]] = Counter()

    def note(key: tuple[str, int, str]) -> None:
        runs[key] += 1

    with _noting(note, under):
        call()
    found = [
        Place(*key, hit)
        for key, number in runs.items()
        for hit in (range(1, number + 1) if number <= hits else [*range(1, hits), number])
    ]
    return [place for place in found if place.hit not in _turns(place.file).get(place.line, ())]


def interrupted(
    call: Callable[[], Any], place: Place, exception: type[BaseException] | BaseException = KeyboardInterrupt
) -> Outcome:
    """Run a call and raise an exception as a line of the package begins; whatever comes out is in the outcome."""
    reached = 0
    wanted = (place.file, place.line, place.function)

    def note(key: tuple[str, int, str]) -> None:
        nonlocal reached
        if key == wanted:
            reached += 1
            if reached == place.hit:
                raise exception

    raised: BaseException | None = None
    value = None
    with _noting(note, place.file):
        try:
            value = call()
        except BaseException as error:
            raised = error
    return Outcome(reached >= place.hit, raised, value)


@cache
def _turns(file: str) -> dict[int, range]:
    """Return the runs of a module's lines, from the first such run on, that may be a turn of a comprehension."""
    if sys.version_info < (3, 12):
        return {}
    tree = ast.parse((PACKAGE / file).read_text())
    comprehensions = [node for node in ast.walk(tree) if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp)]
    turns: dict[int, range] = {}
    for node in comprehensions:
        turns[node.lineno] = range(2, sys.maxsize)
        turns |= {line: range(1, sys.maxsize) for line in range(node.lineno + 1, (node.end_lineno or 0) + 1)}
    return turns


@contextmanager
def _noting(note: Callable[[tuple[str, int, str]], None], under: str) -> Iterator[None]:
    """Call ``note`` with file, line and function as each line of the package begins, in this thread.

    Python stops tracing once ``note`` raises, so that one call is interrupted once.
    """
    start = f"{PACKAGE}/{under}"
    cut = len(f"{PACKAGE}/")

    def on_call(frame: FrameType, event: str, argument: object) -> Any:
        return on_line if frame.f_code.co_filename.startswith(start) else None

    def on_line(frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            note((frame.f_code.co_filename[cut:], frame.f_lineno, frame.f_code.co_name))
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)
