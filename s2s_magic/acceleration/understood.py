"""Checks that an object is unmodified: all of its methods are those of the installed packages.

An object's work may run elsewhere only if all the code that would have run is known. Code is known if its file belongs
to the installed Keras, TensorFlow or TensorFlow Addons. An attribute of the object that overrides one of its class is
never known, nor is a method that was patched into a class.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

_PACKAGES = ("keras", "tf_keras", "tensorflow", "tensorflow_addons", "typeguard")
"""The packages whose code is known; TensorFlow Addons checks its arguments with typeguard."""


def strangeness(thing: Any) -> str | None:
    """Return what about an object was modified; None if all its methods are those of the installed packages.

    Parameters
    ----------
    thing
        A layer, cell, sampler, loss or optimizer of any class.
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
    """Return whether a function, and all that it wraps, is code of the known packages."""
    return isinstance(function, FunctionType) and _is_known(function)


def _functions(value: Any) -> Iterator[Any]:
    """Yield the functions behind a class attribute."""
    if isinstance(value, property):
        yield from (part for part in (value.fget, value.fset, value.fdel) if part is not None)
    elif isinstance(value, (staticmethod, classmethod)):
        yield value.__func__
    elif callable(value) and not isinstance(value, type):
        yield getattr(value, "python_function", value)  # the function inside a tf.function


def _is_known(function: Any) -> bool:
    """Return whether a callable, and all that it wraps, is code of the known packages."""
    while function is not None:
        code = getattr(function, "__code__", None)
        if code is None:
            return type(function).__module__ == "builtins"  # written in C, so it cannot be patched in part
        if not code.co_filename.startswith(_folders()):
            return False
        function = getattr(function, "__wrapped__", None)
    return True


def _folders() -> tuple[str, ...]:
    loaded = [sys.modules[name].__file__ for name in _PACKAGES if name in sys.modules]
    return tuple(f"{Path(file).parent}/" for file in loaded if file is not None)
