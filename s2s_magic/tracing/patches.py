"""A recorder on Keras's base class, for the time of a cell."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from s2s_magic.errors import UsageError
from s2s_magic.tracing import keras2
from s2s_magic.tracing.recorder import Recorder

_MARK = "_s2s_magic_patch"


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Let ``recorder`` hear of constructions, calls and variables for as long as the context lasts.

    Only the base class is patched: subclasses that override a method go through it all the same, and so do objects
    made earlier.

    Raises
    ------
    UsageError
        When another trace is running: two would count each other's calls.
    """
    layer = keras2.Layer
    if hasattr(layer.__call__, _MARK):
        raise UsageError("a trace is running already: a traced cell cannot trace another one")
    init, call, add = layer.__init__, layer.__call__, layer.add_weight

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        recorder.constructing(self)
        init(self, *args, **kwargs)

    def call_layer(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return recorder.calling(call, self, args, kwargs)

    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return recorder.adding(add, self, args, kwargs)

    layer.__init__, layer.__call__, layer.add_weight = map(
        _like, (init, call, add), (construct, call_layer, add_weight)
    )
    try:
        with tf.variable_creator_scope(recorder.creating):
            yield
    finally:
        layer.__init__, layer.__call__, layer.add_weight = init, call, add


def _like(original: Any, wrapper: Any) -> Any:
    """Give ``wrapper`` the face of ``original``: Keras reads signatures, and autograph the module."""
    functools.update_wrapper(wrapper, original)
    wrapper.__signature__ = inspect.signature(original)
    setattr(wrapper, _MARK, True)
    return wrapper
