"""Making `s2s_magic.addons` importable as ``tensorflow_addons``."""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from s2s_magic import backend
from s2s_magic.undoing import Changes

NAME = "tensorflow_addons"
PLACES = ("attention_wrapper", "basic_decoder", "beam_search_decoder", "decoder", "loss", "sampler")


def modules() -> dict[str, ModuleType]:
    """Return the replacements for ``tensorflow_addons`` and its submodules, by import name."""
    seq2seq = _ours()
    package = ModuleType(NAME, "The part of TensorFlow Addons that s2s_magic has: `seq2seq`.")
    package.__path__ = []
    vars(package)["__getattr__"] = _missing
    found = {NAME: package, f"{NAME}.seq2seq": seq2seq}
    found |= {f"{NAME}.seq2seq.{place}": getattr(seq2seq, place) for place in PLACES}
    vars(package)["seq2seq"] = seq2seq
    return found


def _missing(name: str) -> Any:
    raise AttributeError(
        f"module {NAME!r} has no attribute {name!r}: TensorFlow Addons is not installed, and s2s_magic, which stands "
        "in for it, has seq2seq alone"
    )


def _ours() -> ModuleType:
    return import_module("s2s_magic.addons.seq2seq")  # loads TensorFlow


def is_needed() -> bool:
    """Whether TensorFlow Addons is not installed."""
    return NAME not in sys.modules and importlib.util.find_spec(NAME) is None


_FOR_GOOD: list[Changes] = []
"""What `install` changed, which nothing undoes."""


def install(force: bool = False) -> bool:
    """Make ``import tensorflow_addons`` find our replacement until the process ends.

    On Keras 3, functions of TensorFlow such as ``tf.nn.softmax`` and ``tf.concat`` also take Keras's symbolic tensors
    from then on, and become operations of the model, as in traced cells.

    Parameters
    ----------
    force : bool
        Do so even if the real package is installed. Code that has already imported it keeps it.

    Returns
    -------
    bool
        Whether ``import tensorflow_addons`` now finds ours.
    """
    if force or is_needed():
        sys.modules.update(modules())
    if not _FOR_GOOD:
        _FOR_GOOD.append(Changes())
        backend.take_symbols(_FOR_GOOD[0])
    return sys.modules.get(f"{NAME}.seq2seq") is _ours()


def stand_in(changes: Changes) -> None:
    """Make ``import tensorflow_addons`` find ours until the changes are undone, if the real one is not installed."""
    if is_needed():
        for name in modules():
            changes.undo_by(lambda name=name: sys.modules.pop(name, None))  # type: ignore[misc]
        sys.modules.update(modules())
