"""Names of variables that stay the same from one run, and from one Keras, to another: the paths of their owners."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from s2s_magic import backend
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Layer, Ledger

Roots = Mapping[str, str]
"""The names of layers that no holder's name begins, by those they have in another ledger."""


def matched(saved: Ledger, present: Ledger) -> Roots:
    """Return the saved names of layers by their present ones, where these differ or not.

    A layer that the user gave no name has the one that Keras gives, whose number depends on what else this process has
    made. Of each class, such layers are matched by their order, if there are as many.
    """
    before, now = _roots(saved), _roots(present)
    found = {name: name for name in now if name in before and not (_by_keras(before[name]) and _by_keras(now[name]))}
    left_before, left_now = ([name for name in roots if name not in found] for roots in (before, now))
    for kind in dict.fromkeys(now[name].class_name for name in left_now):
        olds = [name for name in left_before if before[name].class_name == kind and _by_keras(before[name])]
        news = [name for name in left_now if now[name].class_name == kind and _by_keras(now[name])]
        if set(olds) == set(news):
            found |= {name: name for name in news}
        elif len(olds) == len(news):
            found |= dict(zip(news, olds, strict=True))
    return found


def _roots(ledger: Ledger) -> dict[str, Layer]:
    def is_root(layer: Layer) -> bool:
        return layer.parent is None or not layer.name.startswith(f"{ledger.layers[layer.parent].name}.")

    return {layer.name: layer for layer in ledger.layers.values() if not layer.implicit and is_root(layer)}


def _by_keras(layer: Layer) -> bool:
    """Return whether a layer may have its name from Keras: that of its class, with a number."""
    words = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", layer.class_name)).lower()
    stems = {words, "model"} if layer.class_name == "Functional" else {words}
    return layer.name == layer.keras_name and re.sub(r"_\d+$", "", layer.name) in stems


def renamed(name: str, roots: Roots) -> str:
    """Return the saved name of a layer, or the saved path of a variable or a layer, for a present one."""
    stem = name
    while stem:
        if stem in roots:
            return roots[stem] + name[len(stem) :]
        stem = stem.rpartition(".")[0]
    return name


def names_of(ledger: Ledger, roots: Roots | None = None) -> dict[str, str]:
    """Return a name for each variable, by its key: ``encoder.cell.kernel``; a number tells equal ones apart.

    With ``roots``, names are those in another ledger.
    """
    taken: set[str] = set()
    found = {}
    for key, variable in ledger.variables.items():
        path = variable.paths[0] if variable.paths else f"{variable.owner}.{variable.name.partition(':')[0]}"
        name = stem = renamed(path, roots or {})
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}#{number}"
        taken.add(name)
        found[key] = name
    return found


def weights_of(seq2seq: Seq2Seq, roots: Roots | None = None) -> dict[str, str]:
    """Return the variables to save by key, with their names: those with numbers, without what metrics count."""
    counts = _counts(seq2seq)
    return {
        key: name
        for key, name in names_of(seq2seq.ledger, roots).items()
        if id(backend.bare(seq2seq.live.variables[key])) not in counts
        and backend.value(seq2seq.live.variables[key]) is not None
    }


def states_of(seq2seq: Seq2Seq, roots: Roots | None = None) -> dict[str, Any]:
    """Name the variables that layers hold beside the ledger's: the states of random generators, mostly.

    What models hold so are Keras's own counters, which begin anew.
    """
    known = {id(backend.bare(variable)) for variable in seq2seq.live.variables.values()} | _counts(seq2seq)
    found: dict[str, Any] = {}
    for key, layer in seq2seq.live.layers.items():
        if backend.is_model(layer) or not backend.is_ready(layer):
            continue
        for number, variable in enumerate(backend.state_held(layer)):
            if id(backend.bare(variable)) not in known and backend.value(variable) is not None:
                known.add(id(backend.bare(variable)))
                found[f"{renamed(seq2seq.ledger.layers[key].name, roots or {})}.{number}"] = variable
    return found


def _counts(seq2seq: Seq2Seq) -> set[int]:
    """Return the identities of the variables that count for metrics."""
    return {
        id(backend.bare(variable))
        for model in seq2seq.models.values()
        for metric in backend.metrics_of(model)
        for variable in metric.variables
    }


def optimizer_states(seq2seq: Seq2Seq, names: Mapping[str, str], model: str) -> dict[str, Any]:
    """Name the variables of a model's optimizer; see `s2s_magic.backend.stepping.optimizer_state`."""
    known = {name: seq2seq.live.variables[key] for key, name in names.items()}
    return dict(backend.optimizer_state(seq2seq.models[model].optimizer, known))
