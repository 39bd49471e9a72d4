"""The ledger: plain data, no Keras. Everything else feeds it or shows it."""

from s2s_magic.ledger.evidence import CallShare, Effect, Evidence, Run, VariableEvidence, Verdict
from s2s_magic.ledger.ledger import SCHEMA, Ledger, LedgerFormatError
from s2s_magic.ledger.records import (
    Called,
    Cell,
    Constructed,
    Event,
    Finding,
    Layer,
    ModelRecord,
    Part,
    Place,
    Role,
    Tensor,
    Totals,
    Variable,
    Wire,
)

__all__ = [
    "SCHEMA",
    "CallShare",
    "Called",
    "Cell",
    "Constructed",
    "Effect",
    "Event",
    "Evidence",
    "Finding",
    "Layer",
    "Ledger",
    "LedgerFormatError",
    "ModelRecord",
    "Part",
    "Place",
    "Role",
    "Run",
    "Tensor",
    "Totals",
    "Variable",
    "VariableEvidence",
    "Verdict",
    "Wire",
]
