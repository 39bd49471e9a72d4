"""Layers that are used but not seen by Keras: held by plain objects, or made in a call or a function."""

from __future__ import annotations

from s2s_magic import backend
from s2s_magic.ledger import Called, Ledger
from s2s_magic.tracing.naming import all_layers
from s2s_magic.tracing.relations import Standing


def unseen_layers(ledger: Ledger, now: Standing) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Find the layers that another one uses inside and no model lists: by key, the user's key and the unseen paths.

    Without a model, a layer that the code calls itself is not counted: a model may still find it on its wires.
    """
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    models = {now.keys[id(model)] for model in now.models.values()}
    for event in ledger.events:
        if not isinstance(event, Called) or not event.inside:
            continue
        user = event.object
        if models and user not in models and not now.in_models[user]:
            continue
        paths = [(path, now.keys.get(id(part))) for path, part in backend.unseen(now.live.layers[user])]
        for key in event.inside:
            if not now.in_models[key] and (models or key not in ledger.calls):
                ways = tuple(f"{ledger.layers[user].name}.{path}" for path, reached in paths if reached == key)
                found.setdefault(key, (user, ways))
                for part in all_layers([now.live.layers[key]]):
                    found.setdefault(now.keys[id(part)], (user, ()))
    return found
