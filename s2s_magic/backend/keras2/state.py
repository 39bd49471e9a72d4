"""Save and restore what running and training a model changes."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from s2s_magic.backend import holding, randomness, stepping
from s2s_magic.backend.keras2 import objects
from s2s_magic.backend.keras2.private import private
from s2s_magic.undoing import Changes

keras_backend = private("backend")
RandomGenerator = keras_backend.RandomGenerator
_FOR_A_FIT: set[Any] = set()
"""The generators that `draw_from_states` made."""


def keep_own_random_states(changes: Changes) -> None:
    """Restore the state of Keras's own generator when changes are undone."""
    randomness.keep_generator(changes, keras_backend._SEED_GENERATOR, "generator")


def leave_as_it_is(changes: Changes, layer: Any) -> None:
    """Restore, when changes are undone, what a trial call of a layer changes: its list of losses, and its seeds."""

    def put_back(part: Any, losses: list[Any], eager: list[Any], seed: Any) -> None:
        part._losses[:] = losses
        part._eager_losses[:] = eager
        generator = vars(part).get("_random_generator")
        if hasattr(generator, "_seed"):
            generator._seed = seed

    for part in holding.reached(layer):
        if objects.is_ready(part):
            seed = getattr(vars(part).get("_random_generator"), "_seed", None)
            changes.undo_by(functools.partial(put_back, part, list(part._losses), list(part._eager_losses), seed))


def state_held(layer: Any) -> list[Any]:
    """List the variables that a layer holds directly, without the trainable ones that it lists."""
    held = tf.nest.flatten([layer._non_trainable_weights, [_held(value) for value in vars(layer).values()]])
    return [variable for variable in held if isinstance(variable, tf.Variable)]


def draw_from_states(changes: Changes, model: Any, seed: int) -> list[Any]:
    """Let layers draw from generators whose states are variables, until changes are undone; return these.

    By default the layers of Keras 2 draw by operations that keep their states to themselves. This is its own other way:
    ``keras.backend.experimental.enable_tf_random_generator``.
    """
    states = []
    changes.undo_by(_FOR_A_FIT.clear)
    for number, layer in enumerate(holding.reached(model)):
        generator = vars(layer).get("_random_generator")
        if isinstance(generator, RandomGenerator) and generator._rng_type == generator.RNG_LEGACY_STATEFUL:
            own = tf.random.Generator.from_seed(seed + number)
            for name, value in (("_rng_type", generator.RNG_STATEFUL), ("_generator", own), ("_built", True)):
                changes.replace(generator, name, value)
            _FOR_A_FIT.add(own)
            states.append(own.state)
    return states


def _held(value: Any) -> Any:
    """Return the variables that one attribute of a layer holds directly, not through a layer."""
    if isinstance(value, RandomGenerator):
        value = getattr(value, "_generator", None)  # made at the first use; Attention without dropout makes none
        if value in _FOR_A_FIT:
            return []
    if isinstance(value, tf.random.Generator):
        return [value.state]
    if isinstance(value, list | tuple):
        return [one for one in value if isinstance(one, tf.Variable)]
    return [value] if isinstance(value, tf.Variable) else []


def count_steps(changes: Changes, model: Any) -> None:
    """Count a model's training steps from now on; Keras 2 does so itself."""


def steps_taken(model: Any) -> int:
    """Return the number of steps since the current fit of a model began."""
    return int(getattr(model, "_train_counter", 0))


def metric_results(model: Any) -> dict[str, Any]:
    """Return the current results of a model's metrics, as `fit` would after a step."""
    found = {}
    for metric in stepping.metrics_of(model):
        result = metric.result()
        found.update(result if isinstance(result, dict) else {metric.name: result})
    return found


def loss_trackers(model: Any) -> list[tuple[Any, bool]]:
    """Return the metrics of a compiled model that average losses over batches, and whether by the rows of these."""
    return [(each, True) for each in model.compiled_loss.metrics]


def own_seeds(model: Any) -> list[Any]:
    """Return the states of random numbers that a model holds, each a seed and a counter; in Keras 2 it holds none."""
    return []
