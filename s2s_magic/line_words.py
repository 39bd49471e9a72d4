"""The words of a magic's line: quoted ones are text, the others names."""

from __future__ import annotations

import argparse
import keyword
import unicodedata


class Quoted(str):
    """A quoted word on the line: text, never a name."""

    __slots__ = ()


def model_name(word: str) -> str:
    """Read a NAME: an unquoted Python identifier that is not a keyword."""
    if isinstance(word, Quoted) or not word.isidentifier() or keyword.iskeyword(word):
        raise argparse.ArgumentTypeError(f"{str(word)!r} is not a name that Python can bind")
    return unicodedata.normalize("NFKC", word)  # as Python reads it in code


def new_name(word: str) -> str:
    """Read a NAME to bind; names with a leading underscore are reserved for IPython."""
    name = model_name(word)
    if name.startswith("_"):
        raise argparse.ArgumentTypeError(f"{name!r} begins with an underscore, as the names that IPython keeps do")
    return name


def positive(word: str) -> int:
    """Read a whole number of at least 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {word!r}")
    return int(word)
