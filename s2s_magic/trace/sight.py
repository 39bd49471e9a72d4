"""Up the stack from a hook to the cell: whose doing is it, and where does it stand."""

from __future__ import annotations

from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Literal

from s2s_magic.ledger import Place
from s2s_magic.trace import keras2
from s2s_magic.trace.places import COMPREHENSIONS, Places, Spot, at_top

Kind = Literal["other", "cell", "engine", "init", "generated", "tensorflow"]


@dataclass
class Sight:
    """What the stack says about one construction, call or variable.

    Attributes
    ----------
    spot, outer
        The innermost place in the user's code, and the outermost where that is another.
    constructor, innermost
        Outermost and innermost layer whose constructor is running.
    engine
        The model and method of Keras's that is running, as ``fit``.
    method
        The outermost layer and method that is running, where it was asked for.
    by_hand
        The user's code itself, not a library, asked TensorFlow for it.
    """

    spot: Spot
    outer: Place | None
    constructor: Any
    innermost: Any
    engine: tuple[Any, str] | None
    method: tuple[Any, str] | None
    by_hand: bool


class Sights:
    """Looks up the stack; what a code object is, is decided once.

    Parameters
    ----------
    filenames
        Numbers of the traced cells by the file names their code was compiled under.
    """

    def __init__(self, filenames: dict[str, int]) -> None:
        self.places = Places(filenames)
        self._filenames = filenames
        self._engine = keras2.engine_codes()
        self._kinds: dict[CodeType, Kind] = {}

    def look(self, frame: FrameType | None, layer: Any, *, methods: bool = False) -> Sight | None:
        """Walk from ``frame`` to the cell; None where no cell is beneath, so that it is not this cell's doing.

        Parameters
        ----------
        frame
            Where to begin.
        layer
            The layer that is made or called: its own constructor is no place.
        methods
            Also find the outermost layer method that is running.
        """
        inner: FrameType | None = None
        outer: FrameType | None = None
        constructor = innermost = engine = method = None
        generated, by_hand = False, True
        while frame is not None:
            code = frame.f_code
            kind = self._kinds.get(code) or self._kind(code)
            if kind != "other" and kind != "tensorflow":
                if kind == "cell" or (kind == "init" and code.co_filename in self._filenames):
                    inner = inner or frame
                    outer = frame
                    if at_top(frame):
                        break
                if kind == "init" or (kind == "cell" and code.co_name == "__call__"):
                    owner = _first_argument(frame)
                    if (owner is layer and layer is not None) or (kind == "init" and keras2.is_layer(owner)):
                        inner = outer = None
                        generated = False
                        if kind == "init" and owner is not layer:
                            constructor = owner
                            innermost = innermost or owner
                elif kind == "engine":
                    engine = _first_argument(frame), code.co_name
                    inner = outer = None
                    generated = False
                elif kind == "generated" and inner is None:
                    generated = True
            if kind != "tensorflow" and inner is None:
                by_hand = False
            if methods and code.co_argcount and inner is None and keras2.is_layer(owner := _first_argument(frame)):
                method = owner, code.co_name
            frame = frame.f_back
        if inner is None or outer is None:
            return None
        spot = (self._generated() if generated else None) or self.places.spot(inner)
        return Sight(spot, self._outer(inner, outer, spot), constructor, innermost, engine, method, by_hand)

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
        elif "/tensorflow/" in filename.replace("\\", "/"):
            kind = "tensorflow"
        self._kinds[code] = kind
        return kind

    def _outer(self, inner: FrameType, outer: FrameType, spot: Spot) -> Place | None:
        """Give the outermost place where a function of the cell stands between; a comprehension is no function."""
        frame: FrameType | None = inner
        while frame is not None and frame is not outer:
            if frame.f_code.co_filename in self._filenames and frame.f_code.co_name not in COMPREHENSIONS:
                return self.places.spot(outer).place
            frame = frame.f_back
        place = self.places.spot(outer).place
        return place if frame is outer and not spot.local and inner is outer and place is not spot.place else None

    def _generated(self) -> Spot | None:
        """Find the line behind code that autograph generated: only TensorFlow knows it."""
        from tensorflow.python.util import tf_stack

        for frame in reversed(list(tf_stack.extract_stack())):
            if frame.filename in self._filenames:
                return self.places.line(frame.filename, frame.lineno, local=True)
        return None


def _first_argument(frame: FrameType) -> Any:
    """Give ``self``: a method's first argument."""
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
