"""Methods of one object, replaced for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


@contextmanager
def overridden(owner: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Put a method into an object's ``__dict__`` and take it out again.

    Keras looks its methods up on the instance, so the override counts for this object alone. It goes past
    ``__setattr__``, which tracks what it is given, and is kept from autograph, which has nothing to rewrite in it.
    """
    before = owner.__dict__.get(name)
    owner.__dict__[name] = tf.autograph.experimental.do_not_convert(method)
    try:
        yield
    finally:
        if before is None:
            del owner.__dict__[name]
        else:
            owner.__dict__[name] = before
