"""What a test does differently on the Keras at hand."""

from __future__ import annotations

import pytest
from tensorflow import keras

from s2s_magic import backend

KERAS3 = backend.active() == "keras3"


def only_keras2(reason: str) -> pytest.MarkDecorator:
    """Return the mark of a case that Keras 3 has no form of."""
    return pytest.mark.skipif(KERAS3, reason=f"Keras 3: {reason}")


def only_keras3(reason: str) -> pytest.MarkDecorator:
    """Return the mark of a case that is peculiar to Keras 3."""
    return pytest.mark.skipif(not KERAS3, reason=reason)


def makes_models_that_lack_inputs() -> bool:
    """Return whether a model is made whose outputs need an input that it is not given; some versions of Keras 3 do."""
    one, other = keras.Input([1]), keras.Input([1])
    try:
        keras.Model(one, keras.layers.Add()([one, other]))
    except ValueError:
        return False
    return True


def count_names_anew() -> None:
    """Let Keras number the names of layers from the start again."""
    getattr(keras.backend, "reset_uids", keras.backend.clear_session)()
