"""The keys of a spec, and the reader that turns its text into a plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from s2s_magic.spec.checks import check_spec
from s2s_magic.spec.keys import BAD_LINES, Key, Read, plain, read_keys
from s2s_magic.spec.literals import (
    Value,
    number_in,
    or_none,
    truth,
    whole,
    word,
)
from s2s_magic.spec.part_readers import ATTENTIONS, CELLS, MAX_UNITS, RATE, attention, dropout, feeding, recurrent
from s2s_magic.spec.plans import SPECIAL_IDS, Spec
from s2s_magic.spec.reading import Entries, Faults, Items, Node, Place, Scalar, read_entries, shown
from s2s_magic.spec.references import file, is_file, is_reference, listed, variable
from s2s_magic.spec.token_readers import UNITS, own_vocabularies, tokenization, whole_values

MAX_VOCAB = 10_000_000
MAX_LENGTH = 100_000
_PAIR = re.compile(r"\(?\s*(\w{1,40})\s*,\s*(\w{1,40})\s*\)?")

_FILE = re.compile(r"""subword\(\s*["']""")

REQUIRED = ("vocab", "embed", "encoder", "decoder")
FREEZABLE = ("embeddings", "encoder", "bridge", "decoder", "attention", "output")
BRIDGES = ("none", "dense", "zero")
CODES = ("tfa", "keras")
PRECISIONS = ("float32", "mixed_bfloat16")
_CELL_CALLS = tuple(f"{kind}(" for kind in CELLS)


def _sides(key: str, read_one: Read, expected: str, *, one_will_do: bool = False) -> Read:
    """Return a reader of one value for both sides, or one for each; ``one_will_do`` if a side may be left out."""

    def read(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, Any] | None:
        if (pair := _PAIR.fullmatch(_flat(node))) and not (one_will_do and _is_list_of_names(node)):
            sides = f"{{source: {pair.group(1)}, target: {pair.group(2)}}}"
            faults.add(node.place, f"expected {expected}; for two sides write {sides}")
            return None
        if not isinstance(node, Entries):
            both = read_one(node, faults, places)
            return None if both is None else {"source": both, "target": both, "one": True}
        required = {side: f"{side}: 100" for side in ("source", "target")}
        known = all(isinstance(side, Scalar) and side.text in required for side, _ in node.pairs)
        needed = {} if one_will_do and known and node.pairs else required
        entries = read_entries(node, faults, known=required, required=needed, what="side")
        places.update({f"{key}.{side}": entry.value.place for side, entry in entries.items()})
        values = {side: read_one(entry.value, faults, places) for side, entry in entries.items()}
        return None if None in values.values() or len(values) < (2 if needed else 1) else {**values, "one": False}

    return read


def _is_list_of_names(node: Node) -> bool:
    return isinstance(node, Items) and not any(isinstance(i, Scalar) and i.text.isdigit() for i in node.items)


def _flat(node: Node) -> str:
    """Return a value as one text: a list's items joined by commas."""
    if isinstance(node, Items):
        return ", ".join(item.text for item in node.items if isinstance(item, Scalar))
    return node.text if isinstance(node, Scalar) else ""


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


def _init(node: Node, faults: Faults, places: dict[str, Place]) -> dict[str, str] | None:
    """Read the path of a file for both sides, or one for either."""
    if isinstance(node, Items):
        faults.add(node.place, "expected the name of a file, or {source: ..., target: ...}, got a list")
        return None
    if isinstance(node, Scalar):
        return dict.fromkeys(("source", "target"), node.text.strip())
    known = {side: f"{side}: vectors.txt" for side in ("source", "target")}
    entries = read_entries(node, faults, known=known, required={}, what="side")
    for side, entry in entries.items():
        places[f"init.{side}"] = entry.value.place
        if not isinstance(entry.value, Scalar):
            faults.add(entry.value.place, "expected the name of a file")
    return {side: entry.value.text.strip() for side, entry in entries.items() if isinstance(entry.value, Scalar)}


_SIZE = "a number of ids, or the name of a notebook variable or a file"
_read_counted = plain(_vocab, _SIZE)


def _counted(node: Node, faults: Faults, places: dict[str, Place]) -> int | str | tuple[str, ...] | None:
    """Read a number of ids, or the variable or file to count them in, or a list of these."""
    if isinstance(node, Items) and node.items and _is_list_of_names(node):
        several: tuple[str, ...] | None = listed(variable, "vocab")(node, faults, places)
        return several
    if isinstance(node, Scalar) and is_file(node.text):
        return file(node, faults)
    one: int | str | None = _read_counted(node, faults, places)
    return one


_TOKENS = "none, char, word or subword(8000)"
_read_tokens = _sides("tokens", plain(tokenization, _TOKENS), _TOKENS)


def _tokens(node: Node, faults: Faults, places: dict[str, Place]) -> Any:
    """Read what an id represents; equal values for both sides become one."""
    sides = _read_tokens(whole_values(node), faults, places)
    return sides if sides is None or sides["source"] != sides["target"] else sides["source"]


_id = whole(0, MAX_VOCAB - 1)


def _switch(said: str, example: str = "true") -> Key:
    """Return a key whose value is true or false."""
    return Key(said, example, plain(truth, "true or false"), offers=("true", "false"))


SPEC_KEYS: Mapping[str, Key] = {
    "vocab": Key(
        "number of ids, for both sides or {source: ..., target: ...}; or the name of a variable or file to count them "
        "in, or a list",
        "100",
        _sides("vocab", _counted, _SIZE, one_will_do=True),
        offers_variables=True,
    ),
    "embed": Key(
        "embedding size, for both sides or {source: ..., target: ...}",
        "10",
        _sides("embed", plain(whole(1, MAX_UNITS), "an embedding size"), "an embedding size"),
    ),
    "encoder": Key(
        "lstm(512), 2 * gru(256, dropout=0.2), bidirectional(lstm(128))",
        "lstm(512)",
        recurrent,
        offers=(*_CELL_CALLS, "bidirectional("),
    ),
    "decoder": Key(
        "lstm(512), 2 * gru(256, dropout=0.2, recurrent_dropout=0.1)", "lstm(512)", recurrent, offers=_CELL_CALLS
    ),
    "init": Key(
        "file of word vectors that the embeddings begin with (word2vec's text format, or GloVe's), for both sides or "
        "{source: ..., target: ...}; needs 'tokens'",
        "vectors.txt",
        _init,
    ),
    "share": _switch("false for two embeddings over one vocabulary", "false"),
    "bridge": Key(
        "how encoder states become decoder states: none, dense (learned) or zero (zeros where none fits)",
        "dense",
        plain(word(*BRIDGES), "none, dense or zero"),
        offers=BRIDGES,
    ),
    "attention": Key(
        "what each decoder step reads of the encoder's outputs: luong(256, scale=true), bahdanau(256), a list, or none",
        "luong(512)",
        attention,
        offers=(*(f"{kind}(" for kind in ATTENTIONS), "none"),
    ),
    "input_feeding": _switch("true to let each step also read what the step before attended to"),
    "monotonic": _switch("true for attention that moves forward through the source only"),
    "feeding": Key(
        "what the decoder reads in training: teacher_forcing (the true ids), or scheduled(0.25, inverse_sigmoid) (a "
        "growing part of them drawn from its own scores)",
        "scheduled(0.25, linear)",
        feeding,
        offers=("scheduled(", "teacher_forcing"),
    ),
    "residual": _switch("true to add what each layer reads, from the second on, to what it makes"),
    "layer_norm": _switch("true to normalize the outputs of each layer"),
    "dropout": Key("rate for embeddings and outputs, or {embeddings: 0.1, outputs: 0.2}", "0.2", dropout),
    "tie_output": _switch("true for an output layer that uses the table of the embeddings"),
    "label_smoothing": Key(
        "part of each target's probability that is spread over all ids",
        "0.1",
        plain(RATE, "a part such as 0.1"),
    ),
    "precision": Key(
        "what the layers compute in: float32, or mixed_bfloat16 (weights and output layer stay in float32); Keras's "
        "global policy unless given",
        "mixed_bfloat16",
        plain(word(*PRECISIONS), "float32 or mixed_bfloat16"),
        offers=PRECISIONS,
    ),
    "freeze": Key(
        "parts that are not trained: [embeddings, encoder, bridge, decoder, attention, output]",
        "[embeddings]",
        listed(plain(word(*FREEZABLE), "a part of the model"), "freeze"),
        offers=FREEZABLE,
    ),
    "tokens": Key(
        "what an id stands for, for both sides or {source: ..., target: ...}: none (ids are given), char, "
        "word(lowercase=true, normalize=nfkc, min_count=2, max_size=10000), subword(8000, kind=bpe), "
        'subword("my.model")',
        "char",
        _tokens,
        offers=("none", *(f"{unit}(" if unit == "subword" else unit for unit in UNITS)),
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
    "bad_lines": BAD_LINES,
}


def _required(written: Mapping[str, str]) -> Mapping[str, str]:
    """Return the required keys, with examples that suit what is written."""
    examples = {key: SPEC_KEYS[key].example for key in REQUIRED}
    tokens = written.get("tokens", "none")
    if len(_FILE.findall(tokens)) > ("source:" in tokens):  # the vocabularies of both sides are in files
        del examples["vocab"]
    elif tokens != "none":
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
    values = own_vocabularies(values, faults)
    if any(key not in values for key in REQUIRED):
        faults.raise_if_any()
    spec = Spec(**values)
    check_spec(spec, faults)
    faults.raise_if_any()
    return spec
