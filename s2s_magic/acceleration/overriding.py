"""Temporarily overriding a method on one object."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.undoing import Changes


def override(changes: Changes, owner: Any, name: str, method: Callable[..., Any]) -> None:
    """Override a method in an object's ``__dict__`` until the changes are undone.

    The new method is a function whose first argument is the object. Keras looks methods up on the instance, so only
    this object is affected. Autograph skips the override, which has nothing to rewrite. A SavedModel written before
    the changes are undone is traced with the original method.
    """
    own = getattr(owner, name)

    @wraps(method)
    def chosen(self: Any, *args: Any, **kwargs: Any) -> Any:
        if backend.is_saving():
            return own(*args, **kwargs)
        return method(self, *args, **kwargs)

    changes.replace(owner, name, MethodType(tf.autograph.experimental.do_not_convert(chosen), owner))
