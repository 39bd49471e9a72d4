"""Readers of the parts of a spec: recurrent layers, attention and dropout."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from s2s_magic.spec.keys import plain
from s2s_magic.spec.literals import Check, Value, call, name_in, number_in, read_value, real, truth, whole, word
from s2s_magic.spec.reading import Entries, Faults, Items, Node, Place, Scalar, read_entries

MAX_UNITS = 16_384
MAX_LAYERS = 16
MAX_STEPS = 10_000_000  # the layer counts in float32, which goes on to 16,777,216

RATE = real(0, 1, closed=True)
RATES: Mapping[str, Check] = dict.fromkeys(("dropout", "recurrent_dropout"), RATE)
CELLS: Mapping[str, Mapping[str, Check]] = {kind: {"units": whole(1, MAX_UNITS), **RATES} for kind in ("lstm", "gru")}

ATTENTIONS: Mapping[str, Mapping[str, Check]] = {
    "luong": {"units": whole(1, MAX_UNITS), "scale": truth},
    "bahdanau": {"units": whole(1, MAX_UNITS), "normalize": truth},
}

SCHEDULES = ("constant", "linear", "exponential", "inverse_sigmoid")
FEEDINGS: Mapping[str, Mapping[str, Check]] = {
    "scheduled": {"rate": real(0, 1, closed=False), "schedule": word(*SCHEDULES), "steps": whole(1, MAX_STEPS)},
    "teacher_forcing": {},
}


def recurrent(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, Any] | None:
    """Read ``2 * bidirectional(lstm(256, dropout=0.2))`` from the outside in."""
    expected = "a recurrent kind such as lstm(512) or 2 * gru(256)"
    value = read_value(node, faults, expected)
    if value is None:
        return None
    value, layers = _repeated(value, faults)
    inner, bidirectional = _wrapped(value, faults)
    if inner is None:
        return None
    table = CELLS if bidirectional else {**CELLS, "bidirectional": {}}
    cell = call(inner, faults, table, expected)
    if cell is None:
        return None
    if "units" not in cell.arguments:
        faults.add(inner.place, f"{cell.kind} needs its number of units, such as {cell.kind}(256)")
        return None
    if layers is None or None in cell.arguments.values():
        return None
    return {"kind": cell.kind, "layers": layers, "bidirectional": bidirectional, **cell.arguments}


def attention(node: Node, faults: Faults, places: dict[str, Place]) -> tuple[dict[str, Any], ...] | None:
    """Read ``luong(256, scale=true)``, ``bahdanau``, a list of these, or ``none``."""
    expected = "luong(256), luong(256, scale=true), bahdanau(256) or none"
    if isinstance(node, Scalar) and node.text == "none":
        return None
    items = _whole_items(node.items) if isinstance(node, Items) else (node,)
    places.update({f"attention.{number}": item.place for number, item in enumerate(items)})
    found = [_one_attention(item, faults, expected) for item in items]
    return None if None in found else tuple(filter(None, found))


def _whole_items(items: Sequence[Node]) -> list[Node]:
    """Return a list's items with those joined that YAML split at the commas of ``luong(256, scale=true)``."""
    whole: list[Node] = []
    for item in items:
        last = whole[-1] if whole else None
        if isinstance(last, Scalar) and isinstance(item, Scalar) and last.text.count("(") > last.text.count(")"):
            whole[-1] = replace(last, text=f"{last.text}, {item.text}")
        else:
            whole.append(item)
    return whole


def _one_attention(node: Node, faults: Faults, expected: str) -> dict[str, Any] | None:
    value = read_value(node, faults, expected)
    found = None if value is None else call(value, faults, ATTENTIONS, expected)
    if found is None or None in found.arguments.values():
        return None
    return {"kind": found.kind, **found.arguments}


def feeding(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, Any] | None:
    """Read ``scheduled(0.25, inverse_sigmoid, steps=1000)``, or ``teacher_forcing``."""
    expected = "scheduled(0.25, inverse_sigmoid), scheduled(0.25, linear, steps=2000) or teacher_forcing"
    value = read_value(node, faults, expected)
    found = None if value is None else call(value, faults, FEEDINGS, expected, unnamed=2)
    if found is None or value is None or found.kind == "teacher_forcing" or None in found.arguments.values():
        return None
    if "rate" not in found.arguments:
        faults.add(value.place, "scheduled needs the rate at which it ends, such as scheduled(0.25)")
        return None
    return found.arguments


_read_rate = plain(RATE, "a rate such as 0.2, or {embeddings: 0.1, outputs: 0.2}")


def dropout(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, float] | None:
    """Read one rate for embeddings and outputs, or one for each."""
    if not isinstance(node, Entries):
        rate = _read_rate(node, faults, places)
        return None if rate is None else {"embeddings": rate, "outputs": rate}
    known = {"embeddings": "embeddings: 0.1", "outputs": "outputs: 0.2"}
    entries = read_entries(node, faults, known=known, required={}, what="place of dropout")
    places.update({f"dropout.{name}": entry.value.place for name, entry in entries.items()})
    rates = {name: _read_rate(entry.value, faults, places) for name, entry in entries.items()}
    return None if None in rates.values() else rates


def _repeated(value: Value, faults: Faults) -> tuple[Value, int | None]:
    """Strip ``2 *``; return the rest, and the number of layers (None if faulty)."""
    tree = value.tree
    if not (isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult)):
        return value, 1
    left, right = value.part(tree.left), value.part(tree.right)
    if number_in(left) is None and number_in(right) is not None:
        left, right = right, left
    return right, whole(1, MAX_LAYERS)(left, faults)


def _wrapped(value: Value, faults: Faults) -> tuple[Value | None, bool]:
    """Strip ``bidirectional(...)``; return the rest (None if faulty), and whether it was there."""
    tree = value.tree
    head = value.part(tree.func) if isinstance(tree, ast.Call) else value
    if name_in(head) != "bidirectional":
        return value, False
    if not isinstance(tree, ast.Call) or len(tree.args) != 1 or tree.keywords:
        faults.add(value.place, "bidirectional takes one kind, such as bidirectional(lstm(128))")
        return None, True
    inner = value.part(tree.args[0])
    if isinstance(inner.tree, ast.BinOp):
        faults.add(inner.place, "the number of layers stands outside: 2 * bidirectional(lstm(128))")
        return None, True
    return inner, True
