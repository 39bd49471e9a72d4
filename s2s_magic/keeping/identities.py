"""Names of variables that stay the same from one run, and from one Keras, to another: the paths of their owners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s2s_magic import backend
from s2s_magic.handle import Seq2Seq
from s2s_magic.ledger import Ledger


def names_of(ledger: Ledger) -> dict[str, str]:
    """Return a name for each variable, by its key: ``encoder.cell.kernel``; a number tells equal ones apart."""
    taken: set[str] = set()
    found = {}
    for key, variable in ledger.variables.items():
        name = stem = variable.paths[0] if variable.paths else f"{variable.owner}.{variable.name.partition(':')[0]}"
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}#{number}"
        taken.add(name)
        found[key] = name
    return found


def weights_of(seq2seq: Seq2Seq) -> dict[str, str]:
    """Return the variables to save by key, with their names: those with numbers, without what metrics count."""
    counts = _counts(seq2seq)
    return {
        key: name
        for key, name in names_of(seq2seq.ledger).items()
        if id(backend.bare(seq2seq.live.variables[key])) not in counts
        and backend.value(seq2seq.live.variables[key]) is not None
    }


def states_of(seq2seq: Seq2Seq) -> dict[str, Any]:
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
                found[f"{seq2seq.ledger.layers[key].name}.{number}"] = variable
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
