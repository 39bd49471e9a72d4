"""Memory that TensorFlow keeps for ever, given back between tests."""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterator

from tensorflow.python.framework import ops


@contextlib.contextmanager
def gradients_forgotten() -> Iterator[None]:
    """Take out of TensorFlow's registry the gradients of the functions that were traced in the meantime.

    The registry holds each of them for ever, and with it the graph of its function: some 20 MB a fitted model. Their
    names end in a number; those of operations, which a module may register when it is first imported, stay.
    """
    registry = ops.gradient_registry._registry
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            if re.search(r"-\d+$", name):
                del registry[name]
        gc.collect()
