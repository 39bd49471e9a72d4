"""A ledger as JSON, both ways."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from s2s_magic.errors import LookupFailed, Seq2SeqError, nearest_file
from s2s_magic.ledger.calls import AnyEvent
from s2s_magic.ledger.evidence import Evidence
from s2s_magic.ledger.records import Cell, Finding, Layer, Record, Totals, Variable
from s2s_magic.ledger.roles import ModelRecord
from s2s_magic.ledger.trace import Trace
from s2s_magic.ledger.whole import first_fault

SCHEMA = "s2s_magic.ledger/1"
_LONGEST_SAID = 200
_LARGEST = 32 * 2**20
"""The most bytes of a file that is read: some 40,000 events, which are shown in seconds."""


class LedgerFormatError(Seq2SeqError):
    """A document that is not a ledger of this schema."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    cells: list[Cell] = []
    events: list[AnyEvent] = []
    layers: dict[str, Layer] = {}
    variables: dict[str, Variable] = {}
    models: list[ModelRecord] = []
    training: Evidence | None = None
    chosen: str | None = None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document of a ledger, as it is written."""
    written = create_model(
        "Ledger",
        __base__=_Document,
        schema_=(str, Field(alias="schema", json_schema_extra={"const": SCHEMA})),
        findings=(list[Finding], ...),
        totals=(Totals, ...),
    )
    return written.model_json_schema(mode="serialization")


def write(trace: Trace, findings: Sequence[Finding], totals: Totals) -> dict[str, Any]:
    """Return the JSON document of a trace, with its findings and totals."""
    parts = {"cells": trace.cells, "events": trace.events, "models": trace.models, "findings": findings}
    document: dict[str, Any] = {"schema": SCHEMA, "name": trace.name}
    document |= {part: [_dumped(record) for record in records] for part, records in parts.items()}
    for part in ("layers", "variables"):
        document[part] = {key: _dumped(record) for key, record in getattr(trace, part).items()}
    document["totals"] = _dumped(totals)
    if trace.chosen is not None:
        document["chosen"] = trace.chosen
    if trace.training is not None:
        document["training"] = _dumped(trace.training)
    return document


def _dumped(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json", by_alias=True)


def read(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read a document that `write` returned, into the arguments of a `Trace`.

    Raises
    ------
    LedgerFormatError
        When it is not a mapping of this schema; the message names the first fault's place.
    """
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if schema != SCHEMA:
        raise LedgerFormatError(f"not a ledger: the key 'schema' is {_short(repr(schema))}, expected {SCHEMA!r}")
    try:
        found = dict(_Document.model_validate(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise LedgerFormatError(f"not a ledger: {_short(where)}: {_short(first['msg'])}") from error
    except RecursionError as error:
        raise LedgerFormatError("not a ledger: it is nested too deeply") from error
    if (fault := first_fault(Trace(**found))) is not None:
        raise LedgerFormatError(f"not a whole ledger: {_short(fault)}")
    return found


def read_file(path: str | os.PathLike[str]) -> Any:
    """Read the JSON of a file, which may come from anybody.

    Parameters
    ----------
    path
        The file's name.

    Returns
    -------
    object
        What its JSON stands for, for `read`.

    Raises
    ------
    LookupFailed
        When there is no such file, with the nearest name beside it, or it cannot be read.
    LedgerFormatError
        When it is not JSON, with line and column, or larger than 32 MiB.
    """
    file = Path(path)
    try:
        if not file.is_file():
            kind = "is not a regular file" if file.exists() else "does not exist"
            raise LookupFailed(f"{_short(str(file))} {kind}{nearest_file(file)}")
        if (size := file.stat().st_size) > _LARGEST:
            raise LedgerFormatError(f"{file.name} has {size:,} bytes; a ledger of more than {_LARGEST:,} is not read")
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise LookupFailed(f"{_short(str(path))} cannot be read: {why}") from error
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise LedgerFormatError(f"not a ledger: {file.name} is not JSON: {place}: {error.msg}") from error
    except RecursionError as error:
        raise LedgerFormatError("not a ledger: it is nested too deeply") from error
    except ValueError as error:  # no UTF-8, or a number of thousands of digits
        raise LedgerFormatError(f"not a ledger: {file.name} is not JSON: {_short(str(error))}") from error


def _short(said: str) -> str:
    """Quote a document's text on one line that a terminal can show."""
    shown = ascii(said[:_LONGEST_SAID])[1:-1]
    return shown[:_LONGEST_SAID] + ("…" if max(len(said), len(shown)) > _LONGEST_SAID else "")
