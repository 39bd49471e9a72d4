"""The inputs, states and code of one decoder step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class State:
    """A state that is carried from one step to the next.

    Attributes
    ----------
    first
        The tensor of the trained model that is its initial value; None for zeros.
    shape
        Without the batch axis.
    dtype
        The layer's compute dtype.
    given, after
        Its names in the code, before and after a step.
    """

    first: Any
    shape: tuple[int, ...]
    dtype: str
    given: str
    after: str


@dataclass
class Step:
    """One step of a decoder, as code.

    Attributes
    ----------
    fed
        The tensor of the trained model of which a step reads one position: the decoder's input, or the ids into which
        it is vectorized.
    fed_name
        Its name in the code.
    memory
        The encoder's tensors that every step attends to, with their names in the code, by the tensors' ``id``.
    masks
        The masks of these tensors as expressions, with their names in the code, by the tensors' ``id``.
    states
        In the order of the layers.
    lines
        The code of the step.
    scores
        The name of its output in the code.
    """

    name: str
    fed: Any = None
    fed_name: str = ""
    memory: dict[int, tuple[Any, str]] = field(default_factory=dict)
    masks: dict[int, tuple[str, str]] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    scores: str = ""
