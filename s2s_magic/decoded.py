"""What decoding found: outputs with their ids and scores, and sources and outputs side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s2s_magic.data import sequences, tokens

if TYPE_CHECKING:
    from s2s_magic.data.vocabularies import AnyTokenizer
    from s2s_magic.handle import Seq2Seq

MOST = 100
"""The most rows shown; the others are only counted."""


@dataclass(frozen=True)
class Hypothesis:
    """One output for a source.

    Attributes
    ----------
    output
        Its text, or its ids if the model works on ids; without the end id.
    ids
        The same as ids.
    log_probability
        The sum of the natural logarithms of the probabilities of its ids, the end id included; None where the decoder
        gives ids alone.
    score
        What hypotheses are ranked by: the log-probability, divided by the length penalty if there is one.
    """

    output: Any
    ids: tuple[int, ...]
    log_probability: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Alignment:
    """What an attention layer looked at while an output was said; notebooks show it as a heat map.

    Attributes
    ----------
    layer
        The name of the attention layer.
    source, target
        The tokens of the source, and those of the output with its end.
    weights
        For each token of the output the weight of each token of the source; they sum to 1.
    """

    layer: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]

    def figure(self) -> Any:
        """Return a Matplotlib figure of the heat map, for publication."""
        from s2s_magic.view.heat_map import alignment_figure

        return alignment_figure(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from s2s_magic.view.bundles import show_alignments

        bundle: dict[str, Any] = show_alignments([self])._repr_mimebundle_()
        return bundle


@dataclass(frozen=True)
class Decoded:
    """Rows of a source and an output, as text.

    Attributes
    ----------
    head
        The titles of the columns.
    rows
        A source, and the cells beside it; a further hypothesis for the same source has an empty text there.
    below
        Notes to show below the rows.
    """

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()


class Decodings(list[Any]):
    """The outputs for several sources: a list with the best one for each, which notebooks show as a table.

    Attributes
    ----------
    n_best : list of lists of Hypothesis
        The hypotheses for each source, best first.
    """

    def __init__(
        self,
        n_best: Sequence[Sequence[Hypothesis]],
        table: Callable[[Decodings], Decoded],
        attended: Callable[[list[tuple[int, list[int]]]], list[list[Alignment]]],
    ) -> None:
        super().__init__(found[0].output for found in n_best)
        self.n_best = [list(found) for found in n_best]
        self._table, self._attended = table, attended

    @property
    def text(self) -> list[str]:
        """The best output for each source as text; ids are written with blanks between them."""
        return [as_text(output) for output in self]

    @property
    def ids(self) -> list[list[int]]:
        """The ids of the best output for each source, without the end id."""
        return [list(found[0].ids) for found in self.n_best]

    @property
    def scores(self) -> list[float | None]:
        """The score of the best output for each source; see `Hypothesis`."""
        return [found[0].score for found in self.n_best]

    @property
    def alignments(self) -> list[list[Alignment]]:
        """What each attention layer looked at in each source, for the best output; computed when it is asked for.

        Raises
        ------
        DecodeError
            When the model has no attention layer of Keras.
        """
        return self._attended(list(enumerate(self.ids)))

    def table(self) -> Decoded:
        """Return the outputs beside their sources."""
        return self._table(self)

    def display(self, *, alignments: bool = False) -> Any:
        """Return what shows them as a table, with their alignments below: an object with ``text`` and ``html``."""
        from s2s_magic.view.bundles import show_alignments, show_table, stacked

        found = [one for each in self.alignments[:MOST] for one in each] if alignments else []
        shown = self.table()
        table = show_table(f"Decoded by {shown.name}", shown.head, shown.rows, shown.below)
        return stacked(table, show_alignments(found)) if found else table

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle: dict[str, Any] = self.display()._repr_mimebundle_()
        return bundle


def beside_sources(seq2seq: Seq2Seq, sources: Any, outputs: Decodings) -> Decoded:
    """Put sources beside the outputs that `decode` returned for them; only the first `MOST` sources are kept."""
    listed = [sources] if isinstance(sources, str) else list(sequences.plain(sources, seq2seq.ids.padding))
    tokenizer = seq2seq.tokenizers.get("source")
    notes = () if tokenizer is None else _notes(tokenizer, sequences.texts(listed))
    notes += tuple(getattr(seq2seq.inference, "notes", ()))
    several = any(len(found) > 1 for found in outputs.n_best)
    rows = [
        (as_text(source) if place == 0 else "", as_text(one.output), *([_rated(one.score)] if several else []))
        for source, found in zip(listed[:MOST], outputs.n_best[:MOST], strict=True)
        for place, one in enumerate(found)
    ]
    more = (f"... and {len(outputs) - MOST} more",) if len(outputs) > MOST else ()
    head = ("source", "output", *(["score"] if several else []))
    return Decoded(seq2seq.name, head, tuple(rows), more + notes)


def _rated(score: float | None) -> str:
    return "" if score is None else f"{score:.4g}"


def _notes(tokenizer: AnyTokenizer, sources: Sequence[str]) -> tuple[str, ...]:
    """Return a note on the tokens of the sources that are not in the vocabulary, if any."""
    unknown = tokenizer.unknown(sources)
    if not unknown:
        return ()
    unit = tokens.UNITS[tokenizer.unit]
    return (f"read as unknown, being {unit} that are not in the vocabulary: {tokens.listed(unknown)}",)


def as_text(row: Any) -> str:
    """Return a source or an output as text: ids with blanks between them, one-hot vectors as ids."""
    if isinstance(row, bytes):
        row = row.decode("utf-8", "replace")
    array = np.asarray(row)
    if array.ndim == 2 and array.shape[1] > 1 and np.isin(array, (0, 1)).all():
        row = array.argmax(-1)  # one-hot vectors are an encoding of ids
    elif array.ndim > 1:
        return f"numbers of shape {array.shape}"
    return row if isinstance(row, str) else " ".join(map(str, row))
