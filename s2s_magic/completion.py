"""Completion in ``%seq2seq`` lines and ``%%seq2seq`` cells: verbs, names and options; keys and values of a body."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from s2s_magic import api, compatibility
from s2s_magic.verbs import CELL_VERBS, LINE_VERBS, VERBS, flags_of

_CELL = "%%seq2seq"
# The line magic may stand alone or be assigned to a name: `shown = %seq2seq explain m x --return`.
_MAGIC_LINE = re.compile(r"\s*(?:(?P<magic>%%seq2seq)|(?:[^=%#]*[^=%#!<>]=\s*)?%seq2seq) (?P<line>.*)")
_BODY_VALUE = re.compile(r"(?P<key>\w+):\s+(?P<value>.*)")
_OPEN_CALL = re.compile(r"(\w+)\([^()]*$")
_BETWEEN_WORDS = re.compile(r"[\s(\[{,*]")
_IPYTHONS_OWN = {"In", "Out", "exit", "quit", "open"}


def candidates(text_before: str, namespace: Callable[[], Mapping[str, Any]]) -> list[str] | None:
    """List the completions at the cursor.

    Parameters
    ----------
    text_before
        The cell up to the cursor.
    namespace
        Returns the notebook's variables by name, models included.

    Returns
    -------
    list of str or None
        Whole words, not yet filtered by what is typed; None outside ``%seq2seq`` lines and cells.
    """
    lines = text_before.split("\n")
    here = lines[-1]
    if len(lines) > 1 and lines[0].lstrip().startswith(_CELL):
        return _in_body(lines[0], here, namespace)
    found = _MAGIC_LINE.fullmatch(here)
    if found is None:
        return None
    given = found["line"].split(" ")
    given = [*filter(None, given[:-1]), given[-1]]
    if len(given) == 1:
        return [*(CELL_VERBS if found["magic"] else LINE_VERBS), "--help"]
    verb, *before, typed = given
    if verb not in VERBS:
        return None
    if typed.startswith("-"):
        return [flag for flag in flags_of(verb) if flag not in before]
    valued = {flag for option in VERBS[verb][3] if option.get("nargs") != 0 for flag in option["flags"]}
    if before and before[-1] == "--model":
        return _models_of(before[0], namespace())
    if "--among" in before[-2:]:
        return _variables(namespace())
    if before and before[-1] in valued:
        return None
    words = [
        word
        for last, word in zip(["", *before], before, strict=False)
        if not word.startswith("-") and last not in valued
    ]
    return _positional(verb, words, namespace())


def _positional(verb: str, before: list[str], namespace: Mapping[str, Any]) -> list[str]:
    """List the completions after a verb and the words that follow it."""
    models = api.models_in(namespace)
    if verb == "load" and len(before) == 1:
        from s2s_magic.keeping.opening import is_saved

        return sorted(path.name for path in Path.cwd().iterdir() if is_saved(path))
    if len(before) == 0 or (verb == "compare" and len(before) == 1):
        return list(models) if VERBS[verb][2] else []
    if verb == "explain" and len(before) == 1 and before[0] in models:
        from s2s_magic.ledger.explain import names

        return [*names(models[before[0]].ledger), "verdicts"]
    return _variables(namespace) if verb == "decode" and len(before) == 1 else []


def _models_of(name: str, namespace: Mapping[str, Any]) -> list[str]:
    """List the Keras models of the model bound to a name."""
    model = api.models_in(namespace).get(name)
    return list(model.models) if model is not None else []


def _variables(namespace: Mapping[str, Any]) -> list[str]:
    """List the variables that can hold data: no modules, callables or models, and none of IPython's."""
    others = {*_IPYTHONS_OWN, *api.models_in(namespace)}
    return [
        name
        for name, value in namespace.items()
        if not (name.startswith("_") or name in others or isinstance(value, ModuleType) or callable(value))
    ]


def _in_body(first_line: str, here: str, namespace: Callable[[], Mapping[str, Any]]) -> list[str] | None:
    verb = [*first_line.split(), "", ""][1]
    from s2s_magic.spec import BODY_KEYS

    if verb not in BODY_KEYS:
        return None
    keys = BODY_KEYS[verb]
    if ":" not in here:
        return [f"{key}: " for key in keys]
    found = _BODY_VALUE.fullmatch(here)
    if found is None or found["key"] not in keys:
        return None
    key = keys[found["key"]]
    if found["key"] == "model":
        return _models_of([*first_line.split(), "", "", ""][2], namespace())
    offers = list(key.offers)
    if (inside := _OPEN_CALL.search(found["value"])) is not None:
        # Only bidirectional takes a kind in its brackets; the others take settings.
        offers = [kind for kind in offers if inside[1] == "bidirectional" and kind != "bidirectional("]
    return offers + (_variables(namespace()) if key.offers_variables else [])


def matcher(namespace: Callable[[], Mapping[str, Any]]) -> Callable[..., Any]:
    """Make a matcher for IPython's completer."""

    def fitting(before: str, token: str) -> list[str]:
        found = candidates(before, namespace) or []
        typed = _BETWEEN_WORDS.split(before)[-1]
        # IPython replaces the token, which stops at characters such as "-"
        kept = len(typed) - len(token) if typed.endswith(token) else 0
        return [word[kept:] for word in found if word.startswith(typed)]

    return compatibility.matcher(fitting)
