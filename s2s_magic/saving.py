"""Saving a model to a folder, and loading it: from its spec, or onto a model that was traced."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_magic import backend
from s2s_magic.errors import FitError, LoadError, Seq2SeqError, first_line_of
from s2s_magic.files import check_folder

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq
    from s2s_magic.keeping.kept import Document
    from s2s_magic.keeping.opening import Kept


def save(model: Seq2Seq, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Save a model: weights, optimizer, ids, tokenizers, and the ledger with the evidence of the fits.

    Tensors are written with safetensors, and everything else as one JSON document; nothing is pickled.

    Parameters
    ----------
    model
        The result of `build` or `trace`.
    folder
        Its files are written beside it and then take its place. A folder that this function wrote is replaced.
    overwrite
        Whether to move any other folder of that name out of the way: to ``NAME.replaced``, which a warning tells.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        When the name is not one that a folder can have, or something else is there.
    SetupError
        When safetensors is not installed, or cannot write a tensor of the model's.
    FitError
        When there is no model to save.
    LookupFailed
        When the folder cannot be written; what was there is left unchanged.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}")
    >>> s2s_magic.save(model, "kept").name
    'kept'
    """
    from s2s_magic.keeping.writing import write_model

    path = check_target(folder, overwrite=overwrite)
    if model.model is None:
        raise FitError(f"{model.name} has no model to save: its cell ended before a Model was made")
    aside = write_model(path, model)
    if aside is not None:
        warnings.warn_explicit(f"what was in {path} is in {aside} now", UserWarning, f"save {model.name}", 1)
    return path


def check_target(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Check that a model can be saved to a folder, and return it, before anything is trained.

    Raises
    ------
    UsageError
        When the name is not one that a folder can have, or something else is there.
    SetupError
        When safetensors is not installed.
    """
    from s2s_magic.keeping.kept import DOCUMENT, TENSORS
    from s2s_magic.keeping.opening import safetensors

    safetensors()
    return check_folder(str(folder), (DOCUMENT, TENSORS), overwrite=overwrite)


def load(folder: str | Path, *, name: str | None = None, onto: Seq2Seq | None = None) -> Seq2Seq:
    """Load a saved model. Nothing in its files is run.

    A model from a spec is built anew from that spec. For a traced one, run its code first: it is loaded onto the model
    that the code makes.

    Parameters
    ----------
    folder
        The folder that `save` wrote.
    name
        The name of the model; the one it was saved under by default.
    onto
        A traced model to load onto; changed in place. Its variables are matched with the saved ones by the paths of
        their owners, such as ``encoder.cell.kernel``, and so may be those of another Keras.

    Returns
    -------
    Seq2Seq
        The model: it predicts, decodes and is fitted further as the saved one. What cannot be carried over, such as the
        state of an optimizer that only code can make, is told in a warning.

    Raises
    ------
    LoadError
        When there is no such folder, it is not as it was saved, or it does not fit the model; nothing was changed.
    SetupError
        When safetensors is not installed.
    BuildError
        When the model does not fit into memory.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}", name="small")
    >>> s2s_magic.load(s2s_magic.save(model, "kept")).name
    'small'
    """
    backend.check_runs_on_tensorflow("loading")
    from s2s_magic.keeping.opening import read
    from s2s_magic.keeping.placing import check, put

    kept = read(folder)
    model = _built(kept, name or kept.document.name) if onto is None or kept.spec is not None else onto
    check(model, kept)
    for note in put(model, kept):
        warnings.warn_explicit(note, UserWarning, f"load {model.name}", 1)
    return model


def _built(kept: Kept, name: str) -> Seq2Seq:
    from s2s_magic.planned import build_planned

    plan = kept.document.plan
    if kept.spec is None or plan is None:
        raise LoadError(
            f"{kept.folder} holds a traced model, and its code is not run for you: run it with %%seq2seq trace {name} "
            f"(%seq2seq load {name} {kept.folder} --code shows it), then load again"
        )
    try:
        return build_planned(kept.spec, plan.text, {}, name=name)
    except Seq2SeqError as error:
        raise LoadError(f"{kept.folder} cannot be built: {first_line_of(error)}") from error


def saved_code(folder: str | Path) -> str:
    """Return what a saved model is made from, without running it: its spec, or the traced code.

    Raises
    ------
    LoadError
        When there is no such folder, or it is not as it was saved.
    SetupError
        When safetensors is not installed.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}")
    >>> print(s2s_magic.saved_code(s2s_magic.save(model, "kept")))
    {vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}
    """
    from s2s_magic.keeping.opening import read

    document: Document = read(folder).document
    return document.source if document.plan is None else document.plan.text


__all__ = ["load", "save", "saved_code"]
