"""The reader of a fit's checkpoints: a folder, or a folder with when to write there and how many to keep."""

from __future__ import annotations

from collections.abc import Mapping

from s2s_magic.spec.fit_plan import Checkpoints
from s2s_magic.spec.keys import Read, plain, text
from s2s_magic.spec.literals import real, whole
from s2s_magic.spec.reading import Entries, Faults, Node, Place, read_entries

_MOST = 1_000_000
_KEYS: Mapping[str, Read] = {
    "folder": text,
    "minutes": plain(real(0, _MOST, closed=False), "a number of minutes"),
    "epochs": plain(whole(1, _MOST), "a number of epochs"),
    "keep": plain(whole(1, 1000), "a number of checkpoints"),
}


def checkpoints(node: Node, faults: Faults, places: dict[str, Place]) -> Checkpoints | None:
    """Read the name of a folder, or ``{folder: runs/dates, minutes: 5, epochs: 2, keep: 3}``."""
    if not isinstance(node, Entries):
        folder = text(node, faults, places)
        return None if folder is None else Checkpoints(folder=folder)
    entries = read_entries(node, faults, known=_KEYS, required={"folder": "folder: runs/dates"}, what="key")
    values = {name: _KEYS[name](entry.value, faults, places) for name, entry in entries.items()}
    return None if None in values.values() or "folder" not in values else Checkpoints(**values)
