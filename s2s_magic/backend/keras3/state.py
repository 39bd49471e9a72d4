"""Save and restore what running and training a model changes."""

from __future__ import annotations

from functools import partial
from typing import Any

import tensorflow as tf

from s2s_magic.backend import common, holding
from s2s_magic.backend.keras3 import objects
from s2s_magic.backend.keras3.own import private
from s2s_magic.undoing import Changes

global_state = private("backend.common.global_state")


def keep_own_random_states(changes: Changes) -> None:
    """Restore Keras's seed, and its generator for calls without a seed, when changes are undone."""
    for name in ("global_random_seed", "global_seed_generator"):
        held = global_state.get_global_attribute(name)
        changes.undo_by(partial(global_state.set_global_attribute, name, held))
        if held is not None and hasattr(held, "state"):
            changes.undo_by(common.values_of([held.state]))


def leave_as_it_is(changes: Changes, layer: Any) -> None:
    """Restore, when changes are undone, what a trial call of a layer changes: its list of losses, and its seeds."""
    for part in holding.reached(layer):
        if objects.is_ready(part) and isinstance(part, objects.Layer):
            changes.undo_by(partial(part._losses.__setitem__, slice(None), list(part._losses)))
            seeds = [generator.state for generator in getattr(part, "_seed_generators", ())]
            changes.undo_by(common.values_of(seeds))


def state_held(layer: Any) -> list[Any]:
    """List the variables that a layer holds directly, without the trainable ones that it lists."""
    seeds = [generator.state for generator in getattr(layer, "_seed_generators", ())]
    held = [each for value in vars(layer).values() for each in (value if isinstance(value, list) else [value])]
    listed = (*getattr(layer, "_non_trainable_variables", ()), *seeds, *held)
    return [variable for variable in listed if isinstance(variable, (objects.KerasVariable, tf.Variable))]


def draw_from_states(changes: Changes, model: Any, seed: int) -> list[Any]:
    """Let layers draw from generators whose states are variables; in Keras 3 they do, and models hold these."""
    return []


def loss_trackers(model: Any) -> list[tuple[Any, bool]]:
    """Return the metrics of a compiled model that average losses over batches, and whether by the rows of these."""
    others = model._compile_loss.metrics if model._compile_loss is not None else ()
    return [(model._loss_tracker, True), *((each, False) for each in others)]


def own_seeds(model: Any) -> list[Any]:
    """Return the states of random numbers that a model holds, each a seed and a counter."""
    return [each.state for part in holding.reached(model) for each in getattr(part, "_seed_generators", ())]
