"""Looking up a variable or a part of one, such as ``df.a``, ``d["x"]`` or ``Y[:40]``, without evaluating anything.

What stands behind the name is read from its syntax tree. Attributes are those in an object's own ``__dict__`` and the
columns of a DataFrame, so that no property runs; keys and slices are read from dicts, lists, tuples, arrays, tensors
and pandas objects alone.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from s2s_magic.data.values import Unreadable, asked, comes_from, is_kind, short
from s2s_magic.errors import nearest


class Unknown(Unreadable):
    """There is no such variable, or it has no such part; the message is a sentence of its own."""


def find(text: str, namespace: Mapping[str, Any]) -> Any:
    """Look a name or a part up.

    Parameters
    ----------
    text
        A name with attributes, keys and slices of literals behind it; see `s2s_magic.spec.references.reference`.
    namespace
        Where the name is looked up.

    Raises
    ------
    Unknown
        When there is none, with the nearest right name.
    Unreadable
        When what stands before a part is of a kind whose parts are not read.
    """
    return _found(ast.parse(text, mode="eval").body, namespace)


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
    """Return the key that is written: a constant, a list of them, a slice, or several for the axes of an array."""
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
