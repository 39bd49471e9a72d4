"""What must be known of a Keras and is private to it: the other rooms ask here, and name nothing private themselves.

Each Keras has a package of its own; their modules give the same functions, with the same arguments.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from s2s_magic.errors import SetupError

if TYPE_CHECKING:
    from s2s_magic.backend.graphs import *  # noqa: F403
    from s2s_magic.backend.holding import *  # noqa: F403
    from s2s_magic.backend.keras2.arithmetic import *  # noqa: F403
    from s2s_magic.backend.keras2.compiled import *  # noqa: F403
    from s2s_magic.backend.keras2.functions import *  # noqa: F403
    from s2s_magic.backend.keras2.hooks import *  # noqa: F403
    from s2s_magic.backend.keras2.objects import *  # noqa: F403
    from s2s_magic.backend.keras2.optimizers import *  # noqa: F403
    from s2s_magic.backend.keras2.parameters import *  # noqa: F403
    from s2s_magic.backend.keras2.randomness import *  # noqa: F403
    from s2s_magic.backend.keras2.state import *  # noqa: F403
    from s2s_magic.backend.keras2.symbolic import *  # noqa: F403
    from s2s_magic.backend.originals import *  # noqa: F403

SHARED = ("holding", "graphs", "originals")
"""The modules for every Keras, in the terms of those."""


def active() -> str:
    """Name the package for the Keras that TensorFlow has: Keras 2 and `tf_keras` in its place, or Keras 3.

    Raises
    ------
    SetupError
        Where there is none, with what to install or to set.
    """
    try:
        from tensorflow import keras

        package = sys.modules[keras.Model.__module__.partition(".")[0]]
    except (ImportError, RecursionError) as error:  # asked again for what it did not find, TensorFlow turns in circles
        raise SetupError(_missing(error)) from error
    return "keras2" if package.__version__.startswith("2.") else "keras3"


def check_beyond_tracing(what: str) -> None:
    """Refuse what the Keras at hand is not understood well enough for.

    Raises
    ------
    SetupError
        On Keras 3, with how to have Keras 2 instead.
    """
    if active() == "keras3":
        raise SetupError(
            f"{what} works with Keras 2 so far, and this process runs Keras 3: {_installing()}, restart, and set "
            "TF_USE_LEGACY_KERAS=1 in the environment before TensorFlow is imported (%env TF_USE_LEGACY_KERAS=1 in "
            "the first cell)"
        )


def _missing(error: Exception) -> str:
    if getattr(error, "name", None) == "tensorflow":
        return (
            f"TensorFlow is not installed in this Python {sys.version_info[0]}.{sys.version_info[1]}, and code of "
            "Keras runs on it: install tensorflow, in a Python that it has a release for. A ledger that was saved is "
            "read and shown without it, by s2s_magic.Ledger.from_dict"
        )
    return f"TensorFlow finds no Keras: install keras, or where TF_USE_LEGACY_KERAS is set, {_installing()}"


def _installing() -> str:
    """Say how to install tf_keras so that TensorFlow stays the one that it is."""
    import tensorflow as tf

    return f"pip install tf_keras=={'.'.join(tf.__version__.split('.')[:2])}.*"


def __getattr__(name: str) -> Any:
    """Ask the Keras at hand, which is loaded when it is first asked."""
    if not name.startswith("_"):
        keras = active()
        for place in (*SHARED, *(f"{keras}.{subject}" for subject in import_module(f"{__name__}.{keras}").SUBJECTS)):
            module = import_module(f"{__name__}.{place}")
            if name in vars(module):
                globals()[name] = found = vars(module)[name]
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
