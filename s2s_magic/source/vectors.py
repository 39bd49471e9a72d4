"""Write the source that gives embeddings the vectors of a text file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from s2s_magic.source.layout import INDENT, WIDTH
from s2s_magic.spec import Spec

FUNCTION = """\
# Word vectors: a token that the file has begins with the vector there, others with random numbers.
# A line is a word and its numbers; where word2vec's first line counts them, it is no such line.
def set_vectors(embedding, tokens, path, what):
    (table,) = embedding.get_weights()
    size = table.shape[1]
    ids = {token: number for number, token in enumerate(tokens, start=4)}  # after the special ids
    with open(path, encoding="utf-8") as file:
        for line in file:
            word, *numbers = line.rstrip().rsplit(" ", size)
            if word in ids and len(numbers) == size:
                # Taken out of the ids, so that a word's first vector counts.
                table[ids.pop(word)] = [float(number) for number in numbers]
    embedding.set_weights([table])
    print(f"{len(tokens) - len(ids)} of {len(tokens)} {what} have a vector in {path}")"""


def initial_vectors(spec: Spec, tokens: Mapping[str, Sequence[str]]) -> str:
    """Write the function that reads a file of vectors, the tokens in the order of their ids, and its calls.

    Parameters
    ----------
    spec
        A plan with ``init``.
    tokens
        The tokens that have the ids from 4 on, by ``source`` and ``target``.
    """
    names = {side: "tokens" if spec.vocab.one else f"{side}_tokens" for side in spec.init}
    lists = {name: _tokens(name, tokens[side], spec.unit_of(side)) for side, name in names.items()}
    calls = []
    for side in ("source",) if spec.shared else spec.init:
        embedding = "embeddings" if spec.shared else f"{side}_embeddings"
        path = _quoted(str(Path(spec.init[side]).expanduser()))
        what = "tokens" if spec.shared else f"{side} tokens"
        calls.append(f'set_vectors({embedding}, {names[side]}, {path}, "{what}")')
    return "\n".join(["", FUNCTION, "\n", *lists.values(), *calls])


def _tokens(name: str, tokens: Sequence[str], unit: str) -> str:
    """Assign the tokens to a name: words in one text that is split, or a text's characters."""
    between = "" if unit == "char" else " "
    before, after = ("list(", ")") if unit == "char" else ("", ".split()")
    line = f"{name} = {before}{_quoted(between.join(tokens))}{after}"
    if len(line) <= WIDTH:
        return line
    opening, closing = ("list(", ")") if unit == "char" else ("(", ").split()")
    lines = [f"{INDENT}{_quoted(text)}" for text in _filled(tokens, between)]
    return "\n".join([f"{name} = {opening}", *lines, closing])


def _filled(tokens: Sequence[str], between: str) -> Iterator[str]:
    """Join tokens to texts that fit on a line; a token that is longer than a line has one of its own."""
    text, room = "", WIDTH - len(INDENT)
    for token in tokens:
        if text and len(_quoted(text + token + between)) > room:
            yield text
            text = ""
        text += token + between
    yield text


def _quoted(text: str) -> str:
    """Write a text as Python does, in double quotes unless it has some."""
    return repr(text) if '"' in text else f'"{repr(text)[1:-1]}"'
