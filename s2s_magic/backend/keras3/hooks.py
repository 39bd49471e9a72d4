"""What is heard while a cell runs, and which calls are Keras's own and not the user's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

import tensorflow as tf

from s2s_magic.backend.keras3 import objects
from s2s_magic.backend.keras3.own import private
from s2s_magic.undoing import Changes

global_state = private("backend.common.global_state")

CONSTRUCTORS: tuple[tuple[type, str], ...] = ((objects.Layer, "__init__"), (objects.Graph, "__init__"))
CALLS: tuple[tuple[type, str], ...] = ((objects.Layer, "__call__"), (objects.Operation, "symbolic_call"))
"""The methods of Keras that construct and that call a layer or, on symbolic tensors, an operation."""

# Keras's own calls of a model, made for the user's sake: none of these calls stands in the user's code.
_ENGINE = {
    objects.Model: "fit evaluate predict train_on_batch test_on_batch predict_on_batch train_step test_step "
    "predict_step build build_from_config save export summary _symbolic_build _maybe_symbolic_build",
    objects.Sequential: "build",
    objects.Layer: "compute_output_shape compute_output_spec build_from_config",
}


def hear_variables(changes: Changes, creating: Callable[..., Any]) -> None:
    """Let ``creating(next_creator, ...)`` make each variable until changes are undone: Keras's, and TensorFlow's own.

    What holds the numbers of Keras's variable is no variable of its own, and the state of a random generator is none.
    """
    within: list[Any] = []
    original = objects.KerasVariable.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        def made(**_: Any) -> Any:
            within.append(self)
            try:
                original(self, *args, **kwargs)
            finally:
                within.pop()
            return self

        if kwargs.get("name") == objects.SEED:
            made()
        else:
            creating(made)

    def create(next_creator: Callable[..., Any], **kwargs: Any) -> Any:
        return next_creator(**kwargs) if within else creating(next_creator, **kwargs)

    changes.undo_by(functools.partial(setattr, objects.KerasVariable, "__init__", original))
    setattr(objects.KerasVariable, "__init__", init)  # noqa: B010
    changes.enter(tf.variable_creator_scope(create))


def engine_codes() -> frozenset[CodeType]:
    """Give the code of Keras's own drivers: a call beneath them is a retracing or a probe, not the user's."""
    methods = [getattr(owner, name, None) for owner, names in _ENGINE.items() for name in names.split()]
    codes = {inspect.unwrap(method).__code__ for method in methods if method is not None}
    return frozenset({*codes, inspect.unwrap(tf.saved_model.save).__code__})


def is_bookkeeping(method: str) -> bool:
    """Say whether a method makes variables that belong to no layer: none does here."""
    return False


def calls_for_training() -> bool:
    """Say whether the call of a model that goes on is one for training."""
    context = global_state.get_global_attribute("current_call_ctx")
    return getattr(context, "training", None) is True
