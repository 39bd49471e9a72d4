"""Changes that last for a while and are taken back, at whatever line an interrupt comes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 3
"""How often one change is tried to be undone: an interrupt may come while that is done."""

_NOTHING = object()


class Changes:
    """Notes how to undo each change before it is made, and undoes them all, the last one first.

    What undoes a change can run twice, and where the change was never made, without harm: an interrupt may come
    between any two lines. One may also come on the way out of a ``with``, before its ``__exit__`` has begun, so enter
    one object more than once; each further time stands one more interrupt in a row::

        with Changes() as changes, changes, changes:
            changes.replace(layer, "call", ...)
    """

    def __init__(self) -> None:
        self._undone_by: list[Callable[[], object]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Put a value into an object's ``__dict__``; what is put back is what was there, or nothing.

        It goes past ``__setattr__``, which tracks what it is given in Keras's objects.
        """
        attributes = vars(owner)
        self.undo_by(partial(_put_back, attributes, name, attributes.get(name, _NOTHING)))
        attributes[name] = value

    def undo_by(self, undo: Callable[[], object]) -> None:
        """Note how to undo what is about to be done."""
        self._undone_by.append(undo)

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter a context; it is left once, however often that is tried."""
        once = ExitStack()
        self.undo_by(once.close)
        return once.enter_context(context)

    def undo(self) -> None:
        """Undo everything; one that fails keeps none of the others from it, and its exception is raised in the end."""
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
    """Do something without the warnings of a kind that it gives."""
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
    """Note an object's attributes, and what the lists and dictionaries among them hold.

    Returns
    -------
    callable
        Puts them back, and takes away what came since.
    """
    attributes = vars(owner)
    kept = dict(attributes)
    held = {name: type(value)(value) for name, value in kept.items() if type(value) in (list, dict, set)}
    # TensorFlow's own lists note each change but appending, and are no longer saved then: they are made anew
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
