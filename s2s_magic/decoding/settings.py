"""How a search goes: the options of decoding beyond its lengths, checked before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from s2s_magic.errors import DecodeError, nearest

MOST_HYPOTHESES = 1_000
_SAMPLING = ("temperature", "top_k", "top_p", "seed")


@dataclass(frozen=True)
class SearchSettings:
    """How the outputs of a decoding are searched for.

    With ``beam`` 1 and no sampling, each row continues with its most probable id (greedy search).

    Attributes
    ----------
    beam
        The number of hypotheses that are continued for each source (beam width).
    n_best
        The number of hypotheses returned for each source, best first; of a sampling, the number of samples.
    length_penalty
        Exponent of the length penalty ``((5 + length) / 6) ** length_penalty``, by which log-probabilities are divided.
        Wu et al., 2016, https://arxiv.org/abs/1609.08144.
    coverage_penalty
        The weight of how well attention covered the source, which is added to the scores of all outputs that a beam
        met: each of its hypotheses, ended at each step. Wu et al., 2016; which hypotheses are continued is chosen
        without it, as they have not read the whole source yet.
    min_length
        The least number of ids before the end id.
    no_repeat_ngram
        Sequences of so many ids occur once in an output at most; 0 for no such limit.
    prefix
        What every output begins with: a text, or ids; ids once it is read.
    sample
        Draw ids from their probabilities instead of searching for the most probable ones.
    temperature
        Logits are divided by it before an id is drawn.
    top_k
        Draw from so many most probable ids only; 0 for all.
    top_p
        Draw from the fewest most probable ids whose probabilities sum to at least this.
        Holtzman et al., 2020, https://arxiv.org/abs/1904.09751.
    seed
        Of the drawing; None draws anew each time.
    """

    beam: int = 1
    n_best: int = 1
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    min_length: int = 0
    no_repeat_ngram: int = 0
    prefix: Any = None
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None

    @property
    def width(self) -> int:
        """The number of hypotheses in flight for each source."""
        return self.n_best if self.sample else self.beam

    @property
    def is_greedy(self) -> bool:
        """Whether it is the plain greedy search."""
        return self == SearchSettings()


def read_settings(given: Mapping[str, Any]) -> SearchSettings:
    """Check the options of a search.

    Raises
    ------
    DecodeError
        Naming the option, what was given and what is expected.
    """
    known = [field.name for field in fields(SearchSettings)]
    for name in given:
        if name not in known:
            raise DecodeError(f"decoding has no option {name!r}{nearest(name, known)}", name)
    found = SearchSettings(**given)
    _whole(found, "beam", 1, MOST_HYPOTHESES)
    _whole(found, "n_best", 1, MOST_HYPOTHESES)
    _whole(found, "min_length", 0, None)
    _whole(found, "no_repeat_ngram", 0, None)
    _whole(found, "top_k", 0, None)
    _real(found, "length_penalty", 0, None)
    _real(found, "coverage_penalty", 0, None)
    _real(found, "temperature", 0, None, above=True)
    _real(found, "top_p", 0, 1, above=True)
    if found.seed is not None:
        _whole(found, "seed", 0, 2**31 - 1)
    if found.sample:
        _has_no_place(found, ("beam", "length_penalty", "coverage_penalty"), "a sampling draws each output by itself")
    else:
        _has_no_place(found, _SAMPLING, "nothing is drawn without sample")
        if found.n_best > found.beam:
            said = f"n_best is {found.n_best} and beam {found.beam}: a beam has its own width of outputs"
            raise DecodeError(said, "n_best")
        if found.beam == 1:
            _has_no_place(found, ("length_penalty", "coverage_penalty"), "with a beam of 1 there is nothing to rank")
    return found


def _whole(settings: SearchSettings, name: str, least: int, most: int | None) -> None:
    value = getattr(settings, name)
    is_whole = type(value) is not bool and hasattr(value, "__index__")
    if not is_whole or value < least or (most is not None and value > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise DecodeError(f"{name} is {value!r}; expected a whole number {span}", name)


def _real(settings: SearchSettings, name: str, least: float, most: float | None, *, above: bool = False) -> None:
    value = getattr(settings, name)
    is_real = type(value) is not bool and hasattr(value, "__float__") and math.isfinite(float(value))
    if not is_real or value < least or (above and value == least) or (most is not None and value > most):
        span = f"above {least}" if above else f"of at least {least}"
        span += "" if most is None else f", at most {most}"
        raise DecodeError(f"{name} is {value!r}; expected a number {span}", name)


def _has_no_place(settings: SearchSettings, names: Iterable[str], why: str) -> None:
    plain = SearchSettings()
    for name in names:
        if getattr(settings, name) != getattr(plain, name):
            raise DecodeError(f"{name} has no place here: {why}", name)
