"""Bring the ledger up to date with the live objects: what is trainable, who holds what, which models reach it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from s2s_magic import backend
from s2s_magic.ledger import Layer, Ledger, ModelRecord, Variable
from s2s_magic.tracing.differentiating import examined
from s2s_magic.tracing.live import Live
from s2s_magic.tracing.models import model_records
from s2s_magic.tracing.naming import all_layers, name_layers
from s2s_magic.tracing.relations import Holders, Standing, standing
from s2s_magic.tracing.unseen import unseen_layers


def refresh(ledger: Ledger, live: Live) -> Ledger:
    """Read again what can change after the cell: trainable switches, holders, models, objects made later.

    Return a ledger with the same events. Layers and variables made since are added to ``live``, and its models are
    updated.
    """
    ledger = examined(_with_late_variables(_with_late_layers(ledger, live), live), live)
    ledger = _with_late_variables(ledger, live)  # of a layer that was first called when a call was examined
    now = standing(ledger, live)
    live.models = now.models
    parents = _parents(ledger, now.holders)
    unseen = unseen_layers(ledger, now)
    layers = {key: _layer_now(key, ledger, parents.get(key), now) for key in ledger.layers}
    for key, (user, paths) in unseen.items():
        layers[key] = layers[key].model_copy(update={"unseen_in": user, "unseen_as": paths})
    models = model_records(ledger, now)
    main = ledger.changed(models=models).main_model
    regularized = {id(backend.bare(v)) for layer in live.layers.values() for v in backend.regularized(layer)}
    live.listed |= {key for key, listed_by in now.listed_by.items() if listed_by}
    variables = {
        key: _variable_now(key, record, layers, now, main, regularized) for key, record in ledger.variables.items()
    }
    return ledger.changed(layers=layers, variables=variables, models=models)


def started(ledger: Ledger, live: Live) -> Ledger:
    """Count the present values of all variables as those that they begin with, as for weights that code has set.

    Return a ledger with the same events; ``live`` is updated.
    """
    variables = dict(ledger.variables)
    for key, variable in live.variables.items():
        value = backend.value(variable)
        if value is not None and key in live.starts:
            live.starts[key] = value
            variables[key] = variables[key].model_copy(update={"initial_norm": backend.norm(value)})
    return ledger.changed(variables=variables)


def layer_record(layer: Any, name: str, *, aliases: tuple[str, ...] = (), constructed: int | None = None) -> Layer:
    """Describe a layer; `refresh` fills in what can change."""
    kind = backend.kind_of(layer)
    fields = {"name": name, "class": type(layer).__name__, "kind": kind, "keras_name": layer.name, "aliases": aliases}
    return Layer.model_validate({**fields, "constructed": constructed, "implicit": kind == "operation"})


def variable_record(variable: Any, owner: str, key: str | None, **more: Any) -> Variable:
    """Describe a variable; `refresh` fills in what depends on other objects."""
    shape = tuple(size or 0 for size in backend.shape_of(variable) or ())
    params = backend.size_of(variable)
    return Variable(
        owner=owner,
        object=key,
        paths=(),
        name=backend.name_of(variable),
        shape=shape,
        dtype=backend.dtype_of(variable),
        bytes=params * backend.item_size(variable),
        params=params,
        trainable=False,
        **more,
    )


def _with_late_layers(ledger: Ledger, live: Live) -> Ledger:
    """Add layers that known ones have come to hold, for example by a ``build`` that makes more: no event made them."""
    known = {id(layer): ledger.layers[key].name for key, layer in live.layers.items()}
    layers = all_layers(live.layers.values())
    late = [layer for layer in layers if id(layer) not in known]
    if not late:
        return ledger
    names = name_layers(layers, {}, known)
    records = dict(ledger.layers)
    for layer in late:
        key = f"L{len(records)}"
        live.layers[key] = layer
        records[key] = layer_record(layer, names[id(layer)][0])
    return ledger.changed(layers=records)


def _with_late_variables(ledger: Ledger, live: Live) -> Ledger:
    """Add variables created since, for example when a first `fit` built a model: no event made them."""
    variables = dict(ledger.variables)
    known = {id(backend.bare(v)) for v in live.variables.values()}
    for key, layer in list(live.layers.items()):
        for variable in backend.direct_weights(layer):
            if id(backend.bare(variable)) not in known:
                known.add(id(backend.bare(variable)))
                new = f"v{len(variables)}"
                live.variables[new] = variable
                variables[new] = variable_record(variable, ledger.layers[key].name, key)
    return ledger.changed(variables=variables)


def _parents(ledger: Ledger, holders: Holders) -> dict[str, tuple[str, str]]:
    """Choose one parent for each layer: the holder in its name, else the first; never in a cycle."""
    parents: dict[str, tuple[str, str]] = {}
    for key, pairs in holders.items():
        name = ledger.layers[key].name
        for holder, path in sorted(pairs, key=lambda pair: f"{ledger.layers[pair[0]].name}.{pair[1]}" != name):
            above: str | None = holder
            while above is not None and above != key:
                above = parents.get(above, (None, ""))[0]
            if above is None:
                parents[key] = holder, path
                break
    return parents


def _layer_now(key: str, ledger: Ledger, parent: tuple[str, str] | None, now: Standing) -> Layer:
    record, layer = ledger.layers[key], now.live.layers[key]
    holding = [now.live.layers[holder] for holder, _ in now.holders[key]]
    return record.model_copy(
        update={
            "keras_name": layer.name,
            "parent": parent[0] if parent else None,
            "attribute": parent[1] if parent else None,
            "held_by": tuple(path for path in _paths(ledger.layers, now.holders[key]) if path != record.name),
            "own_weights": (*now.lists[key][0], *now.lists[key][1]),
            "trainable": bool(getattr(layer, "trainable", True)),
            "ghost": not any(now.lists[key]) and backend.is_copied(layer, holding),
            "in_models": tuple(now.in_models[key]),
            "passed_over": record.is_written and not ledger.calls.get(key) and now.is_passed_over(key),
            "unseen_in": None,
            "unseen_as": (),
        }
    )


def _variable_now(
    key: str,
    record: Variable,
    layers: Mapping[str, Layer],
    now: Standing,
    main: ModelRecord | None,
    regularized: Set[int],
) -> Variable:
    owner, variable = record.object, now.live.variables[key]
    models = now.listing(key)
    listed_by = now.listed_by[key]
    lister = owner if owner in listed_by else next(iter(listed_by), None)  # a wrapper may have taken it from its owner
    trains = lister is not None and key in now.lists[lister][0]
    if main is not None and models:  # the main model decides whether a variable of its own is trained
        asked = (main.name,) if main.name in models else models
        trains = trains and any(key in now.trained_in[name] for name in asked)
    frozen = None
    if owner is not None and not trains and any(v is variable for v in backend.meant_to_train(now.live.layers[owner])):
        frozen = now.freezer(owner)
    return record.model_copy(
        update={
            "owner": layers[owner].name if owner is not None else record.owner,
            "paths": _variable_paths(key, owner, layers, now),
            "trainable": trains,
            "frozen_by": layers[frozen].name if frozen is not None else None,
            "held_by": tuple(layer for layer in listed_by if layer in now.rows),
            "in_models": models,
            "tracked": any(layers[layer].unseen_in is None for layer in listed_by),
            "dropped": key in now.live.listed and not listed_by,
            "regularized": id(backend.bare(variable)) in regularized,
        }
    )


def _paths(layers: Mapping[str, Layer], pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{layers[holder].name}.{path}" for holder, path in pairs)


def _variable_paths(key: str, owner: str | None, layers: Mapping[str, Layer], now: Standing) -> tuple[str, ...]:
    """Return every attribute path to a variable: the owner's first, those of layers that only share it last."""
    variable = now.live.variables[key]
    paths = []
    for holder in sorted(now.listed_by[key], key=lambda holder: holder != owner):
        layer = now.live.layers[holder]
        if holder == owner or any(v is variable for v in backend.direct_weights(layer)):
            attribute = backend.attribute_of(layer, variable)
            names = (layers[holder].name, *_paths(layers, now.holders[holder]))
            paths += [f"{name}.{attribute}" for name in names]
    return tuple(dict.fromkeys(paths))
