"""TensorFlow's functions on symbolic tensors: they become operations of the graph, as in Keras 2."""

from __future__ import annotations

import functools
from typing import Any, Literal

import keras
import tensorflow as tf
from tensorflow.python.util import dispatch, tf_export

from s2s_magic.backend import common
from s2s_magic.backend.keras3 import objects
from s2s_magic.undoing import Changes

OPERATIONS: Literal["tf", "keras.ops"] = "keras.ops"
"""Where functions on symbolic tensors come from in generated code."""


@keras.saving.register_keras_serializable(package="s2s_magic")
class TensorFlowFunction(objects.Operation):  # type: ignore[misc]
    """A TensorFlow function as an operation of a Keras graph.

    Parameters
    ----------
    function
        Its name in ``tf``, such as ``nn.softmax``; this name is saved.
    name
        The operation's name in the graph.
    """

    def __init__(self, function: str, name: str | None = None) -> None:
        super().__init__(name=name)
        self.function = function

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function."""
        return functools.reduce(getattr, self.function.split("."), tf)(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `from_config`."""
        return {"function": self.function, "name": self.name}


class _Dispatcher(dispatch.GlobalOpDispatcher):  # type: ignore[misc]
    """Handles TensorFlow's public functions if an argument is a symbolic tensor."""

    def handle(self, op: Any, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        name = tf_export.get_canonical_name_for_symbol(op)
        if name is None or not any(map(common.is_keras_tensor, tf.nest.flatten((args, kwargs)))):
            return self.NOT_SUPPORTED
        return TensorFlowFunction(name)(*args, **kwargs)


_DISPATCHER = _Dispatcher()


def take_symbols(changes: Changes) -> None:
    """Let TensorFlow's functions accept symbolic tensors until changes are undone."""
    known = dispatch._GLOBAL_DISPATCHERS
    if _DISPATCHER not in known:
        changes.undo_by(functools.partial(_forget, known))
        known.append(_DISPATCHER)
        for name, better in (("__getitem__", _item), ("__mul__", _product), ("__rmul__", _product)):
            by_keras = getattr(objects.KerasTensor, name)
            changes.undo_by(functools.partial(setattr, objects.KerasTensor, name, by_keras))
            setattr(objects.KerasTensor, name, functools.partialmethod(better, by_keras))


def _item(tensor: Any, by_keras: Any, key: Any) -> Any:
    """Index a symbolic tensor; a single slice, which Keras 3 refuses, applies to the first dimension."""
    __tracebackhide__ = True
    return by_keras(tensor, (key,) if isinstance(key, slice) or key is None or key is Ellipsis else key)


def _product(tensor: Any, by_keras: Any, other: Any) -> Any:
    """Multiply a symbolic tensor; Keras 3 wrongly marks the product of a dense one and a number as sparse."""
    __tracebackhide__ = True
    product = by_keras(tensor, other)
    if product.sparse and not tensor.sparse and not common.is_keras_tensor(other):
        product._sparse = False
    return product


def _forget(known: list[Any]) -> None:
    known[:] = [each for each in known if each is not _DISPATCHER]
