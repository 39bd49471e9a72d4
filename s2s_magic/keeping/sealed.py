"""A JSON document with a checksum of its contents, written and read strictly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

LARGEST = 2**28
"""The most bytes of a document."""


class Unsound(Exception):
    """What is wrong with a document, in words."""


def seal(schema: str, content: Mapping[str, Any]) -> bytes:
    """Return a document with its schema, the checksum of its content, and the content."""
    return json.dumps({"schema": schema, "sha256": _checksum(content), "model": content}).encode()


def unseal(text: bytes, schema: str) -> dict[str, Any]:
    """Read a document that `seal` returned.

    Raises
    ------
    Unsound
        When it is not one, has another schema, or was changed since.
    """
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_each_once)
    except RecursionError as error:
        raise Unsound("is nested too deeply") from error
    except ValueError as error:  # of JSON, of its encoding, of a number with too many digits
        raise Unsound(f"is not JSON: {error}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != schema:
        raise Unsound(f"is not a saved model: the key 'schema' is {found!r}, expected {schema!r}")
    if document.keys() != {"schema", "sha256", "model"} or not isinstance(document["model"], dict):
        raise Unsound("is not a saved model: expected the keys schema, sha256 and model")
    if document["sha256"] != _checksum(document["model"]):
        raise Unsound("was changed after it was saved: its contents do not have its checksum")
    content: dict[str, Any] = document["model"]
    return content


def _checksum(content: Mapping[str, Any]) -> str:
    try:
        said = json.dumps(content, sort_keys=True, separators=(",", ":"))
    except RecursionError as error:
        raise Unsound("is nested too deeply") from error
    return hashlib.sha256(said.encode()).hexdigest()


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found
