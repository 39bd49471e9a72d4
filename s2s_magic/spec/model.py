"""The keys of a spec, and the reader that turns its text into a plan."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from s2s_magic.spec.checks import check_spec
from s2s_magic.spec.keys import Key, Read, plain, read_keys
from s2s_magic.spec.literals import (
    Check,
    Value,
    call,
    name_in,
    number_in,
    or_none,
    read_value,
    real,
    truth,
    whole,
    word,
)
from s2s_magic.spec.plans import SPECIAL_IDS, Spec
from s2s_magic.spec.reading import Entries, Faults, Items, Node, Place, Scalar, read_entries, shown
from s2s_magic.spec.references import is_reference

MAX_VOCAB = 10_000_000
MAX_UNITS = 16_384
MAX_LAYERS = 16
MAX_LENGTH = 100_000
_PAIR = re.compile(r"\(?\s*(\w{1,40})\s*,\s*(\w{1,40})\s*\)?")

REQUIRED = ("vocab", "embed", "encoder", "decoder")
RATES: Mapping[str, Check] = {"dropout": real(0, 1, closed=True), "recurrent_dropout": real(0, 1, closed=True)}
CELLS: Mapping[str, Mapping[str, Check]] = {kind: {"units": whole(1, MAX_UNITS), **RATES} for kind in ("lstm", "gru")}

ATTENTIONS: Mapping[str, Mapping[str, Check]] = {
    "luong": {"units": whole(1, MAX_UNITS), "scale": truth},
    "bahdanau": {"units": whole(1, MAX_UNITS)},
}

BRIDGES = ("none", "dense", "zero")
TOKENS = ("none", "char", "word")
CODES = ("tfa", "keras")
_CELL_CALLS = tuple(f"{kind}(" for kind in CELLS)


def _sides(key: str, check: Check, expected: str) -> Read:
    """Return a reader of one value for both sides, or one for each."""
    read_one = plain(check, expected)

    def read(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, Any] | None:
        if pair := _PAIR.fullmatch(_flat(node)):
            sides = f"{{source: {pair.group(1)}, target: {pair.group(2)}}}"
            faults.add(node.place, f"expected {expected}; for two sides write {sides}")
            return None
        if not isinstance(node, Entries):
            both = read_one(node, faults, places)
            return None if both is None else {"source": both, "target": both, "one": True}
        required = {side: f"{side}: 100" for side in ("source", "target")}
        entries = read_entries(node, faults, known=required, required=required, what="side")
        places.update({f"{key}.{side}": entry.value.place for side, entry in entries.items()})
        values = {side: read_one(entry.value, faults, places) for side, entry in entries.items()}
        return None if None in values.values() or len(values) < 2 else {**values, "one": False}

    return read


def _flat(node: Node) -> str:
    """Return a value as one text: a list's items joined by commas."""
    if isinstance(node, Items):
        return ", ".join(item.text for item in node.items if isinstance(item, Scalar))
    return node.text if isinstance(node, Scalar) else ""


def _recurrent(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, Any] | None:
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


def _attention(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, Any] | None:
    """Read ``luong(256, scale=true)``, ``bahdanau``, or ``none``."""
    expected = "luong(256), luong(256, scale=true), bahdanau(256) or none"
    value = read_value(node, faults, expected)
    if value is None or name_in(value) == "none":
        return None
    found = call(value, faults, ATTENTIONS, expected)
    if found is None or None in found.arguments.values():
        return None
    return {"kind": found.kind, **found.arguments}


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


def _vocab(value: Value, faults: Faults) -> int | str | None:
    """Check for a number of ids, or the name of a variable to count them in."""
    if is_reference(value.tree):
        return value.text
    if number_in(value) is None:
        message = f"expected a number of ids, or the bare name of a notebook variable, got {shown(value.text)}"
        faults.add(value.place, message)
        return None
    size: int | None = whole(1, MAX_VOCAB)(value, faults)
    return size


_read_tokens = _sides("tokens", word(*TOKENS), "none, char or word")


def _tokens(node: Node, faults: Faults, places: dict[str, Place]) -> str | dict[str, Any] | None:
    """Read what an id represents; equal values for both sides become one."""
    sides: dict[str, Any] | None = _read_tokens(node, faults, places)
    if sides is None or sides["source"] != sides["target"]:
        return sides
    return str(sides["source"])


_id = whole(0, MAX_VOCAB - 1)

SPEC_KEYS: Mapping[str, Key] = {
    "vocab": Key(
        "number of ids, for both sides or {source: ..., target: ...}; or the name of a variable to count them in",
        "100",
        _sides("vocab", _vocab, "a number of ids, or the name of a notebook variable"),
        offers_variables=True,
    ),
    "embed": Key(
        "embedding size, for both sides or {source: ..., target: ...}",
        "10",
        _sides("embed", whole(1, MAX_UNITS), "an embedding size"),
    ),
    "encoder": Key(
        "lstm(512), 2 * gru(256, dropout=0.2), bidirectional(lstm(128))",
        "lstm(512)",
        _recurrent,
        offers=(*_CELL_CALLS, "bidirectional("),
    ),
    "decoder": Key(
        "lstm(512), 2 * gru(256, dropout=0.2, recurrent_dropout=0.1)", "lstm(512)", _recurrent, offers=_CELL_CALLS
    ),
    "share": Key(
        "false for two embeddings over one vocabulary",
        "false",
        plain(truth, "true or false"),
        offers=("true", "false"),
    ),
    "bridge": Key(
        "how encoder states become decoder states: none, dense (learned) or zero (zeros where none fits)",
        "dense",
        plain(word(*BRIDGES), "none, dense or zero"),
        offers=BRIDGES,
    ),
    "attention": Key(
        "what each decoder step reads of the encoder's outputs: luong(256, scale=true), bahdanau(256), or none",
        "luong(512)",
        _attention,
        offers=(*(f"{kind}(" for kind in ATTENTIONS), "none"),
    ),
    "tokens": Key(
        "what an id stands for, for both sides or {source: ..., target: ...}: none (ids are given), char or word",
        "char",
        _tokens,
        offers=TOKENS,
    ),
    "start": Key("id that starts the decoder's input; 0 unless given", "1", plain(_id, "an id")),
    "end": Key("id that ends a target", "2", plain(or_none(_id), "an id, or none")),
    "padding": Key("id that fills up short sequences, and is masked", "0", plain(or_none(_id), "an id, or none")),
    "max_length": Key("longest sequence to decode", "50", plain(whole(1, MAX_LENGTH), "a number of ids")),
    "code": Key(
        "decoder from TensorFlow Addons' API (tfa) or of plain Keras layers (keras); tfa where Addons is installed",
        "keras",
        plain(word(*CODES), "tfa or keras"),
        offers=CODES,
    ),
}


def _required(written: Mapping[str, str]) -> Mapping[str, str]:
    """Return the required keys, with examples that suit what is written."""
    examples = {key: SPEC_KEYS[key].example for key in REQUIRED}
    if written.get("tokens", "none") != "none":
        examples["vocab"] = "{source: sources, target: targets}"  # variables to count the tokens in
    return examples


def parse_spec(text: str, *, first_line: int = 1) -> Spec:
    """Read a spec.

    Parameters
    ----------
    text
        YAML; see `SPEC_KEYS`.
    first_line
        The cell line of the text's first line: 2 under a cell magic.

    Returns
    -------
    Spec
        The plan. Vocabulary sizes may still be names; see `Spec.names_needed`.

    Raises
    ------
    SpecError
        With every fault, each at its line and column.
    """
    faults = Faults()
    values = read_keys(text, first_line, SPEC_KEYS, _required, faults)
    if values.get("tokens", "none") != "none":
        unwritten = {key: number for key, number in SPECIAL_IDS.items() if key not in values["given"]}
        values = {**values, **unwritten}
    if any(key not in values for key in REQUIRED):
        faults.raise_if_any()
    spec = Spec(**values)
    check_spec(spec, faults)
    faults.raise_if_any()
    return spec
