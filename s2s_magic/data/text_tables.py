"""Read a column of a table of text: ``pairs.tsv`` or ``pairs.csv``, also packed, whose first line names the columns."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial

from s2s_magic.data.text_files import Lines, decoded, joined, no_utf_8, shards, split
from s2s_magic.data.values import Unknown
from s2s_magic.errors import nearest

SEPARATORS = {".tsv": "\t", ".tab": "\t", ".csv": ","}

Record = tuple[int, list[str] | str]
"""The line that a record begins with, and its fields, or why it has none."""


def is_table(name: str) -> bool:
    """Return whether a file's name is that of a table."""
    return _ending(name) in SEPARATORS


def column_of(name: str, column: str) -> Lines:
    """Return the fields of one column, of a file or of a folder of them.

    Raises
    ------
    Unknown
        When there is no such file, it is no table, or there is no such column.
    """
    return joined(shards(name), partial(_column, column=column))


def columns_of(name: str) -> list[str]:
    """Return the names of a table's columns.

    Raises
    ------
    Unknown
        When the table cannot be read.
    """
    return _header(name, next(_records(name)))


def _header(name: str, record: Record) -> list[str]:
    header = record[1]
    if isinstance(header, str):
        raise Unknown(f"{name}, line 1: {header}")
    if not any(map(str.strip, header)):
        raise Unknown(f"{name}, line 1 is empty: expected the names of the columns")
    for place, said in no_utf_8(header):
        raise Unknown(f"{name}, line 1, column {place + 1}, {said}")
    title, count = Counter(header).most_common(1)[0]
    if count > 1:
        raise Unknown(f"{name}, line 1: the column {title!r} stands here {count} times")
    return header


def _ending(name: str) -> str:
    return os.path.splitext(name.removesuffix(".gz"))[1].lower()


def _column(name: str, column: str) -> Lines:
    if not is_table(name):
        raise Unknown(f"{name} is no table: columns are read from files that end with {', '.join(SEPARATORS)}")
    records = _records(name)
    header = _header(name, next(records))
    if column not in header:
        near = nearest(column, header) or f"; it has {', '.join(map(repr, header))}"
        raise Unknown(f"{name} has no column {column!r}{near}")
    place, found = header.index(column), Lines([], {}, [(name, 0)])
    for line, fields in records:
        said = _wrong(fields, header)
        if said:
            found.bad[len(found.texts)] = f"{name}, line {line}{said}"
        found.texts.append("" if said else fields[place])
        found.numbers.append(line)
    if not found.texts:
        raise Unknown(f"{name} has no rows below its first line, which names the columns")
    return found


def _wrong(fields: list[str] | str, header: list[str]) -> str:
    """Return what is wrong with a record, to stand after its line; empty if nothing is."""
    if isinstance(fields, str):
        return f": {fields}"
    if len(fields) != len(header):
        return f" has {len(fields)} field{'' if len(fields) == 1 else 's'}, and the first line has {len(header)}"
    return next((f", column {header[place]!r}, {said}" for place, said in no_utf_8(fields)), "")


def _records(name: str) -> Iterator[Record]:
    """Yield the records of a table; fields of ``.csv`` may be in quotes and hold commas and line ends."""
    text, separator = decoded(name), SEPARATORS[_ending(name)]
    if separator == "\t":
        yield from ((line, fields.split("\t")) for line, fields in enumerate(split(text), 1))
        return
    # a reader keeps the line ends within quotes, and takes no others
    reader = csv.reader(iter(line + "\n" for line in split(text)), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"not CSV: {error}"
