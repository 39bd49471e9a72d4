"""The course of a running fit as plain data: its values, and what it does to each owner's variables, by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class OwnerCurve:
    """What a fit does to the variables of one owner.

    Attributes
    ----------
    gradient
        For each epoch, the norm of their gradient before clipping: the root mean square over the measured steps.
    update
        For each epoch, the norm of an update, measured in the same way, divided by the norm of the variables.
    """

    gradient: list[float] = field(default_factory=list)
    update: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Curves:
    """The epochs of a fit so far; `add` appends to the lists in place.

    Attributes
    ----------
    values
        The loss and the metrics by name, with one number for each epoch; None where an epoch has no value.
    owners
        By name, the owners of the variables that the fit may train.
    untouched
        The owners of which the fit trains nothing.
    """

    values: dict[str, list[float | None]] = field(default_factory=dict)
    owners: Mapping[str, OwnerCurve] = field(default_factory=dict)
    untouched: Sequence[str] = ()

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return max((len(curve) for curve in self.values.values()), default=0)

    def add(self, values: Mapping[str, float], norms: Mapping[str, tuple[float, float]]) -> None:
        """Append an epoch: its values, and for each owner the norm of the gradient and the update's ratio."""
        before = self.epochs
        for name in dict.fromkeys([*self.values, *values]):
            self.values.setdefault(name, [None] * before).append(values.get(name))
        for owner, (gradient, update) in norms.items():
            self.owners[owner].gradient.append(gradient)
            self.owners[owner].update.append(update)
