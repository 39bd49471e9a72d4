"""Find what in a cell belongs to a Keras other than the traced one."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from s2s_magic.backend import mixture
from s2s_magic.ledger import Mixture


def mixture_in(code: str, names: Mapping[str, Any]) -> Mixture | None:
    """Find the classes and objects that code names, and which Keras each belongs to.

    Parameters
    ----------
    code
        Python code; code that cannot be parsed names nothing.
    names
        The values of its names.

    Returns
    -------
    Mixture or None
        None if nothing belongs to another Keras.
    """
    if not mixture.has_another():
        return None
    found: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for path, value in _named(code, names):
        if path not in found[kind := mixture.is_own(value)]:
            found[kind].append(path)
    if not found[False]:
        return None
    own, other = mixture.versions()
    return Mixture(own=own, other=other, of_own=tuple(found[True]), of_other=tuple(found[False]))


def _named(code: str, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and module attributes in reading order, each with its value: ``x``, ``keras.layers.Dense``."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute))]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        value = _value(node, names)
        if value is not None and not isinstance(value, ModuleType):
            yield ast.unparse(node), value


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    owner = _value(node.value, names) if isinstance(node, ast.Attribute) else None
    return (
        getattr(owner, node.attr, None) if isinstance(owner, ModuleType) and isinstance(node, ast.Attribute) else None
    )
