"""What must be known of a Keras and is private to it: the other rooms ask here, and name nothing private themselves.

Each Keras has a package of its own; their modules give the same functions, with the same arguments.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.backend.keras2.arithmetic import *  # noqa: F403
    from s2s_magic.backend.keras2.compiled import *  # noqa: F403
    from s2s_magic.backend.keras2.holding import *  # noqa: F403
    from s2s_magic.backend.keras2.hooks import *  # noqa: F403
    from s2s_magic.backend.keras2.objects import *  # noqa: F403
    from s2s_magic.backend.keras2.optimizers import *  # noqa: F403
    from s2s_magic.backend.keras2.parameters import *  # noqa: F403
    from s2s_magic.backend.keras2.randomness import *  # noqa: F403
    from s2s_magic.backend.keras2.state import *  # noqa: F403
    from s2s_magic.backend.keras2.symbolic import *  # noqa: F403

SUBJECTS = (
    *("objects", "holding", "parameters", "symbolic", "hooks"),
    *("compiled", "optimizers", "state", "randomness", "arithmetic"),
)
"""The modules that each Keras has."""


def active() -> str:
    """Name the package for the Keras that TensorFlow has: Keras 2, or `tf_keras` in its place."""
    return "keras2"


def __getattr__(name: str) -> Any:
    """Ask the Keras at hand, which is loaded when it is first asked."""
    if not name.startswith("_"):
        for subject in SUBJECTS:
            module = import_module(f"{__name__}.{active()}.{subject}")
            if name in vars(module):
                globals()[name] = found = vars(module)[name]
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
