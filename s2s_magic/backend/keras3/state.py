"""Save and restore what running and training a model changes."""

from __future__ import annotations

from functools import partial
from typing import Any

from s2s_magic.backend import common, holding
from s2s_magic.backend.keras3 import objects
from s2s_magic.undoing import Changes


def leave_as_it_is(changes: Changes, layer: Any) -> None:
    """Undo what a trial call of a layer changes: the losses it lists, and the seeds it increments."""
    for part in holding.reached(layer):
        if objects.is_ready(part) and isinstance(part, objects.Layer):
            changes.undo_by(partial(part._losses.__setitem__, slice(None), list(part._losses)))
            seeds = [generator.state for generator in getattr(part, "_seed_generators", ())]
            changes.undo_by(common.values_of(seeds))
