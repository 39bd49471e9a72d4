"""TensorFlow Addons' documented API on the Keras at hand, with TensorFlow and Keras alone.

`seq2seq` is a maintained replacement of ``tfa.seq2seq``; after `install`, ``import tensorflow_addons`` finds it where
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
    """Load TensorFlow only when something of it is asked for."""
    if name == "seq2seq":
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        return getattr(import_module(f"{__name__}.standing_in"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
