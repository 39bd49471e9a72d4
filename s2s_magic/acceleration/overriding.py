"""Methods of one object, replaced for a while."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.undoing import Changes


def override(changes: Changes, owner: Any, name: str, method: Callable[..., Any]) -> None:
    """Put a method, a function whose first argument is the object, into its ``__dict__`` until changes are undone.

    Keras looks its methods up on the instance, so the override counts for this object alone. It is kept from autograph,
    which has nothing to rewrite in it. A SavedModel that is written in the meantime is traced with the object's own
    method.
    """
    own = getattr(owner, name)

    @wraps(method)
    def chosen(self: Any, *args: Any, **kwargs: Any) -> Any:
        if backend.is_saving():
            return own(*args, **kwargs)
        return method(self, *args, **kwargs)

    changes.replace(owner, name, MethodType(tf.autograph.experimental.do_not_convert(chosen), owner))
