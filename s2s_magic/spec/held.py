"""The reader of a fit's validation: a fraction, a name, two names, or the keys of data."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from s2s_magic.spec.fit_plan import Held
from s2s_magic.spec.keys import Read, plain
from s2s_magic.spec.literals import read_value, real
from s2s_magic.spec.reading import Entries, Faults, Items, Node, Place, Scalar, read_entries
from s2s_magic.spec.references import file, is_file, listed, names, reference, variable

_read_fraction = plain(real(0, 1, closed=False), "a fraction, or the names of source and target")
HELD: Mapping[str, Read] = {
    "source": variable,
    "inputs": names("validation.inputs", "input", alone=False),
    "target": names("validation.target", "output"),
    "weights": names("validation.weights", "output"),
}


def validation(node: Node, faults: Faults, places: dict[str, Place]) -> float | str | tuple[str, ...] | Held | None:
    """Read a fraction, the name of a dataset, ``[source, target]``, or the keys of data."""
    if isinstance(node, Entries):
        return _held(node, faults, places)
    if isinstance(node, Items):
        pair: tuple[str, ...] | None = listed(variable, "validation")(node, faults, places)
        if len(node.items) != 2:
            faults.add(node.place, f"expected two names, [source, target], got {len(node.items)}")
            return None
        return pair
    if isinstance(node, Scalar) and is_file(node.text):
        return file(node, faults)
    value = read_value(node, faults, "a fraction, or the names of source and target")
    if value is not None and isinstance(value.tree, ast.Name | ast.Attribute | ast.Subscript):
        return reference(value, faults)
    fraction: float | None = None if value is None else _read_fraction(node, faults, places)
    return fraction


def _held(node: Entries, faults: Faults, places: dict[str, Place]) -> Held | None:
    entries = read_entries(node, faults, known=HELD, required={"target": "target: Yv"}, what="key")
    places.update({f"validation.{name}": entry.value.place for name, entry in entries.items()})
    values = {name: HELD[name](entry.value, faults, places) for name, entry in entries.items()}
    if ("source" in entries) == ("inputs" in entries):
        faults.add(node.place, "expected 'source' or 'inputs' for the validation, and one of them only")
        return None
    return None if None in values.values() or "target" not in values else Held(**values)
