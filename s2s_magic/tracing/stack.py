"""Walk up the stack from a hook to the cell: which code is responsible, and where it is."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal

from s2s_magic import backend
from s2s_magic.ledger import Place
from s2s_magic.tracing.expressions import COMPREHENSIONS, Places, Spot, at_top

Kind = Literal["other", "cell", "engine", "init", "generated", "tensorflow"]
Targets = list[tuple[ast.expr, bool]]

_HOOKS = f"{os.path.dirname(backend.__file__)}{os.sep}"
"""Where the functions are that stand between TensorFlow's own when a variable is made."""


@dataclass
class Sight:
    """What the stack says about one construction, call or variable.

    Attributes
    ----------
    spot, outer
        The innermost place in the user's code, and the outermost if that is another one.
    targets
        What the value of that expression is assigned to, and whether that is local to a function.
    entry
        The frame that the user's expression called, if not a hook itself.
    constructor, innermost
        Outermost and innermost layer whose constructor is running.
    engine
        The model and the Keras method that is running, such as ``fit``.
    method
        The outermost layer and method that is running, if `look` was called with ``methods``.
    by_hand
        Whether the user's code itself, not a library, called TensorFlow.
    """

    spot: Spot
    outer: Place | None
    targets: Targets
    entry: FrameType | None
    constructor: Any
    innermost: Any
    engine: tuple[Any, str] | None
    method: tuple[Any, str] | None
    by_hand: bool


class Sights:
    """Looks up the stack; each code object is classified only once.

    Parameters
    ----------
    filenames
        Numbers of the traced cells by the file names their code was compiled under.
    written
        Lines of cells as the user wrote them, by file name.
    """

    def __init__(self, filenames: dict[str, int], written: dict[str, list[str]]) -> None:
        self._places = Places(filenames, written)
        self._filenames = filenames
        self._engine = backend.engine_codes()
        self._kinds: dict[CodeType, Kind] = {}

    def look(self, frame: FrameType | None, layer: Any, *, methods: bool = False) -> Sight | None:
        """Walk from ``frame`` to the cell; return None if there is none beneath: then the cell did not cause it.

        Parameters
        ----------
        frame
            Where to begin.
        layer
            The layer being made or called: its own ``__call__`` does not count as a place, nor does any constructor.
        methods
            Also find the outermost layer method that is running.
        """
        cells: list[FrameType] = []
        entry = before = None
        constructor = innermost = engine = method = None
        generated, by_hand, passed = False, True, 0
        while frame is not None:
            code = frame.f_code
            kind = self._kinds.get(code) or self._kind(code)
            in_cell = kind == "cell" or (kind == "init" and code.co_filename in self._filenames)
            if in_cell:
                entry = entry if cells else before
                passed += 1
                cells.append(frame)
                if at_top(frame):
                    break
            elif not cells:
                generated = generated or kind == "generated"
                by_hand = by_hand and kind == "tensorflow"
                owner = _first_argument(frame) if methods else None
                if backend.is_layer(owner) and hasattr(owner, code.co_name):
                    method = owner, code.co_name
            if kind == "engine":
                engine = _first_argument(frame), code.co_name
                cells, generated = [], False
            elif kind == "init" or (in_cell and code.co_name == "__call__"):
                owner = _first_argument(frame)
                if kind == "init" and backend.is_layer(owner):
                    cells, generated = [], False
                    constructor, innermost = owner, innermost or owner
                    engine = engine if engine is not None and backend.is_bookkeeping(engine[1]) else None
                elif owner is layer and layer is not None:
                    cells, generated = [], False
            before = frame
            frame = frame.f_back
        if not cells:
            return None
        hidden = self._generated(layer, cells[-1], passed) if generated else None
        spot = hidden or self._places.spot(cells[0])
        outer = self._outer(cells, spot, hidden is not None)
        targets = self._targets(cells, spot)
        return Sight(spot, outer, targets, entry, constructor, innermost, engine, method, by_hand)

    def places_in(self, traceback: TracebackType | None) -> Iterator[Place]:
        """Yield the places in the cell that an error came through."""
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename in self._filenames:
                yield self._places.spot(traceback).place
            traceback = traceback.tb_next

    def _kind(self, code: CodeType) -> Kind:
        filename = code.co_filename
        kind: Kind = "other"
        if code in self._engine:
            kind = "engine"
        elif code.co_name == "__init__":
            kind = "init"
        elif filename in self._filenames:
            kind = "cell"
        elif "__autograph_generated_file" in filename:
            kind = "generated"
        elif f"{os.sep}tensorflow{os.sep}" in filename or filename.startswith(_HOOKS):
            kind = "tensorflow"
        self._kinds[code] = kind
        return kind

    def _outer(self, cells: list[FrameType], spot: Spot, generated: bool) -> Place | None:
        """Return the outermost place if a function of the cell is in between; a comprehension does not count as one."""
        if generated or any(frame.f_code.co_name not in COMPREHENSIONS for frame in cells[:-1]):
            place = self._places.outermost(cells[-1])
            return place if place is not spot.place else None
        return None

    def _targets(self, cells: list[FrameType], spot: Spot) -> Targets:
        """Return what an expression's value is assigned to; by the caller, if a function returns it at once."""
        for inner, outer in pairwise(cells):
            if not spot.returned or inner.f_back is not outer:
                break
            spot = self._places.spot(outer)
        return [(target, spot.local) for target in spot.targets]

    def _generated(self, layer: Any, cell: FrameType, passed: int) -> Spot | None:
        """Find the place in the cell behind code that autograph generated: only TensorFlow knows its line.

        Return None if the generated code comes from a library's function: then the cell has no more frames than
        ``passed``.
        """
        lines = [(filename, line) for filename, line in backend.original_lines() if filename in self._filenames]
        if len(lines) <= passed:
            return None
        called = [name for name, value in cell.f_globals.items() if value is layer]
        return self._places.line(*lines[0], called)


def _first_argument(frame: FrameType) -> Any:
    """Return a method's first argument, ``self``."""
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
