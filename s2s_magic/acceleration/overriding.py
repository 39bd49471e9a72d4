"""Methods of one object, replaced for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import MethodType
from typing import Any

import tensorflow as tf
from tensorflow.python.saved_model import save_context


@contextmanager
def overridden(owner: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Put a method, a function whose first argument is the object, into its ``__dict__`` and take it out again.

    Keras looks its methods up on the instance, so the override counts for this object alone. It goes past
    ``__setattr__``, which tracks what it is given, and is kept from autograph, which has nothing to rewrite in it.
    A SavedModel that is written in the meantime is traced with the object's own method.
    """
    own = getattr(owner, name)
    before = owner.__dict__.get(name)

    @wraps(method)
    def chosen(self: Any, *args: Any, **kwargs: Any) -> Any:
        if save_context.in_save_context():
            return own(*args, **kwargs)
        return method(self, *args, **kwargs)

    owner.__dict__[name] = MethodType(tf.autograph.experimental.do_not_convert(chosen), owner)
    try:
        yield
    finally:
        if before is None:
            del owner.__dict__[name]
        else:
            owner.__dict__[name] = before
