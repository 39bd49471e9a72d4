"""Running a training file without a notebook: build or trace, fit, score, save."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2s_magic import api
from s2s_magic.errors import DataError, Fault, LookupFailed, UsageError, nearest_file
from s2s_magic.saving import check_target, save
from s2s_magic.scores.measures import check_installed
from s2s_magic.scoring import score
from s2s_magic.spec import parse_fit, parse_score, parse_spec
from s2s_magic.spec.job import Section, parse_job
from s2s_magic.training.workers import MINUTES, join, workers_named
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.training.progress import Progress


class Terminated(KeyboardInterrupt):
    """The process was asked to end, as a scheduler does before it takes the machine away."""


def _end_at_signals(changes: Changes) -> None:
    """Raise at SIGINT and SIGTERM, until changes are undone; a fit puts that off to the end of its step."""

    def end(number: int, frame: Any) -> None:
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        changes.undo_by(partial(signal.signal, number, signal.getsignal(number)))
        signal.signal(number, end)


def run_file(path: str, *, say: Callable[[str], object] = print) -> Seq2Seq:
    """Run a training file: the same spec and the same keys as in a notebook's cells.

    Where ``TF_CONFIG`` names other workers, they train one model together, and the first of them writes and scores it.

    Parameters
    ----------
    path
        The file; see `s2s_magic.spec.job.SECTIONS`. Paths in it are relative to the working directory.
    say
        Receives each line of the log.

    Returns
    -------
    Seq2Seq
        The fitted model.

    Raises
    ------
    Seq2SeqError
        An expected error, as of the functions for the sections.
    KeyboardInterrupt
        When the fit is interrupted, also by SIGTERM; what was trained until then is saved before.
    """
    sections: Mapping[str, Section] = parse_job(_text_of(path))
    _check(sections)
    name = Path(path).stem if Path(path).stem.isidentifier() else "model"
    workers = workers_named(os.environ)
    with Changes() as changes, changes, changes:
        if workers is not None:
            say(f"{name}: {workers}; waits for the others for {MINUTES} minutes at most")
            join(workers)
            if not workers.is_chief:
                sections, say = _of_a_helper(changes, sections)
        _end_at_signals(changes)
        names: dict[str, Any] = {}
        model = _made(sections, name, names)
        say(repr(model))
        _fit(model, sections, names, say)
        if workers is not None:
            from s2s_magic.training.collectives import end_together

            end_together(workers)
        _tell(model, say)
        if "score" in sections:
            scoring = sections["score"]
            say(repr(score(model, scoring.text, names, first_line=scoring.place[0])))
    return model


def _of_a_helper(
    changes: Changes, sections: Mapping[str, Section]
) -> tuple[Mapping[str, Section], Callable[[str], object]]:
    """Return the sections of a worker that is not the chief, and its log: it writes nothing, and says no more."""
    changes.enter(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    return {key: section for key, section in sections.items() if key not in ("save", "score")}, lambda _: None


def _check(sections: Mapping[str, Section]) -> None:
    """Find before the fit what would be a fault after it."""
    if "build" in sections:
        parse_spec(sections["build"].text, first_line=sections["build"].place[0])
    parse_fit(sections["fit"].text, first_line=sections["fit"].place[0])
    if "score" in sections:
        check_installed(parse_score(sections["score"].text, first_line=sections["score"].place[0]).metrics)
    if "save" in sections:
        try:
            check_target(sections["save"].text)
        except UsageError as error:
            raise DataError([Fault(*sections["save"].place, str(error))]) from error


def _text_of(path: str) -> str:
    file = Path(path)
    try:
        return file.read_text("utf-8")
    except FileNotFoundError as error:
        raise LookupFailed(f"{path} does not exist{nearest_file(file)}") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is no text in UTF-8: {error}"
        raise LookupFailed(f"{path} cannot be read: {why}") from error


def _made(sections: Mapping[str, Section], name: str, names: dict[str, Any]) -> Seq2Seq:
    """Build the model, or run its code, whose names are then those of the data."""
    if "build" in sections:
        section = sections["build"]
        return api.build(section.text, name=name, namespace=names, first_line=section.place[0])
    section = sections["trace"]
    try:
        code = _text_of(section.text)
    except LookupFailed as error:
        raise DataError([Fault(*section.place, str(error))]) from error
    return api.trace(code, names, name=name)


def _fit(
    model: Seq2Seq, sections: Mapping[str, Section], names: Mapping[str, Any], say: Callable[[str], object]
) -> None:
    """Fit, and save what was trained, also if that was interrupted."""
    fitting = sections["fit"]
    try:
        api.fit(model, fitting.text, names, first_line=fitting.place[0], progress=_log(say))
    finally:
        if "save" in sections and model.evidence is not None:
            say(f"saved to {save(model, sections['save'].text)}")


def _log(say: Callable[[str], object]) -> Callable[[Progress], None]:
    """Return what logs each epoch, with what it did to each owner, and how the fit ended."""
    from s2s_magic.view.going import epoch_text

    logged: int | None = None

    def show(progress: Progress) -> None:
        nonlocal logged
        curves = progress.curves
        if logged is None:  # a fit that goes on has epochs from before
            logged = curves.epochs
        for place in range(logged, curves.epochs):
            known = {name: curve[place] for name, curve in curves.values.items()}
            values = {name: value for name, value in known.items() if value is not None}
            say(str(replace(progress, epoch=place + 1, step=progress.steps, values=values, state="running")))
            if told := epoch_text(curves, place):
                say(f"  {told}")
        logged = curves.epochs
        if progress.state != "running":
            say(str(progress))

    return show


def _tell(model: Seq2Seq, say: Callable[[str], object]) -> None:
    from s2s_magic.view import report
    from s2s_magic.view.text import training_text

    say(training_text(report(model.ledger, training=True)))
