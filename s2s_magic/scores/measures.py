"""Metrics as statistics of each row, whose sums give the metric of any selection of rows.

So a bootstrap only adds up numbers again: no text is read twice.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from s2s_magic.errors import SetupError

Numbers = npt.NDArray[Any]

HIGHER_IS_BETTER = ("exact", "bleu", "chrf", "token_accuracy")
FORCED = ("token_accuracy", "perplexity")
"""The metrics of the model's probabilities for the true tokens (teacher forcing); the others are of outputs."""
MOST_EXPONENT = math.log(sys.float_info.max)
_LIBRARIES = {"bleu": "sacrebleu", "chrf": "sacrebleu", "ter": "sacrebleu", "wer": "jiwer"}


@dataclass(frozen=True)
class Compared:
    """Outputs and their references, as texts; ids are words, with blanks between them.

    Attributes
    ----------
    outputs
        One for each row.
    references
        Lists with one reference for each row; None in a further list where a row has no further reference.
    of_ids
        Whether the words are ids.
    """

    outputs: Sequence[str]
    references: Sequence[Sequence[str | None]]
    of_ids: bool = False

    def of_row(self, row: int) -> list[str]:
        """Return the references of one row."""
        return [text for one in self.references if (text := one[row]) is not None]


@dataclass(frozen=True)
class Measured:
    """One metric of some rows.

    Attributes
    ----------
    name
        The metric.
    statistics : array, shape (rows, numbers)
        The numbers of each row.
    value
        From the sums of these over some rows to the metric of these rows.
    of_row
        From the numbers of one row to its own metric.
    signature
        How it was computed, for a report.
    """

    name: str
    statistics: Numbers
    value: Callable[[Numbers], float]
    of_row: Callable[[Numbers], float]
    signature: str

    @property
    def total(self) -> float:
        """The metric of all rows."""
        return self.value(self.statistics.sum(axis=0))

    def loss_of_row(self, row: int) -> float:
        """Return a number that is greater for a worse row; infinite if the row's metric is not a number."""
        value = self.of_row(self.statistics[row])
        return math.inf if math.isnan(value) else -value if self.name in HIGHER_IS_BETTER else value


def check_installed(names: Sequence[str]) -> None:
    """Raise `SetupError` if a metric needs a library that is not installed."""
    from importlib.util import find_spec

    for name in names:
        library = _LIBRARIES.get(name)
        if library is not None and find_spec(library) is None:
            raise SetupError(
                f'{name} is computed by {library}, which is not installed: pip install "s2s_magic[scores]"; exact, '
                "token_accuracy, perplexity and per need no further library"
            )


def measure(
    names: Sequence[str], compared: Compared | None, tokens: Numbers | None, resamples: int = 0, seed: int = 0
) -> list[Measured]:
    """Measure outputs and tokens by several metrics; see `of_outputs` and `of_tokens`.

    What no metric needs may be None.
    """
    found = []
    for name in names:
        if name in FORCED:
            assert tokens is not None
            found.append(of_tokens(name, tokens))
        else:
            assert compared is not None
            found.append(of_outputs(name, compared, resamples, seed))
    return found


def of_outputs(name: str, compared: Compared, resamples: int = 0, seed: int = 0) -> Measured:
    """Measure outputs beside their references.

    ``exact`` is the part of the outputs that equal one of their references. ``bleu``, ``chrf`` and ``ter`` are
    sacrebleu's (Post, 2018, https://aclanthology.org/W18-6319), from 0 to 100, with its signature. ``wer``, the word
    error rate, is jiwer's: the edits that make an output of its reference, divided by the reference's words. ``per``,
    the position-independent error rate, is the same without regard to the order of words (Tillmann et al., 1997,
    https://www.isca-archive.org/eurospeech_1997/tillmann97_eurospeech.html): from the larger number of words of output
    and reference, those that both have are subtracted, and the rest is divided by the reference's words. Of several
    references of a row, both take the one with the lowest rate. The rate of empty references is 0 where the outputs
    are empty too, and else 1, as sacrebleu has it for ``ter``.

    Parameters
    ----------
    name
        The metric.
    compared
        The texts.
    resamples, seed
        Of a bootstrap, for sacrebleu's signature.
    """
    if name in ("bleu", "chrf", "ter"):
        return _by_sacrebleu(name, compared, resamples, seed)
    rows = range(len(compared.outputs))
    if name == "exact":
        found = [[float(compared.outputs[row] in compared.of_row(row)), 1.0] for row in rows]
        return Measured(name, np.array(found), _part, _part, "whole outputs")
    edits = _word_edits if name == "wer" else _edits_in_any_order
    found = [min(_rated(edits, compared.outputs[row], compared.of_row(row)), key=_part) for row in rows]
    return Measured(name, np.array(found, float), _part, _part, _signature(name, compared))


def of_tokens(name: str, statistics: Numbers) -> Measured:
    """Measure the tokens of targets, each after the true ones before it (teacher forcing).

    ``token_accuracy`` is the part of them that is most probable to the model, ``perplexity`` the exponential of their
    mean cross-entropy, over the tokens of all rows.

    Parameters
    ----------
    name
        The metric.
    statistics : array, shape (rows, 3)
        The sum of the cross-entropies of each row's tokens, how many of these were most probable, and how many there
        are.
    """
    if name == "token_accuracy":
        return Measured(name, statistics[:, 1:], _part, _part, "teacher forcing")
    return Measured(name, statistics[:, ::2], _exponential, _exponential, "teacher forcing")


def _part(sums: Any) -> float:
    """Return a part of a whole; of nothing, errors are all of it."""
    return float(sums[0] / sums[1]) if sums[1] else float(sums[0] > 0)


def _exponential(sums: Numbers) -> float:
    mean = float(sums[0] / sums[1]) if sums[1] else math.nan
    return math.inf if mean > MOST_EXPONENT else math.exp(mean)


def _rated(edits: Callable[[list[str], list[str]], int], output: str, references: Sequence[str]) -> list[Any]:
    said = output.split()
    return [(edits(said, words), len(words)) for words in map(str.split, references)]


def _word_edits(said: list[str], words: list[str]) -> int:
    import jiwer

    if not words:  # jiwer refuses an empty reference
        return len(said)
    found = jiwer.process_words([" ".join(words)], [" ".join(said)])
    return int(found.substitutions + found.deletions + found.insertions)


def _edits_in_any_order(said: list[str], words: list[str]) -> int:
    return max(len(said), len(words)) - (Counter(said) & Counter(words)).total()


def _signature(name: str, compared: Compared) -> str:
    split = "ids" if compared.of_ids else "words between blanks"
    if name == "per":
        return split
    from importlib.metadata import version

    return f"{split}|jiwer:{version('jiwer')}"


def _by_sacrebleu(name: str, compared: Compared, resamples: int, seed: int) -> Measured:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    kind: Any = {"bleu": BLEU, "chrf": CHRF, "ter": TER}[name]
    tokenize = "none" if compared.of_ids else "13a"
    settings = {"tokenize": tokenize, "force": True} if name == "bleu" else {}

    class Adding(kind):  # type: ignore[misc]
        """The metric with its steps, which sacrebleu offers to subclasses: statistics, and the score of their sums."""

        def statistics_of(self) -> Numbers:
            found = self._extract_corpus_statistics(list(compared.outputs), [list(one) for one in compared.references])
            return np.array(found, float)

        def score_of(self, sums: Numbers) -> float:
            return float(self._compute_score_from_stats(sums).score)

    metric = Adding(**settings)
    # for one row, sacrebleu advises to leave out the orders of n-grams that it is too short for
    of_row = Adding(**settings, effective_order=True) if name == "bleu" else metric
    statistics = metric.statistics_of()
    if resamples:
        metric.n_bootstrap, metric.seed = resamples, str(seed)
    return Measured(name, statistics, metric.score_of, of_row.score_of, str(metric.get_signature()))
