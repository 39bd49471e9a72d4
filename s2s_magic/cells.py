"""The text of a cell, as Python code and as IPython passes it to a magic."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable
from typing import Any

from s2s_magic.undoing import without_warnings

AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_OURS = re.compile(r"%%seq2seq(?:\s+(?P<verb>\S+)(?:\s.*)?)?(?<!\?)\s*")
"""The first line of a ``%%seq2seq`` cell, unless a final question mark makes it a request for IPython's help."""


def python_of(code: str, first_line: int, shell: Any) -> str:
    """Return a cell's code as Python, with magics turned into calls and padded so that it begins in ``first_line``.

    Parameters
    ----------
    code
        The cell, or a cell magic's body.
    first_line
        The gutter line in which it begins.
    shell
        The IPython shell whose syntax it may use; None for plain Python.
    """
    padding = "\n" * (first_line - 1)
    if shell is None:
        return padding + code
    # IPython would drop leading blank lines and so shift the line numbers
    blank = "".join(itertools.takewhile(str.isspace, code.splitlines(keepends=True)))
    return f"{padding}{blank}{shell.transform_cell(code)}"


def number_of(shell: Any) -> int:
    """Return the execution number, shown in tracebacks, of the running cell, or of the next one."""
    running = getattr(shell.displayhook, "exec_result", None)  # counted up as a cell begins; formerly as it ended
    return int(getattr(running, "execution_count", None) or shell.execution_count)


def transformer(shell: Any) -> Callable[[list[str]], list[str]]:
    """Return an input transformer for two kinds of ``%%seq2seq`` cells that IPython would handle badly.

    IPython rejects a cell magic without a body before calling it; such a cell gets a blank line as its body, so that
    ``%%seq2seq build --help`` works. IPython also shows a SyntaxError raised in a magic with all the magic's frames;
    code to be traced is compiled here, where a SyntaxError is shown as in a plain cell.

    Raises
    ------
    SyntaxError
        From the transformer, for code to be traced that does not compile.
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

    # a terminal runs transformers while a cell is typed, to see if it is complete: a blank line would end ours
    transform.has_side_effects = True  # type: ignore[attr-defined]
    return transform


def _read(code: str, shell: Any) -> None:
    """Raise the SyntaxError that running code as a cell's body would raise, if any."""
    text = python_of(code, 2, shell)
    filename = shell.compile.cache(text, number_of(shell), raw_code=f"\n{code}")
    flags = shell.compile.flags | (AWAIT if shell.autoawait else 0)
    without_warnings(SyntaxWarning, _compile, text, filename, flags)  # running the cell will show them


def _compile(text: str, filename: str, flags: int) -> None:
    tree = compile(text, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    for statement in tree.body:
        compile(ast.Module([statement], []), filename, "exec", flags, dont_inherit=True)
