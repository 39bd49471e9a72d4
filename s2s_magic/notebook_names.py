"""The names of a notebook: which model one means, whether it is free, and binding it to a model."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from s2s_magic.api import models_in
from s2s_magic.errors import LookupFailed, UsageError, nearest

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq

_NOTHING = object()
_CODE = ((ModuleType, "a module"), (type, "a class"), ((FunctionType, BuiltinFunctionType, MethodType), "a function"))


def model_named(name: str, names: Mapping[str, Any]) -> Seq2Seq:
    """Return the model of a name, or raise `LookupFailed` with the nearest."""
    known = models_in(names)
    if name in known:
        return known[name]
    if name in names:
        kind = type(names[name]).__name__
        raise LookupFailed(f"{name!r} is {kind}, not a model that %%seq2seq build or trace bound{nearest(name, known)}")
    hint = nearest(name, known) or (f"; known are {', '.join(known)}" if known else "; there is none yet")
    raise LookupFailed(f"no model named {name!r}{hint}")


def check_free(name: str, shell: Any) -> None:
    """Refuse to rebind a module, a function, a class, or a name of IPython's or Python's."""
    names, own = shell.user_ns, shell.user_ns_hidden
    bound = names.get(name, getattr(builtins, name, None))
    if name in names and own.get(name, _NOTHING) is bound:
        kind = "a name of IPython's own"
    elif name not in names and hasattr(builtins, name):
        kind = "a name of Python's own"
    else:
        kind = next((said for kinds, said in _CODE if isinstance(bound, kinds)), "")
    if kind:
        freed = f" (or del {name} before)" if name in names and name not in own else ""
        raise UsageError(f"{name!r} is {kind}, and would be lost: choose another NAME{freed}")


def bind(shell: Any, model: Seq2Seq, *, had: Seq2Seq | None = None) -> None:
    """Bind a model to its name; a previous value of another type is kept in ``replaced``. Idempotent.

    Of the model that the name had before (``had``, where the cell bound the name itself), only the ledger is kept.
    """
    name = model.name
    bound = shell.user_ns.get(name)
    if bound is not None and not isinstance(bound, type(model)):
        model.replaced = bound
        print(f"{name} was bound to {type(bound).__name__}: it is the model now, and that is {name}.replaced.")
    before = bound if isinstance(bound, type(model)) else had
    if before is not None and before is not model:
        model.previous = before.ledger.with_training(None)
    shell.push({name: model})
