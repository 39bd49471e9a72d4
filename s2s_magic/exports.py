"""Exporting a model to where s2s_magic is not installed: as ONNX, as a SavedModel, or as a Python program."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_magic import backend
from s2s_magic.errors import FitError, UsageError
from s2s_magic.files import check_folder, check_targets, write_folder, write_whole
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.exporting.greedy_graphs import Searched
    from s2s_magic.handle import Seq2Seq

PROGRAM = "decode.py"


def export(
    model: Seq2Seq,
    *,
    onnx: str | Path | None = None,
    savedmodel: str | Path | None = None,
    script: str | Path | None = None,
    max_length: int | None = None,
    start: int | str | None = None,
    end: int | str | None = None,
    which: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Export a model to where s2s_magic is not installed. Give one of ``onnx``, ``savedmodel`` and ``script``.

    Parameters
    ----------
    model
        The result of `build` or `trace`.
    onnx
        A folder to write: ``encoder.onnx`` and ``decoder_step.onnx`` for ONNX Runtime, ``tokens.json``, and a
        ``decode.py`` that decodes greedily with onnxruntime and NumPy alone.
    savedmodel
        A folder to write: a TensorFlow SavedModel whose signature goes from source ids to decoded ids, with
        ``tokens.json`` and a ``decode.py`` that needs TensorFlow alone.
    script
        A file to write: a Python program with the model's code that reads the data of the last fit, trains as that fit
        says, and decodes; it needs TensorFlow alone, and what the model's own code imports.
    max_length, start, end
        As for `decode`.
    which
        The name of the Keras model to use, where the code made several.
    overwrite
        Whether to replace a file, and to move a folder that this function did not write out of the way: to
        ``NAME.replaced``, which a warning tells.

    Returns
    -------
    Path
        The folder or the file.

    Raises
    ------
    UsageError
        When not exactly one target is given, its name is none that it can have, or something else is there.
    DecodeError
        When the model cannot be decoded.
    FitError
        When there is no model, or a program is asked for and the model has had no fit that a program can do.
    SetupError
        When a package is missing, or a part of the model has no counterpart; the message says what can be exported.
    LookupFailed
        When something cannot be written; what was there is left unchanged.

    Examples
    --------
    >>> model = s2s_magic.build("{vocab: 9, embed: 2, encoder: gru(2), decoder: gru(2), max_length: 5}")
    >>> folder = s2s_magic.export(model, savedmodel="exported")
    >>> (folder / "decode.py").exists()
    True
    """
    given = {"onnx": onnx, "savedmodel": savedmodel, "script": script}
    asked = [kind for kind, target in given.items() if target is not None]
    if len(asked) != 1:
        raise UsageError(
            f"export writes one thing at a time: expected one of --onnx DIR, --savedmodel DIR and --script FILE, got "
            f"{' and '.join(f'--{kind}' for kind in asked) or 'none'}"
        )
    backend.check_runs_on_tensorflow("exporting")
    if model.model is None:
        raise FitError(f"{model.name} has no model to export: its cell ended before a Model was made")
    model.refresh()
    with Changes() as changes, changes, changes:
        changes.enter(model.chosen(which))
        if script is not None:
            return _written_program(model, str(script), max_length, overwrite)
        from s2s_magic.exporting.greedy_graphs import searched

        found = searched(model, max_length=max_length, start=start, end=end)
        return _written_folder(found, str(onnx or savedmodel), asked[0], overwrite)


def _written_folder(model: Searched, folder: str, kind: str, overwrite: bool) -> Path:
    from s2s_magic.exporting.decode_programs import onnx_program, saved_model_program
    from s2s_magic.exporting.onnx_files import ENCODER, STEP, onnx_files
    from s2s_magic.exporting.saved_model import FILES, saved_model_files
    from s2s_magic.exporting.token_files import token_files

    beside = token_files(model)
    path = check_folder(
        folder, {*beside, PROGRAM, *((ENCODER, STEP) if kind == "onnx" else FILES)}, overwrite=overwrite
    )
    program = onnx_program(model) if kind == "onnx" else saved_model_program(model)
    made = onnx_files(model) if kind == "onnx" else saved_model_files(model)
    contents = {**made, **beside, PROGRAM: program.encode("utf-8")}
    aside = write_folder(path, {name: _writer(content) for name, content in contents.items()})
    if aside is not None:
        warnings.warn_explicit(f"what was in {path} is in {aside} now", UserWarning, f"export {model.name}", 1)
    return path


def _writer(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


def _written_program(model: Seq2Seq, file: str, max_length: int | None, overwrite: bool) -> Path:
    from s2s_magic.exporting.training_program import training_program

    (path,) = check_targets([file], overwrite=True)
    program, models = training_program(model, max_length)
    contents = {path: program.encode("utf-8"), **{path.with_suffix(suffix): made for suffix, made in models.items()}}
    check_targets(map(str, contents), overwrite=True)
    for each in contents:  # a program is there to be edited
        if each.exists() and not overwrite:
            raise UsageError(f"{each} exists, and may have been edited: --overwrite replaces it")
    write_whole(contents)
    return path


__all__ = ["export"]
