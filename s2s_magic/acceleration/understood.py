"""What is exactly understood: an object all of whose methods are those that it came with.

To run an object's work elsewhere is right only where all that would have run is known. Known is code that Keras,
TensorFlow or TensorFlow Addons were installed with, found by where it is written. An attribute of the object itself
that takes the place of one of its class is not known, whatever it is, nor is a method that somebody put into a class.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

_PACKAGES = ("keras", "tf_keras", "tensorflow", "tensorflow_addons", "typeguard")
"""Whose code is known; TensorFlow Addons has its arguments checked by typeguard."""


def strangeness(thing: Any) -> str | None:
    """Say in words what about an object is not as it came; None where every method is.

    Parameters
    ----------
    thing
        A layer, a cell, a sampler, a loss or an optimizer, of whatever class.
    """
    kind = type(thing)
    own = next((name for name in vars(thing) if hasattr(kind, name)), None)
    if own is not None:
        return f"its {own} is overridden on the object, and that override stays"
    for owner in kind.__mro__:
        if owner is object:
            continue
        if owner.__module__.partition(".")[0] not in _PACKAGES:
            return f"{owner.__name__} is a class of one's own"
        for name, value in vars(owner).items():
            if not all(map(_is_known, _functions(value))):
                return f"{owner.__name__}.{name} is not the one that it came with"
    return None


def is_known_function(function: Any) -> bool:
    """Return whether a function is one that Keras or TensorFlow came with, all of it."""
    return isinstance(function, FunctionType) and _is_known(function)


def _functions(value: Any) -> Iterator[Any]:
    """Yield the functions that an attribute of a class runs."""
    if isinstance(value, property):
        yield from (part for part in (value.fget, value.fset, value.fdel) if part is not None)
    elif isinstance(value, (staticmethod, classmethod)):
        yield value.__func__
    elif callable(value) and not isinstance(value, type):
        yield getattr(value, "python_function", value)  # of a tf.function


def _is_known(function: Any) -> bool:
    """Return whether a function, and what it wraps, is code of the packages that are known."""
    while function is not None:
        code = getattr(function, "__code__", None)
        if code is None:
            return type(function).__module__ == "builtins"  # of C, which nobody replaces piece by piece
        if not code.co_filename.startswith(_folders()):
            return False
        function = getattr(function, "__wrapped__", None)
    return True


def _folders() -> tuple[str, ...]:
    loaded = [sys.modules[name].__file__ for name in _PACKAGES if name in sys.modules]
    return tuple(f"{Path(file).parent}/" for file in loaded if file is not None)
