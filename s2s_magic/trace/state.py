"""What the live objects say now: who holds what, what is trainable, which models reach it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from s2s_magic.ledger import Layer, Ledger, ModelRecord, Variable, Wire
from s2s_magic.trace import keras2
from s2s_magic.trace.live import Live

Holders = dict[str, list[tuple[str, str]]]


def refresh(ledger: Ledger, live: Live) -> Ledger:
    """Read again what can change after the cell: trainable switches, holders, models, variables that came late.

    Parameters
    ----------
    ledger
        The record so far; it is not changed.
    live
        The objects behind its keys; variables that are new to it are added.

    Returns
    -------
    Ledger
        The same events with layers, variables and models as they are now.
    """
    keys = {id(layer): key for key, layer in live.layers.items()}
    variables = _with_late_ones(ledger, live, keys)
    holders = _holders(live, keys)
    lists = {
        key: [[id(keras2.bare(v)) for v in part] for part in keras2.weights(layer)]
        for key, layer in live.layers.items()
    }
    v_keys = {id(keras2.bare(v)): key for key, v in live.variables.items()}
    models = {name: model for name, model in _models(ledger, live).items() if _built(model)}
    live.models = models
    records = [_model_record(name, model, ledger, live, keys) for name, model in models.items()]
    reach: dict[str, list[str]] = defaultdict(list)
    for name, model in models.items():
        for layer in keras2.reached(model):
            if id(layer) in keys and layer is not model:
                reach[keys[id(layer)]].append(name)
    parents = _parents(ledger, holders)
    layers = {
        key: record.model_copy(
            update={
                "keras_name": live.layers[key].name,
                "parent": parents.get(key, (None, None))[0],
                "attribute": parents.get(key, (None, None))[1],
                "held_by": _paths(ledger, record.name, holders[key]),
                "own_weights": tuple(v_keys[v] for part in lists[key] for v in part if v in v_keys),
                "trainable": bool(live.layers[key].trainable),
                "ghost": not lists[key][0]
                and not lists[key][1]
                and keras2.is_copied(live.layers[key], [live.layers[h] for h, _ in holders[key]]),
                "in_models": tuple(reach[key]),
            }
        )
        for key, record in ledger.layers.items()
    }
    listed_by: dict[int, list[str]] = defaultdict(list)
    for key, parts in lists.items():
        for v in (*parts[0], *parts[1]):
            listed_by[v].append(key)
    rows = {keys[id(row)] for model in models.values() for row in keras2.rows(model) if id(row) in keys}
    rows |= {key for key in layers if not holders[key] and not keras2.is_model(live.layers[key])}
    trained_by = {name: {id(keras2.bare(v)) for v in keras2.weights(model)[0]} for name, model in models.items()}
    listed_in = {
        name: {id(keras2.bare(v)) for part in keras2.weights(model) for v in part} for name, model in models.items()
    }
    above = _above(holders, models, keys, live)
    updated = {}
    for key, record in variables.items():
        identity = id(keras2.bare(live.variables[key]))
        names = tuple(name for name in models if identity in listed_in[name])
        owner = record.object
        trains = owner is not None and identity in lists[owner][0]
        if names:
            trains = trains and any(identity in trained_by[name] for name in names)
        frozen = None
        if (
            owner is not None
            and not trains
            and any(
                keras2.bare(v) is keras2.bare(live.variables[key]) for v in keras2.meant_to_train(live.layers[owner])
            )
        ):
            frozen = _freezer(owner, above, live, layers)
        updated[key] = record.model_copy(
            update={
                "owner": layers[owner].name if owner is not None else record.owner,
                "paths": _variable_paths(key, owner, live, layers, holders, listed_by[identity]),
                "trainable": trains,
                "frozen_by": frozen,
                "held_by": tuple(k for k in listed_by[identity] if k in rows),
                "in_models": names,
                "tracked": bool(listed_by[identity]),
            }
        )
    return Ledger(
        ledger.name,
        cells=ledger.cells,
        events=ledger.events,
        layers=layers,
        variables=updated,
        models=records,
        training=ledger.training,
    )


def variable_record(variable: Any, owner: str, key: str | None, **more: Any) -> Variable:
    """Describe a variable; what depends on other objects is filled in by `refresh`."""
    shape = tuple(size or 0 for size in keras2.shape_of(variable) or ())
    params = keras2.size_of(variable)
    return Variable(
        owner=owner,
        object=key,
        paths=(),
        name=variable.name,
        shape=shape,
        dtype=keras2.dtype_of(variable),
        bytes=params * keras2.item_size(variable),
        params=params,
        trainable=False,
        **more,
    )


def _with_late_ones(ledger: Ledger, live: Live, keys: Mapping[int, str]) -> dict[str, Variable]:
    """Add variables that came into being since, as when a first `fit` built a model: no event made them."""
    variables = dict(ledger.variables)
    known = {id(keras2.bare(v)) for v in live.variables.values()}
    for key, layer in list(live.layers.items()):
        for variable in keras2.direct_weights(layer):
            if id(keras2.bare(variable)) not in known:
                known.add(id(keras2.bare(variable)))
                new = f"v{len(variables)}"
                live.variables[new] = variable
                variables[new] = variable_record(variable, ledger.layers[key].name, key)
    return variables


def _holders(live: Live, keys: Mapping[int, str]) -> Holders:
    holders: Holders = {key: [] for key in live.layers}
    for key, layer in live.layers.items():
        for path, child in keras2.children(layer):
            if id(child) in keys:
                holders[keys[id(child)]].append((key, path))
    return holders


def _parents(ledger: Ledger, holders: Holders) -> dict[str, tuple[str, str]]:
    """Choose each layer's one parent: the holder its name speaks of, else the first; never in a circle."""
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


def _paths(ledger: Ledger, name: str, pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    paths = (f"{ledger.layers[holder].name}.{path}" for holder, path in pairs)
    return tuple(path for path in paths if path != name)


def _variable_paths(
    key: str, owner: str | None, live: Live, layers: Mapping[str, Layer], holders: Holders, listed_by: list[str]
) -> tuple[str, ...]:
    """Give every attribute path to a variable, the owner's first, those of layers that only share it last."""
    if not listed_by:
        return ()
    variable = live.variables[key]
    paths = []
    direct = [k for k in listed_by if k == owner or any(v is variable for v in keras2.direct_weights(live.layers[k]))]
    for holder in sorted(direct, key=lambda k: k != owner):
        attribute = keras2.attribute_of(live.layers[holder], variable)
        above = (f"{layers[h].name}.{path}" for h, path in holders[holder])
        paths += [f"{name}.{attribute}" for name in (layers[holder].name, *above)]
    return tuple(dict.fromkeys(paths))


def _above(holders: Holders, models: Mapping[str, Any], keys: Mapping[int, str], live: Live) -> dict[str, list[str]]:
    """Give the objects directly above each layer: those that hold it, and models whose graph it is in."""
    above = {key: [holder for holder, _ in pairs] for key, pairs in holders.items()}
    for model in models.values():
        for row in keras2.rows(model):
            if id(row) in keys and id(model) in keys and keys[id(model)] not in above[keys[id(row)]]:
                above[keys[id(row)]].append(keys[id(model)])
    return above


def _freezer(owner: str, above: Mapping[str, list[str]], live: Live, layers: Mapping[str, Layer]) -> str | None:
    """Find the outermost object whose switch is off, going up from the owner."""
    found, seen, level = None, {owner}, [owner]
    while level:
        off = [key for key in level if not live.layers[key].trainable]
        found = off[0] if off else found
        level = [key for here in level for key in above[here] if key not in seen]
        seen.update(level)
    return layers[found].name if found else None


def _models(ledger: Ledger, live: Live) -> dict[str, Any]:
    """Give the models by name in the order of their construction; parts of other models are not among them."""
    order = []
    standing = {event.object: event.index for event in ledger.events[::-1]}
    made = {event.object: event.index for event in ledger.events if event.kind == "constructed"}
    for key, first in standing.items():
        if keras2.is_model(live.layers[key]):
            order.append((made.get(key, -1), first, key))
    return {ledger.layers[key].name: live.layers[key] for _, _, key in sorted(order)}


def _built(model: Any) -> bool:
    return bool(model.built)


def _model_record(name: str, model: Any, ledger: Ledger, live: Live, keys: Mapping[int, str]) -> ModelRecord:
    made = {id(tensor): place for place, tensor in live.tensors.items()}
    inputs, outputs = keras2.ends(model)
    key = keys[id(model)]
    return ModelRecord(
        name=name,
        object=key,
        event=ledger.layers[key].constructed,
        inputs=tuple(_wire(tensor, made, ledger) for tensor in inputs),
        outputs=tuple(_wire(tensor, made, ledger) for tensor in outputs),
        layers=tuple(keys[id(row)] for row in keras2.rows(model) if id(row) in keys),
        trainable=sum(map(keras2.size_of, keras2.weights(model)[0])),
        total=int(model.count_params()),
    )


def _wire(tensor: Any, made: Mapping[int, tuple[int, int]], ledger: Ledger) -> Wire:
    event, output = made.get(id(tensor), (None, 0))
    name = ledger.events[event].outputs[output].name if event is not None else None
    return Wire.model_validate(
        {
            "name": name,
            "shape": keras2.shape_of(tensor),
            "dtype": keras2.dtype_of(tensor),
            "from": event,
            "output": output,
        }
    )
