"""The tokens of an exported model as files, and the Python that reads and writes text with them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from s2s_magic.data.subwords import Subwords
from s2s_magic.data.tokens import END, SPECIAL, UNKNOWN
from s2s_magic.data.vocabularies import AnyTokenizer
from s2s_magic.exporting.greedy_graphs import Searched

DOCUMENT = "tokens.json"
SCHEMA = "s2s_magic.tokens/1"
_IDS = {"unit": "id"}


def token_files(model: Searched) -> dict[str, bytes]:
    """Return the files with a model's tokens, by name: one document, and the models of sentencepiece."""
    sides = {side: _side(model.tokenizers.get(side), side) for side in ("source", "target")}
    document = {"schema": SCHEMA, "start": model.start, "end": model.end, "longest": model.longest, **sides}
    text = json.dumps(document, ensure_ascii=False, indent=1)
    return {DOCUMENT: text.encode("utf-8", "surrogatepass"), **subword_models(model.tokenizers)}


def subword_models(tokenizers: Mapping[str, AnyTokenizer]) -> dict[str, bytes]:
    """Return the models of sentencepiece, by the names of their files."""
    return {f"{side}.model": each.model for side, each in tokenizers.items() if isinstance(each, Subwords)}


def _side(tokenizer: AnyTokenizer | None, side: str) -> dict[str, Any]:
    if tokenizer is None:
        return _IDS
    described: dict[str, Any] = {"unit": tokenizer.unit, "lowercase": tokenizer.lowercase, "normalize": tokenizer.form}
    if isinstance(tokenizer, Subwords):
        described["model"] = f"{side}.model"
    return {**described, "tokens": list(tokenizer.tokens)}


def text_imports(tokenizers: Mapping[str, AnyTokenizer], read: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the imports that the code of this module needs: of the standard library, and of others.

    ``read`` are the sides whose texts are turned into ids.
    """
    forms = any(each.form is not None for side, each in tokenizers.items() if side in read)
    subwords = any(isinstance(each, Subwords) for each in tokenizers.values())
    return ["from unicodedata import normalize"] * forms, ["import sentencepiece"] * subwords


def model_line(side: str, file: str) -> str:
    """Return the line that opens the model of sentencepiece of a side; ``file`` is an expression for its path."""
    return f"{side}_pieces = sentencepiece.SentencePieceProcessor(model_file=str({file}))"


def vocabulary_line(tokenizer: AnyTokenizer, side: str, tokens: str) -> str:
    """Return the line that binds the ids of a side's tokens; ``tokens`` is an expression for these, in their order."""
    token = f"{side}_pieces.piece_to_id(token)" if isinstance(tokenizer, Subwords) else "token"
    return f"{side}_vocabulary = {{{token}: number for number, token in enumerate({tokens}, start={len(SPECIAL)})}}"


def spelling_line(tokens: str) -> str:
    """Return the line that binds the tokens of the target's ids; ``tokens`` is as for `vocabulary_line`."""
    return f"target_spelling = dict(enumerate({tokens}, start={len(SPECIAL)}))"


def reader(tokenizer: AnyTokenizer | None, side: str, name: str) -> str:
    """Return the code of the function ``name``, from a text to the ids of a side."""
    if tokenizer is None:
        return _READ_IDS.format(name=name)
    split = {"char": "{}", "word": "{}.split()", "subword": f"{side}_pieces.encode({{}})"}[tokenizer.unit]
    return _READ.format(name=name, side=side, tokens=split.format(_prepared(tokenizer)), unknown=UNKNOWN)


def writer(tokenizer: AnyTokenizer | None, end: int | None, name: str) -> str:
    """Return the code of the function ``name``, from the ids of an output to its text.

    ``end`` is the id that ended the output; a text ends with that of the vocabulary too.
    """
    if tokenizer is None:
        return _WRITE_IDS.format(name=name)
    cut = "" if end == END else _CUT.format(end=END)
    return _WRITE.format(name=name, text=_JOINED[tokenizer.unit], cut=cut)


def _prepared(tokenizer: AnyTokenizer) -> str:
    """Return an expression for a text as `s2s_magic.data.tokens.prepared` makes it."""
    if tokenizer.form is None:
        return "text.lower()" if tokenizer.lowercase else "text"
    form = f'normalize("{tokenizer.form.upper()}", {{}})'
    return form.format(form.format("text") + ".lower()") if tokenizer.lowercase else form.format("text")


_READ_IDS = '''\
def {name}(text):
    """Return the ids that stand in a text, such as "5 3 8"."""
    return [int(word) for word in text.split()]'''
_READ = '''\
def {name}(text):
    """Return the ids of a text; what is not in the vocabulary is {unknown}."""
    return [{side}_vocabulary.get(token, {unknown}) for token in {tokens}]'''
_WRITE_IDS = '''\
def {name}(ids):
    """Return ids as a text."""
    return " ".join(map(str, ids))'''
_WRITE = '''\
def {name}(ids):
    """Return the text of ids; those below 3 are no text, and 3 is what is not in the vocabulary."""
{cut}    tokens = [target_spelling.get(number, "\\N{{REPLACEMENT CHARACTER}}") for number in ids if number > 2]
    return {text}'''
_CUT = "    ids = ids[: ids.index({end})] if {end} in ids else ids\n"
_JOINED = {"char": '"".join(tokens)', "word": '" ".join(tokens)', "subword": "target_pieces.decode_pieces(tokens)"}
