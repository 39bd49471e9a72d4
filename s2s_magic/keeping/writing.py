"""Write a model to a folder that then takes its place as a whole."""

from __future__ import annotations

from pathlib import Path

from s2s_magic.errors import SetupError
from s2s_magic.files import write_folder
from s2s_magic.handle import Seq2Seq
from s2s_magic.keeping.gathering import gathered
from s2s_magic.keeping.kept import DOCUMENT, SCHEMA, TENSORS, Checked
from s2s_magic.keeping.opening import checksum, safetensors
from s2s_magic.keeping.sealed import seal
from s2s_magic.training.snapshots import Snapshot


def write_model(path: Path, seq2seq: Seq2Seq, snapshot: Snapshot | None = None) -> Path | None:
    """Write a model, and where its fit stands if that is given.

    Returns
    -------
    Path or None
        Where what was there and is not ours is now; see `s2s_magic.files.write_folder`.

    Raises
    ------
    SetupError
        When safetensors cannot write a tensor of the model's.
    LookupFailed
        When the folder cannot be written; what was there is left unchanged.
    """
    document, tensors = gathered(seq2seq, snapshot)

    def write_tensors(file: Path) -> None:
        from safetensors.numpy import save_file

        try:
            save_file(tensors, file)
        except (KeyError, safetensors().SafetensorError) as error:
            raise SetupError(f"{seq2seq.name} cannot be saved: safetensors has no place for {error}") from error

    def write_document(file: Path) -> None:
        tensors_file = file.with_name(TENSORS)
        checked = Checked(bytes=tensors_file.stat().st_size, sha256=checksum(tensors_file))
        whole = document.model_copy(update={"tensors": checked})
        file.write_bytes(seal(SCHEMA, whole.model_dump()))

    return write_folder(path, {TENSORS: write_tensors, DOCUMENT: write_document})
