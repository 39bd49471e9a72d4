"""Find what a cell binds a name to that is neither tensor nor layer nor variable."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Sequence

from s2s_magic.ledger.ledger import Ledger
from s2s_magic.ledger.records import Cell


def bound_to(ledger: Ledger, name: str, *, in_functions: bool = True) -> tuple[int, int, ast.expr, str] | None:
    """Find what a cell binds a name to, in functions too unless ``in_functions`` is False.

    Returns cell number, line, expression and source text of the last statement that binds it, or None.
    """
    found: tuple[Cell, ast.Assign | ast.AnnAssign] | None = None
    for cell in ledger.cells:
        for node in _statements(cell.text, in_functions):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            bound = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
            if name in bound and node.value is not None:
                found = cell, node
    if found is None:
        return None
    cell, node = found
    assert node.value is not None
    return cell.number, node.lineno + cell.first_line - 1, node.value, _source_of(node.value, cell.lines)


def _source_of(node: ast.expr, lines: Sequence[str]) -> str:
    """Cut an expression out of a cell's lines; `ast.get_source_segment` would scan the whole text each time."""
    cut = [line.encode(errors="surrogatepass") for line in lines[node.lineno - 1 : node.end_lineno]]
    cut[-1] = cut[-1][: node.end_col_offset]
    cut[0] = cut[0][node.col_offset :]
    return b"\n".join(cut).decode(errors="replace")


def _statements(text: str, in_functions: bool) -> Iterator[ast.Assign | ast.AnnAssign]:
    try:
        waiting: deque[ast.AST] = deque([ast.parse(text)])
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a cell that contains magics, or is no code
        return
    while waiting:
        node = waiting.popleft()
        if isinstance(node, ast.Assign | ast.AnnAssign):
            yield node
        if in_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def parts_of(ledger: Ledger, name: str) -> list[str]:
    """List the tensors that a name holds: ``final_outputs`` holds ``final_outputs.rnn_output``."""
    tensors = (tensor.name for event in ledger.events for tensor in event.outputs if tensor.name)
    inside = [tensor for tensor in tensors if tensor.startswith((f"{name}.", f"{name}["))]
    if inside or (bound := bound_to(ledger, name)) is None:
        return list(dict.fromkeys(inside))
    value = bound[2]
    items = value.elts if isinstance(value, ast.List | ast.Tuple) else []
    return [item.id for item in items if isinstance(item, ast.Name)]


def end_of_statement(text: str, line: int) -> int:
    """Return the last line of the top-level statement that contains a line; lines count from 1."""
    try:
        body = ast.parse(text).body
    except SyntaxError:  # a cell that contains magics
        return line
    return next((node.end_lineno or line for node in body if node.lineno <= line <= (node.end_lineno or line)), line)
