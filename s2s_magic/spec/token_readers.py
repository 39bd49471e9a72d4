"""Read what an id represents: ``word(lowercase=true)``, ``subword(8000, kind=bpe)``, ``subword("my.model")``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from s2s_magic.spec.literals import Check, Value, call, truth, whole, word
from s2s_magic.spec.parts import Tokenization
from s2s_magic.spec.plans import SMALLEST_COUNTED
from s2s_magic.spec.reading import Entries, Faults, Node, Scalar, shown

MAX_IDS = 10_000_000
FORMS = ("nfkc", "nfc", "nfd", "nfkd")


def _size_or_file(value: Value, faults: Faults) -> int | str | None:
    """Check for a number of subwords, or the name of a model's file in quotes."""
    if isinstance(value.tree, ast.Constant) and isinstance(value.tree.value, str):
        if value.tree.value.strip():
            return value.tree.value
        faults.add(value.place, "expected the name of a model's file, got an empty one")
        return None
    if isinstance(value.tree, ast.Attribute | ast.Name | ast.BinOp):
        faults.add(
            value.place,
            f'expected a number of subwords, or a model\'s file in quotes, such as subword("my.model"), got '
            f"{shown(value.text)}",
        )
        return None
    size: int | None = whole(SMALLEST_COUNTED, MAX_IDS)(value, faults)
    return size


_TEXT: Mapping[str, Check] = {"lowercase": truth, "normalize": word(*FORMS)}
_COUNTED: Mapping[str, Check] = {
    **_TEXT,
    "min_count": whole(1, MAX_IDS),
    "max_size": whole(SMALLEST_COUNTED, MAX_IDS),
}
UNITS: Mapping[str, Mapping[str, Check]] = {
    "char": _COUNTED,
    "word": _COUNTED,
    "subword": {"size": _size_or_file, "kind": word("unigram", "bpe"), **_TEXT},
}
_EXPECTED = "none, char, word or subword(8000)"


def tokenization(value: Value, faults: Faults) -> Tokenization | Literal["none"] | None:
    """Check for what an id represents, with its settings."""
    if (isinstance(value.tree, ast.Constant) and value.tree.value is None) or value.text == "none":
        return "none"
    found = call(value, faults, {"none": {}, **UNITS}, _EXPECTED, unnamed=int(value.text.startswith("subword")))
    if found is None or None in found.arguments.values():
        return None
    if found.kind == "none":
        return "none"
    settings = dict(found.arguments)
    if found.kind == "subword":
        size = settings.pop("size", None)
        if size is None:
            faults.add(value.place, "subword needs a number of subwords or a model's file, such as subword(8000)")
            return None
        if isinstance(size, str) and "kind" in settings:
            faults.add(value.place, f"the model {shown(size)} has its kind: leave 'kind' out")
            return None
        settings["file" if isinstance(size, str) else "size"] = size
    return Tokenization(unit=found.kind, **settings)


def whole_values(node: Node) -> Node:
    """Join what YAML split at the commas of ``{source: subword(8000, kind=bpe), target: word}``."""
    if not isinstance(node, Entries):
        return node
    pairs: list[tuple[Node, Node]] = []
    for key, value in node.pairs:
        last = pairs[-1][1] if pairs else None
        rest = isinstance(key, Scalar) and isinstance(value, Scalar) and not value.text.strip()
        if rest and isinstance(last, Scalar) and last.text.count("(") > last.text.count(")"):
            assert isinstance(key, Scalar)
            between = " " * max(key.place[1] - last.place[1] - len(last.text) - 1, 0)  # places stay as written
            pairs[-1] = (pairs[-1][0], replace(last, text=f"{last.text},{between}{key.text}"))
        else:
            pairs.append((key, value))
    return Entries(node.place, tuple(pairs))


def own_vocabularies(values: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """Return a spec's values with a vocabulary for each side whose subwords come from a file, which has its own."""
    tokens, vocab, places = values.get("tokens", "none"), values.get("vocab"), values["places"]
    if vocab is None and "vocab" in values["given"]:
        return dict(values)  # it was faulty
    sides = {side: tokens[side] if isinstance(tokens, dict) else tokens for side in ("source", "target")}
    filled = dict(vocab or {"one": sides["source"] == sides["target"]})
    for side, unit in sides.items():
        if unit != "none" and unit.file is not None:
            if not isinstance(filled.get(side, 0), int):
                place = places.get(f"vocab.{side}", places.get("vocab", (0, 0)))
                faults.add(place, f"{unit} has a vocabulary of its own: leave this out, or give a number of ids")
            filled.setdefault(side, str(unit))
        elif side not in filled:
            if vocab is None:  # said to be missing already
                return dict(values)
            faults.add(places["vocab"], f"the side {side!r} is missing: expected for instance '{side}: 100'")
            return {name: value for name, value in values.items() if name != "vocab"}
    return {**values, "vocab": filled}
