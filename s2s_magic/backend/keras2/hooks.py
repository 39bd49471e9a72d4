"""What tracing hooks into, and which calls are Keras's own rather than the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

import tensorflow as tf

from s2s_magic.backend.keras2 import objects
from s2s_magic.backend.keras2.private import private
from s2s_magic.undoing import Changes

call_context = private("engine.base_layer_utils").call_context
functional, sequential = private("engine.functional"), private("engine.sequential")

_COUNTERS = "_init_batch_counters"


# Keras methods that call a model on the user's behalf: such calls are not in the user's code.
_ENGINE = {
    objects.Model: "fit evaluate predict train_on_batch test_on_batch predict_on_batch train_step test_step "
    f"predict_step build save export summary {_COUNTERS}",
    functional.Functional: "save",
    sequential.Sequential: "build",
    objects.Layer: "compute_output_shape compute_output_signature",
}


CONSTRUCTORS: tuple[tuple[type, str], ...] = ((objects.Layer, "__init__"),)
CALLS: tuple[tuple[type, str], ...] = ((objects.Layer, "__call__"),)
"""The Keras methods that construct and that call a layer."""


def hear_variables(changes: Changes, creating: Callable[..., Any]) -> None:
    """Let ``creating(next_creator, ...)`` make each variable until changes are undone."""
    changes.enter(tf.variable_creator_scope(creating))


def engine_codes() -> frozenset[CodeType]:
    """Return the code objects of Keras's own drivers: a call beneath them is a retracing or a probe, not the user's."""
    methods = [getattr(owner, name, None) for owner, names in _ENGINE.items() for name in names.split()]
    codes = {inspect.unwrap(method).__code__ for method in methods if method is not None}
    return frozenset({*codes, inspect.unwrap(tf.saved_model.save).__code__})


def is_bookkeeping(method: str) -> bool:
    """Return whether a method makes variables that belong to no layer, such as a model's batch counters."""
    return method == _COUNTERS


def calls_for_training() -> bool:
    """Return whether the current call of a model is for training."""
    return call_context().training is True
