"""The random states of Python, NumPy, TensorFlow and Keras."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
from tensorflow import keras
from tensorflow.python.eager import context

from s2s_magic.backend.keras2.private import private
from s2s_magic.undoing import Changes

backend = private("backend")


def keep_random_states(changes: Changes) -> None:
    """Restore the random states of Python, NumPy, TensorFlow and Keras when changes are undone.

    An operation run eagerly with a seed of its own restarts its sequence after `tf.random.set_seed`: TensorFlow keeps
    that state where it cannot be read.
    """
    python, numpy = random.getstate(), np.random.get_state()
    changes.undo_by(lambda: random.setstate(python))
    changes.undo_by(lambda: np.random.set_state(numpy))
    eager, keras_own = context.context(), backend._SEED_GENERATOR
    for owner, name in ((eager, "_rng"), (keras_own, "generator")):
        if (generator := vars(owner).get(name)) is not None:
            changes.undo_by(partial(generator.setstate, generator.getstate()))
            changes.replace(owner, name, generator)
        else:
            changes.undo_by(partial(vars(owner).pop, name, None))
    changes.replace(eager, "_seed", eager._seed)


def seed_all(changes: Changes, seed: int) -> None:
    """Do what ``keras.utils.set_random_seed`` does, until changes are undone."""
    keep_random_states(changes)
    keras.utils.set_random_seed(seed)
