"""Finding expressions for live objects in the names of the user's code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from s2s_magic import backend
from s2s_magic.errors import DecodeError
from s2s_magic.handle import Seq2Seq

_IMPORTS = {
    "tf": ("tensorflow", "import tensorflow as tf"),
    "keras": ("keras", "from tensorflow import keras"),
    "seq2seq": ("s2s_magic.addons.seq2seq", "from s2s_magic.addons import seq2seq"),
    "tfa": ("tensorflow_addons", "import tensorflow_addons as tfa"),
}


class Names:
    """Finds expressions for live objects, and names that the code does not use yet."""

    def __init__(self, seq2seq: Seq2Seq) -> None:
        self._seq2seq = seq2seq
        self._namespace = seq2seq.namespace
        self._given: set[str] = set()
        self._models = [
            (name, value)
            for name, value in self._namespace.items()
            if not name.startswith("_") and any(value is model for model in seq2seq.live.models.values())
        ]

    def fresh(self, name: str) -> str:
        """Return a name that the code does not use and that was not returned before."""
        while name in self._namespace or name in self._given:
            name += "_"
        self._given.add(name)
        return name

    def after(self, layer: Any, ending: str) -> str:
        """Return a fresh name made from a layer's name and an ending."""
        name = self.bound(layer) or layer.name
        return self.fresh(f"{name if name.isidentifier() else type(layer).__name__.lower()}_{ending}")

    def bound(self, value: Any) -> str | None:
        """Return the code's name for an object, or for the named tuple field that holds it; None if there is none."""
        usable = [(name, bound) for name, bound in self._namespace.items() if not name.startswith("_")]
        names = [name for name, bound in usable if bound is value]
        fields = [
            f"{name}.{field}"
            for name, bound in (usable if not names else ())
            for field in (bound._fields if isinstance(bound, tuple) and hasattr(bound, "_fields") else ())
            if getattr(bound, field) is value
        ]
        return next(reversed(names or fields), None)

    def imports(self, *modules: str) -> str:
        """Return import lines for those of the names in `_IMPORTS` that the code has not imported."""
        missing = [_IMPORTS[module][1] for module in modules if not self._has(module)]
        return "\n".join([*missing, ""]) if missing else ""

    def _has(self, module: str) -> bool:
        bound = self._namespace.get(module)
        if module == "keras" and getattr(bound, "Model", None) is not tf.keras.Model:
            return False  # the name is bound to another Keras
        return str(getattr(bound, "__name__", "")).endswith(_IMPORTS[module][0])

    def shown(self, layer: Any) -> str:
        """Return a layer's name for messages: the code's name for it, with its class."""
        operation = backend.operation(layer)
        if operation is not None:
            return operation
        return f"{self.bound(layer) or layer.name} ({type(layer).__name__})"

    def layer(self, layer: Any, holder: Any = None, attribute: str = "") -> str:
        """Return an expression for a layer object, if necessary as an attribute of its holder."""
        if layer is None:
            return "None"
        if self.bound(layer) is None and holder is not None:
            return f"{self.layer(holder)}.{attribute}"
        name = self._reached(layer)
        if name is None:
            raise DecodeError(
                f"{self._seq2seq.name} cannot be decoded: no name leads to the layer {layer.name!r}; give it one"
            )
        return name

    def _reached(self, layer: Any) -> str | None:
        """Return an expression that leads to a layer: a name, an attribute path, or a lookup in a model; else None."""
        name = self.bound(layer) or self._path(layer)
        for model, value in self._models if name is None else ():
            if any(layer is part for part in value.layers):
                return f"{model}.get_layer({layer.name!r})"
        return name

    def found(self, layer: Any) -> bool:
        """Return whether a name or an attribute path in the code leads to a layer."""
        return bool(self.bound(layer) or self._path(layer))

    def _path(self, layer: Any) -> str | None:
        """Return the ledger's name for a layer if it is an attribute path through the code's objects, else None.

        A model may have lost its name to what a cell bound: then it is found there.
        """
        for name, value in self._namespace.items():
            if isinstance(value, Seq2Seq) and value.model is layer and not name.startswith("_"):
                return f"{name}.model"
        for key, value in self._seq2seq.live.layers.items():
            if value is layer:
                name = self._seq2seq.ledger.layers[key].name
                return name if "." in name and _walked(self._namespace, name) is layer else None
        return None

    def tensor(self, tensor: Any) -> str:
        """Return an expression for a symbolic tensor: its name, else the output of a layer's call."""
        name = self.bound(tensor)
        if name is not None:
            return name
        layer, node, number = backend.history(tensor)
        output = backend.output_code(layer, node, number)
        found = self._reached(layer) if output is not None else None
        if found is not None:
            return f"{found}{output}"
        listed = self._listed(tensor)
        if listed is None:
            raise DecodeError(
                f"{self._seq2seq.name} cannot be decoded: no name leads to the output of call {node + 1} of "
                f"{self.shown(layer)}; give it one"
            )
        return listed

    def _listed(self, tensor: Any) -> str | None:
        """Return an expression for a tensor in one of the code's nested lists or tuples; None if it is in none."""
        for name, bound in reversed(self._namespace.items()):
            if not name.startswith("_") and (path := _path_in(bound, tensor)):
                return name + path
        return None

    def input_behind(self, tensors: Sequence[Any], what: str) -> Any:
        """Return the one input that tensors come from, or raise a `DecodeError` that calls them ``what``."""
        found = backend.inputs_behind(tensors)
        if len(found) != 1:
            shown = ", ".join(sorted(backend.history(tensor)[0].name for tensor in found)) or "none"
            name = self._seq2seq.name
            raise DecodeError(f"{name} cannot be decoded: {what} must come from one input, and comes from {shown}")
        return found[0]

    def structure(self, value: Any) -> str:
        """Return an expression for nested lists of tensors: a single name if the code has one."""
        if isinstance(value, dict):
            inside = ", ".join(f'"{name}": {self.structure(part)}' for name, part in value.items())
            return f"{{{inside}}}"
        if not isinstance(value, list | tuple):
            return self.tensor(value)
        for name, bound in self._namespace.items():
            if type(bound) is type(value) and not name.startswith("_") and _same(bound, value):
                return name
        inside = ", ".join(self.structure(part) for part in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other


def _path_in(value: Any, tensor: Any) -> str:
    """Return the indexes that lead to a tensor in nested lists and tuples, such as ``[1][0]``; empty if none do."""
    for place, part in enumerate(value if isinstance(value, list | tuple) else ()):
        if part is tensor:
            return f"[{place}]"
        if inner := _path_in(part, tensor):
            return f"[{place}]{inner}"
    return ""


def _walked(namespace: Mapping[str, Any], path: str) -> Any:
    """Return the object at the end of an attribute path; None if the path is broken."""
    first, *rest = path.split(".")
    value = namespace.get(first)
    for name in rest:
        value = vars(value).get(name) if hasattr(value, "__dict__") else None
    return value
