"""TensorFlow Addons' documented API on the Keras at hand, with TensorFlow and Keras alone.

`seq2seq` is a maintained replacement of ``tfa.seq2seq``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.addons import seq2seq

__all__ = ["seq2seq"]


def __getattr__(name: str) -> Any:
    """Load TensorFlow only when something of it is asked for."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
