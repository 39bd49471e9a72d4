"""The user's names for layers and tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from s2s_magic.tracing import keras2

_LARGEST = 10_000
_DEEPEST = 3
_DATA = (int, float, str, bytes)  # a container of these is data: there may be millions
_SHELL_NAMES = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


def scan(namespace: Mapping[str, Any], wanted: Container[int]) -> dict[int, list[str]]:
    """Find the names under which a namespace reaches objects: itself, in containers, in the user's own objects.

    Parameters
    ----------
    namespace
        The cell's names; those that begin with an underscore are left out.
    wanted
        Identities of the objects to find.

    Returns
    -------
    dict
        Identity to names such as ``encoder``, ``layers[0]``, ``outputs.rnn_output``, ``coder.embeddings``; the
        shortest path first.
    """
    found: dict[int, list[str]] = defaultdict(list)
    module = namespace.get("__name__", "__main__")
    level = [(name, value) for name, value in list(namespace.items()) if _usable(name)]
    for depth in range(_DEEPEST + 1):
        deeper: list[tuple[str, Any]] = []
        for path, value in level:
            if id(value) in wanted:
                if path not in found[id(value)]:
                    found[id(value)].append(path)
            elif depth < _DEEPEST:
                deeper.extend(_inside(path, value, module))
        level = deeper
    return found


def _usable(name: str) -> bool:
    return not name.startswith("_") and name not in _SHELL_NAMES


def _inside(path: str, value: Any, module: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple, dict)):
        first = next(iter(value.values() if isinstance(value, dict) else value), None)
        if len(value) > _LARGEST or type(first) in _DATA:
            return
        if isinstance(value, dict):
            yield from ((f"{path}[{key!r}]", part) for key, part in value.items())
        elif hasattr(value, "_fields"):
            yield from ((f"{path}.{field}", getattr(value, field)) for field in value._fields)
        else:
            yield from ((f"{path}[{number}]", part) for number, part in enumerate(value))
    elif type(value).__module__ == module and not keras2.is_layer(value) and hasattr(value, "__dict__"):
        yield from ((f"{path}.{name}", part) for name, part in vars(value).items())


def preferred(from_code: Iterable[tuple[str, bool]], from_namespace: Iterable[str]) -> list[str]:
    """Order an object's names: bound by the cell's statements, held by the namespace at its end, local to functions."""
    code = list(from_code)
    ordered = [
        *(name for name, local in code if not local),
        *from_namespace,
        *(name for name, local in code if local),
    ]
    return list(dict.fromkeys(ordered))


def name_layers(
    layers: Sequence[Any], given: Mapping[int, list[str]], known: Mapping[int, str]
) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Give every layer its name, and the further names the user has for it.

    The name is the user's own; else the path from the nearest named object; else Keras's. The first object of a
    name keeps it plain, so that a ledger can grow without renaming; the next ones are told apart as ``dense#2``,
    ``dense#3``.

    Parameters
    ----------
    layers
        All layers and all that they hold, in the order in which they were first seen.
    given
        Identity to the user's names, the best first.
    known
        Identity to the names that an earlier cell's ledger has given.
    """
    taken = set(known.values())
    names: dict[int, tuple[str, tuple[str, ...]]] = {}
    waiting = []

    def settle(layer: Any, name: str, aliases: Iterable[str] = ()) -> None:
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}#{number}"
        taken.add(unique)
        names[id(layer)] = unique, tuple(alias for alias in aliases if alias != name)

    for layer in layers:
        mine = given.get(id(layer), [])
        operation = keras2.operation(layer)
        if id(layer) in known:
            names[id(layer)] = known[id(layer)], tuple(alias for alias in mine if alias != known[id(layer)])
        elif operation is not None:
            settle(layer, operation)
        elif mine:
            settle(layer, mine[0], mine[1:])
        else:
            waiting.append(layer)
    held_by = {id(layer): keras2.children(layer) for layer in layers}
    held = {id(child) for children in held_by.values() for _, child in children}
    begin = [layer for layer in layers if id(layer) in names]
    for roots in (begin, [layer for layer in waiting if id(layer) not in held], waiting):
        for root in roots:
            if id(root) not in names:
                settle(root, root.name)
            level = [root]
            while level:
                deeper = []
                for holder in level:
                    for path, child in held_by[id(holder)]:
                        if id(child) not in names:
                            settle(child, f"{names[id(holder)][0]}.{path}")
                            deeper.append(child)
                level = deeper
    return names


def all_layers(first: Iterable[Any]) -> list[Any]:
    """Give the layers and all that they hold, each once, in order."""
    found: dict[int, Any] = {}
    waiting = list(first)[::-1]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in found:
            found[id(layer)] = layer
            waiting.extend(reversed([*(child for _, child in keras2.children(layer)), *keras2.tracked(layer)]))
    return list(found.values())
