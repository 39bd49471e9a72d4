"""One fit at a time for each object: two that change the same ones would put back each other's changes."""

from __future__ import annotations

from typing import Any

from s2s_magic import backend
from s2s_magic.errors import FitError
from s2s_magic.undoing import Changes

_TAKEN: dict[int, object] = {}
"""By identity, the objects that a fit has taken, with that fit's token; nothing but a dictionary's own steps, which no
thread sees half done."""

_RANDOM = 0
"""Stands for the random states of the process."""


def take(changes: Changes, name: str, model: Any, *, alone: bool) -> None:
    """Take a model and all that is in it until changes are undone; with ``alone``, the random states as well.

    A fit with a seed sets the random states, and puts them back.

    Raises
    ------
    FitError
        When a fit that has not ended has taken one of them.
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
