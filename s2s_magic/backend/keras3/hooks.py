"""What tracing hooks into, and which calls are Keras's own rather than the user's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

import keras
import tensorflow as tf

from s2s_magic.backend.keras3 import objects
from s2s_magic.backend.keras3.own import private
from s2s_magic.undoing import Changes

global_state = private("backend.common.global_state")

CONSTRUCTORS: tuple[tuple[type, str], ...] = ((objects.Layer, "__init__"), (objects.Graph, "__init__"))
CALLS: tuple[tuple[type, str], ...] = ((objects.Layer, "__call__"), (objects.Operation, "symbolic_call"))
"""The Keras methods that construct and that call a layer or, on symbolic tensors, an operation."""

# Keras methods that call a model on the user's behalf: such calls are not in the user's code.
_ENGINE = {
    objects.Model: "fit evaluate predict train_on_batch test_on_batch predict_on_batch train_step test_step "
    "predict_step build build_from_config save export summary _symbolic_build _maybe_symbolic_build",
    objects.Sequential: "build",
    objects.Layer: "compute_output_shape compute_output_spec build_from_config",
}


# Methods whose variables belong to no layer: those of metrics, optimizers and random generators, and the TensorFlow
# variable that a Keras variable creates when it is initialized later.
_QUIET = (
    (private("backend").Variable, "_deferred_initialize"),
    (objects.Metric, "add_variable"),
    (keras.optimizers.Optimizer, "add_variable"),
    (keras.random.SeedGenerator, "__init__"),
)


def hear_variables(changes: Changes, creating: Callable[..., Any]) -> None:
    """Let ``creating(next_creator, ...)`` make each variable, Keras's or TensorFlow's, until changes are undone.

    The TensorFlow variable inside a Keras variable is not counted separately.
    """
    within: list[Any] = []

    def quietly(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        within.append(original)
        try:
            return original(*args, **kwargs)
        finally:
            within.pop()

    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        def made(**_: Any) -> Any:
            quietly(original, self, *args, **kwargs)
            return self

        made() if within else creating(made)

    def create(next_creator: Callable[..., Any], **kwargs: Any) -> Any:
        return next_creator(**kwargs) if within else creating(next_creator, **kwargs)

    for owner, name in _QUIET:
        _wrap(changes, owner, name, quietly)
    _wrap(changes, objects.KerasVariable, "__init__", make)
    _wrap(changes, keras.layers.Bidirectional, "__init__", _copying)
    changes.enter(tf.variable_creator_scope(create))


def _wrap(changes: Changes, owner: type, name: str, around: Callable[..., Any]) -> None:
    """Replace a method by ``around(original, ...)`` until changes are undone."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return around(original, *args, **kwargs)

    method.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    changes.undo_by(functools.partial(setattr, owner, name, original))
    setattr(owner, name, method)


def _copying(original: Callable[..., Any], self: Any, layer: Any = None, *args: Any, **kwargs: Any) -> None:
    """Record the layer that ``Bidirectional`` copies without keeping a reference to it."""
    original(self, layer, *args, **kwargs)
    if isinstance(layer, objects.Layer) and layer is not self.forward_layer:
        objects.COPIED.add(layer)


def engine_codes() -> frozenset[CodeType]:
    """Return the code objects of Keras's own drivers: a call beneath them is a retracing or a probe, not the user's."""
    methods = [getattr(owner, name, None) for owner, names in _ENGINE.items() for name in names.split()]
    codes = {inspect.unwrap(method).__code__ for method in methods if method is not None}
    return frozenset({*codes, inspect.unwrap(tf.saved_model.save).__code__})


def is_bookkeeping(method: str) -> bool:
    """Return whether a method makes variables that belong to no layer; in Keras 3 none does."""
    return False


def calls_for_training() -> bool:
    """Return whether the current call of a model is for training."""
    context = global_state.get_global_attribute("current_call_ctx")
    return getattr(context, "training", None) is True
