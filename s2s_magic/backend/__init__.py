"""Everything that depends on the internals of a Keras: other rooms call `s2s_magic.backend` and use no internals.

Each Keras has a package of its own; the packages' modules have the same functions, with the same arguments.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from s2s_magic.errors import WITHOUT_TENSORFLOW, SetupError, first_line_of

if TYPE_CHECKING:
    from s2s_magic.backend.common import *  # noqa: F403
    from s2s_magic.backend.custom_gradients import *  # noqa: F403
    from s2s_magic.backend.graphs import *  # noqa: F403
    from s2s_magic.backend.holding import *  # noqa: F403
    from s2s_magic.backend.keras2.arithmetic import *  # noqa: F403
    from s2s_magic.backend.keras2.compiled import *  # noqa: F403
    from s2s_magic.backend.keras2.functions import *  # noqa: F403
    from s2s_magic.backend.keras2.hooks import *  # noqa: F403
    from s2s_magic.backend.keras2.objects import *  # noqa: F403
    from s2s_magic.backend.keras2.optimizers import *  # noqa: F403
    from s2s_magic.backend.keras2.parameters import *  # noqa: F403
    from s2s_magic.backend.keras2.rnn import *  # noqa: F403
    from s2s_magic.backend.keras2.state import *  # noqa: F403
    from s2s_magic.backend.keras2.symbolic import *  # noqa: F403
    from s2s_magic.backend.originals import *  # noqa: F403
    from s2s_magic.backend.randomness import *  # noqa: F403
    from s2s_magic.backend.recurrence import *  # noqa: F403
    from s2s_magic.backend.stepping import *  # noqa: F403

SHARED = ("holding", "graphs", "originals", "randomness", "recurrence", "stepping", "common", "custom_gradients")
"""The modules for every Keras, written in terms of those packages."""


def active() -> str:
    """Return the name of the package for TensorFlow's Keras: Keras 2, or `tf_keras` in its place, or Keras 3.

    Raises
    ------
    SetupError
        If there is none, with what to install or to set.
    """
    return "keras2" if keras_version().startswith("2.") else "keras3"


def keras_version() -> str:
    """Return the version of TensorFlow's Keras; raises as `active`."""
    try:
        from tensorflow import keras

        package = sys.modules[keras.Model.__module__.partition(".")[0]]
    except (ImportError, RecursionError) as error:  # if a failed lookup is repeated, TensorFlow recurses endlessly
        raise SetupError(_missing(error)) from error
    return str(package.__version__)


def check_runs_on_tensorflow(what: str) -> None:
    """Refuse what needs TensorFlow's numbers if Keras 3 computes with another backend.

    Raises
    ------
    SetupError
        With how to change the backend.
    """
    name = import_module("tensorflow").keras.backend.backend()
    if name != "tensorflow":
        raise SetupError(
            f"{what} needs Keras's TensorFlow backend, and this process uses {name}: restart, and set "
            "KERAS_BACKEND=tensorflow in the environment before Keras is imported (%env KERAS_BACKEND=tensorflow in "
            "the first cell)"
        )


def _missing(error: Exception) -> str:
    if find_spec("tensorflow") is None:
        return WITHOUT_TENSORFLOW
    # another error, as of a code.py in the working directory, which hides Python's own
    if not isinstance(error, RecursionError) and "keras" not in str(error).lower():
        return f"TensorFlow cannot be imported: {first_line_of(error)}"
    return f"TensorFlow finds no Keras: install keras, or where TF_USE_LEGACY_KERAS is set, {_installing()}"


def _installing() -> str:
    """Say how to install tf_keras without changing TensorFlow's version."""
    import tensorflow as tf

    return f"pip install tf_keras=={'.'.join(tf.__version__.split('.')[:2])}.*"


def __getattr__(name: str) -> Any:
    """Look up a name in the package for the current Keras, which is loaded at the first lookup."""
    if not name.startswith("_"):
        keras = active()
        for place in (*SHARED, *(f"{keras}.{subject}" for subject in import_module(f"{__name__}.{keras}").SUBJECTS)):
            module = import_module(f"{__name__}.{place}")
            if name in vars(module):
                globals()[name] = found = vars(module)[name]
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
