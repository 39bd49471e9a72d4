"""Running a cell's code as the notebook would, apart from showing its error."""

from __future__ import annotations
import __future__

import ast
import asyncio
import functools
import hashlib
import inspect
import itertools
import linecache
import operator
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import ExitStack
from types import CodeType, TracebackType
from typing import Any

_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_FUTURE = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


def filename_of(code: str, first_line: int, number: int, shell: Any) -> tuple[str, str]:
    """Make code ready to run, and register its text under a file name so that tracebacks show its lines.

    Returns
    -------
    text, filename
        The Python code, moved down so that its first line is line ``first_line``, and the name to compile it under.
    """
    padding = "\n" * (first_line - 1)
    if shell is not None:
        lines = code.splitlines(keepends=True)
        blank = "".join(itertools.takewhile(str.isspace, lines))  # IPython would drop these lines, and count wrongly
        text = padding + blank + shell.transform_cell(code)
        return text, shell.compile.cache(text, shell.execution_count, raw_code=padding + code)
    text = padding + code
    digest = hashlib.sha1(text.encode(errors="surrogatepass")).hexdigest()[:12]
    filename = f"<ipython-input-{number}-{digest}>"
    linecache.cache[filename] = (len(text), None, [line + "\n" for line in text.splitlines()], filename)
    return text, filename


def execute(text: str, filename: str, namespace: dict[str, Any], shell: Any) -> None:
    """Run the code; whatever it raises comes out.

    Parameters
    ----------
    text, filename
        What `filename_of` gave.
    namespace
        Where its names live.
    shell
        The IPython shell whose ways to follow (display, ``__future__``, top-level ``await``); None for plain Python.
    """
    if shell is None:
        namespace.setdefault("__name__", "__main__")
        tree = ast.parse(text, filename)
        flags = compile(tree, filename, "exec", dont_inherit=True).co_flags & _FUTURE
        for statement in tree.body:
            exec(compile(ast.Module([statement], []), filename, "exec", flags, dont_inherit=True), namespace)
        return
    with ExitStack() as traps:
        traps.enter_context(shell.builtin_trap)
        traps.enter_context(shell.display_trap)
        tree = shell.transform_ast(shell.compile.ast_parse(text, filename=filename))
        for node, mode in _steps(tree.body, shell.ast_node_interactivity, text, shell):
            with shell.compile.extra_flags(_AWAIT if shell.autoawait else 0):
                compiled = shell.compile(node, filename, mode)
            _run(compiled, shell, namespace)


def _run(code: CodeType, shell: Any, namespace: dict[str, Any]) -> None:
    result = eval(code, shell.user_global_ns, namespace)
    if code.co_flags & inspect.CO_COROUTINE:
        _drive(result, shell)


def _drive(coroutine: Coroutine[Any, Any, Any], shell: Any) -> None:
    """Run a cell's coroutine to its end in this thread.

    Under ipykernel the thread's event loop is running already, with the magic's call on its stack, and cannot be
    entered again: it is set aside, and a loop of its own runs the coroutine.
    """
    running = asyncio._get_running_loop()
    if running is None:
        shell.loop_runner(coroutine)
        return
    loop = asyncio.new_event_loop()
    asyncio._set_running_loop(None)
    try:
        loop.run_until_complete(coroutine)
    finally:
        try:
            _cancel_all(loop)
        finally:
            asyncio._set_running_loop(running)
            loop.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())


def _steps(body: list[ast.stmt], interactivity: str, text: str, shell: Any) -> Iterator[tuple[ast.AST, str]]:
    """Yield what to compile, and how: statements whose value the shell displays are compiled as "single"."""
    if (
        interactivity == "last_expr_or_assign"
        and body
        and isinstance(body[-1], (ast.Assign, ast.AnnAssign, ast.AugAssign))
    ):
        last = body[-1]
        target = last.targets[0] if isinstance(last, ast.Assign) else last.target
        if isinstance(target, ast.Name):
            shown = ast.copy_location(ast.Expr(ast.Name(target.id, ast.Load())), last)
            body = [*body, ast.fix_missing_locations(shown)]
    first_shown = {"all": 0, "none": len(body), "last": len(body) - 1}.get(
        interactivity, len(body) - 1 if body and isinstance(body[-1], ast.Expr) else len(body)
    )
    if shell.displayhook.semicolon_at_end_of_expression(text):
        first_shown = len(body)
    for number, statement in enumerate(body):
        if number < first_shown:
            yield ast.Module([statement], []), "exec"
        else:
            yield ast.Interactive([statement]), "single"


def trim(error: BaseException, filename: str, folder: str) -> None:
    """Let an error's traceback begin in the cell, and take frames of this package out of it and of its causes.

    Parameters
    ----------
    error
        What the cell raised; changed in place.
    filename
        The name the cell was compiled under.
    folder
        Where the files of this package are.
    """
    error.__traceback__ = _rebuilt(_beginning_in(error.__traceback__, filename))
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        here = waiting.pop()
        if here is not None and id(here) not in seen:
            seen.add(id(here))
            frames = _frames(here.__traceback__)
            here.__traceback__ = _rebuilt(f for f in frames if not f.tb_frame.f_code.co_filename.startswith(folder))
            waiting += [here.__cause__, here.__context__]


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _beginning_in(traceback: TracebackType | None, filename: str) -> Iterator[TracebackType]:
    return itertools.dropwhile(lambda f: f.tb_frame.f_code.co_filename != filename, _frames(traceback))


def _rebuilt(frames: Iterable[TracebackType]) -> TracebackType | None:
    rest: TracebackType | None = None
    for kept in reversed(list(frames)):
        rest = TracebackType(rest, kept.tb_frame, kept.tb_lasti, kept.tb_lineno)
    return rest
