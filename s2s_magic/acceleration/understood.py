"""Checks that an object is unmodified: all of its methods are those of the installed packages.

An object's work may run elsewhere only if all the code that would have run is known. Code is known if its file belongs
to the installed Keras, TensorFlow or TensorFlow Addons. An attribute of the object that overrides one of its class is
never known, nor is a method that was patched into a class.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from s2s_magic import backend

_PACKAGES = ("keras", "tf_keras", "tensorflow", "tensorflow_addons", "typeguard", "s2s_magic.addons")
"""The packages whose code is known; TensorFlow Addons checks its arguments with typeguard."""
_PREFIXES = tuple(f"{name}." for name in _PACKAGES)


def strangeness(thing: Any) -> str | None:
    """Return what about an object was modified; None if all its methods are those of the installed packages.

    Parameters
    ----------
    thing
        A layer, cell, sampler, loss or optimizer of any class.
    """
    kind = type(thing)
    own = replaced_method(thing)
    if own is not None:
        return f"its {own} is overridden on the object, and that override stays"
    for owner in kind.__mro__:
        if owner in (object, ABC):
            continue
        if not f"{owner.__module__}.".startswith(_PREFIXES):
            return f"{owner.__name__} is a class of one's own"
        for name, value in vars(owner).items():
            if not all(map(_is_known, _functions(value))):
                return f"{owner.__name__}.{name} is not the one that it came with"
    return None


def replaced_method(thing: Any) -> str | None:
    """Return the name of a method or property of its class that an object overrides; None if there is none."""
    for name, own in vars(thing).items():
        value = getattr(type(thing), name, None)
        is_method = isinstance(value, property) or callable(value)
        if is_method and name not in backend.SHADOWED and not _wraps_its_own(own, thing, value):
            return str(name)
    return None


def _wraps_its_own(own: Any, thing: Any, value: Any) -> bool:
    """Return whether an attribute of an object is a known function around the method of its class."""
    inside = inspect.unwrap(own) if isinstance(own, FunctionType) and _is_known(own) else None
    return getattr(inside, "__self__", None) is thing and getattr(inside, "__func__", None) is value


def is_known_function(function: Any) -> bool:
    """Return whether a function, and all that it wraps, is code of the known packages."""
    return isinstance(function, FunctionType) and _is_known(function)


def is_known_activation(activation: Any) -> bool:
    """Return whether an activation is none at all, or code of the known packages."""
    return activation is None or is_known_function(activation)


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
    return _folders_of(tuple(sys.modules[name].__file__ for name in _PACKAGES if name in sys.modules))


@cache
def _folders_of(files: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(f"{Path(file).parent}/" for file in files if file is not None)
