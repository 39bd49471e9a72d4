"""The user's names for layers and tensors."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from s2s_magic import backend

_LARGEST = 10_000
_DEEPEST = 3
_DATA = (int, float, str, bytes)  # a container of these is data, with possibly millions of elements
_SHELL_NAMES = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


def scan(namespace: Mapping[str, Any], wanted: Container[int]) -> dict[int, list[str]]:
    """Find the names under which a namespace reaches objects: directly, in containers, in the user's own objects.

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
    elif type(value).__module__ == module and not backend.is_layer(value) and hasattr(value, "__dict__"):
        yield from ((f"{path}.{name}", part) for name, part in vars(value).items())


def preferred(from_code: Iterable[tuple[str, bool]], from_namespace: Iterable[str]) -> list[str]:
    """Order an object's names: bound by the cell's statements, in its namespace at the end, local to functions."""
    code = list(from_code)
    ordered = [
        *(name for name, local in code if not local),
        *from_namespace,
        *(name for name, local in code if local),
    ]
    return list(dict.fromkeys(ordered))


def bound_now(found: Mapping[int, Sequence[str]]) -> dict[str, int]:
    """Invert the result of `scan`: return the identity of the object that each name has now."""
    return {name: identity for identity, names in found.items() for name in names}


Named = dict[int, tuple[str, tuple[str, ...]]]


def name_layers(
    layers: Sequence[Any],
    given: Mapping[int, Sequence[str]],
    known: Mapping[int, str],
    now: Mapping[str, int] | None = None,
) -> Named:
    """Name every layer, and list the user's other names for it.

    A layer has the user's name; else the path from the nearest named object; else Keras's name. If a name was rebound,
    the object that has it now has the plain name, and the others are numbered in order of appearance: ``dense (1st)``,
    ``dense (2nd)``. Operations are counted: ``tf.nn.softmax#2``.

    Parameters
    ----------
    layers
        All layers and all that they hold, in the order in which they were first seen.
    given
        Identity to the user's names, the best first.
    known
        Identity to the names given in an earlier cell's ledger.
    now
        The identity of the object that each name in the namespace is bound to now. If None, known names stay.
    """
    held_by = {id(layer): [*backend.children(layer)] for layer in layers}
    _add_unseen(held_by, [layer for layer in layers if not given.get(id(layer)) and id(layer) not in known], layers)
    by_path = _named_by_holder(held_by, known) if now is not None else set()
    names: Named = {}
    groups: dict[str, list[int]] = defaultdict(list)
    operations: dict[str, list[int]] = defaultdict(list)
    aliases: dict[int, list[str]] = {}
    for layer in layers:
        mine = id(layer)
        own = [name for name in given.get(mine, ()) if (now or {}).get(name, mine) == mine]
        aliases[mine] = own
        operation = backend.operation(layer)
        if operation is not None:
            operations[operation].append(mine)
        elif mine in known and now is None:
            names[mine] = known[mine], ()
        elif mine in known and mine not in by_path:
            base = _ORDINAL.sub("", known[mine])
            lost = (now or {}).get(base, mine) != mine
            groups[own[0] if own and lost else base].append(mine)
        elif mine not in known and (own or given.get(mine)):
            groups[(own or list(given[mine]))[0]].append(mine)
    for base, identities in groups.items():
        has_it = (now or {}).get(base)
        for place, identity in enumerate(identities, 1):
            plain = len(identities) == 1 or identity == has_it
            names[identity] = (base if plain else f"{base} ({_ordinal(place)})"), ()
    taken = {name for name, _ in names.values()}
    for operation, identities in operations.items():
        for place, identity in enumerate(identities, 2 if operation in taken else 1):
            names[identity] = (operation if place == 1 else f"{operation}#{place}"), ()
    _name_the_rest(layers, held_by, names)
    for layer in layers:
        name = names[id(layer)][0]
        base = _ORDINAL.sub("", name)
        names[id(layer)] = name, tuple(dict.fromkeys(each for each in aliases[id(layer)] if each not in (name, base)))
    return names


_ORDINAL = re.compile(r" \(\d+(?:st|nd|rd|th)\)$")


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


def _add_unseen(held_by: dict[int, list[tuple[str, Any]]], nameless: Sequence[Any], layers: Sequence[Any]) -> None:
    """Let layers that no layer holds be named by the path from an object that reaches them unseen by Keras."""
    held = {id(child) for children in held_by.values() for _, child in children}
    alone = {id(layer) for layer in nameless if id(layer) not in held and backend.is_written(layer)}
    if alone:
        for layer in layers:
            held_by[id(layer)] += [(path, part) for path, part in backend.unseen(layer) if id(part) in alone]


def _named_by_holder(held_by: Mapping[int, list[tuple[str, Any]]], known: Mapping[int, str]) -> set[int]:
    """Find the known layers named by the path from a holder: their names change with the holder's."""
    return {
        id(child)
        for holder, children in held_by.items()
        for path, child in children
        if holder in known and known.get(id(child)) == f"{known[holder]}.{path}"
    }


def _name_the_rest(layers: Sequence[Any], held_by: Mapping[int, list[tuple[str, Any]]], names: Named) -> None:
    """Name the layers without a user's name: by the nearest holder, else as Keras does."""
    taken = {name for name, _ in names.values()}

    def settle(layer: Any, name: str) -> None:
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name} ({_ordinal(number)})"
        taken.add(unique)
        names[id(layer)] = unique, ()

    waiting = [layer for layer in layers if id(layer) not in names]
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


def all_layers(first: Iterable[Any]) -> list[Any]:
    """Return the layers and all that they hold, each once, in order."""
    found: dict[int, Any] = {}
    waiting = list(first)[::-1]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in found:
            found[id(layer)] = layer
            waiting.extend(reversed([*(child for _, child in backend.children(layer)), *backend.tracked(layer)]))
    return list(found.values())
