"""Read a saved model and check all of it, without a model, without TensorFlow, and without running anything of it."""

from __future__ import annotations

import hashlib
import stat
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from s2s_magic.data.subwords import check_model
from s2s_magic.data.values import Unreadable
from s2s_magic.errors import LoadError, Seq2SeqError, SetupError, first_line_of, nearest
from s2s_magic.keeping.identities import names_of
from s2s_magic.keeping.kept import DOCUMENT, SCHEMA, TENSORS, Document, Pieces, Plan, Shapes
from s2s_magic.keeping.sealed import LARGEST, Unsound, unseal
from s2s_magic.ledger import Ledger
from s2s_magic.memory import memory_left
from s2s_magic.spec import Spec, parse_spec
from s2s_magic.spec.sizes import params_by_owner

_LONGEST_SAID = 300
_AT_ONCE = 2**20


DTYPES = {"BOOL": "bool", "BF16": "bfloat16", "C64": "complex64"} | {
    f"{short}{bits}": f"{name}{bits}"
    for short, name, sizes in (
        ("I", "int", (8, 16, 32, 64)),
        ("U", "uint", (8, 16, 32, 64)),
        ("F", "float", (16, 32, 64)),
    )
    for bits in sizes
}
"""The names of dtypes, by those of safetensors."""
_MOST_SIDES = 32  # as many as an array may have


@dataclass(frozen=True)
class Kept:
    """A saved model, read and checked; its tensors are still in their file.

    Attributes
    ----------
    folder
        Where it is, as it was given.
    document, ledger
        What it is.
    spec
        The plan to build it from, with the sizes of its vocabularies; None for a traced model.
    shapes
        Shapes and dtypes of its tensors, by name.
    """

    folder: Path
    document: Document
    ledger: Ledger
    spec: Spec | None
    shapes: Shapes

    def tensors(self) -> Callable[[str], Any]:
        """Return a function that reads one tensor, as an array, by its name."""
        read: Callable[[str], Any] = safetensors().safe_open(self.folder / TENSORS, "np").get_tensor
        return read


def safetensors() -> Any:
    """Import safetensors.

    Raises
    ------
    SetupError
        When it is not installed.
    """
    try:
        import safetensors
    except ImportError as error:
        raise SetupError(
            'saved models need the package safetensors, which is missing: pip install "s2s_magic[keep]"'
        ) from error
    return safetensors


def read(folder: str | Path) -> Kept:
    """Read a saved model, and check everything that can be checked without a model.

    What is read into memory is no larger than its files, and a file of tensors must fit into the memory that is left.

    Parameters
    ----------
    folder
        The folder that `s2s_magic.save` wrote.

    Raises
    ------
    LoadError
        When there is no such folder, suggesting the nearest; or when anything in it is not as it was saved, in one
        line.
    SetupError
        When safetensors is not installed.
    """
    safetensors()
    path = _found(str(folder))
    sizes = _sizes(path)

    def refuse(file: str, why: str, cause: BaseException | None = None) -> NoReturn:
        raise LoadError(f"{_short(str(path))} cannot be loaded: {file} {_short(why)}") from cause

    try:
        if sizes[DOCUMENT] > LARGEST:
            refuse(DOCUMENT, f"has {sizes[DOCUMENT]:,} bytes, and a document has at most {LARGEST:,}")
        document = Document.model_validate(unseal((path / DOCUMENT).read_bytes(), SCHEMA))
        ledger = Ledger.from_dict(document.ledger)
        spec = None if document.plan is None else _planned(document.plan, ledger)
        _check_subwords(document)
    except Unsound as error:
        refuse(DOCUMENT, str(error), error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        refuse(DOCUMENT, f"has a fault at {'.'.join(map(str, first['loc']))}: {first['msg']}", error)
    except RecursionError as error:
        refuse(DOCUMENT, "is nested too deeply", error)
    except OSError as error:
        refuse(DOCUMENT, f"cannot be read: {error.strerror}", error)
    except LoadError:
        raise
    except Seq2SeqError as error:
        refuse(DOCUMENT, f"has a fault: {first_line_of(error)}", error)
    try:
        _check_bytes(path / TENSORS, sizes[TENSORS], document)
        shapes = _shapes(path / TENSORS)
        _check_shapes(shapes, ledger, document)
    except Unsound as error:
        refuse(TENSORS, str(error), error)
    except OSError as error:
        refuse(TENSORS, f"cannot be read: {error.strerror}", error)
    except (safetensors().SafetensorError, ValueError, OverflowError) as error:
        refuse(TENSORS, f"is not a file of safetensors: {error}", error)
    return Kept(path, document, ledger, spec, shapes)


def _short(said: str) -> str:
    """Put text from a file on one line that a terminal can show."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in said[:_LONGEST_SAID])
    return shown[:_LONGEST_SAID] + ("…" if max(len(said), len(shown)) > _LONGEST_SAID else "")


def _found(word: str) -> Path:
    """Return the path of a folder that exists; otherwise say which is nearest, and what a killed save has left."""
    try:
        given = Path(word).expanduser()
        path = given.resolve()
        if path.is_dir():
            return given
        beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
        exists = path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise LoadError(f"{_short(word)!r} is not the name of a folder: {_short(str(error))}") from error
    if exists:
        raise LoadError(f"{_short(word)} is no folder: expected one that %seq2seq save wrote")
    left = [each.name for each in beside if each.name.startswith(f".{path.name[:60]}.") and is_saved(each)]
    if left:
        said = " and ".join(left)
        raise LoadError(f"no folder {_short(word)}; a save that was cut off left {said} beside it: load one of these")
    hint = nearest(path.name, [each.name for each in beside if is_saved(each)])
    raise LoadError(f"no folder {_short(word)}{hint or nearest(path.name, [e.name for e in beside if e.is_dir()])}")


def is_saved(path: Path) -> bool:
    """Return whether a folder has the names of a saved model's files."""
    try:
        return path.is_dir() and (path / DOCUMENT).is_file() and (path / TENSORS).is_file()
    except OSError:
        return False


def _sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of a folder's files, which are exactly those of a saved model: no links, nothing else."""
    expected = f"expected the files {DOCUMENT} and {TENSORS} that %seq2seq save writes, and nothing else"
    sizes = {}
    try:
        for each in sorted(folder.iterdir()):
            found = each.lstat()
            if each.name not in (DOCUMENT, TENSORS):
                raise LoadError(f"{_short(str(folder))} cannot be loaded: it holds {_short(each.name)}; {expected}")
            if not stat.S_ISREG(found.st_mode):
                kind = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
                raise LoadError(f"{_short(str(folder))} cannot be loaded: {each.name} is {kind}; {expected}")
            sizes[each.name] = found.st_size
    except OSError as error:
        raise LoadError(f"{_short(str(folder))} cannot be read: {error.strerror}") from error
    if missing := [name for name in (DOCUMENT, TENSORS) if name not in sizes]:
        raise LoadError(f"{_short(str(folder))} cannot be loaded: {missing[0]} is missing; {expected}")
    return sizes


def _planned(plan: Plan, ledger: Ledger) -> Spec:
    """Read a saved spec, which is parsed and never run, and compare the size of its model with the ledger's."""
    spec = parse_spec(plan.text).model_copy(update={"code": plan.code})
    try:
        spec = spec.with_vocab(**plan.vocab)
    except ValueError as error:
        raise Unsound(f"has a fault at plan.vocab: {error}") from error
    if (spec.vocab.source, spec.vocab.target) != (plan.vocab.get("source"), plan.vocab.get("target")):
        raise Unsound("has a fault at plan.vocab: the spec has other sizes")
    planned, recorded = sum(params_by_owner(spec).values()), sum(v.params for v in ledger.variables.values())
    if planned != recorded:
        raise Unsound(f"has a spec of {planned:,} parameters, and a ledger of {recorded:,}")
    return spec


def _check_subwords(document: Document) -> None:
    for side, each in document.tokenizers.items():
        if isinstance(each, Pieces):
            try:
                check_model(b64decode(each.model, validate=True))
            except (ValueError, Unreadable) as error:
                raise Unsound(f"has a fault at tokenizers.{side}.model: it {error}") from error


def _check_bytes(path: Path, size: int, document: Document) -> None:
    if size != document.tensors.bytes:
        raise Unsound(f"has {size:,} bytes, and {document.tensors.bytes:,} were saved")
    left = memory_left()
    if left is not None and size > left[0]:
        raise Unsound(f"has {size:,} bytes, and {left[1]} leaves {left[0]:,}")
    if checksum(path) != document.tensors.sha256:
        raise Unsound("was changed after it was saved: it does not have its checksum")


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        for part in iter(lambda: file.read(_AT_ONCE), b""):
            found.update(part)
    return found.hexdigest()


def _shapes(path: Path) -> Shapes:
    file = safetensors().safe_open(path, "np")
    parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    return {
        name: (tuple(part.get_shape()), DTYPES.get(str(part.get_dtype()), str(part.get_dtype())))
        for name, part in parts.items()
    }


def _check_shapes(shapes: Shapes, ledger: Ledger, document: Document) -> None:
    """Refuse tensors of other kinds, shapes or dtypes than are saved."""
    recorded = {name: ledger.variables[key] for key, name in names_of(ledger).items()}
    for name, (shape, dtype) in shapes.items():
        kind, _, rest = name.partition("/")
        if kind not in ("weights", "starts", "rows", "states", "optimizer", "fit") or not rest:
            raise Unsound(f"holds {name!r}, which is nothing that is saved")
        if len(shape) > _MOST_SIDES or dtype not in DTYPES.values():
            raise Unsound(f"holds {name!r}, whose shape or dtype no array has")
        if kind in ("states", "optimizer", "fit"):
            continue
        if rest not in recorded or f"weights/{rest}" not in shapes:
            raise Unsound(f"holds {name!r}, and there is no such variable")
        record = recorded[rest]
        expected = (record.shape[:1], "bool") if kind == "rows" else (record.shape, record.dtype)
        if (shape, dtype) != expected:
            raise Unsound(f"holds {name!r} of shape {shape} and dtype {dtype}, and {rest!r} is {expected}")
    for name in (*document.creations, *document.unmoved):
        if f"weights/{name}" not in shapes:
            raise Unsound(f"lacks the weights of {name!r}")
    for model, compiled in document.compiled.items():
        for name in compiled.optimizer.state:
            if f"optimizer/{model}/{name}" not in shapes:
                raise Unsound(f"lacks {name!r} of the optimizer of {model!r}")
