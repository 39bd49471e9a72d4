"""Reading the sources and targets that a magic's line names."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from s2s_magic.errors import LookupFailed, UsageError, nearest
from s2s_magic.line_words import Quoted
from s2s_magic.search_options import TELL_OPTIONS

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

    if options.follow is not None:
        return "followed", _to_follow(user_ns, model, options)
    given = {name: value for name in TELL_OPTIONS if (value := getattr(options, name)) is not None}
    if options.among is not None:
        given["among"] = tuple(_variable(user_ns, word) for word in options.among)
    sources = {name: _first(user_ns, model, getattr(options, name)) for name in ("decode", "instead")}
    return "told", {**sources, **given}


def asked_to_show(user_ns: Mapping[str, Any], model: Seq2Seq, options: Namespace) -> dict[str, dict[str, Any]]:
    """Return the examples that a page of ``%seq2seq inspect`` shows: by view, the arguments of `s2s_magic.explain`.

    Raises
    ------
    UsageError
        When no page is written, or there is a target without a source.
    LookupFailed
        When a name is not in the notebook, or ids are not ids.
    """
    asked = [flag for flag in ("decode", "follow", "target") if getattr(options, flag) is not None]
    verb = f"%seq2seq inspect {options.name}"
    if options.quiz and options.html is None:
        raise UsageError(
            f"{verb}: --quiz adds to a page: give --html FILE as well, or %seq2seq quiz {options.name} shows one here"
        )
    if asked and options.html is None:
        instead = "follow" if asked[0] == "target" else asked[0]
        raise UsageError(
            f"{verb}: --{asked[0]} adds to a page: give --html FILE as well, or %seq2seq explain {options.name} "
            f"--{instead} SOURCE"
        )
    if asked == ["target"] or asked == ["decode", "target"]:
        raise UsageError(f"{verb}: --target is of an example that is followed: give --follow SOURCE as well")
    found = {}
    if options.decode is not None:
        found["told"] = {"decode": _first(user_ns, model, options.decode)}
    if options.follow is not None:
        found["followed"] = _to_follow(user_ns, model, options)
    return found


def _to_follow(user_ns: Mapping[str, Any], model: Seq2Seq, options: Namespace) -> dict[str, Any]:
    target = _first(user_ns, model, options.target, of_target=True)
    return {"follow": _first(user_ns, model, options.follow), "target": target}


def _first(user_ns: Mapping[str, Any], model: Seq2Seq, word: str | None, *, of_target: bool = False) -> Any:
    """Return a source or a target, of a variable with several the first; None for no word."""
    from s2s_magic.decoding import reads_text

    if word is None:
        return None
    rows = _read(user_ns, model, word, _has_words(model) if of_target else reads_text(model))
    return rows if isinstance(rows, str) or not len(rows) else rows[0]


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
