"""Folders of checkpoints: each is a saved model with where its fit stands, named by the steps that were taken."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from s2s_magic.errors import LoadError, Seq2SeqError, UsageError, first_line_of
from s2s_magic.files import is_our_folder, remove_folder
from s2s_magic.handle import Seq2Seq
from s2s_magic.keeping.kept import DOCUMENT, TENSORS
from s2s_magic.keeping.opening import Kept, is_saved, read
from s2s_magic.keeping.writing import write_model
from s2s_magic.training.snapshots import Snapshot

_NAME = re.compile(r"step-(\d{9,})")
_LEFT = re.compile(r"\.step-\d{9,}\.[0-9a-f]{8}\.(tmp|old)")


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """Return the checkpoints in a folder by their steps, the last one first."""
    found = {}
    if folder.is_dir():
        for each in folder.iterdir():
            if (name := _NAME.fullmatch(each.name)) and is_saved(each):
                found[int(name[1])] = each
    return dict(sorted(found.items(), reverse=True))


def newest(folder: Path) -> Kept | None:
    """Return the last checkpoint in a folder that is whole, and warn of later ones that are not; None without any.

    Raises
    ------
    LoadError
        When there are checkpoints, and none is whole.
    """
    refused: list[LoadError] = []
    for path in checkpoints_in(folder).values():
        try:
            kept = read(path)
            if kept.document.fit is not None:
                return kept
            refused.append(LoadError(f"{path} is a saved model, and no checkpoint"))
        except LoadError as error:
            refused.append(error)
        warnings.warn_explicit(f"{first_line_of(refused[-1])}; the one before is tried", UserWarning, "resume", 1)
    if refused:
        raise LoadError(f"no checkpoint in {folder} is whole: {first_line_of(refused[0])}") from refused[0]
    return None


def check_new(folder: Path) -> None:
    """Refuse a folder that a fit cannot begin to save itself to: it is none, or has checkpoints of an earlier fit.

    Raises
    ------
    UsageError
        With what can be done.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder: expected the name of one for checkpoints")
    if checkpoints_in(folder):
        raise UsageError(f"{folder} has checkpoints of an earlier fit: 'resume: {folder}' goes on with it")


def clear(folder: Path) -> None:
    """Remove what processes that were killed while they wrote or removed a checkpoint have left of it."""
    if folder.is_dir():
        for each in list(folder.iterdir()):
            half = _NAME.fullmatch(each.name) and not is_saved(each)
            if each.is_dir() and (half or _LEFT.fullmatch(each.name)) and _holds_no_other(each):
                remove_folder(each)


def _holds_no_other(folder: Path) -> bool:
    return {each.name for each in folder.iterdir()} <= {DOCUMENT, TENSORS}


def write_checkpoint(folder: Path, keep: int, seq2seq: Seq2Seq, snapshot: Snapshot) -> None:
    """Save a model and where its fit stands; remove all but the last checkpoints and that of the best epoch.

    A checkpoint that cannot be written is told in a warning, and the fit goes on.
    """
    standing, _ = snapshot
    path = folder / f"step-{standing.taken:09d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_model(path, seq2seq, snapshot)
    except (Seq2SeqError, OSError) as error:
        said = f"no checkpoint after step {standing.taken:,}, and the fit goes on: {first_line_of(error)}"
        warnings.warn_explicit(said, UserWarning, f"fit {seq2seq.name}", 0)
        return
    found = checkpoints_in(folder)
    best = standing.ends[int(standing.best[1]) - 1] if standing.best is not None else None
    for steps, old in list(found.items())[keep:]:
        if steps != best and is_our_folder(old, (DOCUMENT, TENSORS)):
            remove_folder(old)
