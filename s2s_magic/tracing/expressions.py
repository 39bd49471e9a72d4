"""Find the exact expression in the cell that a running frame is at, and the names that its value is bound to."""

from __future__ import annotations

import ast
import itertools
import linecache
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, FrameType, TracebackType
from typing import Any

from executing import Source
from executing.executing import statement_containing_node

from s2s_magic.ledger import Place

_COMPREHENSION_NODES = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_INLINED = (ast.ListComp, ast.SetComp, ast.DictComp)
_FRAMES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.GeneratorExp)
_ACTING = (ast.Call, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Subscript)
COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


@dataclass(frozen=True, eq=False)
class Spot:
    """A place, what its value is assigned to, whether that is local to a function, and whether it is returned."""

    place: Place
    targets: tuple[ast.expr, ...]
    local: bool
    returned: bool = False


class Places:
    """Places of running frames, each found only once: a loop may look up the same expression ten thousand times.

    Parameters
    ----------
    filenames
        Numbers of the traced cells by the file names their code was compiled under.
    written
        Lines of cells as the user wrote them, by file name: a line that IPython rewrote, such as ``%time f()``, is
        one place.
    """

    def __init__(self, filenames: dict[str, int], written: dict[str, list[str]]) -> None:
        self._filenames = filenames
        self._written = written
        self._spots: dict[tuple[CodeType, int, int], Spot] = {}
        self._sources: dict[str, tuple[Source, dict[tuple[int | None, ...], Any]]] = {}

    def spot(self, at: FrameType | TracebackType) -> Spot:
        """Find the expression that a frame of a traced cell is at, or that an error left it at."""
        if isinstance(at, TracebackType):
            frame, instruction, line = at.tb_frame, at.tb_lasti, at.tb_lineno
        else:
            frame, instruction, line = at, at.f_lasti, at.f_lineno
        code = frame.f_code
        key = code, id(code), instruction  # equal code may occur several times in a line
        found = self._spots.get(key)
        if found is None:
            node = self._node(at, code, instruction, line)
            found = self._spots[key] = self._of(code.co_filename, line, node, not at_top(frame))
        return found

    def outermost(self, frame: FrameType) -> Place:
        """Find the expression that a frame is at; within a comprehension, the whole comprehension.

        Since Python 3.12 comprehensions run in the frame of the enclosing code.
        """
        spot = self.spot(frame)
        node = self._node(frame, frame.f_code, frame.f_lasti, frame.f_lineno)
        whole = around_comprehensions(node)
        return spot.place if whole is node else self._of(frame.f_code.co_filename, frame.f_lineno, whole, True).place

    @cached_property
    def _parser(self) -> type[Source]:
        """Return a parser whose memory of syntax trees goes with it: that of `Source` itself stays for good."""
        remembering = Source.statements_at_line
        return type("Parser", (Source,), {"statements_at_line": getattr(remembering, "__wrapped__", remembering)})

    def _node(self, at: FrameType | TracebackType, code: CodeType, instruction: int, line: int) -> Any:
        position = _position(code, instruction)
        if position is None:
            return _by_bytecode(self._parser, at)
        source, nodes = self._source(code.co_filename)
        return nodes.get(position) or _statement_at(source, line)

    def line(self, filename: str, line: int, called: Collection[str]) -> Spot:
        """Find the place on a line if no frame tells it: the call of a name in ``called``, else any call."""
        nodes = self._source(filename)[1].values()
        calls = [node for node in nodes if isinstance(node, ast.Call) and node.lineno == line]
        named = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id in called]
        return self._of(filename, line, min(named or calls, key=_start, default=None), local=True)

    def _source(self, filename: str) -> tuple[Source, dict[tuple[int | None, ...], Any]]:
        if filename not in self._sources:
            source = Source(filename, linecache.getlines(filename))  # uncached, unlike `Source.for_filename`
            self._sources[filename] = source, _by_position(source)
        return self._sources[filename]

    def _of(self, filename: str, line: int, node: Any, local: bool) -> Spot:
        cell = self._filenames[filename]
        source, _ = self._source(filename)
        written = self._written.get(filename, source.lines)
        magic = next((number for number, text in enumerate(written, 1) if text.strip()), 0)
        if magic and written[magic - 1].startswith("%%") and written != source.lines:
            line, node, source = magic, None, Source(filename, [text + "\n" for text in written])  # IPython's own magic
        rewritten = len(written) == len(source.lines) and written[line - 1] != source.lines[line - 1]
        if node is None or rewritten:
            text = "".join((written if rewritten else source.lines)[line - 1 : line])
            column = len(text) - len(text.lstrip())
            place = Place(cell=cell, line=line, column=column, end_line=line, end_column=len(text), source=text.strip())
            return Spot(place, (), local)
        column = _characters(source.lines[node.lineno - 1], node.col_offset)
        end_column = _characters(source.lines[node.end_lineno - 1], node.end_col_offset)
        lines = source.lines[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1][:end_column]
        lines[0] = lines[0][column:]
        place = Place(
            cell=cell,
            line=node.lineno,
            column=column,
            end_line=node.end_lineno,
            end_column=end_column,
            source="\n".join(lines),
        )
        targets = tuple(target for target in _targets(node) if _plain(target, local))
        return Spot(place, targets, local, isinstance(getattr(node, "parent", None), (ast.Return, ast.Lambda)))


def at_top(frame: FrameType) -> bool:
    """Return whether a frame runs a cell's own statements rather than a function's."""
    return frame.f_code.co_name == "<module>" or frame.f_code.co_name.startswith("<cell line")


def _position(code: CodeType, instruction: int) -> tuple[int | None, ...] | None:
    """Return the position of the running instruction's expression, which Python keeps since 3.11; None before."""
    positions = getattr(code, "co_positions", None)
    return next(itertools.islice(positions(), instruction // 2, None)) if positions is not None else None


def _by_bytecode(parser: type[Source], at: FrameType | TracebackType) -> Any:
    """Find the expression from the bytecode: slower, but also correct on Python 3.10."""
    found = parser.executing(at)
    statement_containing_node.cache_clear()  # it would keep this syntax tree for good
    if found.node is not None:
        return found.decorator or found.node
    statement: Any = min(found.statements, key=_start, default=None)
    value = getattr(statement, "value", None)
    if isinstance(value, _COMPREHENSION_NODES):
        return value
    if statement is None:
        return None
    acting = getattr(statement, "decorator_list", None) or [
        node for node in ast.walk(statement) if isinstance(node, _ACTING)
    ]
    return acting[0] if len(acting) == 1 else statement


def _by_position(source: Source) -> dict[tuple[int | None, ...], Any]:
    """Index a source's expressions by position."""
    return {
        (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset): node
        for node in ast.walk(source.tree or ast.Module([], []))
        if isinstance(node, ast.expr)
    }


def _statement_at(source: Source, line: int) -> Any:
    """Find the innermost statement on a line; if there are several, the first."""
    statements = [
        node
        for node in ast.walk(source.tree or ast.Module([], []))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    statement: Any = max(statements, key=lambda node: (node.lineno, -node.col_offset), default=None)
    value = getattr(statement, "value", None)
    return value if isinstance(value, _COMPREHENSION_NODES) else statement


def around_comprehensions(node: Any) -> Any:
    """Return the outermost comprehension around a node, where a frame before Python 3.12 would be; else the node.

    A comprehension's first iterable is evaluated outside it, and a generator expression has a frame of its own.
    """
    found = here = node
    while (parent := getattr(here, "parent", None)) is not None and not isinstance(parent, _FRAMES):
        if isinstance(parent, ast.comprehension):
            around: Any = getattr(parent, "parent", None)
            first = around.generators[0] is parent and here is parent.iter
            here = around
            found = found if first else here
        elif isinstance(parent, _INLINED):
            found = here = parent
        else:
            here = parent
    return found


def _start(node: Any) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _characters(line: str, offset: int) -> int:
    """Convert an offset in UTF-8 bytes, as in `ast`, to one in characters."""
    return offset if line.isascii() else len(line.encode()[:offset].decode(errors="ignore"))


def _targets(node: Any) -> Iterator[ast.expr]:
    """Yield the targets that are assigned exactly the value of ``node``."""
    parent = getattr(node, "parent", None)
    if (isinstance(parent, ast.IfExp) and node is not parent.test) or isinstance(parent, ast.Await):
        yield from _targets(parent)
    elif isinstance(parent, ast.NamedExpr):
        yield parent.target
        yield from _targets(parent)
    elif isinstance(parent, ast.Assign):
        yield from parent.targets
    elif isinstance(parent, ast.AnnAssign):
        yield parent.target
    elif isinstance(parent, (ast.Tuple, ast.List)):
        number = parent.elts.index(node)
        for target in _targets(parent):
            if isinstance(target, (ast.Tuple, ast.List)) and not any(isinstance(e, ast.Starred) for e in target.elts):
                yield target.elts[number]


def leaves(target: ast.expr, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, object) for everything that assigning ``value`` to ``target`` names.

    Elements of nested containers are named by their path: ``final_outputs.rnn_output``, ``states[0]``.
    """
    if isinstance(target, (ast.Tuple, ast.List)):
        if not isinstance(value, (tuple, list)):
            return
        stars = [number for number, part in enumerate(target.elts) if isinstance(part, ast.Starred)]
        after = len(target.elts) - stars[0] - 1 if stars else 0
        for number, part in enumerate(target.elts):
            if isinstance(part, ast.Starred):
                yield from leaves(part.value, list(value[number : len(value) - after]))
            else:
                place = number if not stars or number < stars[0] else number - len(target.elts)
                if -len(value) <= place < len(value):
                    yield from leaves(part, value[place])
    else:
        base = ast.unparse(target)
        for path, leaf in flatten(value):
            yield base + path, leaf


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, leaf) for nested tuples, lists, dictionaries and named tuples, in their own order."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        for field in value._fields:
            yield from flatten(getattr(value, field), f"{path}.{field}")
    elif isinstance(value, (tuple, list)):
        for number, part in enumerate(value):
            yield from flatten(part, f"{path}[{number}]")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from flatten(part, f"{path}[{key!r}]")
    else:
        yield path, value


def _plain(target: ast.expr, local: bool) -> bool:
    """Return whether a target is a good name: in functions a plain one, at the top also ``coder.x`` or ``xs[0]``."""
    if isinstance(target, ast.Attribute):
        return not local and _plain(target.value, local)
    if isinstance(target, ast.Subscript):
        return not local and isinstance(target.slice, ast.Constant) and _plain(target.value, local)
    return isinstance(target, (ast.Name, ast.Tuple, ast.List, ast.Starred))
