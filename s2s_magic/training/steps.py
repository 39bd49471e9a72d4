"""A model's traced steps, kept from one fit for the next, as Keras keeps its own until the next ``compile``.

The random streams inside the steps continue, so that a second fit draws the same numbers as a second ``Model.fit``, and
nothing is traced twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from s2s_magic import backend
from s2s_magic.training.accumulating import Accumulation
from s2s_magic.training.measured import Watched
from s2s_magic.training.norms import Recorder


@dataclass(frozen=True)
class Steps:
    """Traced steps, with the recorder in them.

    Attributes
    ----------
    model, compiled
        The model, and the object that its ``compile`` made: after another ``compile`` these steps no longer apply.
    variables
        The variables that the recorder watches.
    how
        All that determines the traced steps besides the model.
    recorder, accumulation
        What the steps were traced with.
    traces
        The traced functions, by the names of the model's attributes.
    without_xla
        Why XLA did not compile the steps as requested; None if it did or was not requested.
    """

    model: Any
    compiled: Any
    variables: tuple[Any, ...]
    how: Hashable
    recorder: Recorder
    accumulation: Accumulation | None
    traces: Mapping[str, Any]
    without_xla: str | None = None

    @classmethod
    def of(
        cls,
        model: Any,
        noted: Watched,
        how: Hashable,
        recorder: Recorder,
        accumulation: Accumulation | None,
        without_xla: str | None = None,
    ) -> Steps:
        """Return the steps that a model traced in a fit."""
        watched, traces = tuple(noted.variables.values()), backend.traces_of(model)
        return cls(model, backend.compiled_as(model), watched, how, recorder, accumulation, traces, without_xla)

    def serve(self, model: Any, noted: Watched, how: Hashable) -> bool:
        """Return whether another fit can use these steps."""
        same_variables = len(self.variables) == len(noted.variables) and all(
            one is other for one, other in zip(self.variables, noted.variables.values(), strict=True)
        )
        return (
            self.model is model and self.compiled is backend.compiled_as(model) and self.how == how and same_variables
        )
