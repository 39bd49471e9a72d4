"""Memory that TensorFlow keeps for ever, given back between tests."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from tensorflow.python.framework import ops


@contextlib.contextmanager
def gradients_forgotten() -> Iterator[None]:
    """Take out of TensorFlow's registry the gradients of the functions that were traced in the meantime.

    The registry holds each of them for ever, and with it the graph of its function: some 20 MB a fitted model.
    """
    registry = ops.gradient_registry._registry
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            del registry[name]
        gc.collect()
