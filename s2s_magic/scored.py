"""The scores of a model: metrics with their intervals, the outputs, and the worst of them. Plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s2s_magic.scores.differences import Piece


@dataclass(frozen=True)
class Score:
    """One metric.

    Attributes
    ----------
    value
        Of all rows: ``bleu``, ``chrf`` and ``ter`` from 0 to 100, as sacrebleu has them; ``exact``,
        ``token_accuracy``, ``wer`` and ``per`` as fractions, as Keras and jiwer have them; NaN if it is not defined.
    low, high
        The ends of its 95 % interval; None without resamples.
    signature
        How it was computed; of sacrebleu's metrics, its own signature.
    higher_is_better
        Whether a better model has a higher value.
    """

    value: float
    low: float | None
    high: float | None
    signature: str
    higher_is_better: bool


@dataclass(frozen=True)
class Bad:
    """One of the worst outputs.

    Attributes
    ----------
    row
        The number of its row, from 0.
    source, output
        As texts; ids with blanks between them.
    references
        The references of the row.
    values
        The metrics of this row alone, by name.
    differences
        Between the output and the reference that is most like it.
    """

    row: int
    source: str
    output: str
    references: tuple[str, ...]
    values: Mapping[str, float]
    differences: tuple[Piece, ...]


@dataclass(frozen=True)
class Scored:
    """What a model scored; notebooks show it as a table, with the worst outputs below.

    Attributes
    ----------
    name
        The model.
    rows
        The number of rows.
    scores
        By metric, in the order asked for.
    worst
        The worst outputs by the first metric, those alike by the next; the worst first.
    outputs
        The output of each row, as `s2s_magic.decode` returns it.
    notes
        What a reader should know of how the scores came about.
    """

    name: str
    rows: int
    scores: Mapping[str, Score]
    worst: tuple[Bad, ...]
    outputs: tuple[Any, ...]
    notes: tuple[str, ...] = ()

    def display(self) -> Any:
        """Return what shows it: an object with ``text`` and ``html``."""
        from s2s_magic.view.bundles import show_scored

        return show_scored(self)

    def __repr__(self) -> str:
        return str(self.display().text())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle: dict[str, Any] = self.display()._repr_mimebundle_()
        return bundle

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document; a number that is not finite becomes None."""
        return {
            "name": self.name,
            "rows": self.rows,
            "scores": {
                name: {key: _finite(value) for key, value in vars(one).items()} for name, one in self.scores.items()
            },
            "worst": [
                {
                    **vars(bad),
                    "references": list(bad.references),
                    "values": {name: _finite(value) for name, value in bad.values.items()},
                    "differences": [list(piece) for piece in bad.differences],
                }
                for bad in self.worst
            ],
            "outputs": [output if isinstance(output, str) else list(output) for output in self.outputs],
            "notes": list(self.notes),
        }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
