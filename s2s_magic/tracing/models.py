"""The models of a ledger as they are now: their ends, their roles, and what fitting them would train."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from s2s_magic import backend
from s2s_magic.ledger import Ledger, Link, ModelRecord, Role, Wire
from s2s_magic.tracing.relations import Standing


def model_records(ledger: Ledger, now: Standing) -> list[ModelRecord]:
    """Describe the models, in the order in which they were made."""
    made = {id(tensor): place for place, tensor in now.live.tensors.items()}
    compiled = {name: at for name, model in now.models.items() if (at := backend.compiled_at(model)) is not None}
    ranks = {name: rank for rank, name in enumerate(sorted(compiled, key=lambda name: compiled[name]), 1)}
    fitted = {record.object for record in ledger.models if "fitted" in record.roles}
    roles = _roles(now, fitted)
    records = []
    for name, model in now.models.items():
        key = now.keys[id(model)]
        inputs, outputs = backend.ends(model)
        trained, others = backend.weights(model)
        fitting = backend.trained_by_fit(model)
        to_train, listed = now.variable_keys(fitting), now.variable_keys(trained)
        wanted = list({id(backend.bare(variable)): variable for variable in (*fitting, *trained)}.values())
        known = backend.known_to_optimizer(model, wanted) or [True] * len(wanted)
        unknown = [variable for variable, place in zip(wanted, known, strict=True) if not place]
        records.append(
            ModelRecord(
                name=name,
                object=key,
                event=ledger.layers[key].constructed,
                inputs=tuple(wire_of(tensor, made, ledger) for tensor in inputs),
                outputs=tuple(wire_of(tensor, made, ledger) for tensor in outputs),
                missing=tuple(input_wire(tensor, made, ledger) for tensor in backend.missing_inputs(model)),
                layers=tuple(now.keys[id(row)] for row in backend.rows(model)),
                links=_links(model, outputs, made, now),
                trainable=sum(map(backend.size_of, trained)),
                total=sum(map(backend.size_of, (*trained, *others))),
                roles=roles[name],
                compiled=ranks.get(name),
                trained=to_train,
                listed=listed if set(listed) != set(to_train) else None,
                changed={now.keys[id(layer)]: saw for layer, saw in backend.changed_since_compile(model)},
                switches_read=backend.SWITCHES_READ,
                optimizer=type(model.optimizer).__name__ if name in compiled else None,
                unknown=now.variable_keys(unknown),
                losses=None if (losses := backend.loss_weights(model)) is None else tuple(losses),
            )
        )
    return records


def _links(model: Any, outputs: list[Any], made: Mapping[int, tuple[int, int]], now: Standing) -> tuple[Link, ...]:
    """Return the wires that a model laid itself, for a model whose outputs no event made."""
    if any(id(tensor) in made for tensor in outputs):
        return ()
    return tuple(
        Link(
            source=now.keys[id(source)],
            target=now.keys[id(target)] if target is not None else None,
            shape=backend.shape_of(tensor),
            dtype=backend.dtype_of(tensor),
        )
        for source, tensor, target in backend.links(model)
        if id(source) in now.keys and (target is None or id(target) in now.keys)
    )


def _roles(now: Standing, fitted: Container[str]) -> dict[str, tuple[Role, ...]]:
    """Determine each model's roles; ``fitted`` were so before, which Keras 3 forgets when they are compiled again.

    A model that was never compiled is for inference if another model has all its weights and more, or has the same
    weights and was made earlier.
    """
    roles: dict[str, list[Role]] = {name: [] for name in now.models}
    for name, model in now.models.items():
        if backend.is_compiled(model):
            roles[name].append("compiled")
        if backend.has_trained(model) or now.keys[id(model)] in fitted:
            roles[name].append("fitted")
        if now.in_models[now.keys[id(model)]] or now.above[now.keys[id(model)]]:
            roles[name].append("part")
    held = {
        name: frozenset(key for lists in now.lists[now.keys[id(m)]] for key in lists) for name, m in now.models.items()
    }
    used = [name for name in now.models if {"compiled", "fitted"} & set(roles[name])]
    for number, name in enumerate(now.models):
        if roles[name]:
            continue
        mine = held[name]
        others = [(other, held[other]) for other in now.models if other != name and "part" not in roles[other]]
        earlier = set(list(now.models)[:number]) | set(used)
        if any(mine < theirs or (mine and mine == theirs and other in earlier) for other, theirs in others) or (
            used and mine <= frozenset().union(*(held[other] for other in used))
        ):
            roles[name].append("inference")
    return {name: tuple(found) for name, found in roles.items()}


def input_wire(tensor: Any, made: Mapping[int, tuple[int, int]], ledger: Ledger) -> Wire:
    """Describe an input as `wire_of` does, by Keras's name for it if no event of the ledger made it."""
    wire = wire_of(tensor, made, ledger)
    return wire if wire.from_event is not None else wire.model_copy(update={"name": str(tensor.name)})


def wire_of(tensor: Any, made: Mapping[int, tuple[int, int]], ledger: Ledger) -> Wire:
    """Describe a tensor; ``made`` tells by its identity which event made it, and as which output."""
    event, output = made.get(id(tensor), (None, 0))
    name = ledger.events[event].outputs[output].name if event is not None else None
    return Wire.model_validate(
        {
            "name": name,
            "shape": backend.shape_of(tensor),
            "dtype": backend.dtype_of(tensor),
            "from": event,
            "output": output,
        }
    )
