"""Read a column of a table of text: ``pairs.tsv`` or ``pairs.csv``, also packed.

A column is named as the first line has it, or numbered from 1 in a table whose first line is a row like the others.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from s2s_magic.data.text_files import Record, lines_in, no_utf_8
from s2s_magic.data.values import Unknown
from s2s_magic.errors import nearest

SEPARATORS = {".tsv": "\t", ".tab": "\t", ".csv": ","}

Fields = tuple[int, list[str] | str]
"""The line that a record begins with, and its fields, or why it has none."""


def is_table(name: str) -> bool:
    """Return whether a file's name is that of a table."""
    return _ending(name) in SEPARATORS


def columns_of(name: str) -> list[str]:
    """Return the names of a table's columns.

    Raises
    ------
    Unknown
        When the table cannot be read.
    """
    return _header(name, next(_records(name)))


def column_of(name: str, column: str | int) -> Iterator[Record]:
    """Yield the fields of one column of a file: one that the first line names, or by its number, from 1.

    Raises
    ------
    Unknown
        When there is no such file, it is no table, or there is no such column.
    """
    if not is_table(name):
        raise Unknown(f"{name} is no table: columns are read from files that end with {', '.join(SEPARATORS)}")
    records = _records(name)
    first = next(records)
    if isinstance(column, int):
        header = [f"{number}" for number in range(1, len(_first(name, first)) + 1)]
        records = chain([first], records)
        if column > len(header):
            raise Unknown(f"{name} has no column {column}: its first line has {len(header)}")
        place = column - 1
    else:
        header = _header(name, first)
        if column not in header:
            near = nearest(column, header) or f"; it has {', '.join(map(repr, header))}"
            raise Unknown(f"{name} has no column {column!r}{near}")
        place = header.index(column)
    none = True
    for line, fields in records:
        none = False
        said = _wrong(fields, header, named=isinstance(column, str))
        yield Record(name, line, "", f"{name}, line {line}{said}") if said else Record(name, line, fields[place])
    if none:
        raise Unknown(f"{name} has no rows below its first line, which names the columns")


def _first(name: str, record: Fields) -> list[str]:
    fields = record[1]
    if isinstance(fields, str):
        raise Unknown(f"{name}, line 1: {fields}")
    return fields


def _header(name: str, record: Fields) -> list[str]:
    header = _first(name, record)
    if not any(map(str.strip, header)):
        raise Unknown(f"{name}, line 1 is empty: expected the names of the columns")
    for place, title in enumerate(header, 1):
        if said := no_utf_8(title):
            raise Unknown(f"{name}, line 1, column {place}, {said}")
    title, count = Counter(header).most_common(1)[0]
    if count > 1:
        raise Unknown(f"{name}, line 1: the column {title!r} stands here {count} times")
    return header


def _ending(name: str) -> str:
    return os.path.splitext(name.removesuffix(".gz"))[1].lower()


def _wrong(fields: list[str] | str, header: list[str], *, named: bool) -> str:
    """Return what is wrong with a record, to stand after its line; empty if nothing is."""
    if isinstance(fields, str):
        return f": {fields}"
    if len(fields) != len(header):
        return f" has {len(fields)} field{'' if len(fields) == 1 else 's'}, and the first line has {len(header)}"
    for place, field in enumerate(fields):
        if said := no_utf_8(field):
            return f", column {header[place]!r}, {said}" if named else f", column {place + 1}, {said}"
    return ""


def _records(name: str) -> Iterator[Fields]:
    """Yield the records of a table; fields of ``.csv`` may be in quotes and hold commas and line ends."""
    lines, separator = lines_in(name), SEPARATORS[_ending(name)]
    if separator == "\t":
        yield from ((line, fields.split("\t")) for line, fields in enumerate(lines, 1))
        return
    # a reader keeps the line ends within quotes, and takes no others
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"not CSV: {error}"
