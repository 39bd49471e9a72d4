"""Gradients written out that do not keep the graphs they were used in."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

_KEPT = "_s2s_magic_gradients"


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with a gradient of its own, as `tf.custom_gradient` does, that keeps no graph alive.

    TensorFlow registers the gradient of each call in a graph under a new name, with the tensors that it reads, and for
    ever: each fit of a model would stay in memory with its graph. Here the graph has its gradients itself, and is
    found by a weak reference.

    Parameters
    ----------
    function
        As for `tf.custom_gradient`; its arguments are tensors.
    """
    derived = tf.custom_gradient(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        results = derived(*arguments)
        first = tf.nest.flatten(results)[0]
        if not tf.executing_eagerly():
            _move_to_graph(first.graph, first.op.get_attr("_gradient_op_type").decode())
        return results

    return call


def _move_to_graph(graph: Any, name: str) -> None:
    """Let a graph hold a gradient that is registered under a name, instead of the registry."""
    registered = ops._gradient_registry._registry
    entry, held = registered[name], weakref.ref(graph)
    if not hasattr(graph, _KEPT):
        setattr(graph, _KEPT, {})
    getattr(graph, _KEPT)[name] = entry["type"]

    def gradient(operation: Any, *upstream: Any) -> Any:
        kept = held()
        if kept is None:
            raise LookupError(f"the graph in which {operation.name} was made is gone, and with it the gradient")
        return getattr(kept, _KEPT)[name](operation, *upstream)

    entry["type"] = gradient
    weakref.finalize(graph, registered.pop, name, None)
