"""A model's steps as they were traced for one fit, kept for the next: as Keras keeps its own until it compiles anew.

With the steps stay the random streams inside them, so that a second fit draws the numbers that ``Model.fit`` would draw
in its second, and nothing is traced twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from s2s_magic import backend
from s2s_magic.training.measured import Watched
from s2s_magic.training.norms import Recorder


@dataclass(frozen=True)
class Steps:
    """Traced steps, with the recorder in them.

    Attributes
    ----------
    model, compiled
        The model, and what its compile made: after another one, the steps are not those of the model any more.
    variables
        What the recorder watches.
    how
        All that decides what is traced beside the model.
    recorder
        The recorder.
    traces
        By their names in the model.
    without_xla
        What was said where XLA was to compile them and could not.
    """

    model: Any
    compiled: Any
    variables: tuple[Any, ...]
    how: Hashable
    recorder: Recorder
    traces: Mapping[str, Any]
    without_xla: str | None = None

    @classmethod
    def of(cls, model: Any, noted: Watched, how: Hashable, recorder: Recorder, without_xla: str | None = None) -> Steps:
        """Take the steps that a model has traced in a fit."""
        watched = tuple(noted.variables.values())
        return cls(model, backend.compiled_as(model), watched, how, recorder, backend.traces_of(model), without_xla)

    def serve(self, model: Any, noted: Watched, how: Hashable) -> bool:
        """Return whether another fit can go on with these steps."""
        same_variables = len(self.variables) == len(noted.variables) and all(
            one is other for one, other in zip(self.variables, noted.variables.values(), strict=True)
        )
        return (
            self.model is model and self.compiled is backend.compiled_as(model) and self.how == how and same_variables
        )
