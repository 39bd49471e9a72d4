"""Run a cell's code as the notebook would, except for showing its error."""

from __future__ import annotations
import __future__

import ast
import asyncio
import functools
import hashlib
import inspect
import io
import itertools
import linecache
import operator
import re
import tokenize
from collections.abc import Coroutine, Iterable, Iterator
from types import CodeType, TracebackType
from typing import Any

from s2s_magic.cells import AWAIT, number_of, python_of
from s2s_magic.compatibility import named_by
from s2s_magic.ledger import lines_of
from s2s_magic.undoing import Changes

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
    text = python_of(code, first_line, shell)
    if shell is not None:
        raw = "\n" * (first_line - 1) + code
        filename = shell.compile.cache(text, number_of(shell), raw_code=raw)
    else:
        digest = hashlib.sha1(text.encode(errors="surrogatepass")).hexdigest()[:12]
        filename = f"<ipython-input-{number}-{digest}>"
    # IPython splits lines there as `str.splitlines` does; Python does not end a line at a form feed or U+2028
    linecache.cache[filename] = (len(text), None, [line + "\n" for line in lines_of(text)], filename)
    return text, filename


def execute(text: str, filename: str, namespace: dict[str, Any], shell: Any) -> None:
    """Run what `filename_of` returned in a namespace; exceptions propagate.

    ``shell`` is the IPython shell whose conventions apply (display, ``__future__``, top-level ``await``); None for
    plain Python.
    """
    if shell is None:
        namespace.setdefault("__name__", "__main__")
        tree = ast.parse(text, filename)
        flags = compile(tree, filename, "exec", dont_inherit=True).co_flags & _FUTURE
        for statement in tree.body:
            exec(compile(ast.Module([statement], []), filename, "exec", flags, dont_inherit=True), namespace)
        return
    with Changes() as changes, changes, changes:
        changes.enter(shell.builtin_trap)
        changes.enter(shell.display_trap)
        tree = shell.transform_ast(shell.compile.ast_parse(text, filename=filename))
        for node, mode in _steps(tree.body, shell.ast_node_interactivity, text, shell):
            with Changes() as flags, flags, flags:
                flags.enter(shell.compile.extra_flags(AWAIT if shell.autoawait else 0))
                compiled = named_by(shell, shell.compile(node, filename, mode))
            _run(compiled, shell, namespace)


def _run(code: CodeType, shell: Any, namespace: dict[str, Any]) -> None:
    result = eval(code, shell.user_global_ns, namespace)
    if code.co_flags & inspect.CO_COROUTINE:
        _drive(result, shell)


def _drive(coroutine: Coroutine[Any, Any, Any], shell: Any) -> None:
    """Run a cell's coroutine to its end in this thread.

    Under ipykernel the thread's event loop is already running, with the magic's call on its stack, and cannot be
    re-entered: it is set aside while a new loop runs the coroutine.
    """
    with Changes() as changes, changes, changes:
        changes.undo_by(coroutine.close)
        running = asyncio._get_running_loop()
        if running is None:
            shell.loop_runner(coroutine)
            return
        loop = asyncio.new_event_loop()
        changes.undo_by(loop.close)
        changes.undo_by(functools.partial(asyncio._set_running_loop, running))
        asyncio._set_running_loop(None)
        changes.undo_by(functools.partial(_cancel_all, loop))
        loop.run_until_complete(coroutine)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_closed():
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())


def _steps(body: list[ast.stmt], interactivity: str, text: str, shell: Any) -> Iterator[tuple[ast.AST, str]]:
    """Yield each node to compile, with its mode: "single" for statements whose value the shell displays."""
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
    if _ends_in_semicolon(text):
        first_shown = len(body)
    for number, statement in enumerate(body):
        if number < first_shown:
            yield ast.Module([statement], []), "exec"
        else:
            yield ast.Interactive([statement]), "single"


def _ends_in_semicolon(text: str) -> bool:
    """Return whether code ends in a semicolon, which suppresses a cell's output; comments are ignored."""
    silent = (tokenize.ENDMARKER, tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in tokens if token.type not in silent][-1:] == [";"]


def trim(error: BaseException, filename: str, folder: str) -> None:
    """Let an error's traceback begin in the cell, without the frames in this package's ``folder`` that only pass it on.

    The tracebacks of its causes are trimmed too. An error that never came through the cell, or that began in this
    package, is a bug of this package and keeps its frames. ``filename`` is the name under which the cell was compiled.
    """
    frames = list(
        itertools.dropwhile(lambda f: f.tb_frame.f_code.co_filename != filename, _frames(error.__traceback__))
    )
    if frames:
        _put(error, _rebuilt(frames))
    elif isinstance(error, SyntaxError):
        _put(error, None)  # the cell cannot be parsed
    for each in causes(error):
        stopped = isinstance(each, (KeyboardInterrupt, MemoryError))
        _put(each, _rebuilt(f for f in _frames(each.__traceback__) if not _passes_on(f, folder, stopped)))
        if each.args and isinstance(each.args[0], str) and folder in each.args[0]:
            vars(BaseException)["args"].__set__(each, (_without_frames_in(folder, each.args[0]), *each.args[1:]))


def _without_frames_in(folder: str, message: str) -> str:
    """Remove a folder's frames from a message in which TensorFlow lists the frames of converted code.

    Each frame has two lines; the first unconverted one is marked with two asterisks.
    """
    frames = rf'((?: *File "{re.escape(folder)}[^"\n]*", line \d+, in [^\n]*\n[^\n]*\n)+)( *File [^\n]*)?'

    def following(found: re.Match[str]) -> str:
        following = found[2] or ""
        marked = "  **" in found[1] and following and "  **" not in following
        return f"{following}  **" if marked else following

    return re.sub(frames, following, message)


def _put(error: BaseException, traceback: TracebackType | None) -> None:
    """Set an error's traceback, even if its class forbids setting attributes."""
    BaseException.with_traceback(error, traceback)


def _passes_on(here: TracebackType, folder: str, stopped: bool) -> bool:
    """Return whether a frame is this package's and useless to the reader; if the program was stopped, they all are."""
    frame = here.tb_frame
    return frame.f_code.co_filename.startswith(folder) and (stopped or "__tracebackhide__" in frame.f_locals)


def causes(error: BaseException) -> list[BaseException]:
    """Return an error and all its causes and contexts, each once."""
    found: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        here = waiting.pop()
        if here is not None and id(here) not in found:
            found[id(here)] = here
            waiting += [here.__cause__, here.__context__]
    return list(found.values())


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _rebuilt(frames: Iterable[TracebackType]) -> TracebackType | None:
    rest: TracebackType | None = None
    for kept in reversed(list(frames)):
        rest = TracebackType(rest, kept.tb_frame, kept.tb_lasti, kept.tb_lineno)
    return rest
