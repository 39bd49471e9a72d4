"""Reading the sources and targets that a magic's line names."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from s2s_magic.errors import LookupFailed, UsageError, nearest
from s2s_magic.verbs import TELL_OPTIONS, Quoted

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq


def read_sources(user_ns: Mapping[str, Any], model: Seq2Seq, word: str) -> Any:
    """Read the sources to decode: text in quotes (ids for a model of ids), or a notebook variable."""
    from s2s_magic.decoding import reads_text

    return _read(user_ns, model, word, reads_text(model))


def asked_to_explain(user_ns: Mapping[str, Any], model: Seq2Seq, options: Namespace) -> tuple[str, dict[str, Any]]:
    """Return what ``%seq2seq explain`` is asked for, as the name of its view and the arguments of `s2s_magic.explain`.

    A variable with several sources or targets stands for its first.

    Raises
    ------
    UsageError
        When it is asked for nothing, or for two things at once.
    LookupFailed
        When a name is not in the notebook, or ids are not ids.
    """
    ways = {"WHAT": options.what, "--decode SOURCE": options.decode, "--follow SOURCE": options.follow}
    asked = [way for way, value in ways.items() if value is not None]
    verb = f"%seq2seq explain {options.name}"
    if len(asked) != 1:
        *others, last = asked or ways
        said = f"{', '.join(others)} or {last}"
        raise UsageError(f"{verb}: give {said}, not both" if asked else f"{verb}: expected {said}")
    if options.what is not None:
        return "explanation", {"what": options.what}

    def first(word: str | None, *, of_target: bool = False) -> Any:
        if word is None:
            return None
        rows = _read(user_ns, model, word, _has_words(model) if of_target else reads_text(model))
        return rows if isinstance(rows, str) or not len(rows) else rows[0]

    from s2s_magic.decoding import reads_text

    if options.follow is not None:
        return "followed", {"follow": first(options.follow), "target": first(options.target, of_target=True)}
    given = {name: value for name in TELL_OPTIONS if (value := getattr(options, name)) is not None}
    if options.among is not None:
        given["among"] = tuple(_variable(user_ns, word) for word in options.among)
    return "told", {"decode": first(options.decode), "instead": first(options.instead), **given}


def _variable(user_ns: Mapping[str, Any], word: str) -> Any:
    if isinstance(word, Quoted) or word not in user_ns:
        raise LookupFailed(f"no notebook variable {str(word)!r}{nearest(word, user_ns)}")
    return user_ns[word]


def _has_words(model: Seq2Seq) -> bool:
    """Return whether targets are texts."""
    return "target" in model.ids.tokens or "target" in model.tokenizers


def _read(user_ns: Mapping[str, Any], model: Seq2Seq, word: str, is_text: bool) -> Any:
    name = not isinstance(word, Quoted) and word.isidentifier()
    if name and word in user_ns:
        return user_ns[word]
    if is_text:
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
