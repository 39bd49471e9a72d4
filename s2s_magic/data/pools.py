"""Batches of pairs that are in a temporary file, in an order drawn for each epoch, with few of them in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from s2s_magic.data.batching import Draw, Room, in_batches
from s2s_magic.data.sequences import Rows
from s2s_magic.data.spooled import Span, Spool, spans

POOL = 100_000
"""Pairs that are in memory together: drawn from all over the files, shuffled, and sorted by length."""
POOL_IDS = 10_000_000
"""The most ids that these may have on average."""


@dataclass(frozen=True)
class Pools:
    """Pairs of a spool, in pools of which one at a time is in memory.

    The pairs of a pool are the same in each epoch, so that the lengths alone tell how many batches there are. What is
    drawn for an epoch is the order of the pools, that of pairs of equal length in a batch, and that of the batches.

    Attributes
    ----------
    spool
        The pairs.
    pools
        Where the pairs of each pool are.
    room, sort, shuffle
        What a batch has room for, and whether it has pairs of similar length, and is drawn.
    counts
        The number of batches of each pool.
    sent
        By epoch from 0, how many pairs there were after each batch; of the last two epochs.
    """

    spool: Spool
    pools: Sequence[Sequence[Span]]
    room: Room
    sort: bool
    shuffle: bool
    counts: Sequence[int]
    sent: dict[int, array[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, spool: Spool, first: int, end: int, room: Room, *, sort: bool, shuffle: bool) -> Pools:
        """Put the pairs with these numbers into pools."""
        parts = spans(first, end)
        if shuffle:
            parts = [parts[number] for number in np.random.default_rng(0).permutation(len(parts)).tolist()]
        ids = spool.starts[-1] / 4 / max(1, spool.rows)
        size = max(1, min(POOL, int(POOL_IDS / max(1.0, ids))))
        if room.rows is not None:  # then all batches but the last are full
            size = max(1, size // room.rows) * room.rows
        pools = list(_in_pools(parts, size))
        counts = []
        for pool in pools:
            lengths = np.concatenate([spool.lengths(span) for span in pool])
            counts.append(sum(1 for _ in in_batches(lengths, room, sort=sort)))
        return cls(spool, pools, room, sort, shuffle, counts)

    @property
    def steps(self) -> int:
        """The number of batches in an epoch."""
        return sum(self.counts)

    @property
    def rows(self) -> int:
        """The number of pairs in an epoch."""
        return sum(span.end - span.first for pool in self.pools for span in pool)

    def batches(self, seed: int, epochs: int, skip: int = 0) -> Iterator[tuple[Rows, Rows]]:
        """Yield the sources and targets of each batch.

        Parameters
        ----------
        seed
            Seed of what is drawn; together with the epoch's number, it determines the order.
        epochs
            How many epochs.
        skip
            How many batches to begin after, epochs before included; the pools before are not read.
        """
        begin, skip = divmod(skip, max(1, self.steps))
        for epoch in range(begin, epochs):
            sent = self.sent[epoch] = array("q")
            self.sent.pop(epoch - 2, None)
            order = np.arange(len(self.pools))
            if self.shuffle:
                order = np.random.default_rng([seed, epoch]).permutation(len(self.pools))
            for number in order.tolist():
                draw = np.random.default_rng([seed, epoch, number]) if self.shuffle else None
                if skip >= self.counts[number]:
                    skip -= self.counts[number]
                    rows = sum(span.end - span.first for span in self.pools[number])
                    sent.extend([(sent[-1] if sent else 0) + rows] * self.counts[number])
                    continue
                for source, target in self._of_pool(number, draw):
                    sent.append((sent[-1] if sent else 0) + len(source))
                    if skip:
                        skip -= 1
                    else:
                        yield source, target

    def _of_pool(self, number: int, draw: Draw | None) -> Iterator[tuple[Rows, Rows]]:
        if self.spool.file.closed:  # the fit is over, and something still reads ahead
            return
        source, target = self.spool.read(self.pools[number])
        lengths = np.stack([target.lengths, source.lengths], axis=1)
        for rows in in_batches(lengths, self.room, sort=self.sort, draw=draw):
            yield source.taken(rows), target.taken(rows)

    def seen(self, epoch: int, step: int) -> int:
        """Return how many pairs the first batches of an epoch have, both counted from 1; it was read so far."""
        sent = self.sent.get(epoch - 1, ())
        return sent[min(step, len(sent)) - 1] if step and sent else 0


def _in_pools(parts: Sequence[Span], size: int) -> Iterator[list[Span]]:
    """Yield the spans of each pool of so many pairs; one that goes over its end is cut."""
    pool: list[Span] = []
    room = size
    for block, begin, end in parts:
        first = begin
        while end - first >= room:
            yield [*pool, Span(block, first, first + room)]
            pool, first, room = [], first + room, size
        if first < end:
            pool.append(Span(block, first, end))
            room -= end - first
    if pool:
        yield pool
