"""TensorFlow Addons where it is installed, else ours."""

from importlib import import_module
from typing import Any

from s2s_magic import backend
from s2s_magic.addons import is_needed, stand_in
from s2s_magic.undoing import Changes


def __getattr__(name: str) -> Any:
    return getattr(import_module("s2s_magic.addons" if is_needed() else "tensorflow_addons"), name)


def run_plainly(code: str, names: dict[str, Any]) -> None:
    """Run code untraced; where `install` would change something for it, that is so while it runs."""
    with Changes() as changes, changes, changes:
        stand_in(changes)
        backend.take_symbols(changes)
        exec(compile(code, "<plain>", "exec"), names)
