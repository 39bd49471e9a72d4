"""One fit at a time for each object: two fits that change the same object would undo each other's changes."""

from __future__ import annotations

from typing import Any

from s2s_magic import backend
from s2s_magic.errors import FitError
from s2s_magic.undoing import Changes

_TAKEN: dict[int, object] = {}
"""From the id of each object in use to the token of the fit that uses it; accessed only by single dictionary
operations, which are atomic between threads."""

_RANDOM = 0
"""The key of the process's random states."""


def take(changes: Changes, name: str, model: Any, *, alone: bool) -> None:
    """Reserve a model and every object in it until changes are undone; with ``alone``, the random states too.

    A fit with a seed sets the random states and restores them.

    Raises
    ------
    FitError
        If another fit is using one of them.
    """
    token = object()

    def give_back() -> None:
        for key in [key for key, owner in list(_TAKEN.items()) if owner is token]:
            _TAKEN.pop(key, None)

    changes.undo_by(give_back)
    wanted = [
        *map(id, backend.reached(model)),
        id(getattr(model, "optimizer", None) or model),
        *([_RANDOM] if alone else []),
    ]
    for key in wanted:
        if _TAKEN.setdefault(key, token) is not token:
            what = f"a layer of {name}" if key != _RANDOM else "the random numbers"
            raise FitError(f"another fit has {what} at the moment: wait for it to end, or interrupt it")
