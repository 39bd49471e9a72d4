"""The code of a model as part of a program: what it imports, and what it takes from the notebook."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from s2s_magic.errors import SetupError
from s2s_magic.handle import Seq2Seq

_KNOWN = {"tf": "tensorflow", "keras": "keras"}
"""What a program imports in any case, with the end of the module's name."""


@dataclass(frozen=True)
class ModelCode:
    """Code that stands alone.

    Attributes
    ----------
    imports
        The import lines at its beginning, and those of modules that another cell imported.
    settings
        Lines that bind what another cell set: numbers and texts.
    body
        The rest.
    """

    imports: tuple[str, ...]
    settings: tuple[str, ...]
    body: str

    @property
    def tree(self) -> ast.AST:
        """All of it, parsed."""
        return ast.parse("\n".join([*self.imports, *self.settings, self.body]))


def code_alone(seq2seq: Seq2Seq, source: str, before: Sequence[ModelCode] = ()) -> ModelCode:
    """Return code with all that it takes from the notebook.

    Parameters
    ----------
    seq2seq
        The model.
    source
        Its code, or that of its decoding.
    before
        The code that runs before it.

    Raises
    ------
    SetupError
        When the code is no plain Python, needs s2s_magic, or takes an object from another cell.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise SetupError(
            f"the code of {seq2seq.name} is no plain Python in line {error.lineno}, and a program is: leave magics out "
            "of its cell"
        ) from error
    if any(name.partition(".")[0] == "s2s_magic" for name in _imported(tree)):
        raise SetupError(
            f"the code of {seq2seq.name} uses s2s_magic.addons, and a program must do without: a decoder of Keras's "
            "own layers, which 'code: keras' in the spec writes, can be exported; so can this one by --savedmodel"
        )
    head = []
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            break
        head.append(node)
    lines = source.splitlines()
    rest = "\n".join(lines[head[-1].end_lineno :] if head else lines).strip("\n")
    bound = {
        name for part in (tree, *(code.tree for code in before)) for node in ast.walk(part) for name in _bound_by(node)
    }
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imports, settings = [ast.unparse(node) for node in head], []
    for name in sorted(read - bound - set(dir(builtins))):
        value = seq2seq.namespace.get(name)
        if isinstance(value, ModuleType):
            if not (name in _KNOWN and value.__name__.endswith(_KNOWN[name])):
                imports.append(f"import {value.__name__}" + ("" if value.__name__ == name else f" as {name}"))
        elif name in seq2seq.namespace and _is_plain(value):
            settings.append(f"{name} = {value!r}")
        elif name in seq2seq.namespace and name not in _KNOWN:
            raise SetupError(
                f"the code of {seq2seq.name} takes {name} from another cell, a {type(value).__name__}, which cannot be "
                "written down: make it in the cell that is traced"
            )
    return ModelCode(tuple(imports), tuple(settings), rest)


_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, *_COMPREHENSIONS)


def _globals(tree: ast.AST) -> set[str]:
    """Return the names that code binds outside functions and classes."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        found |= _bound_by(node)
        if not isinstance(node, _SCOPES):
            found |= _globals(node)
    return found


def _bound_by(node: ast.AST) -> set[str]:
    """Return the names that one node binds."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id}
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.alias):
        return {(node.asname or node.name).partition(".")[0]}
    return {node.name} if isinstance(node, ast.ExceptHandler) and node.name else set()


def _imported(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return found


def _is_plain(value: Any) -> bool:
    """Return whether the ``repr`` of a value is code for it."""
    if isinstance(value, list | tuple | set) and type(value) in (list, tuple, set):
        return bool(value) and all(map(_is_plain, value))
    if type(value) is dict:
        return all(_is_plain(key) and _is_plain(part) for key, part in value.items())
    return value is None or type(value) in (bool, int, str, bytes) or (type(value) is float and math.isfinite(value))


def check_free(seq2seq: Seq2Seq, codes: Sequence[ModelCode], own: Mapping[str, str]) -> None:
    """Refuse code that binds a name which the program needs for something else.

    ``own`` are the program's own lines, by part.
    """
    mine = _globals(ast.parse("\n\n".join(own.values())))
    taken = sorted(mine & {name for code in codes for name in _globals(code.tree)} - set(_KNOWN))
    if taken:
        raise SetupError(
            f"the code of {seq2seq.name} has the name {taken[0]}, which the program needs for a part of its own: "
            "rename it there"
        )
