"""Warn of costly differences in row length, and refuse batches that do not fit into memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from s2s_magic.data.batching import too_long
from s2s_magic.data.inputs import inputs_of
from s2s_magic.data.lookup import Asked, Desk
from s2s_magic.data.sequences import Numbers, Rows
from s2s_magic.data.table import Shifted, Table
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Called
from s2s_magic.ledger.anatomy import beginning_of

MUCH = 4
"""A row is long beyond this many times the usual length."""
LEAST = 32
"""Rows of at most this many ids are never long."""
MOST = 0.9
"""The share of rows that counts as "most"."""
NO_IDS = "it counts the ids of rows, and the data are no rows of ids: give 'batch' in its place"
"""Why there are no batches by `max_tokens`."""


def usual_length(lengths: Numbers) -> int:
    """Return the length that most rows do not exceed."""
    return int(np.quantile(lengths, MOST, method="lower")) if len(lengths) else 0


def limit_of(usual: int) -> int:
    """Return the length beyond which a row is much longer than most."""
    return max(MUCH * usual, LEAST)


def long_batches(lengths: Numbers, size: int) -> list[Numbers]:
    """Put rows that are much longer than most into their own batches, which then hold no more ids than any other.

    Parameters
    ----------
    lengths : int array, shape (rows,)
        The length of each row.
    size
        Rows in any other batch.

    Returns
    -------
    list of int arrays
        Row numbers of each batch, the longest rows first; empty where no row is much longer than most.
    """
    limit = limit_of(usual_length(lengths))
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > limit]
    found, first = [], 0
    while first < len(order):
        room = max(1, min(size, size * limit // int(lengths[order[first]])))
        found.append(order[first : first + room])
        first += room
    return found


def row_lengths(columns: Sequence[Rows]) -> Numbers:
    """Return the length of each row in its longest column."""
    found: Numbers = np.max([column.lengths for column in columns], axis=0)
    return found


def check_costs(desk: Desk, table: Table, named: Mapping[int, Asked], targets: Sequence[Asked]) -> None:
    """Warn of rows that are much longer than most, and refuse batches that do not fit into memory.

    ``named`` holds the inputs' variables by the input's number, ``targets`` those of the targets.
    """
    columns = {asked: table.inputs[number] for number, asked in named.items()} | dict(
        zip(targets, table.targets, strict=True)
    )
    rows = {asked: column for asked, column in columns.items() if isinstance(column, Rows)}
    if not rows and desk.plan.max_tokens is not None:
        desk.fault("max_tokens", NO_IDS)
    if not rows or _too_long(desk, rows):
        return
    asked, longest = max(rows.items(), key=lambda pair: int(pair[1].lengths.max(initial=0)))
    most, size = int(longest.lengths.max(initial=0)), desk.plan.batch
    alone = []
    if desk.plan.max_tokens is not None:
        size = max(1, desk.plan.max_tokens // max(1, most))
    elif table.ragged:
        alone = long_batches(row_lengths(table.ragged), size)
    if alone:
        _warn(desk, asked, longest, alone, size)
    worst = alone[0] if alone else np.argsort(-longest.lengths, kind="stable")[:size]
    check_room(desk, asked, steps_in(desk.seq2seq, table, worst), len(worst), most)


def _too_long(desk: Desk, rows: Mapping[Asked, Rows]) -> bool:
    """Return whether a row has more ids than a batch; note a fault for the first one then."""
    most = desk.plan.max_tokens
    for asked, column in rows.items() if most is not None else ():
        if len(long := np.flatnonzero(column.lengths > most)):
            row = int(long[0])
            desk.fault(asked.key, too_long(desk.where(asked.variable, row), int(column.lengths[row]), most or 0))
            return True
    return False


def check_room(desk: Desk, asked: Asked, steps: Mapping[int, int], rows: int, most: int) -> None:
    """Refuse a batch that does not fit into memory; see `bytes_of_a_row` for the steps. ``most`` ids are in a row."""
    needed, room = rows * bytes_of_a_row(desk.seq2seq, steps), memory()
    if room is None or needed <= room:
        return
    fitting = max(1, int(rows * room / needed / 2))
    setting = f"batch: {fitting}" if desk.plan.max_tokens is None else f"max_tokens: {fitting * most}"
    fewer = f"fewer rows a batch, '{setting}', or " if rows > 1 else ""
    desk.fault(
        asked.key,
        f"{asked.variable}: a batch of {rows} {'row' if rows == 1 else 'rows'} with up to {most:,} ids "
        f"needs more than {needed / 1e9:,.1f} GB for what the layers give, and there are {room / 1e9:,.1f} GB: "
        f"give {fewer}shorter rows",
    )


def _warn(desk: Desk, asked: Asked, longest: Rows, alone: Sequence[Numbers], size: int) -> None:
    count, usual = sum(map(len, alone)), usual_length(longest.lengths)
    numbers = np.concatenate(alone)
    share = longest.lengths[numbers].sum() / max(1, longest.lengths.sum())
    some = f"1 of {len(longest)} rows has" if count == 1 else f"{count} of {len(longest)} rows have up to"
    message = (
        f"{asked.variable}: {some} {int(longest.lengths.max()):,} ids, and most have {usual:,} or fewer; in batches of "
        f"their own ({len(alone)} more an epoch) they take about {100 * share:.0f} % of the time"
    )
    desk.warn(asked, message)


def steps_in(seq2seq: Seq2Seq, table: Table, numbers: Numbers) -> dict[int, int]:
    """Return the number of steps of each input in a batch of these rows, by the event that made the input."""
    found = {}
    for model_input, column in zip(inputs_of(seq2seq), table.inputs, strict=True):
        rows = table.target if isinstance(column, Shifted) else column
        if isinstance(rows, Rows) and model_input.event is not None:
            found[model_input.event] = int(rows.lengths[numbers].max(initial=0))
    return found


def bytes_of_a_row(seq2seq: Seq2Seq, steps: Mapping[int, int]) -> int:
    """Return a lower bound, in bytes, for a row's layer outputs: each is kept until its gradient is computed.

    Only calls of layers that own weights count, with the number of steps of the input that leads to the call.
    """
    found = 0
    for event in seq2seq.ledger.events:
        if not isinstance(event, Called) or not event.in_graph or not (event.created or event.reused):
            continue
        sizes = [tensor.shape[2:] for tensor in event.outputs if tensor.shape is not None and len(tensor.shape) > 2]
        sizes = [size for size in sizes if None not in size]
        beginning = beginning_of(seq2seq.ledger, event) if sizes else None
        if beginning is not None and beginning in steps:
            found += sum(4 * int(np.prod([size or 1 for size in each])) for each in sizes) * steps[beginning]
    return found


def memory() -> int | None:
    """Return the memory in bytes that this process may use, at most the machine's; None if unknown."""
    found = []
    with suppress(ValueError, OSError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            found.append(limit)
    return min(found, default=None)


def warn_of_empty_rows(desk: Desk, asked: Asked, count: int, rows: int) -> None:
    """Warn if rows of a target are empty, so that they will hold nothing but the end id."""
    if count:
        some = "1 row is" if count == 1 else f"{count} rows are"
        desk.warn(asked, f"{asked.variable}: of {rows} rows {some} empty, which teaches the decoder to end at once")
