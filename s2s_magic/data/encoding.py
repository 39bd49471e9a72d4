"""Turn the pairs of files into ids, a block at a time, and keep these in a temporary file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from s2s_magic.data.batching import too_long
from s2s_magic.data.corpus import Corpus, Pair
from s2s_magic.data.costs import MOST, warn_of_empty_rows
from s2s_magic.data.lookup import Desk
from s2s_magic.data.sequences import Numbers, Rows, Unreadable
from s2s_magic.data.spooled import BLOCK, Spool
from s2s_magic.data.text_files import no_source
from s2s_magic.data.tokens import UNKNOWN
from s2s_magic.undoing import Changes

SIDES = ("source", "target")
_NAMED = 1000
"""After so many different unknown tokens, no more are collected."""
_TELL = 8 * BLOCK


@dataclass
class Encoded:
    """The ids of pairs, and what was seen of them.

    Attributes
    ----------
    spool
        The ids.
    longest
        The ids in the longest source and in the longest target.
    lengths
        How many pairs have so many ids in their longer side.
    ids, unknown
        How many ids there are on each side, and how many of these stand for what is not in the vocabulary.
    missing
        Some of the tokens that are not in the vocabulary, by side.
    empty
        How many targets are empty.
    """

    spool: Spool
    longest: Numbers = field(default_factory=lambda: np.zeros(2, np.int64))
    lengths: Counter[int] = field(default_factory=Counter)
    ids: Numbers = field(default_factory=lambda: np.zeros(2, np.int64))
    unknown: Numbers = field(default_factory=lambda: np.zeros(2, np.int64))
    missing: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    empty: int = 0

    @property
    def usual(self) -> int:
        """The length that most pairs do not exceed; as `s2s_magic.data.costs.usual_length`."""
        left = int(MOST * (self.lengths.total() - 1)) + 1
        for length in sorted(self.lengths):
            left -= self.lengths[length]
            if left <= 0:
                return length
        return 0


def encoded(changes: Changes, desk: Desk, corpus: Corpus, told: Callable[[int], object]) -> Encoded:
    """Turn all pairs into ids; ``desk`` notes faults, and warns as for texts in memory.

    Parameters
    ----------
    changes
        The temporary file is removed when they are undone.
    desk, corpus
        The vocabularies and the fit's plan, and the files.
    told
        Called with the number of pairs read so far, now and then.
    """
    found = Encoded(Spool.opened(changes))
    pairs = corpus.pairs()
    waiting: tuple[list[list[int]], list[list[int]]] = ([], [])
    while block := list(islice(pairs, BLOCK)):
        _encode(desk, corpus, found, block, waiting)
        if desk.faults:
            return found
        while len(waiting[0]) >= BLOCK:
            _write(desk, corpus, found, waiting)
        if corpus.lines % _TELL < BLOCK:
            told(corpus.lines)
    corpus.tell()
    if waiting[0] and not desk.faults:
        _write(desk, corpus, found, waiting)
    if not desk.faults:
        _tell(desk, corpus, found)
    return found


def _encode(
    desk: Desk, corpus: Corpus, found: Encoded, block: list[Pair], waiting: tuple[list[list[int]], list[list[int]]]
) -> None:
    """Add the ids of a block of pairs to those that wait to be written."""
    texts = [[pair[place].text for pair in block] for place in range(2)]
    sides = [desk.tokenizers[side] for side in SIDES]
    ids = [[tokenizer.encode(text) for text in each] for tokenizer, each in zip(sides, texts, strict=True)]
    end, most = desk.seq2seq.ids.end, desk.plan.max_tokens
    for pair, source, target in zip(block, *ids, strict=True):
        if not source:
            corpus.drop(no_source(pair[0].where), corpus.source)
            continue
        found.empty += not target
        if end is not None:
            target.append(end)
        if most is not None and max(len(source), len(target)) > most:
            place = int(len(target) > len(source))
            asked, length = (corpus.source, corpus.target)[place], max(len(source), len(target))
            desk.fault(asked.key, too_long(pair[place].where, length, most))
            return
        waiting[0].append(source)
        waiting[1].append(target)
    for place, tokenizer in enumerate(sides):
        count = sum(row.count(UNKNOWN) for row in ids[place])
        found.unknown[place] += count
        if count and len(found.missing[place]) < _NAMED:
            found.missing[place].update(tokenizer.unknown(texts[place]))


def _write(desk: Desk, corpus: Corpus, found: Encoded, waiting: tuple[list[list[int]], list[list[int]]]) -> None:
    source, target = (Rows.of(rows[:BLOCK]) for rows in waiting)
    for rows in waiting:
        del rows[:BLOCK]
    try:
        found.spool.append(source, target)
    except Unreadable as error:
        desk.fault(corpus.source.key, f"{corpus.source.variable} {error}", error.__cause__)
        return
    lengths = np.stack([source.lengths, target.lengths])
    found.longest = np.maximum(found.longest, lengths.max(axis=1))
    found.ids += lengths.sum(axis=1)
    found.lengths.update(lengths.max(axis=0).tolist())


def _tell(desk: Desk, corpus: Corpus, found: Encoded) -> None:
    """Warn of tokens that are not in the vocabulary, and of empty targets."""
    for place, (side, asked) in enumerate(zip(SIDES, (corpus.source, corpus.target), strict=True)):
        # the ends of targets are no tokens of the texts
        count = int(found.ids[place]) - (place * found.spool.rows if desk.seq2seq.ids.end is not None else 0)
        desk.tell_unknown(asked, side, int(found.unknown[place]), count, found.missing[place])
    if found.empty:
        warn_of_empty_rows(desk, corpus.target, found.empty, found.spool.rows)
