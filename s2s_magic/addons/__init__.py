"""The documented API of ``tfa.seq2seq`` for the installed Keras, with no dependency but TensorFlow and Keras.

`seq2seq` is a maintained replacement for ``tfa.seq2seq``. After `install`, ``import tensorflow_addons`` finds it where
TensorFlow Addons is not installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.addons import seq2seq
    from s2s_magic.addons.standing_in import install, is_needed, stand_in

__all__ = ["install", "is_needed", "seq2seq", "stand_in"]


def __getattr__(name: str) -> Any:
    """Load TensorFlow only when an attribute needs it."""
    if name == "seq2seq":
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        return getattr(import_module(f"{__name__}.standing_in"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
