"""One example's values on the wires of a model, and the gradient's on their way back: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_magic.ledger import Ledger


@dataclass(frozen=True)
class Carried:
    """What one tensor of a model carries for an example.

    Attributes
    ----------
    event, output
        The event that makes the tensor, and the number of that output.
    name, layer
        The user's name for it, or None, and for the layer that makes it.
    line
        The cell line of the event.
    shape, dtype
        Of the values; the first axis is the batch, which has one example.
    first
        Its first values: several of a row of ids, else of the first position's numbers.
    norm
        Euclidean norm of all its numbers; None for ids, texts and booleans.
    true
        How many of its values are true; None for anything but booleans, such as masks.
    gradient
        Euclidean norm of the loss's gradient with respect to it; None where none flows back through it.
    """

    event: int
    output: int
    name: str | None
    layer: str
    line: int
    shape: tuple[int, ...]
    dtype: str
    first: tuple[float | int | bool | str, ...]
    norm: float | None = None
    gradient: float | None = None
    true: int | None = None


@dataclass(frozen=True)
class Followed:
    """An example followed through a model; notebooks show it on the wiring, and as a table in order of the steps.

    Attributes
    ----------
    name
        The model.
    carried
        What each tensor carries, in order of the events.
    loss
        The example's loss.
    source, target
        The example, as it was given.
    notes
        Where the target comes from, if it was not given, and what the loss leaves out.
    ledger
        The records of the model.
    """

    name: str
    carried: tuple[Carried, ...]
    loss: float
    source: str
    target: str
    notes: tuple[str, ...]
    ledger: Ledger

    def display(self) -> Any:
        """Return what shows it: an object with ``text`` and ``html``."""
        from s2s_magic.view.bundles import show_followed

        return show_followed(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle: dict[str, Any] = self.display()._repr_mimebundle_()
        return bundle
