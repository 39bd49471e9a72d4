"""What real models say of themselves, measured without a ledger: what quizzes are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from addons import run_plainly

OPERATIONS = ("TFOpLambda", "SlicingOpLambda")


@contextmanager
def calls_counted() -> Iterator[list[tuple[int, int]]]:
    """Give a list that each outermost call of a layer adds to: its number of weights before and after."""
    found: list[tuple[int, int]] = []
    original, depth = keras.layers.Layer.__call__, [0]

    def counting(self: Any, *given: Any, **named: Any) -> Any:
        before = len(self.weights) if depth[0] == 0 and self.built else 0
        depth[0] += 1
        try:
            return original(self, *given, **named)
        finally:
            depth[0] -= 1
            if depth[0] == 0 and type(self).__name__ not in OPERATIONS:
                found.append((before, len(self.weights)))

    keras.layers.Layer.__call__ = counting
    try:
        yield found
    finally:
        keras.layers.Layer.__call__ = original


def counted_calls(code: str) -> list[tuple[int, int]]:
    """Run code as plain Python, and return the weights before and after each outermost call of a layer."""
    with calls_counted() as found:
        run_plainly(code, {})
    return found


def direct_owners(variable: Any, layers: list[Any]) -> list[Any]:
    """Return the layers that have a variable themselves, and not through another layer within them."""
    return [
        layer for layer in layers if _has(layer, variable) and not any(_has(one, variable) for one in _inner(layer))
    ]


def _has(layer: Any, variable: Any) -> bool:
    return any(one is variable for one in layer.weights)


def _inner(layer: Any) -> list[Any]:
    return list(layer._flatten_layers(include_self=False))


def is_there(variable: Any, variables: list[Any]) -> bool:
    return any(one is variable for one in variables)


def with_gradient(model: Any) -> list[Any]:
    """Return the trainable variables of a model that the gradient of a loss of all its outputs reaches."""
    given = [
        tf.ones([2, *(3 if size is None else size for size in each.shape[1:])], each.dtype) for each in model.inputs
    ]
    with tf.GradientTape() as tape:
        made = model(given if len(given) > 1 else given[0])
        loss = tf.add_n([tf.reduce_sum(tf.square(each)) for each in tf.nest.flatten(made)])
    variables = list(model.trainable_weights)
    values = [getattr(variable, "value", variable) if _of_keras3(variable) else variable for variable in variables]
    gradients = tape.gradient(loss, values)
    return [one for one, gradient in zip(variables, gradients, strict=True) if gradient is not None]


def _of_keras3(variable: Any) -> bool:
    return not isinstance(variable, tf.Variable) and not callable(getattr(variable, "value", None))


@contextmanager
def switches_restored(model: Any) -> Iterator[None]:
    """Put all switches of a model back in the end, from the outside to the inside."""
    layers = [model, *_inner(model)]
    before = [layer.trainable for layer in layers]
    try:
        yield
    finally:
        for layer, switch in zip(layers, before, strict=True):
            layer.trainable = switch


def thawed(model: Any) -> list[Any]:
    """Return what a model lists as trainable when everything in it is switched on."""
    with switches_restored(model):
        for layer in [model, *_inner(model)]:
            layer.trainable = True
        return list(model.trainable_weights)


def numbers(variables: list[Any]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)
