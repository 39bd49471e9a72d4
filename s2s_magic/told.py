"""How an output was said, step by step: what else was probable, which hypotheses a beam had, what it looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from s2s_magic.decoded import Alignment


@dataclass(frozen=True)
class Neighbour:
    """A training pair, at the position where its decoder's state is nearest to that of a step.

    Attributes
    ----------
    row
        Its row among the pairs, from 0.
    source, target
        The tokens; ``end`` for the end id.
    position
        The position in the target, from 0: the token that is to be said in that state.
    distance
        Cosine distance of the states, from 0 to 2.
    """

    row: int
    source: tuple[str, ...]
    target: tuple[str, ...]
    position: int
    distance: float


@dataclass(frozen=True)
class SaidStep:
    """One step of an output.

    Attributes
    ----------
    token
        What was said; ``end`` for the end id.
    probability
        The model's probability for it, after the source and all that was said before.
    likely
        The most probable tokens of the step with their probabilities, best first.
    nearest
        Training pairs in which the decoder is in a like state, nearest first; empty unless asked for.
    """

    token: str
    probability: float
    likely: tuple[tuple[str, float], ...]
    nearest: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class Branch:
    """A hypothesis of a beam at the step that it said a token.

    Attributes
    ----------
    token
        Its last token.
    score
        What hypotheses are ranked by.
    parent
        Its place in the level before; None at the first step.
    kept
        Whether it leads to an output that was returned; the others were cut.
    """

    token: str
    score: float
    parent: int | None
    kept: bool


@dataclass(frozen=True)
class Told:
    """How an output was said; notebooks show it as a table, the beam as a tree, and attention as heat maps.

    Attributes
    ----------
    name
        The model.
    source
        The tokens that the encoder read.
    steps
        The steps of the best output.
    tree
        The hypotheses of a beam, by step and best first; empty without a beam.
    alignments
        What each attention looked at; empty where there is none.
    note
        What was asked for: an output's prefix, for example.
    compared
        What the nearest pairs are nearest of, and by which distance; empty where there are none.
    """

    name: str
    source: tuple[str, ...]
    steps: tuple[SaidStep, ...]
    tree: tuple[tuple[Branch, ...], ...] = ()
    alignments: tuple[Alignment, ...] = ()
    note: str = ""
    compared: str = ""


@dataclass(frozen=True)
class ToldDecoding:
    """One output, or two side by side: as it is, and as it would be."""

    parts: tuple[Told, ...] = field(default=())

    def display(self) -> Any:
        """Return what shows them: an object with ``text`` and ``html``."""
        from s2s_magic.view.bundles import show_told

        return show_told(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle: dict[str, Any] = self.display()._repr_mimebundle_()
        return bundle
