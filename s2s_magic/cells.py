"""The text of a cell: as Python code, and as one that IPython hands to a magic."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable
from typing import Any

from s2s_magic.undoing import without_warnings

AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_OURS = re.compile(r"%%seq2seq(?:\s+(?P<verb>\S+)(?:\s.*)?)?(?<!\?)\s*")
"""The first line of a cell of ours; one that ends in a question mark asks IPython for help."""


def python_of(code: str, first_line: int, shell: Any) -> str:
    """Return a cell's code as Python: magics written as calls, and line ``first_line`` the first that is not blank.

    Parameters
    ----------
    code
        The cell, or a cell magic's body.
    first_line
        The line of the notebook's gutter that it begins in.
    shell
        The IPython shell, whose syntax it may use; None where it is plain Python.
    """
    padding = "\n" * (first_line - 1)
    if shell is None:
        return padding + code
    # IPython would drop blank lines at the start, and count wrongly
    blank = "".join(itertools.takewhile(str.isspace, code.splitlines(keepends=True)))
    return f"{padding}{blank}{shell.transform_cell(code)}"


def number_of(shell: Any) -> int:
    """Return the number of the cell that runs, or will run next: what it is known by in tracebacks."""
    running = getattr(shell.displayhook, "exec_result", None)  # IPython counts on as a cell begins, once as it ended
    return int(getattr(running, "execution_count", None) or shell.execution_count)


def transformer(shell: Any) -> Callable[[list[str]], list[str]]:
    """Make an input transformer for two kinds of our cells that IPython would otherwise answer itself.

    IPython refuses a cell magic that has no body before the magic is asked: such a cell gets a blank line for a body,
    so that ``%%seq2seq build --help`` is answered. And it shows a SyntaxError that comes out of a magic with all the
    magic's frames: code to be traced is read here, where a SyntaxError is shown as that of a plain cell.

    Raises
    ------
    SyntaxError
        From the transformer, for code to be traced that cannot be read.
    """

    def transform(lines: list[str]) -> list[str]:
        ours = _OURS.fullmatch(lines[0]) if lines else None
        if ours is None:
            return lines
        if len(lines) == 1:
            return [f"{lines[0].rstrip()}\n", "\n"]
        if ours["verb"] == "trace":
            _read("".join(lines[1:]), shell)
        return lines

    # a terminal asks its transformers whether a cell is complete as it is being typed: a blank line would end ours
    transform.has_side_effects = True  # type: ignore[attr-defined]
    return transform


def _read(code: str, shell: Any) -> None:
    """Raise the SyntaxError that running code as a cell's body would end with."""
    text = python_of(code, 2, shell)
    filename = shell.compile.cache(text, number_of(shell), raw_code=f"\n{code}")
    flags = shell.compile.flags | (AWAIT if shell.autoawait else 0)
    without_warnings(SyntaxWarning, _compile, text, filename, flags)  # the cell itself will give them


def _compile(text: str, filename: str, flags: int) -> None:
    tree = compile(text, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    for statement in tree.body:
        compile(ast.Module([statement], []), filename, "exec", flags, dont_inherit=True)
