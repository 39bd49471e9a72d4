"""How the live objects relate now: who holds whom, who lists which variable, which models there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from s2s_magic import backend
from s2s_magic.ledger import Ledger
from s2s_magic.tracing.live import Live

Holders = dict[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Standing:
    """The relations read from the live objects; all by the ledger's keys, models by their names.

    Attributes
    ----------
    live
        The objects.
    keys
        Keys of layers by identity.
    holders
        For every layer its holders, with the attribute path in each.
    lists
        For every layer the variables listed by it and all it holds: the trainable ones, and the others.
    listed_by
        For every variable the layers whose lists have it.
    variables
        Keys of variables by the identity of the bare one.
    models
        Models that are built or compiled, in the order of their construction.
    trained_in
        For every model the variables that training it would change.
    rows
        Top-level layers: rows of some model's summary, or held by no layer.
    above
        For every layer those that hold it, and models whose wires it is on.
    in_models
        For every layer the models that Keras finds it in.
    """

    live: Live
    keys: dict[int, str]
    holders: Holders
    lists: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    listed_by: dict[str, list[str]]
    variables: dict[int, str]
    models: dict[str, Any]
    trained_in: dict[str, frozenset[str]]
    rows: frozenset[str]
    above: dict[str, list[str]]
    in_models: dict[str, list[str]]

    def listing(self, variable: str) -> tuple[str, ...]:
        """Return the names of the models whose weights include a variable."""
        listed_by = self.listed_by[variable]
        return tuple(name for name, model in self.models.items() if self.keys[id(model)] in listed_by)

    def held_by(self, layer: Any) -> frozenset[str]:
        """Return the keys of all variables listed by a layer and what it holds."""
        trained, others = self.lists[self.keys[id(layer)]]
        return frozenset((*trained, *others))

    def variable_keys(self, variables: Iterable[Any]) -> tuple[str, ...]:
        """Return the keys of those variables that the ledger has, each once."""
        return _known(variables, self.variables)

    @cached_property
    def _calling(self) -> tuple[frozenset[str], frozenset[str]]:
        """The layers that were seen to call others, and those that were called by one."""
        return frozenset(caller for caller, _ in self.live.within), frozenset(called for _, called in self.live.within)

    def is_passed_over(self, layer: str) -> bool:
        """Return whether nothing was seen to call a layer, though all that hold it, of classes of the user's, ran.

        Keras's own wrappers may run ``layer.call`` itself, which is not seen.
        """
        callers, called = self._calling
        holders = [key for key, _ in self.holders[layer]]
        if not holders or layer in called or not callers.issuperset(holders):
            return False
        objects = [self.live.layers[key] for key in holders]
        return not any(backend.is_stock(holder) or backend.is_wired(holder) for holder in objects)

    def freezer(self, owner: str) -> str | None:
        """Find the outermost object whose ``trainable`` switch is off, going up from the owner of a variable."""
        found, seen, level = None, {owner}, [owner]
        while level:
            found = next((key for key in level if not getattr(self.live.layers[key], "trainable", True)), found)
            level = [key for here in level for key in self.above[here] if key not in seen]
            seen.update(level)
        return found


def standing(ledger: Ledger, live: Live) -> Standing:
    """Read how the objects behind a ledger's keys relate to each other."""
    keys = {id(layer): key for key, layer in live.layers.items()}
    of_variable = {id(backend.bare(variable)): key for key, variable in live.variables.items()}
    holders: Holders = {key: [] for key in live.layers}
    lists = {}
    listed_by: dict[str, list[str]] = {key: [] for key in live.variables}
    for key, layer in live.layers.items():
        for path, child in backend.children(layer):
            holders[keys[id(child)]].append((key, path))
        trained, others = backend.weights(layer)
        lists[key] = _known(trained, of_variable), _known(others, of_variable)
        for variable in (*lists[key][0], *lists[key][1]):
            listed_by[variable].append(key)
    models = _models(ledger, live)
    rows = {key for key, pairs in holders.items() if not pairs and not backend.is_model(live.layers[key])}
    above = {key: [holder for holder, _ in pairs] for key, pairs in holders.items()}
    in_models: dict[str, list[str]] = {key: [] for key in live.layers}
    for name, model in models.items():
        for layer in backend.reached(model):
            if layer is not model:
                in_models[keys[id(layer)]].append(name)
        for row in backend.rows(model):
            rows.add(keys[id(row)])
            if keys[id(model)] not in above[keys[id(row)]]:
                above[keys[id(row)]].append(keys[id(model)])
    trained_in = {name: frozenset(lists[keys[id(model)]][0]) for name, model in models.items()}
    return Standing(
        live, keys, holders, lists, listed_by, of_variable, models, trained_in, frozenset(rows), above, in_models
    )


def _known(variables: Iterable[Any], keys: dict[int, str]) -> tuple[str, ...]:
    found = (keys.get(id(backend.bare(variable))) for variable in variables)
    return tuple(dict.fromkeys(key for key in found if key is not None))


def _models(ledger: Ledger, live: Live) -> dict[str, Any]:
    """Return the models that are built or compiled, else all, in the order of their construction.

    Parts made by another object's constructor are left out. A model that only its first step builds is included before
    that if it was compiled, or if there is no other.
    """
    first: dict[str, int] = {}
    made: dict[str, int] = defaultdict(lambda: -1)
    for event in ledger.events:
        first.setdefault(event.object, event.index)
        if event.kind == "constructed":
            made[event.object] = event.index
    every = [key for key in first if backend.is_model(live.layers[key])]
    ready = [key for key in every if live.layers[key].built or backend.is_compiled(live.layers[key])]
    models = ready or every
    return {ledger.layers[key].name: live.layers[key] for key in sorted(models, key=lambda k: (made[k], first[k]))}
