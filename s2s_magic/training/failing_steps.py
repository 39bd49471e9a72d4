"""Faults of data that only a running step finds, such as ids out of range in batches of the user's own, in a line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tensorflow import keras
from tensorflow.errors import InvalidArgumentError, OpError

from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger.words import counted

_LABEL = (
    re.compile(r"Received a label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)"),
    re.compile(r"indices\[\d+\] = \[\d+, (-?\d+)\] does not index into param shape \[\d+, ?(\d+)\]"),  # of the kernels
)
_ROW = re.compile(r"indices\[[\d,]*\] = (-?\d+) is not in \[0, (\d+)\)")
_FRAME = re.compile(r'^\s*File "([^"]*)", line \d+', re.MULTILINE)
_CAUSE = re.compile(r"\n([^\n]+)\n\s*\[\[\{\{node ")
"""In the message of a failed step: the lines that made its operation, and what it says."""
_PACKAGE = Path(__file__).parents[1]
_NODE = re.compile(r"\{\{node ([^}]*)\}\}")


def failing_step(seq2seq: Seq2Seq, error: OpError, steps: int) -> str | None:
    """Say what a step could not compute, the one after so many; None if it is not known to be the data's fault.

    An operation that this package put into the step keeps its error as it is, but for ids out of range.
    """
    said = str(error)
    what = _out_of_range(seq2seq, said)
    if what is None and isinstance(error, InvalidArgumentError) and not _is_ours(said):
        found = _CAUSE.search(said)
        what = found and f"a step of {seq2seq.name} cannot be computed: {found[1].strip()[:300]}"
    if what is None:
        return None
    after = f"The fit ended after {counted(steps, 'step')}" if steps else "No step was taken"
    return f"{what}. {after}"


def _out_of_range(seq2seq: Seq2Seq, said: str) -> str | None:
    for pattern in _LABEL if _is_ours(said) else _LABEL[:1]:
        if (found := pattern.search(said)) is not None:
            return f"a target has the id {found[1]}, and {seq2seq.name} scores the ids 0 to {int(found[2]) - 1}"
    found, node = _ROW.search(said), _NODE.search(said)
    name = None if found is None or node is None else _embedding(seq2seq, node[1])
    if found is None or name is None:
        return None
    return f"{name} was given the id {found[1]}, and has rows for the ids 0 to {int(found[2]) - 1}"


def _is_ours(said: str) -> bool:
    """Return whether the operation that failed was made by a line of this package, the last one in the list."""
    frames = _FRAME.findall(said)
    return not frames or Path(frames[-1]).is_relative_to(_PACKAGE)


def _embedding(seq2seq: Seq2Seq, node: str) -> str | None:
    """Return the user's name for the embedding in which a node of a graph is; None if it is in none."""
    parts = {part for segment in node.split("/") for part in (segment, re.sub(r"_\d+$", "", segment))}
    for key, layer in seq2seq.ledger.layers.items():
        live: Any = seq2seq.live.layers.get(key)
        if isinstance(live, keras.layers.Embedding) and layer.keras_name in parts:
            return layer.name
    return None
