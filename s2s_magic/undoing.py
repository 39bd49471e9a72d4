"""Temporary changes that are undone whatever line an interrupt comes at."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 3
"""How often undoing one change is tried: an interrupt may come during it."""

_NOTHING = object()


class Changes:
    """Records how to undo each change before it is made, and undoes all of them in reverse order.

    An undo function must be harmless when run twice, or when the change was never made: an interrupt may come between
    any two lines. One may also come on leaving a ``with``, before its ``__exit__`` has begun, so enter the same object
    more than once; each further time withstands one more interrupt in a row::

        with Changes() as changes, changes, changes:
            changes.replace(layer, "call", ...)
    """

    def __init__(self) -> None:
        self._undone_by: list[Callable[[], object]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Put a value into an object's ``__dict__``; undoing restores what was there, or removes it.

        This bypasses ``__setattr__``, with which Keras's objects track what they are given.
        """
        attributes = vars(owner)
        self.undo_by(partial(_put_back, attributes, name, attributes.get(name, _NOTHING)))
        attributes[name] = value

    def undo_by(self, undo: Callable[[], object]) -> None:
        """Record how to undo a change that is about to be made."""
        self._undone_by.append(undo)

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter a context; it is exited once, however often undoing is tried."""
        once = ExitStack()
        self.undo_by(once.close)
        return once.enter_context(context)

    def undo(self) -> None:
        """Undo everything; if one undo fails, the others still run, and the first exception is raised at the end."""
        raised: BaseException | None = None
        while self._undone_by:
            for _ in range(ATTEMPTS):
                try:
                    self._undone_by[-1]()
                    break
                except BaseException as error:  # raised again below, once the rest is undone
                    raised = error if raised is None else raised
            self._undone_by.pop()
        if raised is not None:
            raise raised

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, *raised: object) -> None:
        self.undo()


def without_warnings(kind: type[Warning], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``work`` with its warnings of one kind suppressed."""
    with Changes() as changes, changes, changes:
        changes.enter(warnings.catch_warnings())
        warnings.simplefilter("ignore", kind)
        return work(*args, **kwargs)


def _put_back(attributes: dict[str, Any], name: str, before: Any) -> None:
    if before is _NOTHING:
        attributes.pop(name, None)
    else:
        attributes[name] = before


def attributes_of(owner: Any) -> Callable[[], None]:
    """Record an object's attributes, and the contents of lists, dictionaries and sets among them.

    Returns
    -------
    callable
        Restores them, and removes attributes added since.
    """
    attributes = vars(owner)
    kept = dict(attributes)
    held = {name: type(value)(value) for name, value in kept.items() if type(value) in (list, dict, set)}
    # TensorFlow's tracked lists record each change but appending, and then can't be saved: they are replaced
    tracked = {name: list(v) for name, v in kept.items() if isinstance(v, list) and type(v) is not list}

    def put_back() -> None:
        attributes.update(kept)
        for name in [name for name in attributes if name not in kept]:
            del attributes[name]
        for name, before in tracked.items():
            if len(kept[name]) != len(before) or any(a is not b for a, b in zip(kept[name], before, strict=True)):
                setattr(owner, name, before)
        for name, content in held.items():
            _refill(kept[name], content)

    return put_back


def _refill(container: Any, content: Any) -> None:
    if isinstance(container, list):
        container[:] = content
    else:
        container.clear()
        container.update(content)
