"""Ours under the name ``tensorflow_addons``, where programs import it."""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from types import ModuleType

from s2s_magic.undoing import Changes

NAME = "tensorflow_addons"
PLACES = ("attention_wrapper", "basic_decoder", "beam_search_decoder", "decoder", "loss", "sampler")


def modules() -> dict[str, ModuleType]:
    """Give what stands for ``tensorflow_addons`` and the modules in it, by the names under which they are imported."""
    seq2seq = _ours()
    package = ModuleType(NAME, "The part of TensorFlow Addons that s2s_magic has: `seq2seq`.")
    package.__path__ = []
    found = {NAME: package, f"{NAME}.seq2seq": seq2seq}
    found |= {f"{NAME}.seq2seq.{place}": getattr(seq2seq, place) for place in PLACES}
    vars(package)["seq2seq"] = seq2seq
    return found


def _ours() -> ModuleType:
    return import_module("s2s_magic.addons.seq2seq")  # which loads TensorFlow


def is_needed() -> bool:
    """Whether no TensorFlow Addons is installed."""
    return NAME not in sys.modules and importlib.util.find_spec(NAME) is None


def install(force: bool = False) -> bool:
    """Let ``import tensorflow_addons`` give ours, until the process ends.

    Parameters
    ----------
    force : bool
        Also where the real one is installed; what imported it before keeps it.

    Returns
    -------
    bool
        Whether ours stands there.
    """
    if force or is_needed():
        sys.modules.update(modules())
    return sys.modules.get(f"{NAME}.seq2seq") is _ours()


def stand_in(changes: Changes) -> None:
    """Let ``import tensorflow_addons`` give ours, where there is none, until the changes are undone."""
    if is_needed():
        for name in modules():
            changes.undo_by(lambda name=name: sys.modules.pop(name, None))  # type: ignore[misc]
        sys.modules.update(modules())
