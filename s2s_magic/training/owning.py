"""Join the norms of variables to those of their owners, for the display of a running fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from s2s_magic import backend
from s2s_magic.data.sequences import Numbers
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger.curves import Curves, OwnerCurve
from s2s_magic.training.norms import Epoch

if TYPE_CHECKING:
    from s2s_magic.training.measured import Watched


class Owned:
    """The curves of a fit, and which of the watched variables belong to which owner.

    Parameters
    ----------
    seq2seq
        The model, compiled for the fit.
    noted
        The variables that the fit watches.
    """

    def __init__(self, seq2seq: Seq2Seq, noted: Watched) -> None:
        # a training step of the user's own may train what the compiled model does not
        own_step = backend.has_own_step(seq2seq.model)
        trained = {id(backend.bare(variable)) for variable in backend.trained_by_fit(seq2seq.model)}
        in_model = {id(backend.bare(variable)) for variable in seq2seq.model.variables}
        self._places: dict[str, list[int]] = {}
        others = []
        for place, (key, variable) in enumerate(noted.variables.items()):
            known = seq2seq.ledger.variables[key]
            this = id(backend.bare(variable))
            if this in trained or (own_step and known.trainable):
                self._places.setdefault(known.owner, []).append(place)
            elif this in in_model and (known.trainable or known.frozen_by is not None):  # else it is no weight
                others.append(known.owner)
        untouched = [owner for owner in dict.fromkeys(others) if owner not in self._places]
        self.curves = Curves(owners={owner: OwnerCurve() for owner in self._places}, untouched=tuple(untouched))

    def add(self, values: Mapping[str, float], epoch: Epoch) -> None:
        """Append an epoch to the curves."""
        norms = {}
        for owner, places in self._places.items():
            weight = _joined(epoch.norm, places)
            norms[owner] = (
                _joined(epoch.gradient, places),
                _joined(epoch.update, places) / weight if weight else 0.0,
            )
        self.curves.add(values, norms)


def _joined(norms: Numbers, places: Sequence[int]) -> float:
    """Return the norm of several variables together."""
    return float(np.linalg.norm(norms[places]))
