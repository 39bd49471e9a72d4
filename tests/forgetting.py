"""Freeing memory between tests that TensorFlow never frees."""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterator

from tensorflow.python.framework import ops


@contextlib.contextmanager
def gradients_forgotten() -> Iterator[None]:
    """Remove the gradients of functions traced within the context from TensorFlow's registry.

    The registry never drops them, and each keeps the graph of its function: some 20 MB for each fitted model. Their
    names end in a number; gradients of operations, which a module may register when first imported, are kept.
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
