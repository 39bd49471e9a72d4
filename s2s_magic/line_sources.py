"""Reading the sources that a magic's line names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from s2s_magic.errors import LookupFailed, nearest
from s2s_magic.verbs import Quoted

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq


def read_sources(user_ns: Mapping[str, Any], model: Seq2Seq, word: str) -> Any:
    """Read the sources to decode: text in quotes (ids for a model of ids), or a notebook variable."""
    from s2s_magic.decoding import reads_text

    name = not isinstance(word, Quoted) and word.isidentifier()
    if name and word in user_ns:
        return user_ns[word]
    if reads_text(model):
        return [str(word)]
    if name:
        raise LookupFailed(f"no notebook variable {word!r}{nearest(word, user_ns)}")
    try:
        return [[int(part) for part in word.strip("[]").replace(",", " ").split()]]
    except ValueError as error:
        raise LookupFailed(
            f'{model.name} works on ids: expected whole numbers such as "3 14 15", or the name of a variable, '
            f"got {str(word)!r}"
        ) from error
