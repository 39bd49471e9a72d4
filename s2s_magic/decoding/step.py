"""What one step of a decoder needs, and the code of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class State:
    """A state that goes from one step to the next.

    Attributes
    ----------
    first
        The tensor of the trained model that it starts as; None for zeros.
    shape
        Without the batch's dimension.
    dtype
        What the layer computes in.
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
    """What one step of a decoder needs and does.

    Attributes
    ----------
    fed
        The tensor of the trained model that a step has one position of: the decoder's input, or the ids that a
        vectorization makes of it.
    fed_name
        Its name in the code.
    memory
        Names in the code by the encoder's tensors that every step looks at.
    masks
        Names in the code, and what they stand for, of the masks of such tensors.
    states
        In the order of the layers.
    lines
        The code of the step.
    scores
        The name of what it gives.
    """

    name: str
    fed: Any = None
    fed_name: str = ""
    memory: dict[int, tuple[Any, str]] = field(default_factory=dict)
    masks: dict[int, tuple[str, str]] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    scores: str = ""
