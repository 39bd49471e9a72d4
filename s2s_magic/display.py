"""Show results as a widget, a page or text, depending on where the code runs, or write them to files."""

from __future__ import annotations

import json
import sys
import weakref
from argparse import Namespace
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from s2s_magic.errors import LookupFailed, SetupError
from s2s_magic.files import check_targets, write_whole
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.compare import side_by_side
from s2s_magic.line_words import Quoted
from s2s_magic.view.bundles import progress_bundle, report_display, show_comparison
from s2s_magic.view.text import WIDTH

if TYPE_CHECKING:
    from s2s_magic.followed import Followed
    from s2s_magic.told import ToldDecoding
    from s2s_magic.training.progress import Progress, Show


def best_mode(shell: Any) -> str:
    """Choose between "html" and "text": a shell without a kernel is a terminal."""
    return "text" if getattr(shell, "kernel", None) is None else "html"


def show_model(
    model: Seq2Seq,
    shell: Any,
    *,
    mode: str,
    after: int | None = None,
    training: bool = False,
    replaced: Any = None,
) -> Any:
    """Display a model's report, up to event ``after`` or opened at its training page.

    ``mode`` is "auto", "widget", "html" or "text": the page is alive without a kernel, so the widget, which is not, is
    shown only if it is asked for. ``replaced`` is the model's previous widget: it is closed, so that only one stays
    alive. Returns the widget to pass as ``replaced`` the next time.

    Raises
    ------
    SetupError
        If the widget is asked for where ipywidgets is not installed.
    """
    from IPython.display import display

    mode = best_mode(shell) if mode == "auto" else mode
    if mode != "widget":
        show, width = (print, _terminal_width()) if mode == "text" else (display, None)
        show(report_display(model.ledger, after=after, training=training, width=width))
        if model.inference is not None:
            show(show_comparison(side_by_side(model.ledger, model.inference.ledger)))
        return replaced
    if find_spec("ipywidgets") is None:
        raise SetupError("the inspector is made of ipywidgets, which are not installed: pip install ipywidgets")
    from s2s_magic.view import report, to_widget

    shown = report(model.ledger, after=after, training=training)
    inference = model.inference.ledger if model.inference else None
    widget = to_widget(shown, inference=inference, replace=replaced, tell=_telling(model) if model.model else None)
    widget.show()
    return widget


def _terminal_width() -> int:
    """Return how wide text is laid out: as wide as the terminal is, but neither too narrow nor too wide to read."""
    return min(max(get_terminal_size((WIDTH, 24)).columns, 72), 140)


def _telling(model: Seq2Seq) -> Callable[[str], ToldDecoding]:
    """Return what tells how the output for a source is said, given as text, without keeping the model alive."""
    kept, name, which = weakref.ref(model), model.name, model.ledger.chosen

    def tell(source: str) -> ToldDecoding:
        from s2s_magic.explaining import explain
        from s2s_magic.line_sources import read_sources

        if (found := kept()) is None:
            raise LookupFailed(f"{name} is no longer in the notebook: build or trace it again")
        return explain(found, decode=read_sources({}, found, Quoted(source))[0], which=which)

    return tell


def write_views(
    ledger: Ledger, options: Namespace, *, told: ToldDecoding | None = None, followed: Followed | None = None
) -> list[Path]:
    """Write the files requested of ``inspect``, all or none, print their names, and return their paths.

    The page also has the given examples, and a quiz if one is asked for.
    """
    from s2s_magic import view
    from s2s_magic.ledger.asking import ask

    after = options.after

    def png() -> bytes:
        view.to_png(ledger, buffer := BytesIO(), after=after)
        return buffer.getvalue()

    makers: dict[str, Callable[[], str | bytes]] = {
        "json": lambda: json.dumps(ledger.to_dict(), indent=1),
        "html": lambda: view.to_html(
            view.report(ledger, after=after, training=options.training),
            page=True,
            told=told,
            followed=followed,
            quiz=ask(ledger) if options.quiz else (),
        ),
        "svg": lambda: view.to_svg(ledger, after=after),
        "png": png,
    }
    wanted = {kind: word for kind in makers if (word := getattr(options, kind)) is not None}
    paths = check_targets(wanted.values(), overwrite=options.overwrite)
    made = [makers[kind]() for kind in wanted]
    contents = [content.encode() if isinstance(content, str) else content for content in made]
    write_whole(dict(zip(paths, contents, strict=True)))
    for word in wanted.values():
        print(f"wrote {Path(word).expanduser()}")
    return paths


def check_event(ledger: Ledger, after: int | None) -> None:
    """Raise `LookupFailed` if the ledger has no event ``after``."""
    if after is not None and not 0 <= after < len(ledger.events):
        last = len(ledger.events) - 1
        raise LookupFailed(f"{ledger.name} has no event {after}; expected a number from 0 to {last}")


def surroundings() -> Show:
    """Choose how to show progress: in a notebook display, or on a line of the terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or type(shell).__name__ == "TerminalInteractiveShell":
        return terminal_line()
    return notebook_display()


def notebook_display() -> Show:
    """Show progress in one display of the running cell, updated in place without clearing other output."""
    from IPython.display import display

    handle = None

    def show(progress: Progress) -> None:
        nonlocal handle
        running = progress.state == "running"
        bundle = progress_bundle(str(progress), progress.fraction if running else None, progress.curves, progress.name)
        if handle is None:
            handle = display(bundle, raw=True, display_id=True)
        else:
            handle.update(bundle, raw=True)

    return show


def terminal_line() -> Show:
    """Show progress as one line on standard error; if that is not a terminal, only the final state.

    Below the final state are the curves of the epochs, drawn with letters.
    """
    from s2s_magic.view.going import going_text

    width = 0

    def show(progress: Progress) -> None:
        nonlocal width
        over = progress.state != "running"
        line = str(progress)
        if sys.stderr.isatty():
            print("\r" + line.ljust(width), end="\n" if over else "", file=sys.stderr, flush=True)
        elif over:
            print(line, file=sys.stderr)
        if over:
            for drawn in going_text(progress.curves, progress.name, width=get_terminal_size().columns):
                print(drawn, file=sys.stderr)
        width = len(line)

    return show
