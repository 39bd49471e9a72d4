"""Two Kerases in one process, Keras 3 beside tf_keras or the reverse: neither recognizes the other's objects."""

from __future__ import annotations

import sys
from typing import Any

from tensorflow import keras

_KERASES = ("keras", "tf_keras")
_OWN = str(keras.Model.__module__).partition(".")[0]
(_OTHER,) = {*_KERASES} - {_OWN}


def has_another() -> bool:
    """Return whether a Keras other than TensorFlow's own, which is the one traced, was imported."""
    return _OTHER in sys.modules


def is_own(value: Any) -> bool | None:
    """Return whether a class or an object belongs to TensorFlow's own Keras rather than the other; None if to neither.

    A user-defined class belongs to the Keras of its base class.
    """
    kind = value if isinstance(value, type) else type(value)
    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return None if packages.isdisjoint(_KERASES) else _OWN in packages


def versions() -> tuple[str, str]:
    """Return TensorFlow's own Keras and the other one, each as name and version."""
    own, other = (f"{name} {sys.modules[name].__version__}" for name in (_OWN, _OTHER))
    return own, other
