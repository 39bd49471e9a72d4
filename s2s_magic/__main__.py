"""The command line: ``view`` shows a stored ledger without TensorFlow, ``run`` trains as a file says."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from s2s_magic.display import check_event, write_views
from s2s_magic.errors import Seq2SeqError, UsageError
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.document import read_file
from s2s_magic.verbs import VERBS

_INTERRUPTED = (130, 143)
"""The statuses after SIGINT and SIGTERM, as shells have them."""
_VIEWS = ("html", "svg", "png")
_OF_INSPECT = (*_VIEWS, "after", "training", "quiz", "overwrite")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status.

    Parameters
    ----------
    arguments
        The words after ``python -m s2s_magic``; those of the process by default.

    Returns
    -------
    int
        0 when done; 1 for an expected error, such as a document that is no ledger or a fault in a spec, whose text goes
        to standard error; 130 when interrupted, and 143 when terminated. Arguments that cannot be understood raise
        ``SystemExit(2)``, as argparse does.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except Seq2SeqError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        from s2s_magic.headless import Terminated

        print(error or "interrupted", file=sys.stderr)
        interrupted, terminated = _INTERRUPTED
        return terminated if isinstance(error.__cause__ or error, Terminated) else interrupted
    except BrokenPipeError:  # who read it has seen enough, such as ``| head``: let the exit flush nothing more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m s2s_magic", description="See which layers of a model own the weights.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    view = commands.add_parser(
        "view",
        allow_abbrev=False,
        help="show a ledger that %%seq2seq inspect NAME --json FILE wrote, as a page, as text or as pictures",
        description="Show a ledger that %seq2seq inspect NAME --json FILE wrote. TensorFlow is not needed.",
        epilog="Without --html, --svg, --png or --text, a page is written beside the ledger: model.json to model.html.",
    )
    view.add_argument("ledger", metavar="LEDGER", help="the JSON file")
    view.add_argument("--text", action="store_true", help="print the report")
    for option in VERBS["inspect"][3]:
        flag, settings = option["flags"][0], {key: value for key, value in option.items() if key != "flags"}
        if flag.lstrip("-") in _OF_INSPECT:
            if settings.pop("nargs", None) == 0:
                settings["action"] = "store_true"
            view.add_argument(flag, **settings)
    view.set_defaults(run=_view)
    run = commands.add_parser(
        "run",
        allow_abbrev=False,
        help="build or trace a model, fit it, score it and save it, as a file says",
        description="Train without a notebook, with the same spec and the same keys as in its cells.",
        epilog="The file has the sections build (a spec) or trace (a Python file), fit, and, if wanted, save (a "
        "folder) and score, with the contents of the cells of the same names.",
    )
    run.add_argument("file", metavar="FILE", help="the training file, in YAML")
    run.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> None:
    from s2s_magic.headless import run_file

    run_file(options.file, say=partial(print, flush=True))


def _view(options: argparse.Namespace) -> None:
    from s2s_magic.view import report, to_text

    ledger = Ledger.from_dict(read_file(options.ledger))
    check_event(ledger, options.after)
    if not options.text and all(getattr(options, kind) is None for kind in _VIEWS):
        options.html = str(Path(options.ledger).with_suffix(".html"))
    if options.quiz and options.html is None:
        raise UsageError("--quiz adds to a page: give --html FILE as well")
    given = Path(options.ledger).resolve()
    words = [getattr(options, kind) for kind in _VIEWS]
    if any(word is not None and Path(word).expanduser().resolve() == given for word in words):
        raise UsageError(f"{options.ledger} is the ledger itself: write the view to another file")
    options.json = None
    write_views(ledger, options)
    if options.text:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack letters that a name has
        print(to_text(report(ledger, after=options.after, training=options.training)))


def _end(status: int) -> NoReturn:
    """End the process; after an interrupt at once, as the threads that TensorFlow still runs can crash its teardown."""
    if status in _INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    _end(main())
