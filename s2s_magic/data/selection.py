"""Look up a variable or a part of one, such as ``df.a``, ``d["x"]`` or ``Y[:40]``, without evaluating code.

Attributes, keys and slices come from the syntax tree. Attributes are looked up only in an object's ``__dict__`` and
among a DataFrame's columns, so that no property runs; keys and slices only in dicts, lists, tuples, arrays, tensors
and pandas objects.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from s2s_magic.data.text_files import Lines, Record, lines_of, shards
from s2s_magic.data.text_tables import column_of, columns_of, is_table
from s2s_magic.data.values import Unknown, asked, comes_from, is_kind, short
from s2s_magic.errors import nearest
from s2s_magic.spec.references import is_file, path_and_column


def find(text: str, namespace: Mapping[str, Any]) -> Any:
    """Return a variable or a part of one, or the texts of a file.

    Parameters
    ----------
    text
        A name, then attributes, keys and slices of literals, or a file; see `s2s_magic.spec.references.variable`.
    namespace
        Where the name is looked up.

    Raises
    ------
    Unknown
        When it does not exist, with the closest existing name, or a file cannot be read.
    Unreadable
        When parts of an object of this kind are not read.
    """
    if is_file(text):
        return namespace[text] if text in namespace else all_lines(text, namespace).all_texts()
    try:
        return _found(ast.parse(text, mode="eval").body, namespace)
    except Unknown as error:
        if (file := same_file(text)) is None:
            raise
        raise Unknown(f"{error}; the file of that name is {file}") from error.__cause__


def all_lines(text: str, namespace: Mapping[str, Any]) -> Lines:
    """Return all that `records` yields."""
    return Lines.of(records(text, namespace))


def records(text: str, namespace: Mapping[str, Any]) -> Iterator[Record]:
    """Return the lines of a file or folder, one after another, or the fields of a column.

    Parameters
    ----------
    text
        The reference: ``data/train.en``, ``data/pairs.tsv["en"]``, ``data/pairs.tsv[1]``, ``data/shards/``.
    namespace
        The notebook's names, among which that of a variable may be meant: ``X/255``.

    Raises
    ------
    Unknown
        When there are none, or, while they are read, when they are not those of a text.
    """
    path, column = path_and_column(text)
    if column is not None:
        return chain.from_iterable(map(partial(column_of, column=column), shards(path)))
    files = files_named(path, namespace)
    if tables := list(filter(is_table, files)):
        columns = columns_of(tables[0])
        raise Unknown(
            f"{path} has the columns {', '.join(columns)}: name one of them, {path}[{short(columns[0])}], or number it "
            f"if the first line names none, {path}[1]"
        )
    return chain.from_iterable(map(lines_of, files))


def files_named(text: str, namespace: Mapping[str, Any]) -> list[str]:
    """Return the names of the files that a reference stands for.

    Raises
    ------
    Unknown
        When there are none; see `records`.
    """
    path, _ = path_and_column(text)
    variable = path.partition("/")[0]
    try:
        return shards(path)
    except Unknown as error:
        if variable not in namespace:
            raise
        raise Unknown(f"{error}; to divide the variable {variable}, assign {text} to a name first") from error.__cause__


def same_file(text: str) -> str | None:
    """Return how to write a file that has the same name as a part of a variable; None if there is none."""
    return f"./{text}" if "." in text and not is_file(text) and os.path.isfile(text) else None


def _found(tree: ast.expr, namespace: Mapping[str, Any]) -> Any:
    if isinstance(tree, ast.Name):
        if tree.id not in namespace:
            raise Unknown(f"there is no variable {tree.id!r}{nearest(tree.id, namespace)}")
        return namespace[tree.id]
    assert isinstance(tree, ast.Attribute | ast.Subscript)
    whole, name = _found(tree.value, namespace), ast.unparse(tree.value)
    if isinstance(tree, ast.Attribute):
        return _attribute(whole, tree.attr, name)
    return _item(whole, _literal(tree.slice), ast.unparse(tree), name)


def _literal(tree: ast.expr) -> Any:
    """Return the written key: a constant, a list of them, a slice, or one of these per array axis."""
    if isinstance(tree, ast.Tuple):
        return tuple(_literal(part) for part in tree.elts)
    if isinstance(tree, ast.Slice):
        return slice(*(None if p is None else ast.literal_eval(p) for p in (tree.lower, tree.upper, tree.step)))
    return ast.literal_eval(tree)


def _attribute(whole: Any, attribute: str, name: str) -> Any:
    if _is_frame(whole):
        columns = [column for column in whole.columns if isinstance(column, str)]
        if attribute in columns:
            return asked(f"the column {attribute!r}", lambda: whole[attribute])
        raise Unknown(f"{name} has no column {attribute!r}{nearest(attribute, columns)}")
    try:
        own: dict[str, Any] = object.__getattribute__(whole, "__dict__")
    except AttributeError:
        own = {}
    if attribute in own:
        return own[attribute]
    near = nearest(attribute, [key for key in own if isinstance(key, str)])
    what = "" if near else f"; assign it to a name first: x = {name}.{attribute}"
    raise Unknown(f"{name} holds no attribute {attribute!r} of its own{near}{what}")


def _item(whole: Any, key: Any, text: str, name: str) -> Any:
    if is_kind(whole, dict):
        if isinstance(key, str | int) and dict.__contains__(whole, key):
            return dict.__getitem__(whole, key)
        near = nearest(key, [k for k in dict.keys(whole) if isinstance(k, str)]) if isinstance(key, str) else ""
        raise Unknown(f"{name} has no key {short(key)}{near}")
    if _is_frame(whole) and isinstance(key, str | list):
        missing = [column for column in ([key] if isinstance(key, str) else key) if column not in whole.columns]
        if missing:
            known = [column for column in whole.columns if isinstance(column, str)]
            raise Unknown(f"{name} has no column {missing[0]!r}{nearest(missing[0], known)}")
    kinds = (list, tuple, range, np.ndarray)
    if not (is_kind(whole, kinds) or comes_from("pandas", whole) or comes_from("tensorflow", whole)):
        raise Unknown(f"{name} is of type {type(whole).__name__}, whose parts are not read: x = {text}, and give x")
    return asked(f"looking up {text}", lambda: whole[key])


def _is_frame(value: Any) -> bool:
    return comes_from("pandas", value) and hasattr(type(value), "columns")
