"""Two Kerases in one process: Keras 3 beside tf_keras, or the reverse. What one made is nothing to the other."""

from __future__ import annotations

import sys
from typing import Any

from tensorflow import keras

_KERASES = ("keras", "tf_keras")
_OWN = str(keras.Model.__module__).partition(".")[0]
(_OTHER,) = {*_KERASES} - {_OWN}


def has_another() -> bool:
    """Return whether another Keras than TensorFlow's own, which is the one that is traced, was imported."""
    return _OTHER in sys.modules


def is_own(value: Any) -> bool | None:
    """Return whether a class or an object is TensorFlow's own Keras's rather than the other's; None if neither's.

    A class of the user's own is of the Keras that its base is of.
    """
    kind = value if isinstance(value, type) else type(value)
    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return None if packages.isdisjoint(_KERASES) else _OWN in packages


def versions() -> tuple[str, str]:
    """Name TensorFlow's own Keras and the other one, with their versions."""
    own, other = (f"{name} {sys.modules[name].__version__}" for name in (_OWN, _OTHER))
    return own, other
