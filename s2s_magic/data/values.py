"""Read the value of a notebook variable as an array or a list; types that are not listed here are refused.

The objects are not trusted: any exception that one raises while it is read becomes an `Unreadable` with a one-line
reason, and is its cause.
"""

from __future__ import annotations

import array
import re
import sys
from collections import UserList, deque
from collections.abc import Callable, Mapping, Set
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]

_SEQUENCES = (list, tuple, range, deque, UserList, array.array)
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, type)
SINGLE = (int, float, complex, np.generic)
_TEXT = (str, bytes, bytearray)
_CALLING = "Exception encountered when calling"
"""How Keras begins the message of an error in a layer's call; the cause comes in the next line."""
_IN_CODE = "in user code:"
_CONVERTED = re.compile(r"^ {4}([A-Za-z_][\w.]*): (.*)$", re.MULTILINE)
"""Where code that autograph converted fails: the words before a list of frames, and the line after it."""
_MARKS = re.compile(r"\x1b\[[0-9;]*m|\{\{function_node .*?\}\}\s*| ?\[Op:[^\]]*\].*")
"""What TensorFlow adds to messages: colours, the names of nodes and operations."""


class Unreadable(Exception):
    """Raised, with the reason in words, for a value that cannot be read; the object's own exception is its cause."""


class Unknown(Unreadable):
    """There is no such variable or file, or it has no such part; the message is a full sentence."""


def one_line(error: BaseException) -> str:
    """Return an exception as one line: its class and the first line of its message, or the cause that Keras names."""
    try:
        text = _MARKS.sub("", str(error))
    except Exception:
        text = ""
    kind, lines = type(error).__name__, [line.strip() for line in text.splitlines() if line.strip()]
    said, *more = lines or [""]
    calling = f", when calling {said.removeprefix(_CALLING).strip(' .')}" if said.startswith(_CALLING) and more else ""
    if calling:
        said = more[0]
    if said == _IN_CODE and (told := _CONVERTED.search(text)) is not None:
        kind, said = told.groups()
    said = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in f"{said}{calling}"[:200])
    return f"{kind}: {said}" if said else kind


def short(value: Any, most: int = 60) -> str:
    """Return a value's repr, in at most ``most`` characters."""
    try:
        text = ascii(value) if is_kind(value, _TEXT) and not _printable(value) else repr(value)
    except Exception:
        text = f"an object of class {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


def _printable(value: Any) -> bool:
    return not isinstance(value, str) or value.isprintable()


def is_kind(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """Return what `isinstance` does, by the object's real type: its ``__class__`` may claim another."""
    return issubclass(type(value), kinds)


def asked(what: str, call: Callable[[], Any]) -> Any:
    """Return the result of a call into a user's object; if it raises, name ``what`` in the reason.

    Raises
    ------
    Unreadable
        When the call raises an Exception; KeyboardInterrupt and the like pass through.
    """
    try:
        return call()
    except Exception as error:
        raise Unreadable(f"cannot be read: {what} raised {one_line(error)}") from error


def plain(value: Any, padding: int | None = None) -> Any:
    """Return a value as an array or a list; the items of a list are not read.

    Parameters
    ----------
    value
        Any object.
    padding
        The id that replaces masked entries of a NumPy masked array; None refuses them.

    Returns
    -------
    numpy.ndarray or list
        An array of at least one dimension with numbers, booleans, times or text; or a list of rows or texts.

    Raises
    ------
    Unreadable
        When the value has another form; the message says what to give instead.
    """
    _refuse(value)
    if is_kind(value, np.ndarray):
        return _array(value, padding)
    if is_kind(value, _SEQUENCES):
        return asked("going through it", lambda: list(value))
    kind = type(value)
    if comes_from("pandas", value):
        return _pandas(value)
    if hasattr(kind, "to_list") and hasattr(kind, "row_splits"):  # tf.RaggedTensor
        return asked("its to_list()", lambda: list(value.to_list()))
    if hasattr(kind, "dense_shape"):
        raise Unreadable("is a sparse tensor: give it as a dense one, tf.sparse.to_dense(...)")
    for method in ("to_numpy", "numpy", "__array__"):
        if callable(getattr(kind, method, None)):
            return _given(value, method, padding)
    raise Unreadable(f"is of type {kind.__name__}; expected an array, a list of rows or a list of texts")


def _refuse(value: Any) -> None:
    """Raise `Unreadable`, with a remedy, for values that hold no rows."""
    kind = type(value)
    if value is None:
        raise Unreadable("is None: nothing was assigned to it")
    if is_kind(value, _TEXT):
        raise Unreadable(f"is one text, {short(value)}; expected a list of them: one text is [{short(value, 30)}]")
    if is_kind(value, SINGLE):
        raise Unreadable(_single(value))
    if is_kind(value, ModuleType):
        raise Unreadable("is a module, not data")
    if is_kind(value, _FUNCTIONS):
        raise Unreadable(f"is the {'class' if is_kind(value, type) else 'function'} {short(value)}, not data")
    if is_kind(value, Mapping):
        some = next(iter(asked("listing its keys", lambda: list(value)[:1])), "key")
        raise Unreadable(f"is a {kind.__name__} with several values: name one of them, such as NAME[{short(some)}]")
    if is_kind(value, Set):
        raise Unreadable(f"is a {kind.__name__}, which has no order of rows: give a list, sorted(...)")
    if comes_from("tensorflow", value) and hasattr(kind, "element_spec"):
        raise Unreadable(
            "is a tf.data dataset, which holds inputs and targets at once: write 'data:' with its name, in place of "
            "'source' and 'target'"
        )
    if hasattr(kind, "__next__"):
        raise Unreadable(f"is a {kind.__name__}, which can be read only once: give a list, list(...)")
    if kind.__name__ == "KerasTensor":
        raise Unreadable("is a symbolic tensor, a wire of a model without numbers: give the data that go into it")


def _single(value: Any) -> str:
    number = value.item() if isinstance(value, np.generic) else value  # NumPy 2 shows np.int64(3) for 3
    return f"is of type {type(value).__name__}, the single value {short(number)}; expected an array, or a list of rows"


def comes_from(package: str, value: Any) -> bool:
    """Return whether any class of an object is from a package, without importing the package."""
    bases = type(value).__mro__ if package in sys.modules else ()
    return any(str(base.__module__).partition(".")[0] == package for base in bases)


def _given(value: Any, method: str, padding: int | None) -> Any:
    """Read the array that a method of an object returns."""
    found = asked(f"its {method}()", lambda: np.asarray(value) if method == "__array__" else getattr(value, method)())
    if found is value or not is_kind(found, np.ndarray):
        if is_kind(found, (*SINGLE, *_TEXT)):
            _refuse(found)
        raise Unreadable(f"cannot be read: its {method}() gave a {type(found).__name__}, no NumPy array")
    return _array(found, padding)


def _pandas(value: Any) -> Any:
    import pandas

    kind = type(value).__name__
    if not hasattr(type(value), "to_numpy") and not is_kind(value, pandas.api.extensions.ExtensionArray):
        raise Unreadable(f"is a pandas {kind}, which holds no column of data")
    missing = np.asarray(asked("looking for missing values", lambda: pandas.isna(value)))
    has = hasattr(type(value), "to_numpy")
    found = asked("its to_numpy()", lambda: value.to_numpy() if has else np.asarray(value))
    if not is_kind(found, np.ndarray):
        raise Unreadable(f"cannot be read: its to_numpy() gave a {type(found).__name__}, no NumPy array")
    if missing.any():
        place = np.argwhere(missing)[0]
        where = f"row {place[0]}" + (f", column {short(value.columns[place[1]])}" if len(place) > 1 else "")
        count = f" ({int(missing.sum())} such places in all)" if missing.sum() > 1 else ""
        raise Unreadable(f"{where} is missing{count}: drop such rows, or fill them, NAME.fillna(...)")
    return _array(found, None)


def _array(value: Numbers, padding: int | None) -> Any:
    """Return a plain array of at least one dimension; an object array becomes a list."""
    if is_kind(value, np.ma.MaskedArray):
        value = _unmasked(value, padding)
    value = np.ndarray.view(value, np.ndarray)  # a np.matrix becomes a two-dimensional array
    if value.dtype.names is not None:
        raise Unreadable(f"is an array with fields: name one of them, such as NAME[{short(value.dtype.names[0])}]")
    if value.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        value = value.astype(np.float32)
    if value.ndim == 0:
        raise Unreadable(_single(value[()]))
    if value.dtype.kind == "V":
        raise Unreadable(f"is an array of type {value.dtype}, which holds no numbers")
    if value.dtype.kind in "US" and value.ndim == 2 and value.shape[1] == 1:
        return value[:, 0]
    if value.dtype == object:
        return list(value.ravel()) if value.ndim == 2 and value.shape[1] == 1 else list(value)
    return value


def _unmasked(value: Any, padding: int | None) -> Numbers:
    masked = np.ones(value.shape, bool) & value.mask
    if not masked.any():
        return np.asarray(value.data)
    if padding is not None:
        return np.asarray(value.filled(padding))
    place = tuple(map(int, np.argwhere(masked)[0]))
    where = f"row {place[0]}, position {place[1]}" if len(place) == 2 else f"index {place}"
    count = f" ({int(masked.sum())} such places in all)" if masked.sum() > 1 else ""
    raise Unreadable(
        f"{where} is masked{count}: fill such places, NAME.filled(...); with 'padding' in the spec they are read as "
        "padding"
    )


def is_text(value: Any) -> bool:
    """Return whether a value returned by `plain` holds text rather than numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "US"
    return any(is_kind(item, _TEXT) for item in value)


def texts(value: Any) -> list[str]:
    """Read rows of text.

    Raises
    ------
    Unreadable
        When an item is not text, or holds an invalid character.
    """
    if isinstance(value, np.ndarray) and value.ndim != 1:
        raise Unreadable(f"has shape {value.shape}; texts stand in one dimension, (rows,)")
    found = []
    for number, item in enumerate(value):
        if is_kind(item, (bytes, bytearray)):
            try:
                item = bytes(item).decode("utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                raise Unreadable(
                    f"item {number} is no UTF-8: byte 0x{byte:02x} at {error.start}; decode it with its own encoding, "
                    "such as item.decode('latin-1')"
                ) from error
        if not is_kind(item, str):
            raise Unreadable(f"item {number} is {short(item)}, no text")
        text = str.__str__(item)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Unreadable(
                f"item {number} holds {text[error.start]!a} at {error.start}, half of a surrogate pair and no "
                "character: read the file with its own encoding, or errors='replace'"
            ) from error
        found.append(text)
    return found
