"""The random states of Python, NumPy, TensorFlow and Keras."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
from tensorflow import keras
from tensorflow.python.eager import context

from s2s_magic import backend
from s2s_magic.undoing import Changes


def keep_random_states(changes: Changes) -> None:
    """Restore the random states of Python, NumPy, TensorFlow and Keras when changes are undone.

    An eager operation with its own seed still restarts its sequence after `tf.random.set_seed`: TensorFlow keeps that
    state where it cannot be read.
    """
    python, numpy = random.getstate(), np.random.get_state()
    changes.undo_by(lambda: random.setstate(python))
    changes.undo_by(lambda: np.random.set_state(numpy))
    eager = context.context()
    keep_generator(changes, eager, "_rng")
    changes.replace(eager, "_seed", eager._seed)
    backend.keep_own_random_states(changes)


def keep_as_it_runs(changes: Changes, model: Any) -> None:
    """Restore, when changes are undone, what running a model changes: its own states, and all random states.

    A cell that is not run by a layer of Keras keeps its dropout masks until it is told to forget them. Until changes
    are undone it has none, and so it takes batches of any size; then it has those that it had.
    """
    keep_random_states(changes)
    changes.undo_by(backend.values_of(backend.running_state(model)))
    for layer in backend.reached(model):
        for name, empty in backend.empty_masks(layer).items():
            changes.replace(layer, name, empty)


def keep_generator(changes: Changes, owner: object, name: str) -> None:
    """Restore the state of a generator of `random` that an attribute holds, or may hold later."""
    if (generator := vars(owner).get(name)) is not None:
        changes.undo_by(partial(generator.setstate, generator.getstate()))
        changes.replace(owner, name, generator)
    else:
        changes.undo_by(partial(vars(owner).pop, name, None))


def seed_all(changes: Changes, seed: int) -> None:
    """Call ``keras.utils.set_random_seed``; restore the random states when changes are undone."""
    keep_random_states(changes)
    keras.utils.set_random_seed(seed)
