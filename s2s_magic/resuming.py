"""Fits that save themselves, and that go on from where such a fit stood."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from s2s_magic import backend
from s2s_magic.errors import DataError, Fault, LoadError, UsageError, nearest_file
from s2s_magic.files import check_name
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.keeping.opening import Kept
    from s2s_magic.spec import FitPlan


def fit_resumably(model: Seq2Seq, plan: FitPlan, namespace: Mapping[str, Any], **shown: Any) -> None:
    """Train a model as `s2s_magic.training.fit`, with checkpoints, and from one if the plan says so.

    Where several workers train, all fits are made so. The chief writes, and all go on from what it wrote.

    A fit is begun anew where ``resume`` names the folder that ``checkpoint`` names, and nothing is in it: so the same
    body can be run again and again until it is done.

    Raises
    ------
    DataError
        When a folder cannot be used, or there is nothing to go on from; at the place of the key.
    LoadError, FitError
        When a checkpoint is not whole, or is of another model, body or data. The model is left as it was.
    SetupError
        When safetensors is not installed.
    """
    from s2s_magic.keeping.checkpoints import clear, write_checkpoint
    from s2s_magic.keeping.opening import safetensors
    from s2s_magic.training import fit
    from s2s_magic.training.meeting import check_shareable, seed_of_all
    from s2s_magic.training.workers import joined

    when, workers = plan.checkpoint, joined()
    if workers is not None:
        check_shareable(plan)
    if when is not None or plan.resume is not None:
        safetensors()
    kept = _newest(plan)
    save = None
    if when is not None:
        folder = _checked(plan, "checkpoint", when.folder, new=kept is None or not _same(when.folder, plan.resume))
        if workers is None or workers.is_chief:
            clear(folder)
            save = partial(write_checkpoint, folder, when.keep)
    with Changes() as changes, changes, changes:
        begin = None
        if kept is not None:
            _put(changes, model, plan, kept)
            standing, tensor = kept.document.fit, kept.tensors()
            assert standing is not None
            plan = plan.model_copy(update={"seed": standing.seed})
            names = [name for name in kept.shapes if name.startswith("fit/")]
            begin = standing, {name.partition("/")[2]: tensor(name) for name in names}
        if plan.seed is None:
            seed = seed_of_all(workers, int(np.random.randint(2**31 - 1)))
            plan = plan.model_copy(update={"seed": seed})
        fit(model, plan, namespace, save=save, begin=begin, **shown)


def _newest(plan: FitPlan) -> Kept | None:
    """Return the checkpoint to go on from; None to begin anew."""
    from s2s_magic.keeping.checkpoints import checkpoints_in, newest

    if plan.resume is None:
        return None
    folder = _checked(plan, "resume", plan.resume, new=False)
    found = newest(folder)
    if found is None and (plan.checkpoint is None or not _same(plan.checkpoint.folder, plan.resume)):
        inside = list(checkpoints_in(folder.parent))
        if folder.name.startswith("step-") and inside:
            said = f"{plan.resume} is one checkpoint: name the folder that it is in, {folder.parent}"
        else:
            said = f"{plan.resume} has no checkpoints" if folder.is_dir() else f"no folder {plan.resume}"
            said += nearest_file(folder) if not folder.is_dir() else ": expected a folder that 'checkpoint' named"
        raise DataError([Fault(*plan.place_of("resume"), said)])
    return found


def _checked(plan: FitPlan, key: str, word: str, *, new: bool) -> Path:
    from s2s_magic.keeping.checkpoints import check_new

    try:
        folder = check_name(word, "folder")
        if new:
            check_new(folder)
    except UsageError as error:
        raise DataError([Fault(*plan.place_of(key), str(error))]) from error
    return folder


def _same(one: str, other: str | None) -> bool:
    return other is not None and Path(one).expanduser().resolve() == Path(other).expanduser().resolve()


def _put(changes: Changes, model: Seq2Seq, plan: FitPlan, kept: Kept) -> None:
    """Put a checkpoint onto a model; undone, unless the fit takes it from there."""
    from s2s_magic.keeping.placing import as_before, check, put
    from s2s_magic.training.snapshots import check_goes_on

    assert kept.document.fit is not None
    check_goes_on(plan, kept.document.fit)
    version, own = kept.document.versions, backend.keras_version()
    if version.keras.partition(".")[0] != own.partition(".")[0]:
        raise LoadError(f"{kept.folder} was begun with Keras {version.keras}, and goes on with it alone; this is {own}")
    if version.keras != own:
        said = f"it was begun with Keras {version.keras}, and this is {own}: the last digits may differ"
        warnings.warn_explicit(said, UserWarning, f"resume {model.name}", 1)
    check(model, kept)
    restored: list[object] = []
    for put_back in as_before(model):
        changes.undo_by(partial(_unless_gone_on, model, restored, put_back))
    for note in put(model, kept):
        raise LoadError(f"{model.name} cannot go on from {kept.folder}: {note}")
    restored.append(model.evidence)


def _unless_gone_on(model: Seq2Seq, restored: list[object], put_back: Callable[[], None]) -> None:
    """Put a model back whose evidence is still that of the checkpoint, or that was not restored to the end."""
    if not restored or model.evidence is restored[0]:
        put_back()


__all__ = ["fit_resumably"]
