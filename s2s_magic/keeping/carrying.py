"""Carry the evidence of a saved ledger over to the ledger of the same model, made anew."""

from __future__ import annotations

from collections.abc import Mapping

from s2s_magic.keeping.identities import matched, names_of, renamed
from s2s_magic.ledger import CallShare, Evidence, Ledger, VariableEvidence
from s2s_magic.ledger.verdicts import judge_all


def carried(saved: Ledger, present: Ledger) -> tuple[Ledger, Evidence | None]:
    """Return the present ledger with the saved evidence and the norms at creation, and that evidence by its keys.

    Keys differ where variables or layers were made in another order, as another Keras may.
    """
    roots = matched(saved, present)
    key_of = {name: key for key, name in names_of(present, roots).items()}
    keys = {key: key_of[name] for key, name in names_of(saved).items() if name in key_of}
    norms = {keys[key]: record.initial_norm for key, record in saved.variables.items() if key in keys}
    variables = {
        key: record.model_copy(update={"initial_norm": norms[key]}) if key in norms else record
        for key, record in present.variables.items()
    }
    evidence = saved.training
    if evidence is not None:
        objects = {renamed(record.name, roots): key for key, record in present.layers.items()}
        layers = {key: objects.get(record.name) for key, record in saved.layers.items()}
        measured = {keys[key]: _of_layers(each, layers) for key, each in evidence.variables.items() if key in keys}
        if any(renamed(name, roots) != name for name in names_of(present).values()):
            measured = judge_all(present.changed(variables=variables, training=None), measured)  # they say the names
        evidence = evidence.model_copy(
            update={
                "variables": measured,
                "by_call": tuple(_shares(evidence, saved, present, keys)),
            }
        )
    return present.changed(variables=variables, training=evidence), evidence


def _of_layers(measured: VariableEvidence, layers: Mapping[str, str | None]) -> VariableEvidence:
    fits = (each.model_copy(update={"model": layers.get(each.model or "")}) for each in measured.fits)
    return measured.model_copy(update={"fits": tuple(fits)})


def _shares(evidence: Evidence, saved: Ledger, present: Ledger, keys: Mapping[str, str]) -> list[CallShare]:
    """Return the shares of calls whose events are the same in both ledgers."""
    return [
        share.model_copy(update={"variable": keys[share.variable]})
        for share in evidence.by_call
        if share.variable in keys
        and share.event < len(present.events)
        and saved.events[share.event].source == present.events[share.event].source
    ]
